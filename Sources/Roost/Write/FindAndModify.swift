// findAndModify: one document found, changed or removed, and returned as it was or is.

package import BSON
package import Query
import Storage

/// What findAndModify asks for.
package struct FindAndModifyRequest: Sendable {
    package let namespace: Namespace
    /// `.update` or `.delete`.
    package let statement: WriteStatement
    /// Return the document as it is after the change.
    package let returnsNew: Bool
    /// Which fields to return.
    package let projection: Projection?
    /// Ends the request, at its time limit or from outside.
    package let interrupt: Interrupt
    /// Where the completion runs, as the engine's completer counts; nil: on the writer thread.
    package var completionPlace: Int?
    /// Under what the outcome is kept, so that a repetition is answered with it.
    package var retry: RetryIdentity?
    /// The transaction that the request belongs to.
    package var transaction: Transaction?
    /// What an app user may do; nil for those who bypass the rules.
    package var access: RequestAccess?
    /// The command's time.
    package let time: WriteTime

    package init(
        namespace: Namespace, statement: WriteStatement, returnsNew: Bool,
        projection: Projection?, interrupt: Interrupt, time: WriteTime
    ) {
        self.namespace = namespace
        self.statement = statement
        self.returnsNew = returnsNew
        self.projection = projection
        self.interrupt = interrupt
        self.time = time
    }
}

/// What came of findAndModify.
package struct FindAndModifyOutcome: Sendable {
    /// What was done.
    package var result: StatementResult
    /// The document to return, not projected yet; nil where there is none.
    package var document: Document?
}

/// One findAndModify under way: search on a reader thread, change on the writer thread, again
/// where the document changed in between.
// Unchecked: each step ends by handing the job on, so no two threads run it at once.
final class FindAndModifyJob: @unchecked Sendable {
    private let engine: RoostEngine
    private let request: FindAndModifyRequest
    private let target: WriteTarget
    private let completion: @Sendable (Result<FindAndModifyOutcome, DBError>) -> Void
    private var attempts = 0

    init(
        _ engine: RoostEngine, _ request: FindAndModifyRequest, _ target: WriteTarget,
        completion: @escaping @Sendable (Result<FindAndModifyOutcome, DBError>) -> Void
    ) {
        self.engine = engine
        self.request = request
        self.target = target
        self.completion = completion
    }

    func run() {
        if let point = target.point { apply([point], isCertain: true) } else { look() }
    }

    private func look() {
        do throws(DBError) {
            try request.interrupt.check()
            let search = try DocumentSearch(
                engine, request.namespace, target, isMulti: false, interrupt: request.interrupt,
                chunkMax: 1, for: request.access)
            search.next(engine.readerPool) { outcome in
                switch outcome {
                case .failure(let error): self.completion(.failure(error))
                case .success(let found):
                    self.apply(found.keys, isCertain: found.keys.isEmpty)
                }
            }
        } catch {
            completion(.failure(error))
        }
    }

    /// - Parameter isCertain: whether a mismatch means that there is no document, so that an
    ///   upsert may follow; else the search is repeated.
    private func apply(_ keys: [[UInt8]], isCertain: Bool) {
        let writer = engine.writer
        let request = request
        var options = OperationOptions()
        options.completionPlace = request.completionPlace
        engine.submit(options) { transaction in
            try writer.findAndModify(request, keys, mayUpsert: isCertain, &transaction)
        } completion: { outcome in
            switch outcome {
            case .success(let found) where found.result.blockedBy != nil:
                self.engine.wait(for: found.result.blockedBy ?? 0, self.request.interrupt) {
                    self.goOn(keys, isCertain: isCertain)
                }
            case .failure(let error) where error.code == .duplicateKey && keys.isEmpty:
                self.again(or: .failure(error))
            case .success(let found) where found.result.n == 0 && !isCertain:
                self.again(or: .success(found))
            default: self.completion(outcome)
            }
        }
    }

    /// Goes on when the transaction has ended that was in the way.
    private func goOn(_ keys: [[UInt8]], isCertain: Bool) {
        do throws(DBError) {
            try request.interrupt.check()
            apply(keys, isCertain: isCertain)
        } catch {
            completion(.failure(error))
        }
    }

    private func again(or outcome: Result<FindAndModifyOutcome, DBError>) {
        attempts += 1
        if attempts < WriteJob.Bounds.attemptsMax { look() } else { completion(outcome) }
    }
}

extension WriterState {
    /// Changes or removes the first of `keys` that still matches, or upserts.
    /// - Throws: `DBError` before any put; `StorageError`.
    func findAndModify(
        _ request: FindAndModifyRequest, _ keys: [[UInt8]], mayUpsert: Bool,
        _ transaction: inout WriteTransaction
    ) throws -> FindAndModifyOutcome {
        let known = try request.retry.map { try KnownOutcomes($0, transaction) }
        if let known, let result = known.result(0) {
            return FindAndModifyOutcome(result: result, document: known.document(0))
        }
        do {
            let outcome = try change(request, keys, mayUpsert: mayUpsert, &transaction)
            if outcome.result.n > 0 {
                try known?.save(
                    [outcome.result], from: 0, document: outcome.document, &transaction)
            }
            return outcome
        } catch let error as BlockedByTransaction {
            try finishOperation(&transaction)
            return FindAndModifyOutcome(result: StatementResult(blockedBy: error.owner))
        }
    }

    private func change(
        _ request: FindAndModifyRequest, _ keys: [[UInt8]], mayUpsert: Bool,
        _ transaction: inout WriteTransaction
    ) throws -> FindAndModifyOutcome {
        watch(request.interrupt)
        admit(request.access)
        defer { admit(nil) }
        var images = DocumentImages.wanted
        var result = StatementResult()
        switch request.statement {
        case .update(let update):
            for key in keys where result.n == 0 {
                result = try apply(
                    update, to: key.span.bytes, request.namespace, time: request.time,
                    images: &images, &transaction)
            }
            if result.n == 0, mayUpsert, update.isUpsert {
                images = .wanted
                result = try upsert(
                    update, request.namespace, time: request.time, images: &images, &transaction)
            }
        case .delete(let delete):
            for key in keys where result.n == 0 {
                result = try apply(
                    delete, to: key.span.bytes, request.namespace, images: &images, &transaction)
            }
        case .insert, .trash, .refused: break
        }
        try finishOperation(&transaction)
        guard result.n > 0 else { return FindAndModifyOutcome(result: result, document: nil) }
        return FindAndModifyOutcome(
            result: result,
            document: images.shown(request.returnsNew ? images.after : images.before))
    }
}
