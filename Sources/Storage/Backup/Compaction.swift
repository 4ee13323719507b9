import CLMDB
import Glibc

/// Makes a store's data file anew without the pages that are free, which LMDB never gives back.
///
/// All entries are copied, in the order of their keys, into a file in the folder `compact`; when
/// that is whole and durable, its folder is renamed to `compacted`. From that instant on the new
/// file is the data, and whoever opens the folder puts it in its place (`finish`): the checkpoint
/// and the redo log of the old file go first, or their headers would be written over it. Killed
/// before, everything is as it was.
///
/// The new file has an identity of its own, so that backups begin anew.
enum Compaction {
    private static let draftName = "compact"
    private static let doneName = "compacted"
    /// What is copied at once, in bytes.
    private static let batchBytes = 4 << 20

    /// Completes a compaction that was cut short after its new file was whole, and removes what is
    /// left of one that was cut short before. The folder is locked, and LMDB not open, or stopped.
    static func finish(_ path: String) throws(StorageError) {
        let done = "\(path)/\(doneName)"
        let data = "\(done)/\(Environment.dataName)"
        if FileSystem.size(data) != nil {
            if unlink("\(path)/\(CheckpointFile.name)") != 0, errno != ENOENT {
                throw .ioError(operation: "unlink \(path)/\(CheckpointFile.name)", errno: errno)
            }
            LogFolder(of: path).clear()
            LogHolds.remove(LogFolder(of: path))
            try FileSystem.sync(path)
            guard rename(data, "\(path)/\(Environment.dataName)") == 0 else {
                throw .ioError(operation: "rename \(data)", errno: errno)
            }
            try FileSystem.sync(path)
        }
        remove(done)
        remove("\(path)/\(draftName)")
    }

    private static func remove(_ folder: String) {
        for name in [Environment.dataName, "lock.mdb"] { unlink("\(folder)/\(name)") }
        rmdir(folder)
    }

    /// Copies what a store holds, which nobody changes meanwhile.
    static func run(
        _ store: LMDBStore, _ path: String, _ progress: (_ byteCount: Int) -> Void
    ) throws(StorageError) {
        let draft = "\(path)/\(draftName)"
        remove(draft)
        do throws(StorageError) {
            try copy(store, to: draft, progress)
        } catch {
            remove(draft)
            throw error
        }
        store.stopWrites("the data file was replaced by a compact one")
        guard rename(draft, "\(path)/\(doneName)") == 0 else {
            let error = StorageError.ioError(operation: "rename \(draft)", errno: errno)
            remove(draft)
            throw error
        }
        try FileSystem.sync(path)
        try finish(path)
    }

    static func copy(
        _ store: LMDBStore, to draft: String, _ progress: (_ byteCount: Int) -> Void
    ) throws(StorageError) {
        let builder = try StoreBuilder(path: draft)
        let reader = try store.makeReader()
        for tree in reader.read({ transaction in transaction.copiedTrees }) {
            var last: [UInt8]?
            repeat {
                let entries = try reader.read { transaction throws(StorageError) in
                    try transaction.copyEntries(of: tree, after: last, bytesMax: batchBytes)
                }
                if entries.bytes.isEmpty { break }
                try builder.apply(entries.bytes.span.bytes)
                progress(entries.bytes.count)
                last = entries.last
            } while last != nil
        }
        try builder.finish()
    }
}

extension LMDBStore {
    /// Makes a folder's data file anew, without free pages; answers its sizes before and after.
    /// `progress` is told the bytes of entries copied, a batch at a time. Killed at any instant,
    /// nothing is lost. Throws `inUse`, `diskFull`, `corrupted` and `damaged`, after which
    /// everything is as it was.
    package static func compact(
        path: String, progress: (_ byteCount: Int) -> Void = { _ in }
    ) throws(StorageError) -> (before: UInt64, after: UInt64) {
        var options = Options()
        options.checksAllPages = true
        let store = try open(path: path, options: options)
        defer { store.close() }
        guard store.pageReport.isSound else {
            throw .damaged(reason: store.pageReport.summary)
        }
        if let reason = store.environment?.writesStopped { throw .writesStopped(reason: reason) }
        // Everything is in a checkpoint, and nothing else is written.
        _ = try store.lockWrites(timeoutMillis: .max / 2_000_000)
        let before = FileSystem.size("\(path)/\(Environment.dataName)") ?? 0
        try store.checkRoom(before: UInt64(before))
        try Compaction.run(store, path, progress)
        let after = FileSystem.size("\(path)/\(Environment.dataName)") ?? 0
        return (UInt64(before), UInt64(after))
    }

    /// Bytes of the data file that hold nothing, and are used again for what is written next.
    package var freeBytes: UInt64 {
        guard let environment else { return 0 }
        return SpaceBudget.freePages(environment) * UInt64(PageFile.pageBytes)
    }

    /// Throws `diskFull` where the copy can't have room.
    private func checkRoom(before: UInt64) throws(StorageError) {
        guard let environment, let free = LMDBCode.freeDiskBytes(environment.path) else { return }
        if before - min(before, freeBytes) > free { throw .diskFull }
    }
}
