// The store on LMDB: one memory-mapped file, many readers, one writer.
//
// - `Environment` opens the folder and owns what all share; it goes away with its last user.
// - A `Reader` is a renewable read transaction: taking a snapshot costs some 50 ns, and a point
//   read hands out bytes of the map without copying or allocating.
// - The `Writer` is one thread; operations queue for it and are committed in groups.
// - `TableMap` says where each table lives: a tree of its own while there are few, otherwise a part
//   of one shared tree. It is immutable and replaced as a whole, so that readers need no lock.
// - The `Registry` table records format, identity and tables; `StoredBytes` says how bytes lie.
// - `PageCheck` looks at the pages of a file before LMDB trusts them.
// - `Redo` makes commits durable, and the folder whole again at opening.
// - `SpaceBudget` keeps the quota, the `Reclaimer` gives back the space of dropped tables.

import Synchronization

/// An `OrderedStore` kept by LMDB in one folder.
package final class LMDBStore: OrderedStore, Sendable {
    /// What an acknowledged write has survived.
    package enum Durability: Sendable {
        /// A power cut.
        case full
        /// A crash of the process; a power cut may take back the commits of the last 50 ms or so,
        /// and never corrupts.
        case relaxed
    }

    /// How a store is opened.
    package struct Options: Sendable {
        /// The most bytes that the data may take; nil for what the map holds. At least 16 MiB make
        /// sense: at 95 % writes are refused, the rest is for deletes.
        package var quotaBytes: UInt64?
        /// When a write is acknowledged.
        package var durability = Durability.full
        /// Reader slots.
        package var readersMax = 1024
        /// Tables that get a tree of their own; later ones share one. At most 900.
        package var ownTablesMax = 512
        /// Operations in one commit.
        package var groupMax = 256
        /// Declared bytes in one commit (a single operation may exceed it).
        package var groupBytesMax = 64 << 20
        /// Operations that may wait; beyond, `busy`.
        package var queuedOperationsMax = 65_536
        /// Declared bytes that may wait; beyond, `busy`.
        package var queuedBytesMax = 256 << 20
        /// Bytes of the file system that only deletes may touch.
        package var diskReserveBytes: UInt64 = 16 << 20
        /// Snapshots held longer count as overdue in the statistics.
        package var readerMillisMax: UInt64 = 2000
        /// A file up to this size is checked page by page when it is opened; a larger one only
        /// where it is shorter than it should be, or after a fault ended the process.
        package var checkedBytesMax: UInt64 = 64 << 20
        /// Check the file page by page whatever its size.
        package var checksAllPages = false
        /// The data is much larger than memory and read at random: don't read ahead.
        package var randomReads = false
        /// Sizes and times of the redo log; nil for those that suit the disk.
        var redoLimits: RedoLimits?

        /// The defaults.
        package init() {}
    }

    /// The longest key, in bytes.
    package static let keyBytesMax = StoredBytes.keyBytesMax
    /// The longest value, in bytes.
    package static let valueBytesMax = StoredBytes.valueBytesMax

    private struct Running {
        var environment: Environment
        var writer: Writer
    }

    /// What closing lets go of.
    private let running: Mutex<Running?>
    /// Where each backup last was in the log.
    let shippedPlaces = Mutex<[String: LogPlace]>([:])
    /// What was wrong with the file's pages at opening.
    package let pageReport: PageReport
    /// What was wrong at opening with what the redo log and its checkpoints store twice.
    package let redoFaults: [String]
    /// Whether a folder holds a store.
    package static func exists(at path: String) -> Bool {
        Environment.dataExists(at: path)
    }

    /// The process that uses a folder; nil where none does.
    package static func owner(of path: String) -> Int32? { FolderLock.owner(of: path) }

    /// 16 random bytes made with the data; copies have the same.
    package let identity: [UInt8]

    private init(_ environment: Environment) throws(StorageError) {
        let writer = Writer(environment)
        try writer.start()
        identity = environment.identity
        pageReport = environment.pageReport
        redoFaults = environment.redoFaults
        running = Mutex(Running(environment: environment, writer: writer))
    }

    deinit {
        close()
    }

    /// Opens a folder, made if there is none, and starts the writer. Throws `inUse` naming the
    /// process that has it, `newerFormat`, `cannotOpen`, `damaged`.
    package static func open(
        path: String, options: Options = Options()
    ) throws(StorageError) -> LMDBStore {
        try LMDBStore(try Environment(path: path, options: options))
    }

    /// Makes a reader. It holds the files open until it is released.
    package func makeReader() throws(StorageError) -> Reader {
        guard let running = running.withLock({ $0 }) else { throw .closed }
        return try Reader(running.environment)
    }

    /// Sets what runs once a group, from the next one on.
    package func setGroupHooks(_ hooks: GroupHooks<WriteTransaction>) {
        guard let running = running.withLock({ $0 }) else { return }
        running.writer.hooks.withLock { $0 = hooks }
        running.environment.setStopNotice(hooks.didStopWrites)
    }

    /// Queues an operation; see `OrderedStore.submit`.
    package func submit<R: Sendable>(
        _ options: OperationOptions = OperationOptions(),
        _ operation: @escaping @Sendable (inout WriteTransaction) throws -> R,
        completion: @escaping @Sendable (Result<R, any Error>) -> Void
    ) {
        guard let writer = running.withLock({ $0?.writer }) else {
            completion(.failure(StorageError.closed))
            return
        }
        let job = TypedWriteJob(options, operation, completion)
        if let error = writer.enqueue(job) { completion(.failure(error)) }
    }

    /// Queues an operation and waits until it is durable; see `OrderedStore.perform`.
    @discardableResult
    package func perform<R: Sendable>(
        _ options: OperationOptions = OperationOptions(),
        _ operation: @escaping @Sendable (inout WriteTransaction) throws -> R
    ) throws -> R {
        if running.withLock({ $0?.writer.isCurrentThread ?? false }) {
            throw StorageError.wouldDeadlock
        }
        let answer = Monitor<Result<R, any Error>?>(nil)
        submit(options, operation) { result in
            answer.withLock { $0 = result }
            answer.wake()
        }
        guard let result = answer.wait(timeoutMillis: nil, { $0 }) else {
            throw StorageError.closed
        }
        return try result.get()
    }

    /// What is open; nil once closed.
    var environment: Environment? { running.withLock { $0?.environment } }

    /// What writes; nil once closed.
    var writer: Writer? { running.withLock { $0?.writer } }

    /// Refuses all writes from now on, and says why; reads go on.
    package func stopWrites(_ reason: String) {
        running.withLock { $0 }?.environment.stopWrites(reason)
    }

    /// Counters and gauges, all 0 once closed; costs microseconds.
    package func statistics() -> StoreStatistics {
        guard let running = running.withLock({ $0 }) else { return StoreStatistics() }
        let environment = running.environment
        var statistics = environment.statistics.withLock { $0 }
        let info = environment.info()
        let readers = environment.readers.summary(
            overdueMillis: environment.options.readerMillisMax)
        statistics.queuedOperations = running.writer.queue.withLock { $0.jobs.count }
        statistics.tables = environment.tables.entries.count { $0.isLive }
        statistics.lastSnapshotID = info.snapshotID
        statistics.fileBytes = info.pages * 4096
        statistics.quotaBytes = SpaceBudget(environment).quotaBytes
        statistics.hasQuota = environment.options.quotaBytes != nil
        if let total = LMDBCode.diskBytes(environment.path),
            let free = LMDBCode.freeDiskBytes(environment.path)
        {
            statistics.disk = (total, free)
        }
        statistics.readers = readers.count
        statistics.oldestReaderMillis = readers.oldestMillis
        statistics.readersOverdue = readers.overdue
        if let oldest = readers.oldestSnapshot, oldest < info.snapshotID {
            statistics.oldestReaderLag = info.snapshotID - oldest
        }
        statistics.writesStoppedReason = environment.writesStopped
        statistics.redo.lookAtClock()
        statistics.backups = environment.redo?.log.shared.withLock { $0.backups } ?? [:]
        return statistics
    }

    /// Why ordinary writes would be refused now; nil while they work. Deletes may work all the same.
    package func writeRefusal() -> StorageError? {
        guard let environment else { return .closed }
        if let reason = environment.writesStopped { return .writesStopped(reason: reason) }
        var space = SpaceBudget(environment)
        space.refresh(environment)
        return space.refusal(mayUseReserve: false)
    }

    /// Finishes the queued operations, refuses new ones and ends the writer. The files are released
    /// here, or with the last reader.
    package func close() {
        let closing = running.withLock { running in
            defer { running = nil }
            return running
        }
        closing?.writer.stop()
    }
}

/// The reader that the engine uses.
package typealias Reader = LMDBStore.Reader
/// The read transaction that the engine uses.
package typealias ReadTransaction = LMDBStore.ReadTransaction
/// The write transaction that the engine uses.
package typealias WriteTransaction = LMDBStore.WriteTransaction
