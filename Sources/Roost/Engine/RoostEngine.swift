// The engine: documents, indexes and queries in one folder.
//
// How a command runs:
//   reads   The planner (Plan/) picks an access path from the catalog; a QueryCursor (Execute/)
//           scans it in short snapshots, in place on the caller's thread while that is quick, on
//           the reader pool when it is not.
//   writes  A WriteJob (Write/) prepares statements on the caller's thread, finds documents on the
//           reader pool where it must, and hands record keys to the store's one writer thread,
//           which changes documents and index entries (RecordWriter) and commits in groups.
//   schema  Changes of the catalog (Catalog/) are operations on the writer thread too; the new
//           catalog is published after the commit.
//
// The engine is synchronous: completions are called on the writer or a pool thread. It knows no
// sockets; Server and Gateway stand on it, and so do embedders (Embed/).

package import BSON
import Glibc
package import Logging
package import Query
import Storage
import Synchronization

/// An open database folder.
package final class RoostEngine: Sendable {
    /// The folder's path.
    package let path: String
    /// What keeps the bytes.
    package let store: Store
    /// State of the writer thread.
    let writer: WriterState
    /// Threads for reads that take long.
    package let readerPool: ReaderPool
    /// The time of commits.
    package let clock: LogicalClock
    /// Index builds under way.
    package let builds = BuildList()
    /// Threads for index builds.
    let background = BackgroundThreads()
    /// When expired documents are deleted.
    package let expiry = ExpirySchedule()
    /// How long change streams show images.
    package let imageAge = ImageAge()
    /// The plans chosen for queries of each shape.
    package let plans = PlanCache()
    /// Names the history that the change log holds; resume tokens carry it.
    let logEpoch: UInt64
    /// How long changes are kept.
    package let retention: LogRetention
    /// Who waits for capped collections to grow, and for changes.
    package let tails: TailWatch
    /// The security rules in force.
    package let rules: RulesStore
    /// Who did what to accounts, roles and rules.
    package let audit = AuditLog()
    /// Sessions of app users that ended before their tokens.
    package let appSessions: AppSessions
    /// Results that are kept up to date.
    package let live: LiveQueries
    /// What open transactions mean to change.
    let intents: IntentTable
    /// The transactions that have not ended.
    package let transactions: OpenTransactions
    /// The snapshots that can be asked for by time.
    package let snapshots = SnapshotTable()
    /// Where migrations run.
    let migrations = MigrationWorker()
    /// Whether a power cut may take the last commits.
    private let mayLose: Bool
    /// Where sorts spill.
    let temporaryFolder: String
    /// The least bytes that a part of a scan has.
    let scanPartBytes: Int
    private let published: PublishedCatalog
    private let completions: Completions
    private let logger: Logger

    /// Opens a folder, making it where it doesn't exist.
    /// - Throws: `DBError` when the folder is in use, damaged, of a newer format, or can't be
    ///   written.
    package init(
        path: String, options: EngineOptions = EngineOptions(),
        logger: Logger = Logger(label: "roost")
    ) throws(DBError) {
        self.path = path
        self.logger = logger
        let opened: Opened
        do {
            opened = try Opened(path: path, options: options, logger)
        } catch {
            throw DBError(engineFailure: error)
        }
        store = opened.store
        published = opened.catalog
        writer = opened.writer
        // No operation was submitted yet.
        writer.whenTrashIsLeft = { [expiry] in expiry.sweep() }
        retention = opened.retention
        tails = opened.writer.tails
        completions = opened.completions
        clock = opened.clock
        logEpoch = opened.logEpoch
        intents = opened.intents
        mayLose = options.durability == .relaxed
        transactions = OpenTransactions(options.transactions, quotaBytes: options.quotaBytes)
        live = opened.live
        rules = opened.rules
        appSessions = opened.appSessions
        temporaryFolder = path + "/tmp"
        scanPartBytes = options.scanPartBytes
        do {
            readerPool = try ReaderPool(
                store: opened.store, threads: options.readerThreads,
                helpers: (options.scanThreads ?? sysconf(Int32(_SC_NPROCESSORS_ONLN))) - 1)
        } catch {
            throw DBError(engineFailure: error)
        }
        try loadRules()
        mkdir(temporaryFolder, 0o700)
        _ = appSessions.observe { [live] in live.noteAuthority() }
        guard options.tidiesUp else { return }
        removeUnfinishedIndexes()
        removeTemporaryCollections()
        startExpiry()
        startRetention()
        startTransactionKeeper()
    }

    /// Whether a folder holds a database; opening one that doesn't makes it.
    package static func exists(at path: String) -> Bool { Store.exists(at: path) }

    /// Ends all open transactions without their changes.
    package func abortTransactions() {
        for transaction in transactions.all { transaction.abort() }
    }

    /// Finishes what runs and closes the folder. Cursors must not be used afterwards.
    package func close() {
        liftWriteLocks()
        expiry.stop()
        retention.stop()
        migrations.stop()
        abortTransactions()
        transactions.stop()
        live.stop()
        builds.endAll()
        // A build waits for the writer; reads may be asked for by neither any more.
        background.join()
        readerPool.close()
        if mayLose { removeLossMark() }
        store.close()
    }

    // MARK: Catalog

    /// The newest committed catalog.
    package var catalog: CatalogSnapshot { published.snapshot }

    /// The collection of that name.
    package func collection(_ namespace: Namespace) -> CollectionEntry? {
        published.collection(namespace)
    }

    /// Grows with each committed change of the catalog: what was looked up behind the same number
    /// still holds.
    package var catalogVersion: Int { published.version }

    // MARK: Operations on the writer thread

    /// Has `completer` run the completions of writes whose request has a `completionPlace`, on
    /// threads that must go on as long as writes are on their way; nil: on the writer thread.
    package func setCompleter(
        _ completer: (@Sendable (Int, @escaping @Sendable () -> Void) -> Void)?
    ) {
        completions.set(completer)
    }

    /// Runs an operation on the writer thread and answers there after its commit is durable.
    func submit<R: Sendable>(
        _ options: OperationOptions = OperationOptions(),
        _ operation: @escaping @Sendable (inout WriteTransaction) throws -> R,
        completion: @escaping @Sendable (Result<R, DBError>) -> Void
    ) {
        store.submit(options, writer.logged(operation)) { outcome in
            completion(outcome.mapError { DBError(engineFailure: $0) })
        }
    }

    /// Runs an operation on the writer thread and waits for its commit. Not for event loops.
    func submitAndWait<R: Sendable>(
        _ options: OperationOptions = OperationOptions(),
        _ operation: @escaping @Sendable (inout WriteTransaction) throws -> R
    ) throws -> R {
        try store.perform(options, writer.logged(operation))
    }

    // MARK: Writes

    /// The time for a command that begins now.
    package var writeTime: WriteTime {
        WriteTime(millis: LogicalClock.wallMillis, timestamp: clock.advance())
    }

    /// Runs a write command; answers on the writer or a pool thread.
    package func write(
        _ request: WriteRequest,
        completion: @escaping @Sendable (Result<WriteOutcome, DBError>) -> Void
    ) {
        if let transaction = request.transaction {
            return transaction.write(request, completion: completion)
        }
        do throws(DBError) {
            for namespace in request.namespaces where !request.refusesViewsByStatement {
                try collection(namespace)?.checkIsNoView()
            }
        } catch {
            return completion(.failure(error))
        }
        WriteJob(self, request, completion: completion).run()
    }

    /// Runs findAndModify; answers on the writer or a pool thread.
    package func findAndModify(
        _ request: FindAndModifyRequest,
        completion: @escaping @Sendable (Result<FindAndModifyOutcome, DBError>) -> Void
    ) {
        do throws(DBError) {
            let entry = collection(request.namespace)
            try entry?.checkIsNoView()
            guard entry?.traits.timeSeries == nil else {
                throw TimeSeries.refusal("findAndModify can't change a time-series collection")
            }
        } catch {
            return completion(.failure(error))
        }
        let target: WriteTarget
        switch request.statement {
        case .update(let update): target = update.target
        case .delete(let delete): target = delete.target
        case .insert, .trash:
            return completion(.success(FindAndModifyOutcome(result: StatementResult())))
        case .refused(let error): return completion(.failure(error))
        }
        if let transaction = request.transaction {
            transaction.findAndModify(request, target, completion: completion)
        } else {
            FindAndModifyJob(self, request, target, completion: completion).run()
        }
    }

    func noteOutcomesKept(_ error: DBError) {
        logger.warning(
            "old outcomes of retryable writes could not be removed; the next pass tries again",
            metadata: ["error": "\(error)"])
    }

    func noteExpiryFailure(_ error: DBError, _ index: IndexEntry?, _ entry: CollectionEntry) {
        logger.warning(
            "expired documents could not be deleted; the next pass tries again",
            metadata: [
                "collection": "\(entry.namespace)",
                "index": "\(index?.name ?? CollectionEntry.idIndexName)",
                "error": "\(error)",
            ])
    }

    func noteAuditFailure(_ error: DBError, lost: Int) {
        logger.error(
            "events of the audit log were lost",
            metadata: ["events": "\(lost)", "error": "\(error)"])
    }

    func notePurgeFailure(_ error: any Error) {
        logger.warning(
            "deleted documents could not be purged; the next pass tries again",
            metadata: ["error": "\(error)"])
    }

    func noteLiveFailure(_ error: any Error) {
        logger.error(
            "live queries end: the change log could not be followed",
            metadata: ["error": "\(error)"])
    }

    func noteMarkFailure(_ error: DBError, _ namespace: Namespace) {
        logger.warning(
            "it could not be noted whether a collection has live queries",
            metadata: ["collection": "\(namespace)", "error": "\(error)"])
    }

    func noteRetentionFailure(_ error: any Error) {
        logger.warning(
            "the change log could not be trimmed; the next pass tries again",
            metadata: ["error": "\(error)"])
    }

    /// Runs a pipeline and writes its results where its last stage says; answers on the writer or a
    /// pool thread. The target's database is the request's where the stage names none. `interrupt`
    /// ends it, at the request's time limit or from outside.
    /// - Throws: what reading and writing throw, and the stage's own errors, through the completion.
    package func write(
        resultsOf request: AggregateRequest, to destination: PipelineDestination,
        _ interrupt: Interrupt = Interrupt(),
        completion: @escaping @Sendable (Result<Void, DBError>) -> Void
    ) {
        ResultWriteJob(self, request, destination, interrupt, completion: completion).run()
    }

    /// Checks that a pipeline's results may be written where its last stage says, as `write` does.
    /// - Throws: the stage's own errors.
    package func checkDestination(of request: AggregateRequest) throws(DBError) {
        guard let destination = request.pipeline.destination else { return }
        let target = Namespace(
            destination.database ?? request.namespace.database, destination.collection)
        _ = try ResultWriteJob.check(destination, target, collection(target))
    }

    /// Removes collections that an unfinished $out of the last process left.
    private func removeTemporaryCollections() {
        for entry in catalog.collections.values where entry.isTemporary {
            dropCollection(entry.namespace) { [logger] outcome in
                if case .failure(let error) = outcome {
                    logger.error("could not remove \(entry.namespace): \(error)")
                }
            }
        }
    }

    /// Removes indexes whose build the last process didn't finish.
    private func removeUnfinishedIndexes() {
        let unfinished = catalog.collections.values.filter { !$0.indexes.allSatisfy(\.isReady) }
        for entry in unfinished {
            let names = entry.indexes.filter { !$0.isReady }.map(\.name)
            logger.warning(
                "removing indexes whose build was interrupted; create them again",
                metadata: ["collection": "\(entry.namespace)", "indexes": "\(names)"])
            dropIndexes(entry.namespace, .names(names)) { [logger] outcome in
                if case .failure(let error) = outcome {
                    logger.error("could not remove unfinished indexes: \(error)")
                }
            }
        }
    }
}

