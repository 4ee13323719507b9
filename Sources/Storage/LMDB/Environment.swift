import CLMDB
import Glibc
import Synchronization

/// LMDB's environment with all that readers and the writer share. It lives as long as any of them:
/// the map is released and the folder unlocked when the last reference goes.
///
/// Rules kept here (each was measured, see lmdb.md): default flags and NOTLS; NOSYNC only under the
/// redo log's protocol; a map far larger than the data and never resized; never DUPSORT or WRITEMAP;
/// opened once, and lock.mdb by LMDB only.
final class Environment: @unchecked Sendable {
    // Sendable: LMDB's environment may be used from all threads; the rest is constant or guarded.

    // SAFETY: valid from init to deinit; every reader and the writer hold a reference to self.
    let handle: OpaquePointer
    let path: String
    let options: LMDBStore.Options
    /// Size of the map: the data can't grow beyond.
    let mapBytes: UInt64
    /// Random, made with the data; a copy of the folder has the same.
    private(set) var identity: [UInt8] = []
    /// The next table number, as found at opening.
    private(set) var firstFreeTable = TableID.firstFree

    /// What was wrong with the file's pages at opening.
    let pageReport: PageReport
    /// What was wrong with copies of what is stored twice.
    private(set) var redoFaults: [String] = []
    /// What commits go through; nil where nothing can be written. The writer's thread uses it.
    private(set) var redo: Redo?
    /// What was committed since the writer's thread last asked.
    private var committed: (number: UInt64, recordBytes: Int)?
    /// Tables that can't be read.
    private(set) var damagedTables: Set<UInt64> = []

    /// LMDB's handles of the two tables of the store's own.
    private(set) var registryHandle: UInt32 = 0
    private(set) var sharedHandle: UInt32 = 0

    private let publishedTables = Mutex(TableMap.empty)
    /// Counts publications, so that a reader sees with one load that it has the newest map.
    let tablesGeneration = Atomic<UInt64>(0)
    /// The number of the newest commit since opening, stored before anyone is told of it; a reader
    /// whose snapshot has this number sees all that it may have heard of.
    let newestCommit = Atomic<UInt64>(0)
    let readers: ReaderList
    let statistics = Mutex(StoreStatistics())
    private let stopReason = Mutex<String?>(nil)
    private let stopNotice = Mutex<(@Sendable (String) -> Void)?>(nil)
    private let lock: FolderLock

    /// The most tables that LMDB may have open: own ones, shared, registry, and dropped ones whose
    /// handle a reader still uses.
    static let handlesMax = 1024
    static let dataName = "data.mdb"

    /// Whether a folder holds a data file.
    static func dataExists(at path: String) -> Bool {
        access("\(path)/\(dataName)", F_OK) == 0
    }

    /// Opens the folder, which is made if there is none.
    init(path: String, options: LMDBStore.Options) throws(StorageError) {
        try FileSystem.makeFolder(path)
        lock = try FolderLock(path)
        try Compaction.finish(path)
        if FileSystem.size("\(path)/\(Self.dataName)") == nil {
            try Self.create(in: path, options)
        }
        let recovery = try Recovery(folder: path)
        var checks = options
        // Without a checkpoint nothing says that the file is whole.
        if recovery.checkpoint == nil { checks.checksAllPages = true }
        pageReport = try FileCheck.checkPages(folder: path, checks)
        let hasLock = FileCheck.reserveLock(
            folder: path, readersMax: options.readersMax + SnapshotPins.count)
        (handle, mapBytes) = try Self.open(
            path, options, hasLock: hasLock, syncs: recovery.checkpoint == nil)
        self.path = path
        self.options = options
        readers = ReaderList()
        if !hasLock {
            stopWrites("the disk had no room for the lock file; make some and open again")
        }
        if !pageReport.isSound {
            stopWrites("the data file is damaged (\(pageReport.summary)); restore a backup")
        }
        // Where this throws, deinit closes LMDB: all stored properties are set.
        try load(recovery)
    }

    deinit {
        redo?.pins.close()
        mdb_env_close(handle)
    }

    /// The newest map of tables.
    var tables: TableMap {
        publishedTables.withLock { $0 }
    }

    /// Makes a map visible to readers that begin from now on. Writer only.
    func publish(_ tables: TableMap) {
        publishedTables.withLock { $0 = tables }
        tablesGeneration.add(1, ordering: .sequentiallyConsistent)
    }

    /// Why writes are refused; nil while they work.
    var writesStopped: String? {
        stopReason.withLock { $0 }
    }

