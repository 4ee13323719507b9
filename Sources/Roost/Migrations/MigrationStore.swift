// How the runner reads and writes: everything in transactions, one at a time, on its own thread.

import BSON
import Crypto
import Glibc
import Query
import Storage
import Synchronization

/// Runs the steps of migrations on one thread, so that two calls never overlap.
package final class MigrationWorker: Sendable {
    private struct State {
        var queue: [@Sendable () -> Void] = []
        var isStarted = false
        var isStopped = false
    }

    private let state = Monitor(State())
    private let number = Atomic<Int64>(0)
    /// Where a test ends the process.
    let killPoint = MigrationKillPoint()
    private let session: [UInt8] = {
        var random = SystemRandomNumberGenerator()
        return (0..<16).map { _ in UInt8.random(in: 0...255, using: &random) }
    }()

    /// Runs `body` when what was handed over before is done; not at all once stopped.
    func submit(_ threads: BackgroundThreads, _ body: @escaping @Sendable () -> Void) {
        let starts = state.withLock { state in
            state.queue.append(body)
            defer { state.isStarted = true }
            return !state.isStarted
        }
        state.wake()
        guard starts else { return }
        let state = state
        threads.start {
            while let next = state.wait(
                timeoutMillis: nil,
                { state -> (@Sendable () -> Void)?? in
                    if state.isStopped { return .some(nil) }
                    return state.queue.isEmpty ? nil : .some(state.queue.removeFirst())
                }) ?? nil
            {
                next()
            }
        }
    }

    /// Ends the thread after what it is at.
    func stop() {
        state.withLock { $0.isStopped = true }
        state.wake()
    }

    /// Under what the next commit is kept.
    func nextRetry() -> RetryIdentity {
        RetryIdentity(
            session: session, number: number.wrappingAdd(1, ordering: .relaxed).newValue)
    }
}

extension RoostEngine {
    /// Waits for a call that answers through a completion. Not for event loops or the pool.
    func blocking<R: Sendable>(
        _ start: (@escaping @Sendable (Result<R, DBError>) -> Void) -> Void
    ) throws(DBError) -> R {
        let answer = Monitor<Result<R, DBError>?>(nil)
        start { outcome in
            answer.withLock { $0 = outcome }
            answer.wake()
        }
        switch answer.wait(timeoutMillis: nil, { $0 }) {
        case .success(let value): return value
        case .failure(let error): throw error
        case nil: throw DBError(.internalError, "The wait for a write ended without an answer")
        }
    }
}

/// A document before and after a change; nil where there is none.
struct DocumentChange: Sendable {
    let id: Value
    let before: Document?
    let after: Document?
}

/// Reads and writes one database's documents in transactions.
struct MigrationStore {
    let engine: RoostEngine
    let database: String
    private let reader: Reader

    init(_ engine: RoostEngine, _ database: String) throws(DBError) {
        self.engine = engine
        self.database = database
        do {
            reader = try engine.store.makeReader()
        } catch {
            throw DBError(engineFailure: error)
        }
    }

    func namespace(_ collection: String) -> Namespace { Namespace(database, collection) }

    /// The collection of that name.
    func entry(_ collection: String) -> CollectionEntry? {
        engine.collection(namespace(collection))
    }

    /// The scope in which a statement about the collection is compiled.
    func scope(_ collection: String, text: String? = nil) -> ExpressionScope {
        var scope = ExpressionScope(nowMillis: LogicalClock.wallMillis)
        scope.text = text.map(TextSource.init)
        scope.collation = entry(collection)?.collation
        scope.collections = EngineCollections(engine, database: database)
        scope.source = ForeignCollection(database: database, collection: collection)
        return scope
    }

    func filter(_ document: Document, _ scope: ExpressionScope) throws(DBError) -> Filter {
        try Filter.parse(document.view, scope.filterOptions(.find))
    }

    // MARK: Transactions

    /// Most attempts against other writers.
    private static let attemptsMax = 200

    /// Runs `body` in a transaction and commits it; again where other writers were in the way.
    func transact<R>(
        _ body: (Transaction) throws(DBError) -> R
    ) throws(DBError) -> R {
        var attempt = 0
        while true {
            let transaction = try engine.beginTransaction()
            do throws(DBError) {
                let result = try body(transaction)
                let retry = engine.migrations.nextRetry()
                engine.migrations.killPoint.pass()
                try engine.blocking { transaction.commit(retry, completion: $0) }
                engine.migrations.killPoint.pass()
                return result
            } catch {
                transaction.abort()
                attempt += 1
                let isTransient =
                    error.code == .writeConflict || error.code == .noSuchTransaction
                    || error.code == .snapshotUnavailable
                guard isTransient, attempt < Self.attemptsMax else { throw error }
                usleep(UInt32(min(attempt, 20)) * 1_000)
            }
        }
    }

