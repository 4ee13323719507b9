import Testing

@testable import Storage

/// Random operations against a dictionary that is sorted when asked.
@Suite struct ModelTests {
    /// With 2 own tables (one is the catalog), most tables of the test share a tree.
    @Test(arguments: [(1, 512), (2, 512), (3, 2), (4, 2), (5, 1), (6, 512), (7, 2), (8, 512)])
    func storeEqualsModel(seed: UInt64, ownTablesMax: Int) throws {
        let folder = TemporaryFolder()
        var options = LMDBStore.Options()
        options.durability = .relaxed
        options.quotaBytes = 1 << 30
        options.ownTablesMax = ownTablesMax
        var store = try LMDBStore.open(path: folder.path, options: options)
        var model = Model()
        var random = SeededGenerator(seed)
        for round in 0..<60 {
            let before = model
            let script = Script(seed: random.next(), isLarge: round % 10 == 9)
            let mode: OperationOptions.Mode = round.isMultiple(of: 2) ? .nested : .checksFirst
            let outcome = Result {
                try store.perform(OperationOptions(mode)) { txn in
                    var model = before
                    try script.run(&txn, &model)
                    return model
                }
            }
            switch outcome {
            case .success(let changed): model = changed
            case .failure(let error): #expect(error is Refusal)
            }
            if round % 20 == 19 {
                store.close()
                store = try LMDBStore.open(path: folder.path, options: options)
                #expect(store.pageReport.isSound, "\(store.pageReport.faults)")
            }
            try check(store, model, &random)
        }
        let report = try store.verify()
        #expect(report.faultCount == 0, "\(report.faults)")
    }

    private func check(
        _ store: LMDBStore, _ model: Model, _ random: inout SeededGenerator
    ) throws {
        let reader = try store.makeReader()
        for (table, expected) in model.tables {
            let probes = (0..<20).map { _ in Script.key(&random) }
            try reader.read { txn throws(StorageError) in
                try txn.expect(expected, in: table, probes)
            }
        }
    }
}

extension ReadableTransaction where Self: ~Copyable {
    /// Checks a table's entries by every way to read them.
    func expect(
        _ expected: [[UInt8]: [UInt8]], in table: TableID, _ probes: [[UInt8]]
    ) throws(StorageError) {
        let sorted = expected.sorted { $0.key.lexicographicallyPrecedes($1.key) }
        #expect(try all(table) == sorted.map { Pair(key: $0.key, value: $0.value) })
        #expect(try entryCount(table) == UInt64(expected.count))
        var cursor = cursor(table)
        for probe in probes {
            #expect(try copy(table, probe) == expected[probe])
            let above = sorted.first { !$0.key.lexicographicallyPrecedes(probe) }?.key
            let below = sorted.last { $0.key.lexicographicallyPrecedes(probe) }?.key
            #expect(try cursor.seek(to: probe.span.bytes) == (above != nil))
            #expect(Array(copying: cursor.key) == above ?? [])
            #expect(try cursor.seek(before: probe.span.bytes) == (below != nil))
            #expect(Array(copying: cursor.key) == below ?? [])
        }
        var backwards: [[UInt8]] = []
        var found = try cursor.last()
        while found {
            backwards.append(Array(copying: cursor.key))
            found = try cursor.previous()
        }
        #expect(backwards == sorted.reversed().map(\.key))
    }
}

/// What the store should hold.
struct Model: Sendable {
    var tables: [TableID: [[UInt8]: [UInt8]]] = [:]
}

/// A run of random operations, the same each time it is run.
struct Script: Sendable {
    var seed: UInt64
    var isLarge: Bool

    static func key(_ random: inout SeededGenerator) -> [UInt8] {
        let length = [1, 2, 3, 8, 40, LMDBStore.keyBytesMax].randomElement(using: &random) ?? 1
        let byte = UInt8.random(in: 0...9, using: &random)
        var key = [UInt8](repeating: byte, count: length)
        key[length - 1] = UInt8.random(in: .min ... .max, using: &random)
        return key
    }

    func value(_ random: inout SeededGenerator) -> [UInt8] {
        let most = isLarge ? 300_000 : 900
        let length =
            Int.random(in: 0...9, using: &random) == 0
            ? Int.random(in: 0...most, using: &random) : 20
        return [UInt8](repeating: UInt8.random(in: .min ... .max, using: &random), count: length)
    }

    func run(_ txn: inout WriteTransaction, _ model: inout Model) throws {
        var random = SeededGenerator(seed)
        try run(&txn, &model, &random, depth: 0)
        if Int.random(in: 0...7, using: &random) == 0 { throw Refusal() }
    }

    private func run(
        _ txn: inout WriteTransaction, _ model: inout Model, _ random: inout SeededGenerator,
        depth: Int
    ) throws {
        for _ in 0..<Int.random(in: 1...40, using: &random) {
            try step(&txn, &model, &random, depth: depth)
        }
    }

    private func step(
        _ txn: inout WriteTransaction, _ model: inout Model, _ random: inout SeededGenerator,
        depth: Int
    ) throws {
        let choice = Int.random(in: 0...99, using: &random)
        let tables = model.tables.keys.sorted()
        guard let table = tables.randomElement(using: &random), choice < 96 else {
            if tables.count < 6 { model.tables[try txn.createTable()] = [:] }
            return
        }
        let key = Self.key(&random)
        let old = model.tables[table]?[key]
        switch choice {
        case 0..<35:
            let value = value(&random)
            try txn.put(table, key, value)
            model.tables[table]?[key] = value
        case 35..<55:
            let value = value(&random)
            #expect(try txn.insert(table, key, value) == (old == nil))
            if old == nil { model.tables[table]?[key] = value }
        case 55..<65:
            let value = value(&random)
            try txn.append(table, key, value)
            model.tables[table]?[key] = value
        case 65..<85:
            #expect(try txn.delete(table, key) == (old != nil))
            model.tables[table]?[key] = nil
        case 85..<90:
            #expect(try txn.copy(table, key) == old)
            let expected = model.tables[table] ?? [:]
            #expect(try txn.entryCount(table) == UInt64(expected.count))
            let sorted = expected.sorted { $0.key.lexicographicallyPrecedes($1.key) }
            #expect(try txn.all(table) == sorted.map { Pair(key: $0.key, value: $0.value) })
            var copy: [UInt8] = [9]
            let isThere = try txn.copyValue(table, key.span.bytes, into: &copy)
            #expect(isThere == (old != nil) && copy == old ?? [])
        case 90..<92 where tables.count > 2:
            try txn.dropTable(table)
            model.tables[table] = nil
            #expect(throws: StorageError.noSuchTable(table)) { try txn.entryCount(table) }
        default:
            guard depth < 3 else { return }
            let fails = Bool.random(using: &random)
            let inner = Script(seed: random.next(), isLarge: isLarge)
            let before = model
            do {
                model = try txn.nested { txn in
                    var model = before
                    var random = SeededGenerator(inner.seed)
                    try inner.run(&txn, &model, &random, depth: depth + 1)
                    if fails { throw Refusal() }
                    return model
                }
            } catch is Refusal {
                model = before
            }
        }
    }
}
