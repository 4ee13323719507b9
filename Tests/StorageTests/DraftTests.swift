import Testing

@testable import Storage

/// Changes in memory over a snapshot, against a dictionary.
@Suite struct DraftTests {
    /// Random changes to a draft while the store goes on below it. With 1 own table (the catalog),
    /// the test's tables share a tree.
    @Test(arguments: [(1, 512), (2, 512), (3, 1), (4, 1)])
    func draftEqualsModel(seed: UInt64, ownTablesMax: Int) throws {
        let folder = TemporaryFolder()
        var options = LMDBStore.Options()
        options.durability = .relaxed
        options.quotaBytes = 1 << 30
        options.ownTablesMax = ownTablesMax
        let store = try LMDBStore.open(path: folder.path, options: options)
        var random = SeededGenerator(seed)
        var model = try Self.fill(store, &random)
        let below = model
        let reader = try store.makeReader()
        try reader.pin()
        reader.beginDraft(bytesMax: 64 << 20)
        let tables = model.tables.keys.sorted()
        for round in 0..<40 {
            var script = SeededGenerator(random.next())
            try reader.edit { txn in try Self.change(&txn, &model, &script) }
            if round == 10 {
                // Nothing of what others commit is seen.
                let table = tables[0]
                try store.perform { txn in
                    for byte in UInt8(0)...255 { try txn.put(table, [byte], [byte, 1]) }
                }
            }
            let probes = (0..<10).map { _ in Script.key(&random) }
            for (table, expected) in model.tables {
                try reader.read { txn throws(StorageError) in
                    try txn.expect(expected, in: table, probes)
                }
                try reader.edit { txn in try txn.expect(expected, in: table, probes) }
                try reader.readBelowDraft { txn throws(StorageError) in
                    guard let old = below.tables[table] else { return }
                    try txn.expect(old, in: table, probes)
                }
            }
        }
        // The changes in order lead from the snapshot to the draft.
        var repeated = below
        for change in reader.endDraft() {
            repeated.tables[change.table, default: [:]][change.key] = change.value
        }
        #expect(repeated.tables == model.tables.filter { !$0.value.isEmpty || $0.key < tables[3] })
        for (table, expected) in below.tables {
            #expect(
                try reader.read { txn throws(StorageError) in try txn.all(table) }.count
                    == expected.count)
        }
    }

    private static func fill(
        _ store: LMDBStore, _ random: inout SeededGenerator
    ) throws -> Model {
        let seed = random.next()
        return try store.perform { txn in
            var random = SeededGenerator(seed)
            var model = Model()
            for _ in 0..<3 {
                let table = try txn.createTable()
                model.tables[table] = [:]
                for _ in 0..<200 {
                    let key = Script.key(&random)
                    try txn.put(table, key, [1, 2, 3])
                    model.tables[table]?[key] = [1, 2, 3]
                }
            }
            return model
        }
    }

    private static func change(
        _ txn: inout WriteTransaction, _ model: inout Model, _ random: inout SeededGenerator
    ) throws {
        if model.tables.count < 5 { model.tables[try txn.createTable()] = [:] }
        for _ in 0..<40 {
            guard let table = model.tables.keys.sorted().randomElement(using: &random) else {
                return
            }
            let key =
                Bool.random(using: &random)
                ? Script.key(&random)
                : model.tables[table]?.keys.randomElement(using: &random) ?? [7]
            let old = model.tables[table]?[key]
            let value = [UInt8](repeating: 7, count: Int.random(in: 0...30, using: &random))
            switch Int.random(in: 0..<5, using: &random) {
            case 0:
                try txn.put(table, key, value)
                model.tables[table]?[key] = value
            case 1:
                #expect(try txn.insert(table, key, value) == (old == nil))
                model.tables[table]?[key] = old ?? value
            case 2:
                try txn.append(table, key, value)
                model.tables[table]?[key] = value
            default:
                #expect(try txn.delete(table, key) == (old != nil))
                model.tables[table]?[key] = nil
            }
        }
    }

    @Test func steppingBackAndForthMeetsTheSameEntries() throws {
        let folder = TemporaryFolder()
        let store = try LMDBStore.open(path: folder.path)
        let table = try store.perform { txn in
            let table = try txn.createTable()
            for byte in [2, 4, 6, 8] as [UInt8] { try txn.put(table, [byte], [byte]) }
            return table
        }
        let reader = try store.makeReader()
        try reader.pin()
        reader.beginDraft(bytesMax: 1_000)
        try reader.edit { txn in
            for byte in [1, 3, 4, 9] as [UInt8] { try txn.put(table, [byte], [0]) }
            _ = try txn.delete(table, [6])
        }
        // 1 2 3 4 8 9
        let steps: [(isForward: Bool, key: UInt8?)] = [
            (true, 1), (true, 2), (false, 1), (true, 2), (true, 3), (true, 4), (false, 3),
            (true, 4), (true, 8), (false, 4), (true, 8), (true, 9), (true, nil), (false, 9),
            (false, 8), (true, 9),
        ]
        try reader.read { txn throws(StorageError) in
            var cursor = txn.cursor(table)
            for (position, step) in steps.enumerated() {
                let found = step.isForward ? try cursor.next() : try cursor.previous()
                #expect(found == (step.key != nil), "step \(position)")
                #expect(Array(copying: cursor.key) == step.key.map { [$0] } ?? [])
            }
        }
    }

    @Test func tooLargeADraftIsRefused() throws {
        let folder = TemporaryFolder()
        let store = try LMDBStore.open(path: folder.path)
        let reader = try store.makeReader()
        #expect(throws: StorageError.closed) { try reader.edit { _ in } }
        try reader.pin()
        reader.beginDraft(bytesMax: 1_000)
        #expect(throws: StorageError.draftTooLarge(bytesMax: 1_000)) {
            try reader.edit { txn in
                try txn.put(.catalog, [1], [UInt8](repeating: 0, count: 500))
                try txn.put(.catalog, [2], [UInt8](repeating: 0, count: 500))
            }
        }
    }
}
