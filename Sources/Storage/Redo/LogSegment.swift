import CChecksum
import Glibc

/// What tells a segment's records from all others: random, new each time the file is used.
struct SegmentSalt: Equatable {
    let rawValue: UInt64

    /// What each record begins with.
    var mark: UInt32 { UInt32(truncatingIfNeeded: rawValue) | 1 }
    /// What each record's CRC begins from.
    var seed: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) }
}

/// One file of the redo log: a header block, then bytes of the log's stream of records. Its blocks
/// are written once when it is made, so that later writes change no metadata, and it is used again
/// and again under ascending numbers.
///
///   header     "ROOSTLOG", CRC-32C u32 (of what follows), version u32, number u64, salt u64,
///              bytes of the file u64, the store's identity (16 bytes); stored twice
final class LogSegment: Sendable {
    static let headerBytes = 4096
    private static let version: UInt32 = 1
    private static let magic = Array("ROOSTLOG".utf8)
    private static let copyBytes = 64
    /// Where the header's two copies lie, in sectors of their own.
    private static let copyOffsets = [0, 2048]

    let file: File
    /// Its place in the log; ascending, never used twice.
    let number: UInt64
    let salt: SegmentSalt
    let byteCount: Int

    private init(_ file: File, number: UInt64, salt: SegmentSalt, byteCount: Int) {
        self.file = file
        self.number = number
        self.salt = salt
        self.byteCount = byteCount
    }

    /// Makes a file at `path`, zero-filled and durable but for its name in the folder.
    static func create(
        _ path: String, number: UInt64, byteCount: Int, identity: [UInt8]
    ) throws(StorageError) -> LogSegment {
        let file = try File(path, create: true)
        do throws(StorageError) {
            let zeros = [UInt8](repeating: 0, count: 1 << 18)
            for offset in stride(from: 0, to: byteCount, by: zeros.count) {
                try zeros.span.bytes.withUnsafeBytes { (zeros) throws(StorageError) in
                    let count = min(zeros.count, byteCount - offset)
                    try file.write(UnsafeRawBufferPointer(rebasing: zeros[..<count]), at: offset)
                }
            }
            return try use(file, number: number, byteCount: byteCount, identity: identity)
        } catch {
            unlink(path)
            throw error
        }
    }

    /// The same file under a new number and salt, durable.
    func recycled(number: UInt64, identity: [UInt8]) throws(StorageError) -> LogSegment {
        try Self.use(file, number: number, byteCount: byteCount, identity: identity)
    }

    private static func use(
        _ file: File, number: UInt64, byteCount: Int, identity: [UInt8]
    ) throws(StorageError) -> LogSegment {
        let salt = SegmentSalt(rawValue: .random(in: .min ... .max))
        var checked = Registry.value(version) + Registry.value(number)
        checked += Registry.value(salt.rawValue) + Registry.value(UInt64(byteCount)) + identity
        let copy = magic + Registry.value(checksum(checked)) + checked
        for offset in copyOffsets { try file.write(copy, at: offset) }
        try file.sync()
        return LogSegment(file, number: number, salt: salt, byteCount: byteCount)
    }

    private static func checksum(_ bytes: [UInt8]) -> UInt32 {
        bytes.withUnsafeBytes { roost_crc32c(0, $0.baseAddress, $0.count) }
    }

    /// A file of the log's folder as it was found.
    struct Found {
        let path: String
        /// Nil where neither copy of its header is whole: it never was in use.
        let segment: LogSegment?
        /// Whether one copy of its header isn't whole: the power failed while it was made ready, or
        /// it is damaged, if it holds records.
        let lacksCopy: Bool
    }

    /// Opens a file of the log's folder.
    static func open(_ path: String, identity: [UInt8]) throws(StorageError) -> Found {
        let file = try File(path)
        let byteCount = try file.byteCount()
        let block = try file.read(headerBytes, at: 0)
        let segments = copyOffsets.map { offset in
            parse(Array(block.dropFirst(offset).prefix(copyBytes)), file, byteCount, identity)
        }
        // Where both are whole and differ, the power failed while it was being recycled.
        let segment = segments.compactMap { $0 }.max { $0.number < $1.number }
        return Found(
            path: path, segment: segment, lacksCopy: segments.contains { $0 == nil })
    }

    private static func parse(
        _ copy: [UInt8], _ file: File, _ byteCount: Int, _ identity: [UInt8]
    ) -> LogSegment? {
        guard copy.count == copyBytes, Array(copy[..<8]) == magic,
            Registry.number(copy[8..<12], as: UInt32.self) == checksum(Array(copy[12..<56])),
            Registry.number(copy[12..<16], as: UInt32.self) == version,
            let number = Registry.number(copy[16..<24], as: UInt64.self),
            let salt = Registry.number(copy[24..<32], as: UInt64.self),
            Registry.number(copy[32..<40], as: UInt64.self) == UInt64(byteCount),
            Array(copy[40..<56]) == identity
        else { return nil }
        return LogSegment(
            file, number: number, salt: SegmentSalt(rawValue: salt), byteCount: byteCount)
    }
}