/// Where completions of writes run.
private final class Completions: Sendable {
    private let completer = Mutex<(@Sendable (Int, @escaping @Sendable () -> Void) -> Void)?>(nil)

    func set(_ completer: (@Sendable (Int, @escaping @Sendable () -> Void) -> Void)?) {
        self.completer.withLock { $0 = completer }
    }

    func run(_ place: Int, _ body: @escaping @Sendable () -> Void) {
        // Under the lock, so that none is handed over after `set(nil)`.
        let isHandedOver = completer.withLock { completer in
            completer?(place, body)
            return completer != nil
        }
        if !isHandedOver { body() }
    }
}

/// The parts of an engine that depend on each other while a folder is opened.
private struct Opened {
    let store: Store
    let catalog: PublishedCatalog
    let writer: WriterState
    let clock: LogicalClock
    let completions = Completions()
    let intents = IntentTable()
    let logEpoch: UInt64
    let retention: LogRetention
    let rules = RulesStore()
    let appSessions = AppSessions()
    let live: LiveQueries

    init(path: String, options: EngineOptions, _ logger: Logger) throws {
        var storeOptions = Store.Options()
        storeOptions.quotaBytes = options.quotaBytes
        storeOptions.checksAllPages = options.checksAllPages
        storeOptions.durability = options.durability == .full ? .full : .relaxed
        store = try Store.open(path: path, options: storeOptions)
        let snapshot: CatalogSnapshot
        let log: (end: ChangeLog.End, header: LogHeader)
        let followed: [Namespace]
        do {
            snapshot = try Self.load(store)
            log = try Self.openLog(store, mayLose: options.durability == .relaxed)
            followed = try Self.followed(store)
        } catch {
            store.close()
            throw error
        }
        catalog = PublishedCatalog(snapshot)
        clock = LogicalClock(
            startingAt: log.end.position.sequence, wallSeconds: options.wallSeconds)
        logEpoch = log.header.epoch
        writer = WriterState(
            catalog, TailWatch(logEnd: log.end.position.sequence),
            ChangeLog(
                clock, end: log.end,
                ObservedNames(followed, now: LogicalClock.wallMillis)),
            intents)
        live = LiveQueries(epoch: logEpoch, writer.log.observed, rules, appSessions)
        retention = LogRetention(
            options.changeLog, quotaBytes: options.quotaBytes,
            diskBytes: store.statistics().disk?.totalBytes)
        let (writer, retention, completions, live) = (writer, retention, completions, live)
        store.setGroupHooks(
            GroupHooks(
                willCommit: { transaction in try writer.prepareCommit(&transaction) },
                didCommit: { _ in
                    writer.commit()
                    retention.note(logEnd: writer.log.endOffset)
                    live.noteCommit()
                },
                didAbort: { writer.rollBack() },
                didStopWrites: { reason in
                    logger.critical(
                        "writes are stopped; reads go on. Restart, and run roost verify",
                        metadata: ["reason": "\(reason)"])
                },
                completer: { place, body in completions.run(place, body) }))
    }

