import Testing

@testable import Storage

/// Keys that divide a table.
@Suite struct SplitTests {
    let folder = TemporaryFolder()

    private func open(ownTablesMax: Int = 512) throws -> LMDBStore {
        var options = LMDBStore.Options()
        options.durability = .relaxed
        options.quotaBytes = 1 << 30
        options.ownTablesMax = ownTablesMax
        return try LMDBStore.open(path: folder.path, options: options)
    }

    private func fill(_ store: LMDBStore, _ count: Int) throws -> TableID {
        let value = [UInt8](repeating: 7, count: 200)
        return try store.perform { txn in
            let table = try txn.createTable()
            for number in 0..<count { try txn.put(table, key(number * 3), value) }
            return table
        }
    }

    private func split(
        _ store: LMDBStore, _ table: TableID, low: [UInt8] = [], high: [UInt8] = [], parts: Int,
        bytes: Int = 4_096
    ) throws -> [[UInt8]] {
        try store.makeReader().read { (txn: borrowing ReadTransaction) in
            txn.splitKeys(
                table, SplitRange(low: low, high: high), partsMax: parts, partBytesMin: bytes)
        }
    }

    /// Tables of their own and in the shared tree, of one level of branches and of two.
    @Test(arguments: [512, 1], [1_000, 40_000])
    func partsAreAboutEqual(_ ownTablesMax: Int, _ count: Int) throws {
        let store = try open(ownTablesMax: ownTablesMax)
        // Neighbours in the shared tree.
        _ = try fill(store, 500)
        let table = try fill(store, count)
        _ = try fill(store, 500)
        for parts in [2, 4, 7] {
            let keys = try split(store, table, parts: parts)
            #expect(keys.count == parts - 1)
            check(keys, low: 0, high: count, parts)
            // Half of it.
            let from = count / 4
            let end = count * 3 / 4
            let inner = try split(
                store, table, low: key(from * 3), high: key(end * 3), parts: parts)
            #expect(inner.count == parts - 1)
            check(inner, low: from, high: end, parts)
        }
    }

    /// Each part has between a half and twice of what is just.
    private func check(_ keys: [[UInt8]], low: Int, high: Int, _ parts: Int) {
        var start = low
        for bound in keys.map({ number($0) }) + [high] {
            let size = (bound - start) * parts
            #expect(size * 2 > high - low && size < 2 * (high - low), "\(start)..<\(bound)")
            start = bound
        }
    }

    /// The number of the first entry that isn't below a key.
    private func number(_ key: [UInt8]) -> Int {
        let value = (key + [UInt8](repeating: 0, count: 8)).prefix(8).reduce(0) {
            $0 << 8 | Int($1)
        }
        return (value + 2) / 3
    }

    @Test func smallRangesAndUnknownTablesAreWhole() throws {
        let store = try open()
        let table = try fill(store, 1_000)
        #expect(try split(store, table, parts: 4, bytes: 1 << 20).isEmpty)
        #expect(
            try split(store, table, low: key(30), high: key(60), parts: 4, bytes: 16_384).isEmpty)
        #expect(try split(store, table, low: key(9_000), parts: 4).isEmpty)
        #expect(try split(store, table, parts: 1).isEmpty)
        #expect(try split(store, try fill(store, 0), parts: 4).isEmpty)
        #expect(try split(store, try fill(store, 5), parts: 4).isEmpty)
        #expect(try split(store, TableID(rawValue: 9_999), parts: 4).isEmpty)
    }

    /// Pages of an old snapshot stay what they were while it is in use.
    @Test func oldSnapshotsAreDividedAsTheyWere() throws {
        let store = try open()
        let table = try fill(store, 5_000)
        let reader = try store.makeReader()
        try reader.pin()
        let before = reader.read { (txn: borrowing ReadTransaction) in
            txn.splitKeys(
                table, SplitRange(low: [], high: []), partsMax: 4, partBytesMin: 4_096)
        }
        for _ in 0..<3 {
            try store.perform { txn in
                for number in 0..<5_000 { _ = try txn.delete(table, key(number * 3)) }
                for number in 0..<300 { try txn.put(table, key(number), key(number)) }
            }
        }
        let after = reader.read { (txn: borrowing ReadTransaction) in
            txn.splitKeys(
                table, SplitRange(low: [], high: []), partsMax: 4, partBytesMin: 4_096)
        }
        #expect(before == after && before.count == 3)
    }
}
