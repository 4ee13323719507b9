// Running a write command.
//
// Statements that name their documents (inserts, one `_id`) go to the writer thread together, in
// bounded operations. Others first look for their documents on a reader thread and hand record
// keys to the writer in chunks, where the filter is checked again: the writer never scans. A
// multi-document statement is therefore atomic by chunk.
//
// A job passes from thread to thread (caller, reader pool, writer, back) but is on one at a time.

import BSON
import Query
import Storage

/// One write command under way.
// Unchecked: each step ends by handing the job on, so no two threads run it at once.
final class WriteJob: @unchecked Sendable {
    /// Bounds of one operation on the writer thread.
    enum Bounds {
        static let statementsMax = 1_000
        static let bytesMax = 4 * 1024 * 1024
        /// Documents that a multi-document statement hands over at once.
        static let chunkMax = 1_000
        /// How long the writer is at a chunk before others have their turn; a document is never
        /// left half done.
        static let chunkTimeMax = Duration.milliseconds(10)
        /// How often a single-document statement looks again for a document that changed under it.
        static let attemptsMax = 100
    }

    private let engine: RoostEngine
    private let request: WriteRequest
    private let completion: @Sendable (Result<WriteOutcome, DBError>) -> Void
    private var results: [StatementResult] = []
    private var next = 0
    /// The scanning statement under way.
    private var scan: Scan?

    init(
        _ engine: RoostEngine, _ request: WriteRequest,
        completion: @escaping @Sendable (Result<WriteOutcome, DBError>) -> Void
    ) {
        self.engine = engine
        self.request = request
        self.completion = completion
    }

    /// Goes on with the next statements.
    func run() {
        do throws(DBError) {
            try request.interrupt?.check()
        } catch {
            return completion(.failure(error))
        }
        let end = endOfDirectRun()
        if end > next {
            runDirect(next..<end)
        } else if next < request.statements.count {
            begin(request.statements[next])
        } else {
            finish()
        }
    }

    private func finish() {
        completion(
            .success(WriteOutcome(results: results, operationTime: engine.clock.newest)))
    }

    // MARK: Statements that name their documents

    /// The end of the statements that can go to the writer in one operation.
    private func endOfDirectRun() -> Int {
        var end = next
        var bytes = 0
        while end < request.statements.count, end - next < Bounds.statementsMax {
            switch request.statements[end] {
            case .insert(_, let document): bytes += document.count
            case .update(let update):
                // An upsert by `_id` of a filter that also has other conditions is direct too: the
                // writer finds the document or inserts.
                guard update.target.point != nil else { return end }
            case .delete(let delete): guard delete.target.point != nil else { return end }
            case .trash(let trash): guard trash.target.point != nil else { return end }
            case .refused: break
            }
            if bytes > Bounds.bytesMax, end > next { break }
            end += 1
        }
        return end
    }

    private func runDirect(_ range: Range<Int>) {
        let writer = engine.writer
        let request = request
        engine.submit(request.operationOptions(range, engine)) { transaction in
            try writer.run(range, of: request, &transaction)
        } completion: { outcome in
            switch outcome {
            case .failure(let error): self.fail(error)
            case .success(var results):
                let blocked = results.last?.blockedBy
                if blocked != nil { results.removeLast() }
                self.results += results
                self.next += results.count
                if let blocked {
                    return self.engine.wait(for: blocked, self.request.interrupt) { self.run() }
                }
                if let error = results.last?.error, error.code.endsCommand {
                    return self.completion(.failure(error))
                }
                if self.isEndedByError { self.finish() } else { self.run() }
            }
        }
    }

    /// The store refused: what was acknowledged before stands, the rest does not run.
    private func fail(_ error: DBError) {
        guard !results.isEmpty, !error.code.endsCommand else {
            completion(.failure(error))
            return
        }
        results.append(StatementResult(error: error))
        finish()
    }

    private var isEndedByError: Bool {
        request.isOrdered && results.last?.error != nil
    }

    // MARK: Statements that look for their documents

    /// A statement that finds its documents by a plan.
    private struct Scan {
        let statement: WriteStatement
        let target: WriteTarget
        let isMulti: Bool
        /// The search under way; nil before it began and after its end.
        var search: DocumentSearch?
        /// Record keys that were handed over: an update may move a document within the index that
        /// is being scanned, and must not meet it twice.
        var seen: Set<[UInt8]> = []
        var result = StatementResult()
        var attempts = 0
    }

