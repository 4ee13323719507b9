import CLMDB
import Glibc
import Testing

@testable import Storage

/// Folders as earlier releases left them: opened, they hold what they held, are of today's format,
/// and take durable writes.
@Suite struct UpgradeTests {
    /// What was ever landed: the number of the format, and how many tables existed from the start.
    struct Landed: Sendable, CustomTestStringConvertible {
        let format: UInt32
        let permanent: Int

        var testDescription: String { "format \(format) with \(permanent) tables" }
    }

    static let landed = [
        // The catalog; and the change log; and outcomes of retryable writes; and the trash.
        Landed(format: 1, permanent: 1), Landed(format: 1, permanent: 2),
        Landed(format: 1, permanent: 3), Landed(format: 1, permanent: 4),
        // The redo log; and accounts. As a restore or `roost compact` leaves it, with no log yet.
        Landed(format: 2, permanent: 4), Landed(format: 2, permanent: 5),
    ]

    /// Changes a closed folder of today into one of that release.
    private func age(_ folder: TemporaryFolder, to landed: Landed) throws {
        let (environment, _) = try Environment.open(
            folder.path, LMDBStore.Options(), hasLock: false, syncs: true)
        defer { mdb_env_close(environment) }
        let transaction = try Registry.begin(environment, flags: 0)
        let registry = try Registry.open(transaction, Registry.registryName, create: false)
        for table in TableID.permanent.dropFirst(landed.permanent) {
            let handle = try Registry.open(transaction, "\(table.rawValue)", create: false)
            #expect(mdb_drop(transaction, handle, 1) == 0)
            remove(Registry.tableKey(table.rawValue), registry, transaction)
        }
        try Registry.store(
            transaction, registry, Registry.formatKey, Registry.value(landed.format))
        remove(Registry.redoKey, registry, transaction)
        #expect(mdb_txn_commit(transaction) == 0)
    }

    private func remove(_ key: [UInt8], _ registry: UInt32, _ transaction: OpaquePointer) {
        key.withUnsafeBytes { bytes in
            var view = StoredBytes.view(bytes)
            #expect(mdb_del(transaction, registry, &view, nil) == 0)
        }
    }

    private func removeLog(_ folder: TemporaryFolder) {
        LogFolder(of: folder.path).clear()
        rmdir(LogFolder(of: folder.path).path)
        unlink("\(folder.path)/\(CheckpointFile.name)")
    }

    @Test(arguments: landed)
    func opensWithAllThatItHeld(_ landed: Landed) throws {
        let folder = TemporaryFolder()
        let made = try LMDBStore.open(path: folder.path)
        let table = try made.perform { txn in
            let table = try txn.createTable()
            for number in 0..<500 {
                try txn.put(table, key(number), key(number * 7))
                try txn.put(.catalog, key(number), key(number))
            }
            return table
        }
        let pairs = try made.makeReader().all(table)
        made.close()
        removeLog(folder)
        try age(folder, to: landed)
        for round in 0..<3 {
            let store = try LMDBStore.open(path: folder.path)
            defer { store.close() }
            #expect(store.pageReport.isSound && store.redoFaults.isEmpty)
            let reader = try store.makeReader()
            #expect(try reader.all(table) == pairs)
            #expect(try reader.all(.catalog).count == 500 + round)
            #expect(try store.verify().faultCount == 0)
            for permanent in TableID.permanent {
                try store.perform { txn in try txn.put(permanent, [0xFF, UInt8(round)], [1]) }
            }
            let environment = try #require(store.environment)
            let header = try Registry.header(environment.handle, folder.path)
            #expect(header.format == Registry.formatVersion && header.needsRedo)
        }
    }
}