    // MARK: Reads

    /// The document of that `_id`.
    func document(
        _ id: Value, in collection: String, _ transaction: Transaction?
    ) throws(DBError) -> Document? {
        let filter = try filter(["_id": ["$eq": id]], scope(collection))
        var request = FindRequest(namespace(collection), filter: filter)
        request.limit = 1
        request.view = transaction?.view
        return try read(request, countMax: 1).documents.first
    }

    /// Results of a find: at most so many, and about so many bytes.
    func read(
        _ request: FindRequest, countMax: Int = .max, bytesMax: Int = .max
    ) throws(DBError) -> (documents: [Document], isLast: Bool) {
        try read(try engine.openCursor(request), countMax, bytesMax)
    }

    /// A pipeline's results.
    func read(
        _ request: AggregateRequest, countMax: Int, bytesMax: Int
    ) throws(DBError) -> (documents: [Document], isLast: Bool) {
        try read(try engine.openCursor(request), countMax, bytesMax)
    }

    private func read(
        _ cursor: QueryCursor, _ countMax: Int, _ bytesMax: Int
    ) throws(DBError) -> (documents: [Document], isLast: Bool) {
        var sink = DocumentList()
        let limits = BatchLimits(documentsMax: countMax, bytesMax: bytesMax)
        var status = ReadStatus.budgetSpent
        while status == .budgetSpent {
            status = try cursor.advance(reader, limits, .slice, into: &sink)
        }
        return (sink.documents, status == .exhausted)
    }

    func count(_ collection: String, _ filter: Filter) throws(DBError) -> Int64 {
        Int64(
            try engine.count(CountRequest(namespace(collection), filter: filter), reader))
    }

    // MARK: Writes

    /// Stores a document, in place of the one with its `_id`.
    func put(
        _ document: Document, in collection: String, _ transaction: Transaction
    ) throws(DBError) {
        let id = document["_id"] ?? .null
        let old = try self.document(id, in: collection, transaction)
        try apply(
            [DocumentChange(id: id, before: old, after: document)], to: collection, transaction)
    }

    /// Removes the document of that `_id`, if there is one.
    func remove(
        _ id: Value, from collection: String, _ transaction: Transaction
    ) throws(DBError) {
        guard let old = try document(id, in: collection, transaction) else { return }
        try apply([DocumentChange(id: id, before: old, after: nil)], to: collection, transaction)
    }

    /// Makes the changes.
    /// - Parameter isUndo: whether documents come back that were there before: validators aren't
    ///   asked, and what lies in the trash is restored.
    func apply(
        _ changes: [DocumentChange], to collection: String, isUndo: Bool = false,
        _ transaction: Transaction
    ) throws(DBError) {
        guard !changes.isEmpty else { return }
        let keepsDeleted = entry(collection)?.traits.softDelete != nil
        var request = WriteRequest(namespace(collection), time: engine.writeTime)
        request.transaction = transaction
        request.bypassesValidation = isUndo
        for change in changes {
            guard let after = change.after else {
                let target = try target(change.id, collection)
                request.statements.append(.delete(DeleteStatement(target: target, isMulti: false)))
                continue
            }
            if change.before != nil {
                let value = OwnedValue(.document(after))
                request.statements.append(
                    .update(
                        UpdateStatement(
                            target: try target(change.id, collection),
                            update: try Update.parse(value.view), isMulti: false, isUpsert: false,
                            bypassesValidation: isUndo)))
                continue
            }
            if isUndo, keepsDeleted {
                var restore = WriteRequest(namespace(collection), time: engine.writeTime)
                restore.transaction = transaction
                let statement = TrashStatement(
                    .restore, target: try target(change.id, collection), bypassesValidation: true)
                restore.statements.append(.trash(statement))
                if try run(restore).n > 0 { continue }
            }
            try request.insert(after.view)
        }
        if !request.statements.isEmpty { _ = try run(request) }
    }

    private func run(_ request: WriteRequest) throws(DBError) -> StatementResult {
        let outcome = try engine.blocking { engine.write(request, completion: $0) }
        if let error = outcome.results.last?.error { throw error }
        return outcome.results.last ?? StatementResult()
    }

    private func target(_ id: Value, _ collection: String) throws(DBError) -> WriteTarget {
        let filter: Document = ["_id": ["$eq": id]]
        let collation = entry(collection)?.collation
        return WriteTarget(
            filter: try self.filter(filter, scope(collection)), filterDocument: filter,
            recordCollation: collation, hasKeysOfIDs: entry(collection)?.hasKeysOfIDs ?? true)
    }
}
