import Glibc
import Testing

@testable import Storage

/// Opening, snapshots, tables, limits and faults.
@Suite struct StoreTests {
    let folder = TemporaryFolder()

    private func open(_ change: (inout LMDBStore.Options) -> Void = { _ in }) throws -> LMDBStore {
        var options = LMDBStore.Options()
        change(&options)
        return try LMDBStore.open(path: folder.path, options: options)
    }

    @Test func keepsWhatWasCommitted() throws {
        var store: LMDBStore? = try open()
        let table = try store?.perform { txn in
            let table = try txn.createTable()
            try txn.put(table, [1], [2, 3])
            return table
        }
        let identity = store?.identity
        store = nil
        let reopened = try open()
        #expect(try reopened.makeReader().copy(#require(table), [1]) == [2, 3])
        #expect(reopened.identity == identity)
        #expect(identity?.count == 16)
    }

    @Test func refusesASecondOpening() throws {
        let store = try open()
        #expect(throws: StorageError.inUse(path: folder.path, pid: getpid())) { try open() }
        store.close()
        withExtendedLifetime(store) {}
    }

    @Test func releasesTheFolder() throws {
        for _ in 0..<3 { try open().close() }
    }

    @Test func refusesAForeignFile() throws {
        let descriptor = Glibc.open("\(folder.path)/data.mdb", O_CREAT | O_WRONLY, 0o600)
        _ = "not a database".withCString { write(descriptor, $0, 14) }
        Glibc.close(descriptor)
        #expect(throws: StorageError.self) { try open() }
    }