    /// Opens the change log. Without it documents can be read, and nothing may change.
    private static func openLog(
        _ store: Store, mayLose: Bool
    ) throws -> (end: ChangeLog.End, header: LogHeader) {
        do {
            return try RoostEngine.openLog(store, mayLose: mayLose)
        } catch let error as StorageError {
            switch error {
            case .corrupted, .damaged: store.stopWrites("the change log is damaged: \(error)")
            case .writesStopped, .diskFull, .quotaExceeded: break
            default: throw error
            }
            return (ChangeLog.End(), LogHeader.make())
        }
    }

    /// The collections that live queries followed.
    private static func followed(_ store: Store) throws -> [Namespace] {
        let reader = try store.makeReader()
        return try reader.read { transaction in try ObservedMarks.read(transaction) }
    }

    /// Reads the catalog.
    private static func load(_ store: Store) throws -> CatalogSnapshot {
        let reader = try store.makeReader()
        return try reader.read { transaction in
            var snapshot = CatalogSnapshot()
            var cursor = transaction.cursor(.catalog)
            while try cursor.next() {
                guard let namespace = CatalogRecord.namespace(cursor.key) else { continue }
                snapshot.put(
                    try CatalogRecord.decode(namespace, DocumentView(try cursor.value())))
            }
            return snapshot
        }
    }
}
