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
        if let deadline = request.deadline, ContinuousClock.now > deadline {
            completion(.failure(.timeExpired))
            return
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
        engine.submit { transaction in
            try writer.run(range, of: request, &transaction)
        } completion: { outcome in
            switch outcome {
            case .failure(let error): self.completion(.failure(error))
            case .success(let results):
                self.results += results
                self.next += results.count
                if self.isEndedByError { self.finish() } else { self.run() }
            }
        }
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
        var cursor: QueryCursor?
        /// Record keys that were handed over: an update may move a document within the index that
        /// is being scanned, and must not meet it twice.
        var seen: Set<[UInt8]> = []
        var result = StatementResult()
        var attempts = 0
    }

    private func begin(_ statement: WriteStatement) {
        switch statement {
        case .update(let update):
            scan = Scan(statement: statement, target: update.target, isMulti: update.isMulti)
        case .delete(let delete):
            scan = Scan(statement: statement, target: delete.target, isMulti: delete.isMulti)
        case .insert, .refused: return
        }
        look()
    }

    /// Finds the next chunk of documents on a reader thread.
    private func look() {
        engine.readerPool.submit { (reader: Reader) -> Void in
            do throws(DBError) {
                try self.collect(reader)
            } catch {
                self.end(error: error)
            }
        }
    }

    private func collect(_ reader: Reader) throws(DBError) {
        guard var scan else { return }
        let cursor: QueryCursor
        if let open = scan.cursor {
            cursor = open
        } else {
            var find = FindRequest(
                request.namespaces[scan.target.collection], filter: scan.target.filter)
            find.sort = scan.target.sort
            find.hint = scan.target.hint
            find.deadline = request.deadline
            if !scan.isMulti { find.limit = 1 }
            cursor = try engine.openCursor(find)
        }
        var sink = RecordKeySink()
        let status = try cursor.advanceFully(reader, documentsMax: Bounds.chunkMax, into: &sink)
        scan.cursor = status == .exhausted ? nil : cursor
        let keys = sink.keys.filter { scan.seen.insert($0).inserted || !scan.isMulti }
        self.scan = scan
        apply(keys, isLast: status == .exhausted)
    }

    /// Hands a chunk to the writer thread.
    private func apply(_ keys: [[UInt8]], isLast: Bool) {
        guard let scan else { return }
        let writer = engine.writer
        let namespace = request.namespaces[scan.target.collection]
        let time = request.time
        let statement = scan.statement
        let mayUpsert = keys.isEmpty && isLast && scan.result.n == 0
        guard !keys.isEmpty || mayUpsert else {
            end(error: nil)
            return
        }
        engine.submit { transaction in
            try writer.runScan(
                statement, keys, namespace, time: time, mayUpsert: mayUpsert, &transaction)
        } completion: { outcome in
            switch outcome {
            case .failure(let error): self.end(error: error)
            case .success(let result): self.applied(result, isLast: isLast, had: keys.count)
            }
        }
    }

    private func applied(_ result: StatementResult, isLast: Bool, had count: Int) {
        guard var scan else { return }
        scan.result.n += result.n
        scan.result.modified += result.modified
        scan.result.upsertedID = result.upsertedID
        scan.attempts += 1
        self.scan = scan
        if let error = result.error {
            // A document that appeared since the search: look again, it may match now.
            let mayRetry = count == 0 && error.code == .duplicateKey && scan.attempts < 2
            if mayRetry { look() } else { end(error: error) }
        } else if scan.isMulti {
            if isLast { end(error: nil) } else { look() }
        } else if scan.result.n == 0, count > 0, scan.attempts < Bounds.attemptsMax {
            look()
        } else {
            end(error: nil)
        }
    }

    private func end(error: DBError?) {
        var result = scan?.result ?? StatementResult()
        result.error = error
        scan = nil
        results.append(result)
        next += 1
        if isEndedByError { finish() } else { run() }
    }
}

/// Collects the record keys of documents that a cursor yields.
struct RecordKeySink: DocumentSink {
    private(set) var keys: [[UInt8]] = []
    private(set) var byteCount = 0
    private var encoder = KeyEncoder()

    mutating func append(_ document: DocumentView) {
        guard let id = document.value("_id") else { return }
        _ = RecordKey.encode(id, into: &encoder)
        keys.append(encoder.bytes)
        byteCount += document.bytes.byteCount
    }
}

extension WriterState {
    /// Applies a statement to the documents that a search found, as far as they still match.
    func runScan(
        _ statement: WriteStatement, _ keys: [[UInt8]], _ namespace: Namespace, time: WriteTime,
        mayUpsert: Bool, _ transaction: inout WriteTransaction
    ) throws -> StatementResult {
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
                case .insert, .refused: continue
                }
                total.n += one.n
                total.modified += one.modified
            }
            if mayUpsert, case .update(let update) = statement, update.isUpsert {
                total = try upsert(update, namespace, time: time, images: &images, &transaction)
            }
        } catch let error as DBError {
            total.error = error
        }
        try finishOperation(&transaction)
        return total
    }
}