    @Test func refusesANewerFormat() throws {
        do {
            let environment = try Environment(path: folder.path, options: LMDBStore.Options())
            let handle = try Registry.begin(environment.handle, flags: 0)
            let place = TableMap.Entry(id: 0, handle: environment.registryHandle, isShared: false)
            let redo = RedoBuffer()
            let (key, newer) = (Registry.formatKey, Registry.value(UInt32(9)))
            let code = storeValue(
                handle, place, key.span.bytes, newer.span.bytes, flags: 0, scratch: nil,
                redo: redo)
            #expect(code == 0)
            try environment.commit(handle, redo)
        }
        #expect(throws: StorageError.newerFormat(found: 9, supported: Registry.formatVersion)) {
            try open()
        }
    }

    @Test func heldSnapshotsDontMove() throws {
        let store = try open()
        let held = try store.makeReader()
        let fresh = try store.makeReader()
        try store.perform { txn in try txn.put(.catalog, [1], [1]) }
        let first = try held.pin()
        try store.perform { txn in try txn.put(.catalog, [1], [2]) }
        #expect(try held.copy(.catalog, [1]) == [1])
        #expect(try fresh.copy(.catalog, [1]) == [2])
        #expect(store.statistics().oldestReaderLag == 1)
        held.invalidate()
        #expect(try held.copy(.catalog, [1]) == [2])
        #expect(held.newestSnapshot() > first)
        #expect(store.statistics().oldestReaderLag == 0)
    }

    @Test(arguments: [512, 1])
    func aDroppedTableStaysForOlderReaders(ownTablesMax: Int) throws {
        let store = try open { $0.ownTablesMax = ownTablesMax }
        let table = try store.perform { txn in
            let table = try txn.createTable()
            for number in 0..<10_000 { try txn.put(table, key(number), [7]) }
            return table
        }
        let other = try store.perform { txn in
            let table = try txn.createTable()
            try txn.put(table, [1], [1])
            return table
        }
        let held = try store.makeReader()
        let fresh = try store.makeReader()
        try held.pin()
        try store.perform { txn in try txn.dropTable(table) }
        #expect(throws: StorageError.noSuchTable(table)) { try fresh.all(table) }
        usleep(300_000)
        #expect(try held.all(table).count == 10_000)
        held.invalidate()
        #expect(throws: StorageError.noSuchTable(table)) { try held.all(table) }
        waitUntil { store.statistics().tablesDropping == 0 }
        #expect(store.statistics().tablesDropping == 0)
        let next = try store.perform { txn in try txn.createTable() }
        #expect(next > other)
        #expect(try fresh.all(next).isEmpty)
        #expect(try fresh.all(other).count == 1)
        #expect(try store.verify().faultCount == 0)
    }

    @Test func droppingGoesOnAfterARestart() throws {
        var store: LMDBStore? = try open { $0.ownTablesMax = 1 }
        try store?.perform { txn in
            let table = try txn.createTable()
            for number in 0..<20_000 { try txn.put(table, key(number), [7]) }
        }
        try store?.perform { txn in try txn.dropTable(TableID.firstFree) }
        store = nil
        let reopened = try open()
        #expect(throws: StorageError.noSuchTable(.firstFree)) {
            try reopened.makeReader().all(.firstFree)
        }
        waitUntil { reopened.statistics().tablesDropping == 0 }
        #expect(reopened.statistics().tablesDropping == 0)
        #expect(try reopened.perform { txn in try txn.createTable() } > .firstFree)
    }

    @Test func limitsOfKeysAndValues() throws {
        let store = try open()
        let longest = [UInt8](repeating: 1, count: LMDBStore.keyBytesMax)
        let large = [UInt8](repeating: 5, count: LMDBStore.valueBytesMax)
        try store.perform { txn in
            try txn.put(.catalog, longest, large)
            #expect(throws: StorageError.invalidKey(byteCount: longest.count + 1)) {
                try txn.put(.catalog, longest + [1], [])
            }
            #expect(throws: StorageError.invalidKey(byteCount: 0)) {
                try txn.put(.catalog, [], [])
            }
            #expect(throws: StorageError.valueTooLarge(byteCount: large.count + 1)) {
                try txn.put(.catalog, [1], large + [1])
            }
        }
        let reader = try store.makeReader()
        #expect(try reader.copy(.catalog, longest) == large)
        #expect(try reader.copy(.catalog, []) == nil)
        #expect(try reader.copy(.catalog, longest + [1]) == nil)
    }

    @Test func readerSlotsRunOut() throws {
        let store = try open { $0.readersMax = 4 }
        var readers: [LMDBStore.Reader] = []
        #expect(throws: StorageError.readersFull(max: 4)) {
            while true { readers.append(try store.makeReader()) }
        }
        readers.removeLast()
        #expect(try store.makeReader().all(.catalog).isEmpty)
    }

    @Test func aFlippedBitIsFound() throws {
        let marker = Array("here is the value to be flipped".utf8)
        var store: LMDBStore? = try open()
        try store?.perform { txn in
            try txn.put(.catalog, [1], marker)
            try txn.put(.catalog, [2], [5])
        }
        store = nil
        try flip(marker)
        let reopened = try open()
        let reader = try reopened.makeReader()
        #expect(throws: StorageError.corrupted(table: .catalog, key: [1])) {
            try reader.copy(.catalog, [1])
        }
        #expect(throws: StorageError.corrupted(table: .catalog, key: [1])) {
            try reader.all(.catalog)
        }
        #expect(try reader.copy(.catalog, [2]) == [5])
        let report = try reopened.verify()
        #expect(report.faultCount == 1)
        #expect(report.faults.first?.key == [1])
    }

    /// Flips one bit of each place in the data file that holds these bytes.
    private func flip(_ bytes: [UInt8]) throws {
        let descriptor = Glibc.open("\(folder.path)/data.mdb", O_RDWR)
        defer { Glibc.close(descriptor) }
        var file = [UInt8](repeating: 0, count: 1 << 20)
        let count = pread(descriptor, &file, file.count, 0)
        for start in 0..<max(0, count - bytes.count) where file[start] == bytes[0] {
            if file[start..<start + bytes.count].elementsEqual(bytes) {
                var flipped = file[start + 3] ^ 4
                #expect(pwrite(descriptor, &flipped, 1, start + 3) == 1)
            }
        }
    }
}
