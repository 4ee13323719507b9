import Synchronization
import Testing

@testable import Storage

/// Reads that share a snapshot see no less than reads that take one each.
@Suite struct RetainedSnapshotTests {
    let folder = TemporaryFolder()

    private func makeStore() throws -> (LMDBStore, TableID) {
        let store = try LMDBStore.open(path: folder.path, options: LMDBStore.Options())
        let table = try store.perform { txn in
            let table = try txn.createTable()
            try txn.put(table, [1], [0])
            return table
        }
        return (store, table)
    }

    @Test func isSharedWhileNothingIsCommitted() throws {
        let (store, table) = try makeStore()
        let reader = try store.makeReader()
        reader.retain()
        let first = reader.read { $0.snapshotID }
        #expect(reader.activeSnapshot.load(ordering: .relaxed) == first)
        #expect(reader.read { $0.snapshotID } == first)
        try store.perform { try $0.put(table, [1], [1]) }
        #expect(try reader.copy(table, [1]) == [1])
        #expect(reader.read { $0.snapshotID } > first)
        reader.release()
        #expect(reader.activeSnapshot.load(ordering: .relaxed) == 0)
        #expect(try reader.copy(table, [1]) == [1])
        #expect(reader.activeSnapshot.load(ordering: .relaxed) == 0)
    }

    @Test func isNoPinnedSnapshot() throws {
        let (store, table) = try makeStore()
        let reader = try store.makeReader()
        reader.retain()
        _ = try reader.copy(table, [1])
        try reader.pin()
        try store.perform { try $0.put(table, [1], [1]) }
        #expect(try reader.copy(table, [1]) == [0])
        reader.invalidate()
        #expect(reader.activeSnapshot.load(ordering: .relaxed) == 0)
        #expect(try reader.copy(table, [1]) == [1])
    }

    @Test func seesATableThatCameAndNotOneThatWent() throws {
        let (store, table) = try makeStore()
        let reader = try store.makeReader()
        reader.retain()
        _ = try reader.copy(table, [1])
        let other = try store.perform { txn in
            try txn.dropTable(table)
            let other = try txn.createTable()
            try txn.put(other, [1], [7])
            return other
        }
        #expect(try reader.copy(other, [1]) == [7])
        #expect(throws: StorageError.noSuchTable(table)) { try reader.copy(table, [1]) }
    }

    /// Whoever knows of a commit finds it, also beside a writer that doesn't stop.
    @Test func neverHidesAnAcknowledgedCommit() async throws {
        let (store, table) = try makeStore()
        let acknowledged = Acknowledged()
        let writing = Task.detached {
            for count in UInt64(1)...2_000 {
                let bytes = withUnsafeBytes(of: count.bigEndian) { [UInt8]($0) }
                try store.perform { try $0.put(table, [1], bytes) }
                acknowledged.count.store(count, ordering: .releasing)
            }
            acknowledged.isDone.store(true, ordering: .releasing)
        }
        let reader = try store.makeReader()
        var reads = 0
        while !acknowledged.isDone.load(ordering: .acquiring) {
            reader.retain()
            for _ in 0..<8 {
                let least = acknowledged.count.load(ordering: .acquiring)
                let found = try reader.copy(table, [1]) ?? []
                #expect(found.reduce(0) { $0 << 8 | UInt64($1) } >= least)
                reads += 1
            }
            reader.release()
        }
        try await writing.value
        #expect(reads > 0)
    }

    private final class Acknowledged: Sendable {
        let count = Atomic<UInt64>(0)
        let isDone = Atomic<Bool>(false)
    }
}