    /// Refuses all writes from now on; the first reason stays, and is told to who wants to know.
    func stopWrites(_ reason: String) {
        let isFirst = stopReason.withLock { stopReason in
            defer { stopReason = stopReason ?? reason }
            return stopReason == nil
        }
        if isFirst { stopNotice.withLock { $0 }?(reason) }
    }

    /// Sets what is told why writes stop; it runs on the thread where they did.
    func setStopNotice(_ notice: (@Sendable (String) -> Void)?) {
        stopNotice.withLock { $0 = notice }
    }

    /// The newest commit, and the pages of the file up to the last ever used.
    func info() -> (snapshotID: UInt64, pages: UInt64) {
        var info = MDB_envinfo()
        mdb_env_info(handle, &info)
        return (UInt64(info.me_last_txnid), UInt64(info.me_last_pgno) + 1)
    }

    /// The oldest snapshot that a reader or the last durable checkpoint uses.
    var oldestSnapshot: UInt64 {
        let reader = readers.summary(overdueMillis: .max).oldestSnapshot ?? .max
        return min(reader, redo?.pins.heldCommit ?? .max)
    }

    // MARK: The writer's thread

    /// Commits a transaction, which ends in any case. Throws what failed, and `writesStopped` where
    /// nobody can know the outcome.
    func commit(_ transaction: OpaquePointer, _ operations: RedoBuffer) throws(StorageError) {
        guard let redo else {
            mdb_txn_abort(transaction)
            throw .writesStopped(reason: writesStopped ?? "the folder is read only")
        }
        let number = UInt64(mdb_txn_id(transaction))
        let cost = try redo.commit(transaction, operations)
        newestCommit.store(number, ordering: .releasing)
        guard cost.recordBytes > 0 else { return }
        committed = (number, (committed?.recordBytes ?? 0) + cost.recordBytes)
        statistics.withLock { statistics in
            statistics.redo.logBytes += UInt64(cost.recordBytes)
            statistics.redo.syncMicros.record(cost.logNanos / 1000)
        }
    }

    /// The newest commit, and the bytes of all records since this was last asked; nil for none.
    func takeCommitted() -> (number: UInt64, recordBytes: Int)? {
        defer { committed = nil }
        return committed
    }

    // MARK: Opening

    /// Makes a new data file beside its place, durable before it appears there: LMDB's first
    /// commits to a new file are not safe against a power cut. What an earlier file had beside it
    /// goes first.
    private static func create(
        in path: String, _ options: LMDBStore.Options
    ) throws(StorageError) {
        LogFolder(of: path).clear()
        if unlink("\(path)/\(CheckpointFile.name)") == 0 { try FileSystem.sync(path) }
        let draft = "\(path)/new"
        try FileSystem.makeFolder(draft)
        for name in [dataName, "lock.mdb"] { unlink("\(draft)/\(name)") }
        guard
            FileCheck.reserveLock(
                folder: draft, readersMax: options.readersMax + SnapshotPins.count)
        else {
            throw .diskFull
        }
        let (handle, _) = try open(draft, options, hasLock: true, syncs: true)
        do throws(StorageError) {
            try Registry.format(handle)
        } catch {
            mdb_env_close(handle)
            throw error
        }
        mdb_env_close(handle)
        try FileSystem.sync("\(draft)/\(dataName)")
        guard rename("\(draft)/\(dataName)", "\(path)/\(dataName)") == 0 else {
            throw .cannotOpen(path: path, reason: FileSystem.reason())
        }
        unlink("\(draft)/lock.mdb")
        rmdir(draft)
        try FileSystem.sync(path)
        // The folder may have been made by a process that was killed before it was durable.
        try FileSystem.sync(FileSystem.parent(of: path))
    }

    /// Opens LMDB on a folder with the largest map that the system grants.
    /// Without a lock file the writer doesn't see readers, so nothing may be written.
    static func open(
        _ path: String, _ options: LMDBStore.Options, hasLock: Bool, syncs: Bool
    ) throws(StorageError) -> (OpaquePointer, UInt64) {
        var mapBytes = wantedMapBytes(path, options)
        let readers = UInt32(options.readersMax + SnapshotPins.count)
        var flags = UInt32(MDB_NOTLS)
        if !syncs { flags |= UInt32(MDB_NOSYNC) }
        if options.randomReads { flags |= UInt32(MDB_NORDAHEAD) }
        if !hasLock { flags |= UInt32(MDB_NOLOCK) }
        while true {
            var opened: OpaquePointer?
            let made = mdb_env_create(&opened)
            guard made == 0, let handle = opened else {
                throw LMDBCode.error(made, "mdb_env_create")
            }
            var code = mdb_env_set_mapsize(handle, Int(mapBytes))
            if code == 0 { code = mdb_env_set_maxdbs(handle, UInt32(handlesMax)) }
            if code == 0 { code = mdb_env_set_maxreaders(handle, readers) }
            if code == 0 { code = mdb_env_open(handle, path, flags, 0o600) }
            if code == 0 { return (handle, mapBytes) }
            mdb_env_close(handle)
            // Where address space is limited, a smaller map will do.
            if code == ENOMEM, mapBytes > 1 << 30 {
                mapBytes /= 2
                continue
            }
            throw .cannotOpen(path: path, reason: LMDBCode.text(code))
        }
    }

