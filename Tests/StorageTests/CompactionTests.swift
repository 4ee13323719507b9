import Glibc
import Testing

@testable import Storage

/// A data file made anew: smaller, the same contents, and whole wherever the process is cut short.
@Suite struct CompactionTests {
    /// A closed folder with many freed pages, and what it holds.
    private struct Filled {
        let folder = TemporaryFolder()
        let table: TableID
        let pairs: [Pair]

        init() throws {
            let store = try LMDBStore.open(path: folder.path)
            let table = try store.perform { txn in try txn.createTable() }
            for batch in 0..<20 {
                try store.perform { txn in
                    for number in 0..<100 {
                        let value = [UInt8](repeating: UInt8(number), count: 1_000)
                        try txn.put(table, key(batch << 16 | number), value)
                    }
                }
            }
            try store.perform { txn in
                for batch in 0..<20 where batch % 4 != 0 {
                    for number in 0..<100 {
                        _ = try txn.delete(table, key: key(batch << 16 | number).span.bytes)
                    }
                }
            }
            self.table = table
            pairs = try store.makeReader().all(table)
            store.close()
        }

        var fileBytes: Int { FileSystem.size("\(folder.path)/\(Environment.dataName)") ?? 0 }

        /// The folder opens, holds what it held, and takes writes.
        func check() throws {
            let store = try LMDBStore.open(path: folder.path)
            defer { store.close() }
            #expect(try store.makeReader().all(table) == pairs)
            #expect(try store.verify().faultCount == 0)
            try store.perform { txn in try txn.put(.catalog, [1], [1]) }
            #expect(access("\(folder.path)/compact", F_OK) != 0)
            #expect(access("\(folder.path)/compacted", F_OK) != 0)
        }

        /// Makes the new file as a compaction does, and stops there.
        func makeDraft() throws {
            let store = try LMDBStore.open(path: folder.path)
            defer { store.close() }
            try Compaction.copy(store, to: "\(folder.path)/compact") { _ in }
        }
    }

    @Test func isSmallerAndTheSame() throws {
        let filled = try Filled()
        let before = filled.fileBytes
        var copied = 0
        let sizes = try LMDBStore.compact(path: filled.folder.path) { copied += $0 }
        #expect(sizes.before == before && sizes.after == filled.fileBytes)
        #expect(sizes.after < sizes.before / 2)
        #expect(copied > 500_000)
        try filled.check()
        // Again, with a checkpoint and a log of its own.
        #expect(try LMDBStore.compact(path: filled.folder.path).after <= sizes.before)
        try filled.check()
    }

    @Test func cutBeforeTheNewFileIsWhole() throws {
        let filled = try Filled()
        try filled.makeDraft()
        truncate("\(filled.folder.path)/compact/\(Environment.dataName)", 5_000)
        try filled.check()
    }

    @Test(arguments: [false, true])
    func cutWhileTheFilesChangePlaces(afterRemoval: Bool) throws {
        let filled = try Filled()
        try filled.makeDraft()
        let before = filled.fileBytes
        let path = filled.folder.path
        #expect(rename("\(path)/compact", "\(path)/compacted") == 0)
        if afterRemoval { #expect(unlink("\(path)/\(CheckpointFile.name)") == 0) }
        try filled.check()
        #expect(filled.fileBytes < before)
    }

    @Test func isRefusedWhileInUse() throws {
        let filled = try Filled()
        let store = try LMDBStore.open(path: filled.folder.path)
        #expect(throws: StorageError.inUse(path: filled.folder.path, pid: getpid())) {
            try LMDBStore.compact(path: filled.folder.path)
        }
        store.close()
        try filled.check()
    }
}

/// Writes locked out while others copy the folder's files.
@Suite struct WriteLockTests {
    /// The bytes of the files that a copy takes.
    private func bytes(_ path: String) throws -> [[UInt8]] {
        var names = [Environment.dataName, CheckpointFile.name]
        names += LogFolder(of: path).list().paths.sorted().map {
            String($0.dropFirst(path.count + 1))
        }
        return try names.map { name in
            let file = try File("\(path)/\(name)")
            return try file.read(try file.byteCount(), at: 0)
        }
    }

    @Test func nothingChangesUntilAllAreUnlocked() throws {
        let folder = TemporaryFolder()
        let store = try LMDBStore.open(path: folder.path)
        defer { store.close() }
        try store.perform { txn in try txn.put(.catalog, [1], [1]) }
        #expect(try store.lockWrites(timeoutMillis: 10_000) == 1)
        #expect(try store.lockWrites(timeoutMillis: 10_000) == 2)
        let before = try bytes(folder.path)
        let done = Monitor<Bool>(false)
        store.submit(
            OperationOptions(), { txn in try txn.put(.catalog, [2], [2]) },
            completion: { _ in
                done.withLock { $0 = true }
                done.wake()
            })
        #expect(store.unlockWrites() == 1)
        usleep(200_000)
        #expect(try bytes(folder.path) == before)
        #expect(done.withLock { $0 } == false)
        #expect(try store.makeReader().copy(.catalog, [1]) == [1])
        #expect(store.unlockWrites() == 0)
        #expect(done.wait(timeoutMillis: 60_000) { $0 ? true : nil } == true)
        #expect(store.unlockWrites() == nil)
        #expect(try store.makeReader().copy(.catalog, [2]) == [2])
    }

    /// A copy taken under the lock is the state at that time; closing lifts the lock.
    @Test func copiesAreWhole() throws {
        let folder = TemporaryFolder()
        let copy = TemporaryFolder()
        let store = try LMDBStore.open(path: folder.path)
        for number in 0..<200 {
            try store.perform { txn in try txn.put(.catalog, key(number), key(number)) }
        }
        _ = try store.lockWrites(timeoutMillis: 10_000)
        mkdir("\(copy.path)/redo", 0o700)
        var names = [Environment.dataName, CheckpointFile.name]
        names += LogFolder(of: folder.path).list().paths.map {
            String($0.dropFirst(folder.path.count + 1))
        }
        for name in names {
            let from = try File("\(folder.path)/\(name)")
            let to = try File("\(copy.path)/\(name)", create: true)
            try to.write(try from.read(try from.byteCount(), at: 0), at: 0)
        }
        store.close()
        let copied = try LMDBStore.open(path: copy.path)
        defer { copied.close() }
        #expect(try copied.makeReader().all(.catalog).count == 200)
        #expect(try copied.verify().faultCount == 0)
    }
}
