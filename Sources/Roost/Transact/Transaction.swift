// Multi-document transactions.
//
//     statements   read a snapshot, and write to a draft over it (Storage/Draft): the same code that
//                  runs on the writer thread runs on the draft, so a transaction sees its own writes
//                  in documents and indexes. The writer is never held.
//     each write   is checked early: against what was committed since the snapshot, and against
//                  what other open transactions mean to write (IntentTable).
//     commit       is one operation on the writer thread: it checks that no document in the write
//                  set and no collection changed since the snapshot, and repeats the changes
//                  (TransactionCommit). Index entries are derived anew there.
//
// A conflict is `writeConflict`; clients run the transaction again. An error of a statement ends
// the transaction, as in MongoDB.

package import BSON
import Query
import Storage
import Synchronization

/// One transaction. Statements come one after another; `abort` may come at any time.
// Unchecked: `writer`, `checked` and `documentTables` are used inside `view.use` only.
package final class Transaction: @unchecked Sendable {
    /// The most that a transaction's changes may take in memory, in bytes.
    package static let bytesMax = 64 << 20
    /// How long a transaction may last, in seconds.
    package static let secondsMax = 60

    /// Where a transaction stands.
    package enum Phase: Sendable {
        case open, committing, committed, aborted
    }

    private struct State {
        var phase = Phase.open
        var waiting: [@Sendable (Result<Void, DBError>) -> Void] = []
        /// The documents that it means to change.
        var claims: Set<TableKey> = []
    }

    /// What its reads see.
    package let view: ReadView
    private let engine: RoostEngine
    private let writer: WriterState
    private let start: CatalogSnapshot
    private let startedAt = MonotonicClock.nanoseconds
    private let state = Mutex(State())
    /// Changes that were checked against others.
    private var checked = 0
    /// The tables of documents that were written to.
    private var documentTables: [TableID: Namespace] = [:]

    init(_ engine: RoostEngine) throws(DBError) {
        self.engine = engine
        view = try ReadView(engine)
        var catalog = CatalogSnapshot()
        do {
            _ = try view.use { reader, state in
                catalog = state.catalog
                reader.beginDraft(bytesMax: Self.bytesMax)
            }
        } catch {
            throw DBError(engineFailure: error)
        }
        start = catalog
        writer = WriterState(draftOf: catalog)
    }

    /// Where it stands.
    package var phase: Phase { state.withLock { $0.phase } }

    /// Whether it is older than `secondsMax`.
    package var isExpired: Bool {
        MonotonicClock.nanoseconds - startedAt > UInt64(Self.secondsMax) * 1_000_000_000
    }

    // MARK: Statements

    /// Runs a write command on the draft; answers on a pool thread.
    func write(
        _ request: WriteRequest,
        completion: @escaping @Sendable (Result<WriteOutcome, DBError>) -> Void
    ) {
        run(completion) { reader in
            var outcome = WriteOutcome()
            try self.checkMayWrite(request.namespaces)
            for position in request.statements.indices {
                let result = try self.apply(position, of: request, reader)
                if let error = result.error, error.code.endsCommand { throw error }
                outcome.results.append(result)
                if result.error != nil { break }
            }
            if outcome.results.last?.error != nil { self.abort() }
            outcome.operationTime = self.engine.clock.newest
            return outcome
        }
    }

    /// Runs findAndModify on the draft; answers on a pool thread.
    func findAndModify(
        _ request: FindAndModifyRequest, _ target: WriteTarget,
        completion: @escaping @Sendable (Result<FindAndModifyOutcome, DBError>) -> Void
    ) {
        run(completion) { reader in
            try self.checkMayWrite([request.namespace])
            let keys = try self.keys(
                of: target, request.namespace, isMulti: false, interrupt: request.interrupt, reader)
            return try self.edit(request.namespace, reader) { transaction in
                try self.writer.findAndModify(request, keys, mayUpsert: true, &transaction)
            }
        }
    }

    /// Makes a collection, which others see after the commit.
    package func createCollection(
        _ namespace: Namespace, options: Document,
        completion: @escaping @Sendable (Result<Void, DBError>) -> Void
    ) {
        run(completion) { reader in
            try self.edit(namespace, reader) { transaction in
                guard self.writer.catalog[namespace] == nil else {
                    throw DBError(
                        .namespaceExists, "Collection \(namespace) already exists.")
                }
                _ = try self.writer.create(namespace, options: options, &transaction)
            }
        }
    }

    /// Makes indexes on a collection that the transaction made and that is empty yet.
    package func createIndexes(
        _ namespace: Namespace, _ specifications: [IndexSpecification],
        completion: @escaping @Sendable (Result<IndexesCreated, DBError>) -> Void
    ) {
        run(completion) { reader in
            try self.edit(namespace, reader) { transaction in
                let plan = try self.writer.addIndexes(namespace, specifications, &transaction)
                let isNew = self.start[namespace] == nil
                guard plan.toBuild.isEmpty, isNew || plan.created.before == plan.created.after
                else {
                    throw DBError(
                        .operationNotSupportedInTransaction,
                        "Cannot create new indexes on existing collection \(namespace) in a "
                            + "multi-document transaction.")
                }
                return plan.created
            }
        }
    }

    private func run<R: Sendable>(
        _ completion: @escaping @Sendable (Result<R, DBError>) -> Void,
        _ body: @escaping @Sendable (Reader) throws -> R
    ) {
        do throws(DBError) {
            try engine.readerPool.submitSlices { reader in
                let outcome: Result<R, DBError>
                do {
                    outcome = .success(try body(reader))
                } catch {
                    self.abort()
                    outcome = .failure(DBError(engineFailure: error))
                }
                completion(outcome)
                return .done
            }
        } catch {
            abort()
            completion(.failure(error))
        }
    }

    private func apply(
        _ position: Int, of request: WriteRequest, _ reader: Reader
    ) throws -> StatementResult {
        let statement = request.statements[position]
        let target: WriteTarget
        var isMulti = false
        let namespace: Namespace
        switch statement {
        case .refused(let error): return StatementResult(error: error)
        case .insert(let collection, _):
            return try applyDirectly(
                position, of: request, to: request.namespaces[collection], reader)
        case .update(let update):
            target = update.target
            isMulti = update.isMulti
        case .delete(let delete):
            target = delete.target
            isMulti = delete.isMulti
        }
        namespace = request.namespaces[target.collection]
        guard target.point == nil else {
            return try applyDirectly(position, of: request, to: namespace, reader)
        }
        let keys = try keys(
            of: target, namespace, isMulti: isMulti, interrupt: request.interrupt, reader)
        return try edit(namespace, reader) { transaction in
            try self.writer.runScan(
                statement, keys, namespace, time: request.time, mayUpsert: keys.isEmpty,
                interrupt: request.interrupt, timeMax: nil, &transaction
            ).result
        }
    }

    /// Runs a statement that names its document.
    private func applyDirectly(
        _ position: Int, of request: WriteRequest, to namespace: Namespace, _ reader: Reader
    ) throws -> StatementResult {
        try edit(namespace, reader) { transaction in
            try self.writer.run(position..<position + 1, of: request, &transaction).first
                ?? StatementResult()
        }
    }

    /// The record keys of the documents that a statement is about, all of them before the first
    /// change.
    private func keys(
        of target: WriteTarget, _ namespace: Namespace, isMulti: Bool,
        interrupt: Interrupt?, _ reader: Reader
    ) throws -> [[UInt8]] {
        if let point = target.point { return [point] }
        let search = try DocumentSearch(
            engine, namespace, target, isMulti: isMulti, interrupt: interrupt, chunkMax: .max,
            view: view)
        return try search.all(reader)
    }

    /// Changes the draft and checks what was changed.
    private func edit<R: Sendable>(
        _ namespace: Namespace, _ newest: Reader,
        _ body: (inout WriteTransaction) throws -> R
    ) throws -> R {
        let result = try view.use { reader, state in
            // The log is written at the commit.
            defer { self.writer.log.discard() }
            let result = try reader.edit(body)
            state.catalog = self.writer.catalog
            if let entry = self.writer.catalog[namespace] {
                self.documentTables[entry.table] = namespace
            }
            try self.checkNewChanges(reader, newest)
            return result
        }
        guard let result else { throw DBError(.internalError, "The transaction is in use") }
        return result
    }

    private func checkMayWrite(_ namespaces: [Namespace]) throws {
        _ = try view.use { _, state in
            for namespace in namespaces {
                guard let entry = state.catalog[namespace] else { continue }
                try entry.checkIsNoView()
                guard entry.traits.capped == nil else {
                    throw DBError(
                        .operationNotSupportedInTransaction,
                        "Collection '\(namespace)' is a capped collection. Writes in transactions "
                            + "are not allowed on capped collections.")
                }
            }
        }
    }

    // MARK: Conflicts

    /// The error of a transaction that loses against another.
    static var conflict: DBError {
        DBError(
            .writeConflict,
            "Caused by :: Write conflict during plan execution and yielding is disabled. :: Please "
                + "retry your operation or multi-document transaction.")
    }

    /// Compares what the last statement changed with what others committed or mean to change.
    private func checkNewChanges(_ reader: Reader, _ newest: Reader) throws {
        let changes = reader.draftChanges
        defer { checked = changes.count }
        for change in changes[checked...] where documentTables[change.table] != nil {
            let key = TableKey(table: change.table, key: change.key)
            guard try claim(key) else { continue }
            guard !change.table.isInDraft else { continue }
            let isSame = try reader.readBelowDraft { base throws(StorageError) in
                try newest.read { now throws(StorageError) in
                    try change.isSame(base, now)
                }
            }
            guard isSame else { throw Self.conflict }
        }
    }

    /// Claims a document; false where it was claimed before.
    private func claim(_ key: TableKey) throws(DBError) -> Bool {
        let claimed = state.withLock { state -> Result<Bool, DBError> in
            guard state.phase == .open else { return .failure(Self.aborted) }
            guard !state.claims.contains(key) else { return .success(false) }
            guard engine.intents.claim(key, by: ObjectIdentifier(self)) else {
                return .failure(Self.conflict)
            }
            state.claims.insert(key)
            return .success(true)
        }
        return try claimed.get()
    }

    // MARK: End

    /// Makes the changes durable. A commit under way or done is answered as it ends.
    /// - Parameter retry: under what the outcome is kept.
    /// - Throws: `writeConflict` (112), `noSuchTransaction` (251) where it was aborted, through
    ///   the completion.
    package func commit(
        _ retry: RetryIdentity, completion: @escaping @Sendable (Result<Void, DBError>) -> Void
    ) {
        let phase = state.withLock { state in
            defer {
                if state.phase == .open { state.phase = .committing }
            }
            if state.phase == .open || state.phase == .committing {
                state.waiting.append(completion)
            }
            return state.phase
        }
        switch phase {
        case .open: engine.readerPool.submit { _ in self.beginCommit(retry) }
        case .committing: return
        case .committed: completion(.success(()))
        case .aborted: completion(.failure(Self.aborted))
        }
    }

    private func beginCommit(_ retry: RetryIdentity) {
        do {
            let commit = try view.use { reader, _ in
                TransactionCommit(
                    reader, changes: reader.endDraft(), from: self.start, to: self.writer.catalog,
                    retry)
            }
            guard let commit, !commit.isEmpty else { return finish(nil) }
            let writer = engine.writer
            let options = OperationOptions(.nested, byteCount: commit.byteCount)
            engine.submit(options) { transaction in
                try writer.commit(commit, &transaction)
            } completion: { outcome in
                switch outcome {
                case .success: self.finish(nil)
                case .failure(let error): self.finish(error)
                }
            }
        } catch {
            finish(DBError(engineFailure: error))
        }
    }

    /// Gives the transaction up; one that is being committed goes on.
    package func abort() {
        let claims = state.withLock { state -> Set<TableKey>? in
            guard state.phase == .open else { return nil }
            state.phase = .aborted
            defer { state.claims = [] }
            return state.claims
        }
        guard let claims else { return }
        engine.intents.release(claims)
        letGo()
    }

    private func finish(_ error: DBError?) {
        let (waiting, claims) = state.withLock { state in
            state.phase = error == nil ? .committed : .aborted
            defer {
                state.waiting = []
                state.claims = []
            }
            return (state.waiting, state.claims)
        }
        engine.intents.release(claims)
        let answer: Result<Void, DBError> = error.map { .failure($0) } ?? .success(())
        for completion in waiting { completion(answer) }
        letGo()
    }

    /// Gives up the snapshot; on the pool, since it may be in use, also by whoever calls this.
    private func letGo() {
        engine.readerPool.submit { _ in self.view.end(Self.aborted) }
    }

    private static var aborted: DBError {
        DBError(.noSuchTransaction, "The transaction has been aborted.")
    }
}

extension RoostEngine {
    /// Begins a transaction on the newest snapshot.
    /// - Throws: `exceededMemoryLimit` where no more snapshots can be had.
    package func beginTransaction() throws(DBError) -> Transaction {
        try Transaction(self)
    }
}

extension DraftChange {
    /// Whether the snapshot has that value under the key; nil for none.
    func isSame(
        _ base: borrowing ReadTransaction, _ now: [UInt8]?
    ) throws(StorageError) -> Bool {
        guard let old = try base.value(table, key.span.bytes) else { return now == nil }
        return now?.span.bytes.equals(old) ?? false
    }

    /// Whether both snapshots have the same under the key.
    func isSame(
        _ base: borrowing ReadTransaction, _ now: borrowing ReadTransaction
    ) throws(StorageError) -> Bool {
        let new = try now.value(table, key.span.bytes)
        guard let old = try base.value(table, key.span.bytes) else { return new == nil }
        return new?.equals(old) ?? false
    }
}