    /// The quota, which LMDB itself then keeps to the page; else twice what the disk has, rounded up
    /// to a power of two. A map costs only address space, of which a process has 128 TiB.
    private static func wantedMapBytes(_ path: String, _ options: LMDBStore.Options) -> UInt64 {
        let most: UInt64 = 1 << 46
        let pageBytes = UInt64(PageFile.pageBytes)
        if let quota = options.quotaBytes {
            return min(max(quota, 1 << 20), most) / pageBytes * pageBytes
        }
        var mapBytes: UInt64 = 1 << 40
        let limit = LMDBCode.diskBytes(path) ?? 0
        while mapBytes < most, mapBytes / 2 < limit { mapBytes *= 2 }
        return mapBytes
    }

    private func isDamaged(_ table: TableMap.Entry) -> Bool {
        let tree = table.isShared ? Registry.sharedName : String(table.id)
        return pageReport.damagedTrees.contains(tree)
    }

    /// The error for a table that the map of tables doesn't have.
    func missing(_ table: TableID) -> StorageError {
        damagedTables.contains(table.rawValue)
            ? .damaged(reason: "\(table) has damaged pages") : .noSuchTable(table)
    }

    private func load(_ recovery: Recovery) throws(StorageError) {
        let header = try Registry.header(handle, path)
        if recovery.checkpoint == nil, header.needsRedo {
            throw .cannotOpen(
                path: path,
                reason: "the file checkpoint, without which data.mdb is not whole, is missing; "
                    + "restore a backup")
        }
        identity = header.identity
        if writesStopped == nil { try recover(recovery, header) }
        if redo == nil { try recovery.checkNothingToReplay() }
        var loaded = try Registry.load(handle, path)
        damagedTables = Set(loaded.tables.filter { isDamaged($0) }.map(\.id))
        if let redo {
            if try Registry.complete(handle, loaded, header) {
                loaded = try Registry.load(handle, path)
            }
            let checkpoint = try redo.makeCheckpoint(of: try redo.pins.take(), identity: identity)
            try redo.store(checkpoint)
        }
        firstFreeTable = loaded.nextTable
        registryHandle = loaded.registryHandle
        sharedHandle = loaded.sharedHandle
        publish(TableMap(loaded.tables.filter { !damagedTables.contains($0.id) }))
    }

    /// Replays the log, or begins it in a folder that never had one: the format that older releases
    /// refuse and the first checkpoint are durable before anything is left unsynced.
    private func recover(
        _ recovery: Recovery, _ header: Registry.Header
    ) throws(StorageError) {
        let isFirst = recovery.checkpoint == nil
        if isFirst, header.format < Registry.formatVersion { try Registry.upgrade(handle) }
        let recovered: (redo: Redo, outcome: Recovery.Outcome)
        do throws(StorageError) {
            recovered = try recovery.run(handle, identity: identity, options)
        } catch {
            guard case .diskFull = error else { throw error }
            return stopWrites("the disk had no room for the redo log; make some and open again")
        }
        redo = recovered.redo
        redoFaults = recovered.outcome.faults
        if isFirst {
            let first = try recovered.redo.makeCheckpoint(
                of: try recovered.redo.pins.take(), identity: identity)
            try recovered.redo.store(first)
            let code = mdb_env_set_flags(handle, UInt32(MDB_NOSYNC), 1)
            guard code == 0 else { throw LMDBCode.error(code, "mdb_env_set_flags") }
        }
        statistics.withLock { statistics in
            statistics.redo.replayedCommits = recovered.outcome.commits
            statistics.redo.replayedBytes = recovered.outcome.byteCount
            statistics.redo.replayMillis = recovered.outcome.nanos / 1_000_000
            statistics.redo.checkpointedAt = Clock.nanos()
        }
    }
}
