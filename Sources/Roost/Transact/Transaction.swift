// Multi-document transactions.
//
//     statements   read a snapshot, and write to a draft over it (Storage/Draft): the same code that
//                  runs on the writer thread runs on the draft, so a transaction sees its own writes
//                  in documents and indexes. The writer is never held.
//     each write   is checked early: against what was committed since the snapshot, and against
//                  what other open transactions mean to write (IntentTable).
//     commit       is one operation on the writer thread: it checks that no document in the write
//                  set and no collection changed since the snapshot, and repeats the changes
//                  (TransactionCommit). Index entries are derived anew there. A serializable one
//                  first checks, on a reader thread, that what it read is as it was (ReadSet).
//
// A conflict is `writeConflict`; clients run the transaction again. An error of a statement ends
// the transaction, as in MongoDB. Writes outside of transactions wait for those that are open.

package import BSON
import Query
import Storage
import Synchronization

/// One transaction. Statements come one after another; `abort` may come at any time.
// Unchecked: `writer`, `checked` and `documentTables` are used inside `view.use` only.
package final class Transaction: @unchecked Sendable {
    /// Where a transaction stands.
    package enum Phase: Sendable {
        case open, committing, committed, aborted
    }

    private struct State {
        var phase = Phase.open
        var waiting: [@Sendable (Result<Void, DBError>) -> Void] = []
        /// What it means to change.
        var claims: Set<TableKey> = []
        /// Why it was aborted.
        var end: DBError?
    }

    /// What its reads see.
    package let view: ReadView
    private let engine: RoostEngine
    /// Its number among the engine's open transactions.
    private let number: UInt64
    private let writer: WriterState
    private let start: CatalogSnapshot
    private let startedAt = MonotonicClock.nanoseconds
    private let state = Mutex(State())
    /// Changes that were checked against others.
    private var checked = 0
    /// The changes that replace whole documents.
    private var replacements: Set<Int> = []
    /// The changes that are part of restoring documents from the trash.
    private var restorations: Set<Int> = []
    /// The tables of documents that were written to.
    private var documentTables: Set<TableID> = []
    /// The tables of unique indexes of those documents.
    private var uniqueTables: Set<TableID> = []
    /// What the rules are asked again at the commit.
    private let afterChecks = AfterChecks()

    fileprivate init(
        _ engine: RoostEngine, _ number: UInt64, isSerializable: Bool
    ) throws(DBError) {
        self.engine = engine
        self.number = number
        view = try ReadView(engine, keeping: isSerializable ? ReadSet() : nil)
        var catalog = CatalogSnapshot()
        do {
            _ = try view.use { reader, state in
                catalog = state.catalog
                reader.beginDraft(bytesMax: engine.transactions.limits.bytesMax)
            }
        } catch {
            throw DBError(engineFailure: error)
        }
        start = catalog
        writer = WriterState(draftOf: catalog)
        writer.afterChecks = afterChecks
    }

    /// Where it stands.
    package var phase: Phase { state.withLock { $0.phase } }

    /// Why it was aborted, if it was.
    package var end: DBError? { state.withLock { $0.end } }

    /// Whether it has lasted longer than it may.
    package var isExpired: Bool {
        Double(MonotonicClock.nanoseconds - startedAt) > engine.transactions.secondsMax * 1e9
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
                of: target, request.namespace, isMulti: false, interrupt: request.interrupt,
                for: request.access, reader)
            return try self.edit(request.namespace, reader, request.statement) { transaction in
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
            return try edit(request.namespaces[collection], reader) { transaction in
                try self.writer.run(position..<position + 1, of: request, &transaction).first
                    ?? StatementResult()
            }
        case .update(let update):
            target = update.target
            isMulti = update.isMulti
        case .delete(let delete):
            target = delete.target
            isMulti = delete.isMulti
        case .trash(let trash):
            target = trash.target
            isMulti = trash.limit != 1
        }
        namespace = request.namespaces[target.collection]
        if let point = target.point {
            view.reads?.note(namespace, key: point)
            return try edit(namespace, reader, statement) { transaction in
                try self.writer.run(position..<position + 1, of: request, &transaction).first
                    ?? StatementResult()
            }
        }
        let keys = try keys(
            of: target, namespace, isMulti: isMulti, among: statement.trash,
            interrupt: request.interrupt, for: request.access, reader)
        return try edit(namespace, reader, statement) { transaction in
            try self.writer.runScan(
                statement, keys, namespace, time: request.time, mayUpsert: keys.isEmpty,
                interrupt: request.interrupt, timeMax: nil, for: request.access, &transaction
            ).result
        }
    }

    /// The record keys of the documents that a statement is about, all of them before the first
    /// change.
    private func keys(
        of target: WriteTarget, _ namespace: Namespace, isMulti: Bool,
        among trash: TrashStatement? = nil, interrupt: Interrupt?, for access: RequestAccess?,
        _ reader: Reader
    ) throws -> [[UInt8]] {
        if let point = target.point {
            view.reads?.note(namespace, key: point)
            return [point]
        }
        let search = try DocumentSearch(
            engine, namespace, target, isMulti: isMulti, interrupt: interrupt, chunkMax: .max,
            view: view, among: trash, for: access)
        return try search.all(reader)
    }

    /// Changes the draft and checks what was changed.
    private func edit<R: Sendable>(
        _ namespace: Namespace, _ newest: Reader, _ statement: WriteStatement? = nil,
        _ body: (inout WriteTransaction) throws -> R
    ) throws -> R {
        let result = try view.use { reader, state in
            // The log is written at the commit.
            defer { self.writer.log.discard() }
            let result = try reader.edit(body)
            let changes = self.checked..<reader.draftChanges.count
            if statement?.isReplacement == true { self.replacements.formUnion(changes) }
            if statement?.trash?.action == .restore { self.restorations.formUnion(changes) }
            state.catalog = self.writer.catalog
            if let entry = self.writer.catalog[namespace] {
                self.documentTables.insert(entry.table)
                for index in entry.indexes where index.isUnique {
                    self.uniqueTables.insert(index.table)
                }
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
                guard entry.traits.timeSeries == nil else {
                    throw DBError(
                        .operationNotSupportedInTransaction,
                        "Cannot write to the time-series collection '\(namespace)' in a "
                            + "transaction")
                }
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
        for change in changes[checked...] where !change.table.isInDraft {
            let isSame: Bool
            if documentTables.contains(change.table) || change.isTrashRemoval {
                guard try claim(TableKey(table: change.table, key: change.key)) else { continue }
                isSame = try compare(reader, newest) { base, now throws(StorageError) in
                    try change.isSame(base, now)
                }
            } else if uniqueTables.contains(change.table),
                let parts = IndexEntryKey.parts(in: change.key.span.bytes)
            {
                let key = TableKey(table: change.table, key: [UInt8](copying: parts))
                guard try claim(key) else { continue }
                isSame = try compare(reader, newest) { base, now throws(StorageError) in
                    try UniqueCheck.isSame(key, base, now)
                }
            } else {
                continue
            }
            guard isSame else { throw Self.conflict }
        }
    }

    /// Runs `body` with the transaction's snapshot, without its changes, and the newest one.
    private func compare(
        _ reader: Reader, _ newest: Reader,
        _ body: (borrowing ReadTransaction, borrowing ReadTransaction) throws(StorageError) -> Bool
    ) throws -> Bool {
        do {
            return try reader.readBelowDraft { base throws(StorageError) in
                try newest.read { now throws(StorageError) in try body(base, now) }
            }
        } catch StorageError.noSuchTable {
            // Dropped since.
            return false
        }
    }

    /// Claims a key; false where it was claimed before.
    private func claim(_ key: TableKey) throws(DBError) -> Bool {
        let claimed = state.withLock { state -> Result<Bool, DBError> in
            guard state.phase == .open else { return .failure(state.end ?? Self.aborted) }
            guard !state.claims.contains(key) else { return .success(false) }
            guard engine.intents.claim(key, by: number) else { return .failure(Self.conflict) }
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
        case .open: engine.readerPool.submit { newest in self.beginCommit(retry, newest) }
        case .committing: return
        case .committed: completion(.success(()))
        case .aborted: completion(.failure(end ?? Self.aborted))
        }
    }

    private func beginCommit(_ retry: RetryIdentity, _ newest: Reader) {
        do {
            // From here on the commit alone reads the snapshot.
            let reader = try view.take(Self.aborted)
            let commit = TransactionCommit(
                number, reader, changes: reader.endDraft(), replacements: replacements,
                restorations: restorations, from: start, to: writer.catalog, retry, view,
                afterChecks)
            guard !commit.isEmpty else { return finish(nil, reader) }
            check(commit, newest, round: 1)
        } catch {
            finish(DBError(engineFailure: error), nil)
        }
    }

    /// How often the reads are checked beside the writer, which goes on meanwhile.
    private static let roundsMax = 8

    /// Checks what was read, and hands the commit to the writer thread.
    private func check(_ commit: TransactionCommit, _ newest: Reader, round: Int) {
        var commit = commit
        do {
            if let reads = commit.reads {
                let since = commit.checkedUntil
                commit.checkedUntil =
                    try newest.read { now in
                        try reads.check(
                            since: since, engine.catalog, now, commit.reader, from: start)
                    } ?? since
            }
        } catch {
            return finish(DBError(engineFailure: error), commit.reader)
        }
        let (writer, last) = (engine.writer, commit)
        let options = OperationOptions(.nested, byteCount: commit.byteCount)
        engine.submit(options) { transaction in
            try writer.commit(last, mayBeBehind: round < Self.roundsMax, &transaction)
        } completion: { outcome in
            switch outcome {
            case .success(true): self.finish(nil, last.reader)
            case .success(false):
                self.engine.readerPool.submit { newest in
                    self.check(last, newest, round: round + 1)
                }
            case .failure(let error): self.finish(error, last.reader)
            }
        }
    }

    /// Gives the transaction up; one that is being committed goes on.
    package func abort() {
        end(Self.aborted)
    }

    /// Gives the transaction up for that reason, which later statements are told.
    func end(_ reason: DBError) {
        let claims = state.withLock { state -> Set<TableKey>? in
            guard state.phase == .open else { return nil }
            state.phase = .aborted
            state.end = reason
            defer { state.claims = [] }
            return state.claims
        }
        guard let claims else { return }
        leave(claims)
        // On the pool, since it may be in use, also by whoever calls this.
        engine.readerPool.submit { _ in self.view.end(reason) }
    }

    private func finish(_ error: DBError?, _ reader: Reader?) {
        reader?.invalidate()
        let (waiting, claims) = state.withLock { state in
            state.phase = error == nil ? .committed : .aborted
            state.end = error
            defer {
                state.waiting = []
                state.claims = []
            }
            return (state.waiting, state.claims)
        }
        leave(claims)
        let answer: Result<Void, DBError> = error.map { .failure($0) } ?? .success(())
        for completion in waiting { completion(answer) }
    }

    private func leave(_ claims: Set<TableKey>) {
        engine.intents.end(number, claims)
        engine.transactions.remove(number)
    }

    private static var aborted: DBError {
        DBError(.noSuchTransaction, "The transaction has been aborted.")
    }
}

extension RoostEngine {
    /// Begins a transaction on the newest snapshot.
    /// - Parameter isSerializable: whether what it reads must be as it was when it commits.
    /// - Throws: `temporarilyUnavailable` (365) where too many are open.
    package func beginTransaction(isSerializable: Bool = false) throws(DBError) -> Transaction {
        let number = try transactions.admit(at: clock.newest)
        intents.begin(number)
        do throws(DBError) {
            let transaction = try Transaction(self, number, isSerializable: isSerializable)
            transactions.add(transaction, number)
            return transaction
        } catch {
            intents.end(number, [])
            transactions.remove(number)
            throw error
        }
    }
}

extension DraftChange {
    /// Whether it removes a record of the trash: its document was restored or purged.
    var isTrashRemoval: Bool {
        table == .trash && value == nil && TrashKey.id(in: key.span.bytes) != nil
    }

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

extension WriteStatement {
    /// Whether it replaces whole documents.
    fileprivate var isReplacement: Bool {
        if case .update(let update) = self { update.update.isReplacement } else { false }
    }
}
