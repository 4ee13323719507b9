import Glibc

/// The file `checkpoint`: two slots written in turn, each holding a generation twice. Its blocks
/// are there from the first checkpoint on, so a full disk doesn't stop later ones.
///
/// Guarantees: after a power cut at any instant each slot has a whole copy, or was never used: the
/// second copy is written when the first is durable. A slot with neither is damage.
final class CheckpointFile {
    static let name = "checkpoint"
    private static let slots = 2
    private static let copies = 2
    private static let byteCount = slots * copies * Checkpoint.copyBytes

    private let folder: String
    /// Nil until the first checkpoint.
    private var file: File?
    /// The newest durable one; nil before the first.
    private(set) var newest: Checkpoint?
    /// What is wrong with single copies, in words.
    private(set) var faults: [String] = []

    /// Reads the file of a folder, if there is one. Throws `cannotOpen` where a slot is damaged.
    init(folder: String) throws(StorageError) {
        self.folder = folder
        guard access(Self.path(folder), F_OK) == 0 else { return }
        let file = try File(Self.path(folder))
        // Shorter where the power failed while it was being made: nothing was ever stored.
        guard try file.byteCount() >= Self.byteCount else { return }
        self.file = file
        for slot in 0..<Self.slots {
            let found = try read(file, slot: slot)
            if let found, found.generation > newest?.generation ?? 0 { newest = found }
        }
    }

    private static func path(_ folder: String) -> String { "\(folder)/\(name)" }

    /// Makes the file, durable and empty.
    private func make() throws(StorageError) -> File {
        let made = try File(Self.path(folder), create: true)
        try made.write([UInt8](repeating: 0, count: Self.byteCount), at: 0)
        try made.sync()
        try FileSystem.sync(folder)
        file = made
        return made
    }

    /// The newest checkpoint in a slot; nil where there never was one.
    private func read(_ file: File, slot: Int) throws(StorageError) -> Checkpoint? {
        var raw: [[UInt8]] = []
        for copy in 0..<Self.copies {
            raw.append(try file.read(Checkpoint.copyBytes, at: Self.offset(slot, copy)))
        }
        let found = raw.map { Checkpoint($0) }
        for copy in 0..<Self.copies where found[copy] == nil {
            // Unused, or not reached yet, when the power failed.
            guard raw[copy].contains(where: { $0 != 0 }) else { continue }
            let twin = raw[1 - copy]
            let isFlipped =
                zip(raw[copy], twin).reduce(0) { $0 + ($1.0 ^ $1.1).nonzeroBitCount } < 8
            if isFlipped || copy == 1 && found[0] == nil {
                faults.append(
                    "the file checkpoint: copy \(copy + 1) in slot \(slot + 1) is damaged")
            }
        }
        // The newer of two whole copies: between their writes they differ.
        if let newest = found.compactMap({ $0 }).max(by: { $0.generation < $1.generation }) {
            return newest
        }
        if raw.contains(where: { $0.allSatisfy { $0 == 0 } }) { return nil }
        throw .cannotOpen(
            path: folder,
            reason: "the file checkpoint is damaged (slot \(slot + 1)); restore a backup")
    }

    /// Stores a checkpoint in the slot of the older one; durable on return.
    func store(_ checkpoint: Checkpoint) throws(StorageError) {
        let bytes = checkpoint.encoded
        let slot = Int(checkpoint.generation % UInt64(Self.slots))
        let file = if let file { file } else { try make() }
        for copy in 0..<Self.copies {
            try file.write(bytes, at: Self.offset(slot, copy))
            try file.sync()
        }
        newest = checkpoint
    }

    private static func offset(_ slot: Int, _ copy: Int) -> Int {
        (slot * copies + copy) * Checkpoint.copyBytes
    }
}