    private func begin(_ statement: WriteStatement) {
        switch statement {
        case .update(let update):
            let entry = engine.collection(request.namespaces[update.target.collection])
            do throws(DBError) {
                // Also where nothing matches, so that the writer would not be asked.
                try entry?.traits.timeSeries?.check(update)
            } catch {
                return end(error: error)
            }
            scan = Scan(statement: statement, target: update.target, isMulti: update.isMulti)
        case .delete(let delete):
            scan = Scan(statement: statement, target: delete.target, isMulti: delete.isMulti)
        case .trash(let trash):
            scan = Scan(statement: statement, target: trash.target, isMulti: trash.limit != 1)
        case .insert, .refused: return
        }
        if request.retry != nil, scan?.isMulti == true { return end(error: Self.notRepeatable) }
        look()
    }

    /// Outcomes are kept by statement, with the operation that they are of: one of many documents
    /// is made in several.
    private static let notRepeatable = DBError(
        .invalidOptions,
        "Cannot use (or request) retryable writes with multi=true or limit=0: leave txnNumber out, "
            + "or name one document")

    /// Finds the next chunk of documents on a reader thread.
    private func look() {
        guard var scan else { return }
        do throws(DBError) {
            let search: DocumentSearch
            if let open = scan.search {
                search = open
            } else {
                search = try DocumentSearch(
                    engine, request.namespaces[scan.target.collection], scan.target,
                    isMulti: scan.isMulti, interrupt: request.interrupt,
                    chunkMax: Bounds.chunkMax, among: scan.statement.trash, for: request.access)
            }
            scan.search = search
            self.scan = scan
            search.next(engine.readerPool) { outcome in
                switch outcome {
                case .failure(let error): self.end(error: error)
                case .success(let found): self.found(found)
                }
            }
        } catch {
            end(error: error)
        }
    }

    private func found(_ found: DocumentSearch.Found) {
        guard var scan else { return }
        if found.isLast { scan.search = nil }
        let keys = found.keys.filter { scan.seen.insert($0).inserted || !scan.isMulti }
        self.scan = scan
        if keys.isEmpty, !found.isLast {
            look()
        } else {
            apply(keys, isLast: found.isLast)
        }
    }

    /// Hands a chunk to the writer thread; `later` are keys of the chunk that follow.
    private func apply(_ keys: [[UInt8]], later: ArraySlice<[UInt8]> = [], isLast: Bool) {
        guard let scan else { return }
        let writer = engine.writer
        let namespace = request.namespaces[scan.target.collection]
        let time = request.time
        let statement = scan.statement
        let mayUpsert = keys.isEmpty && isLast && scan.result.n == 0
        // A repeated statement that finds nothing any more may have done its work the first time.
        guard !keys.isEmpty || mayUpsert || request.retry != nil else {
            end(error: nil)
            return
        }
        let retry = request.retry.map { ($0, position: next) }
        let interrupt = request.interrupt
        let access = request.access
        var options = OperationOptions()
        options.mayUseReserve = statement.givesRoom(engine.collection(namespace))
        engine.submit(options) { transaction in
            try writer.runScan(
                statement, keys, namespace, time: time, mayUpsert: mayUpsert, retry: retry,
                interrupt: interrupt, for: access, &transaction)
        } completion: { outcome in
            switch outcome {
            case .failure(let error) where error.code == .outOfDiskSpace && keys.count > 1:
                // A smaller step needs less room at once.
                let half = keys.count / 2
                self.apply(
                    Array(keys[..<half]), later: keys[half...] + later, isLast: isLast)
            case .failure(let error): self.end(error: error)
            case .success(let chunk):
                self.applied(
                    chunk.result, rest: keys.suffix(from: chunk.handled) + later,
                    isLast: isLast, had: keys.count)
            }
        }
    }

    /// - Parameter rest: what the writer's time did not reach, or a transaction blocks.
    private func applied(
        _ result: StatementResult, rest: ArraySlice<[UInt8]>, isLast: Bool, had count: Int
    ) {
        guard var scan else { return }
        scan.result.n += result.n
        scan.result.modified += result.modified
        scan.result.upsertedID = result.upsertedID
        scan.result.isReplayed = result.isReplayed
        if result.blockedBy == nil { scan.attempts += 1 }
        self.scan = scan
        if let blocked = result.blockedBy {
            engine.wait(for: blocked, request.interrupt) { self.goOn(rest, isLast: isLast) }
        } else if let error = result.error {
            // A document that appeared since the search: look again, it may match now.
            let mayRetry = count == 0 && error.code == .duplicateKey && scan.attempts < 2
            if mayRetry { look() } else { end(error: error) }
        } else if scan.isMulti {
            if !rest.isEmpty { return goOn(rest, isLast: isLast) }
            if isLast { end(error: nil) } else { look() }
        } else if scan.result.n == 0, count > 0, scan.attempts < Bounds.attemptsMax {
            look()
        } else {
            end(error: nil)
        }
    }

