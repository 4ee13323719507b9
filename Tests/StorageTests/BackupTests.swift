import Testing

@testable import Storage

/// Entries copied while writes go on, and the log behind them, make the state at the log's end.
@Suite struct BackupTests {
    /// What a store holds, table by table.
    private func contents(_ path: String) throws -> [UInt64: [[UInt8]: [UInt8]]] {
        let store = try LMDBStore.open(path: path)
        defer { store.close() }
        return try store.makeReader().read { transaction throws(StorageError) in
            var found: [UInt64: [[UInt8]: [UInt8]]] = [:]
            for table in (0..<4000).map({ TableID(rawValue: 16 + $0) }) {
                guard (try? transaction.entryCount(table)) != nil else { continue }
                var entries: [[UInt8]: [UInt8]] = [:]
                var cursor = transaction.cursor(table)
                var isFound = try cursor.first()
                while isFound {
                    let key = Array(copying: cursor.key)
                    entries[key] = Array(copying: try cursor.value())
                    isFound = try cursor.next()
                }
                #expect(try transaction.entryCount(table) == UInt64(entries.count))
                found[table.rawValue] = entries
            }
            return found
        }
    }

    /// Random puts, deletes, new and dropped tables, own and shared, between any two batches of the
    /// copy, with small segments and the store opened anew now and then.
    @Test(arguments: 0..<8) func copyAndLogMakeOneState(seed: UInt64) throws {
        let (folder, copy) = (TemporaryFolder(), TemporaryFolder())
        var options = LMDBStore.Options()
        options.ownTablesMax = 8
        var limits = RedoLimits(diskBytes: nil)
        limits.segmentBytesMin = 64 << 10
        limits.segmentBytesMax = 64 << 10
        limits.checkpointMillis = 1
        options.redoLimits = limits
        var random = SeededGenerator(seed + 1)
        var store = try LMDBStore.open(path: folder.path, options: options)
        var tables: [TableID] = []
        func write(_ store: LMDBStore) throws {
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let kind = Int.random(in: 0..<20, using: &random)
                if tables.isEmpty || kind == 0 && tables.count < 20 {
                    tables.append(try store.perform { try $0.createTable() })
                    continue
                }
                let table = tables[Int.random(in: 0..<tables.count, using: &random)]
                let keys = (0..<8).map { _ in [UInt8.random(in: 0...255, using: &random)] }
                let value = [UInt8](
                    repeating: .random(in: 0...255, using: &random),
                    count: Int.random(in: 0...9000, using: &random))
                if kind == 1, tables.count > 4 {
                    tables.removeAll { $0 == table }
                    try store.perform { try $0.dropTable(table) }
                } else {
                    try store.perform { transaction in
                        for key in keys {
                            if kind < 8 {
                                _ = try transaction.delete(table, key: key.span.bytes)
                            } else {
                                try transaction.put(
                                    table, key: key.span.bytes, value: value.span.bytes)
                            }
                        }
                    }
                }
            }
        }
        for _ in 0..<20 { try write(store) }
        let start = try store.holdLog("one")
        let builder = try StoreBuilder(path: copy.path)
        let trees = try store.makeReader().read { $0.copiedTrees }
        for tree in trees {
            var last: [UInt8]?
            repeat {
                try write(store)
                let entries = try store.makeReader().read { transaction in
                    try transaction.copyEntries(of: tree, after: last, bytesMax: 10_000)
                }
                try builder.apply(entries.bytes.span.bytes)
                last = entries.last
            } while last != nil
            if Int.random(in: 0..<4, using: &random) == 0 {
                store.close()
                store = try LMDBStore.open(path: folder.path, options: options)
            }
        }
        var place = start
        var pieces: [UInt8] = []
        while true {
            let log = try store.shipLog("one", from: place, bytesMax: 5000) { _ in }
            pieces += log.bytes
            place = log.next
            if place.sequence >= log.end { break }
        }
        var rest = pieces[...]
        while let piece = ShippedPiece(rest) {
            #expect(!piece.isAbort)
            var body: [UInt8] = []
            while body.count < piece.bodyBytes, let part = ShippedPiece(rest) {
                #expect(part.offset == body.count)
                rest = rest.dropFirst(ShippedPiece.headBytes)
                body += rest.prefix(part.byteCount)
                rest = rest.dropFirst(part.byteCount)
            }
            try builder.apply(body.span.bytes)
        }
        #expect(rest.isEmpty)
        try builder.finish(recounts: true)
        store.close()
        let wanted = try contents(folder.path)
        #expect(try contents(copy.path) == wanted, "seed \(seed)")
        #expect(!wanted.isEmpty)
    }

    /// The log is kept for who asked, and no longer than there is room.
    @Test func holdsEnd() throws {
        let folder = TemporaryFolder()
        var options = LMDBStore.Options()
        var limits = RedoLimits(diskBytes: nil)
        limits.segmentBytesMin = 64 << 10
        limits.segmentBytesMax = 64 << 10
        limits.checkpointLogBytes = 32 << 10
        limits.keptBytesMax = 256 << 10
        options.redoLimits = limits
        let store = try LMDBStore.open(path: folder.path, options: options)
        defer { store.close() }
        let table = try store.perform { try $0.createTable() }
        let place = try store.holdLog("one")
        #expect(throws: StorageError.logGone) {
            try store.shipLog("other", from: place, bytesMax: 1) { _ in }
        }
        let value = [UInt8](repeating: 7, count: 20_000)
        for round in 0..<200 {
            try store.perform { transaction in
                try transaction.put(
                    table, key: [UInt8(round & 7)].span.bytes, value: value.span.bytes)
            }
        }
        #expect(throws: StorageError.logGone) {
            try store.shipLog("one", from: place, bytesMax: 1) { _ in }
        }
        for number in 0..<LogHolds.countMax { _ = try store.holdLog("n\(number)") }
        #expect(throws: StorageError.tooManyHolds(max: LogHolds.countMax)) {
            try store.holdLog("more")
        }
    }
}
