import Glibc
import Synchronization
import Testing

@testable import Storage

/// Where tables live, and readers beside their coming and going.
@Suite struct TableTests {
    let folder = TemporaryFolder()

    private func open(_ change: (inout LMDBStore.Options) -> Void = { _ in }) throws -> LMDBStore {
        var options = LMDBStore.Options()
        options.durability = .relaxed
        options.quotaBytes = 1 << 30
        change(&options)
        return try LMDBStore.open(path: folder.path, options: options)
    }

    @Test func tablesBeyondTheLimitShareATree() throws {
        var store = try open()
        let tables = try store.perform { txn in
            var tables: [TableID] = []
            for number in 0..<700 {
                let table = try txn.createTable()
                for entry in 0...number % 5 { try txn.put(table, key(entry), key(number)) }
                tables.append(table)
            }
            return tables
        }
        try check(store, tables)
        store.close()
        store = try open()
        try check(store, tables)
        #expect(try store.verify().tables == 701 + TableID.permanent.count)
    }

    /// A folder of an earlier release, which lacks one of the permanent tables, gets it.
    @Test(arguments: [TableID.outcomes, TableID.trash])
    func missingPermanentTablesAreMade(_ table: TableID) throws {
        var store = try open()
        try store.perform { txn in
            try txn.put(.catalog, key(1), key(2))
            try txn.dropTable(table)
        }
        while store.statistics().tablesDropping > 0 { usleep(1_000) }
        store.close()
        store = try open()
        try store.perform { txn in try txn.put(table, key(3), key(4)) }
        let reader = try store.makeReader()
        #expect(try reader.all(.catalog) == [Pair(key: key(1), value: key(2))])
        #expect(try reader.all(table) == [Pair(key: key(3), value: key(4))])
        #expect(try store.verify().faults.isEmpty)
    }

    private func check(_ store: LMDBStore, _ tables: [TableID]) throws {
        let reader = try store.makeReader()
        for (number, table) in tables.enumerated() {
            let count = try reader.read { txn throws(StorageError) in
                try txn.entryCount(table)
            }
            #expect(count == UInt64(number % 5 + 1))
            let expected = (0...number % 5).map { Pair(key: key($0), value: key(number)) }
            #expect(try reader.all(table) == expected)
        }
    }

    /// Ascending inserts fill pages; that takes about half the space of splitting them.
    @Test func ascendingInsertsFillPages() throws {
        let store = try open()
        let value = [UInt8](repeating: 1, count: 500)
        for start in stride(from: 0, to: 10_000, by: 100) {
            try store.perform { txn in
                for number in start..<start + 100 {
                    let isNew = try txn.insert(.catalog, key(number), value)
                    #expect(isNew)
                }
            }
        }
        #expect(store.statistics().fileBytes < 8 << 20)
        let wasThere = try store.perform { txn in try txn.insert(.catalog, key(5), []) }
        #expect(!wasThere)
    }

    /// Readers use tables while they are made and dropped: they see all of a table or none of it.
    @Test(arguments: [512, 3])
    func readersBesideDrops(ownTablesMax: Int) throws {
        let store = try open { $0.ownTablesMax = ownTablesMax }
        let live = Mutex<[TableID]>([])
        let isDone = Atomic<Bool>(false)
        let faults = Mutex<[String]>([])
        onThreads(4) { thread in
            do {
                if thread == 0 {
                    defer { isDone.store(true, ordering: .releasing) }
                    try churn(store, live)
                    return
                }
                let reader = try store.makeReader()
                while !isDone.load(ordering: .acquiring) {
                    guard let table = live.withLock({ $0.randomElement() }) else { continue }
                    do throws(StorageError) {
                        let pairs = try reader.all(table)
                        if pairs.count != 300 || pairs.contains(where: { $0.value != key(7) }) {
                            faults.withLock { $0.append("\(table): \(pairs.count) entries") }
                        }
                    } catch {
                        if error != .noSuchTable(table) { throw error }
                    }
                }
            } catch {
                faults.withLock { $0.append("\(error)") }
            }
        }
        #expect(faults.withLock { $0 } == [])
        waitUntil { store.statistics().tablesDropping == 0 }
        #expect(store.statistics().tablesDropping == 0)
        #expect(try store.verify().faultCount == 0)
    }

    private func churn(_ store: LMDBStore, _ live: borrowing Mutex<[TableID]>) throws {
        for turn in 0..<300 {
            let table = try store.perform { txn in
                let table = try txn.createTable()
                for number in 0..<300 { try txn.put(table, key(number), key(7)) }
                return table
            }
            let old: TableID? = live.withLock { live in
                live.append(table)
                return live.count > 4 ? live[turn % 4] : nil
            }
            guard let old else { continue }
            try store.perform { txn in try txn.dropTable(old) }
            live.withLock { $0.removeAll { $0 == old } }
            if turn % 10 == 0 { usleep(5000) }
        }
    }

    @Test func mapFindsWhatItHolds() {
        var map = TableMap.empty
        #expect(map.find(TableID(rawValue: 1), at: 1) == nil)
        for id in stride(from: UInt64(3), to: 4000, by: 7) {
            map = map.setting(.init(id: id, handle: UInt32(id), isShared: false))
        }
        for id in UInt64(0)..<4100 {
            let isHeld = id >= 3 && id < 4000 && (id - 3).isMultiple(of: 7)
            #expect(map.find(TableID(rawValue: id), at: 9)?.handle == (isHeld ? UInt32(id) : nil))
        }
        map = map.setting(.init(id: 3, handle: 3, isShared: false, droppedIn: 5))
        #expect(map.find(TableID(rawValue: 3), at: 4) != nil)
        #expect(map.find(TableID(rawValue: 3), at: 5) == nil)
        #expect(map.removing(10).find(TableID(rawValue: 10), at: 1) == nil)
    }

    @Test(arguments: [
        (EIO, StorageError.ioError(operation: "x", errno: EIO), true), (ENOSPC, .diskFull, false),
        (ENOMEM, .outOfMemory, false),
        (-30795, .writesStopped(reason: "writing the file's header failed earlier"), true),
        (-30788, .transactionTooLarge, false), (-30780, .noSuchTable(.catalog), false),
    ])
    func codesAreToldApart(code: Int32, expected: StorageError, stops: Bool) {
        let error = LMDBCode.error(code, "x", table: .catalog)
        #expect(error == expected)
        #expect(LMDBCode.stopsWrites(error) == stops)
    }
}