    /// Hands over the rest of a chunk, unless the statement was ended.
    private func goOn(_ rest: ArraySlice<[UInt8]>, isLast: Bool) {
        do throws(DBError) {
            try request.interrupt?.check()
            apply(Array(rest), isLast: isLast)
        } catch {
            end(error: error)
        }
    }

    private func end(error: DBError?) {
        if let error, error.code.endsCommand { return completion(.failure(error)) }
        var result = scan?.result ?? StatementResult()
        result.error = error
        scan = nil
        results.append(result)
        next += 1
        if isEndedByError { finish() } else { run() }
    }
}

extension WriterState {
    /// Applies a statement to the documents that a search found, as far as they still match.
    /// - Returns: what came of it, and how many documents it got to within `timeMax` (nil: all), or
    ///   before one that a transaction blocks.
    func runScan(
        _ statement: WriteStatement, _ keys: [[UInt8]], _ namespace: Namespace, time: WriteTime,
        mayUpsert: Bool, retry: (identity: RetryIdentity, position: Int)? = nil,
        interrupt: Interrupt?, timeMax: Duration? = WriteJob.Bounds.chunkTimeMax,
        for access: RequestAccess?,
        _ transaction: inout WriteTransaction
    ) throws -> (result: StatementResult, handled: Int) {
        let known = try retry.map { try KnownOutcomes($0.identity, transaction) }
        if let retry, let result = known?.result(retry.position) { return (result, keys.count) }
        let end = timeMax.map { ContinuousClock.now + $0 }
        watch(interrupt)
        admit(access)
        defer { admit(nil) }
        var handled = 0
        var total = StatementResult()
        var images = DocumentImages()
        do {
            for key in keys {
                let one: StatementResult
                switch statement {
                case .update(let update):
                    one = try apply(
                        update, to: key.span.bytes, namespace, time: time, images: &images,
                        &transaction)
                case .delete(let delete):
                    one = try apply(
                        delete, to: key.span.bytes, namespace, images: &images, &transaction)
                case .trash(let trash):
                    one = try apply(trash, to: key.span.bytes, namespace, &transaction)
                case .insert, .refused: continue
                }
                total.n += one.n
                total.modified += one.modified
                handled += 1
                if let end, ContinuousClock.now > end { break }
            }
            if mayUpsert, case .update(let update) = statement, update.isUpsert {
                total = try upsert(update, namespace, time: time, images: &images, &transaction)
            }
        } catch let error as DBError {
            total.error = error
        } catch let error as BlockedByTransaction {
            total.blockedBy = error.owner
        }
        try finishOperation(&transaction)
        if let retry, total.n > 0, total.error == nil, total.blockedBy == nil {
            try known?.save([total], from: retry.position, &transaction)
        }
        return (total, handled)
    }
}

extension WriteRequest {
    /// What the store should know of statements that go to the writer together.
    fileprivate func operationOptions(
        _ range: Range<Int>, _ engine: RoostEngine
    ) -> OperationOptions {
        var options = OperationOptions(mayUseReserve: true)
        options.completionPlace = completionPlace
        for position in range {
            switch statements[position] {
            case .insert(_, let document):
                options.byteCount += document.count
                options.mayUseReserve = false
            case .update: options.mayUseReserve = false
            case .delete(let delete):
                let entry = engine.collection(namespaces[delete.target.collection])
                if entry?.traits.softDelete != nil { options.mayUseReserve = false }
            case .trash(let trash):
                if trash.action == .restore { options.mayUseReserve = false }
            case .refused: break
            }
        }
        return options
    }
}

extension WriteStatement {
    /// The statement, where it is about deleted documents.
    var trash: TrashStatement? {
        if case .trash(let trash) = self { trash } else { nil }
    }

    /// Whether it leaves less than there was: deletes do, unless what is deleted is kept.
    fileprivate func givesRoom(_ entry: CollectionEntry?) -> Bool {
        switch self {
        case .delete: entry?.traits.softDelete == nil
        case .trash(let trash): trash.action == .purge
        case .insert, .update, .refused: false
        }
    }
}
