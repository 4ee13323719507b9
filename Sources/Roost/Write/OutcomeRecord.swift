// What came of retryable writes, kept in the commit that wrote: a client that lost the answer sends
// the same session and number again and gets the first outcome.
//
// Part of the on-disk format, in the table `outcomes`:
//
//     session id, 16 bytes; the first statement's number, 4 bytes, big-endian
//         -> {n: number, t: date, r: [{c: how many alike, n, m, u: upserted _id} | {c, e: true}],
//             d: findAndModify's document, x: true for a transaction's commit}
//
// A record is about statements with successive numbers. A later number of the session replaces all
// of its records; what is older than a session lives is removed by age.

package import BSON
import Storage

/// The session and number of a retryable write or a transaction.
package struct RetryIdentity: Sendable {
    /// The 16 bytes of the session's id.
    package let session: [UInt8]
    package let number: Int64
    /// The number of the first statement; the others follow.
    package var firstStatement = 0
    /// The numbers of all statements, where the client gave them one by one.
    package var statements: [Int]?

    package init(session: [UInt8], number: Int64) {
        self.session = session
        self.number = number
    }

    /// The number of the statement at that place of the command.
    package func statement(_ position: Int) -> Int {
        statements.map { $0[position] } ?? firstStatement + position
    }
}

/// The outcomes of one operation's statements.
struct OutcomeRecord {
    /// How long a record is kept at least: as long as a session, in milliseconds.
    static let keptMillis: Int64 = 30 * 60 * 1_000

    private let number: Int64
    private(set) var results: [StatementResult] = []
    /// What findAndModify returned.
    private(set) var document: Document?
    /// Whether this is the commit of a transaction.
    private(set) var isCommit = false

    /// The outcomes of statements with successive numbers.
    init(_ retry: RetryIdentity, _ results: [StatementResult], document: Document?) {
        number = retry.number
        self.results = results
        self.document = document
    }

    /// The commit of a transaction.
    init(commit retry: RetryIdentity) {
        number = retry.number
        isCommit = true
    }

    fileprivate static func key(_ retry: RetryIdentity, _ first: Int) -> [UInt8] {
        retry.session
            + withUnsafeBytes(of: UInt32(truncatingIfNeeded: first).bigEndian) { Array($0) }
    }

    /// The record that begins with statement `first`; nil where it was not made yet.
    /// - Throws: `transactionTooOld` (225) where the session has gone on.
    static func find(
        _ retry: RetryIdentity, _ first: Int, _ transaction: borrowing WriteTransaction
    ) throws -> OutcomeRecord? {
        let key = key(retry, first)
        guard let bytes = try transaction.value(.outcomes, key.span.bytes) else { return nil }
        return try make(retry, DocumentView(bytes))
    }

    /// Reads a session's record; nil for one of an earlier number.
    /// - Throws: `transactionTooOld` (225) for a later number.
    fileprivate static func make(
        _ retry: RetryIdentity, _ record: DocumentView
    ) throws(DBError) -> OutcomeRecord? {
        guard let number = record.value("n")?.int64 else { return nil }
        guard number <= retry.number else {
            throw DBError(
                .transactionTooOld,
                "Retryable write with txnNumber \(retry.number) is prohibited on the session "
                    + "because a newer retryable write with txnNumber \(number) has already "
                    + "started on this session.")
        }
        return number == retry.number ? OutcomeRecord(retry, record) : nil
    }

    private init(_ retry: RetryIdentity, _ record: DocumentView) {
        number = retry.number
        isCommit = record.value("x")?.isTruthy == true
        if let document = record.value("d")?.document {
            self.document = Document(copying: document)
        }
        guard let list = record.value("r")?.array else { return }
        var elements = list.makeIterator()
        while let element = elements.next() {
            guard let item = element.value.document else { continue }
            var result = StatementResult()
            result.isReplayed = true
            result.n = Int(clamping: item.value("n")?.wholeNumber ?? 0)
            result.modified = Int(clamping: item.value("m")?.wholeNumber ?? 0)
            if let id = item.value("u") { result.upsertedID = OwnedValue(copying: id) }
            if item.value("e") != nil { result.error = DBError(.operationFailed, "not done") }
            let count = Int(clamping: item.value("c")?.wholeNumber ?? 1)
            for _ in 0..<count { results.append(result) }
        }
    }

    /// The outcome of the statement at `offset` in the operation; nil where it was refused or did
    /// not run, so that it runs now.
    func result(_ offset: Int) -> StatementResult? {
        guard results.indices.contains(offset), results[offset].error == nil else { return nil }
        return results[offset]
    }

    /// Keeps the record.
    func save(
        _ first: Int, _ retry: RetryIdentity, _ transaction: inout WriteTransaction
    ) throws {
        let key = Self.key(retry, first)
        let record = encoded
        try transaction.put(
            .outcomes, key: key.span.bytes, value: record.bytes.span.bytes)
    }

    private var encoded: Document {
        Document { writer in
            writer.append("n", number)
            writer.append("t", dateMillis: LogicalClock.wallMillis)
            if isCommit { writer.append("x", true) }
            if let document { writer.append("d", document) }
            let list = writer.openArray("r")
            var start = 0
            var index = 0
            while start < results.count {
                var end = start + 1
                while end < results.count, results[start].isPlain, results[end].isPlain,
                    results[start].n == results[end].n,
                    results[start].modified == results[end].modified
                {
                    end += 1
                }
                writer.appendHeader(.document, index: index)
                let item = writer.openDocument()
                writer.append("c", Int32(clamping: end - start))
                Self.append(results[start], &writer)
                writer.close(item)
                index += 1
                start = end
            }
            writer.close(list)
        }
    }

    private static func append(_ result: StatementResult, _ writer: inout DocumentWriter) {
        guard result.error == nil else {
            writer.append("e", true)
            return
        }
        writer.append("n", Int64(result.n))
        writer.append("m", Int64(result.modified))
        if let id = result.upsertedID { writer.append("u", id) }
    }

    /// Whether the record is there and from before `cutoff`, in milliseconds since 1970.
    static func isOld(
        _ key: [UInt8], _ cutoff: Int64, _ transaction: borrowing WriteTransaction
    ) throws(StorageError) -> Bool {
        guard let record = try transaction.value(.outcomes, key.span.bytes) else { return false }
        return millis(record) < cutoff
    }

    /// When a record was made, in milliseconds since 1970.
    static func millis(_ record: RawSpan) -> Int64 {
        DocumentView(record).value("t")?.dateMillis ?? 0
    }
}

/// What is known of the statements of one retryable write.
struct KnownOutcomes {
    private let retry: RetryIdentity
    private var records: [(first: Int, outcomes: OutcomeRecord)] = []
    /// Keys of records that the session has from earlier numbers.
    private var stale: [[UInt8]] = []

    /// Reads the session's records.
    /// - Throws: `transactionTooOld` (225) where the session has gone on; `StorageError`.
    init(_ retry: RetryIdentity, _ transaction: borrowing WriteTransaction) throws {
        self.retry = retry
        let session = retry.session.span.bytes
        var cursor = transaction.cursor(.outcomes)
        var isFound = try cursor.seek(to: session)
        while isFound, cursor.key.starts(with: session) {
            let key = [UInt8](copying: cursor.key)
            if let found = try OutcomeRecord.make(retry, DocumentView(try cursor.value())) {
                let first = key.dropFirst(retry.session.count).reduce(0) { $0 << 8 | Int($1) }
                records.append((first, found))
            } else {
                stale.append(key)
            }
            isFound = try cursor.next()
        }
    }

    /// The outcome of the statement at that place of the command; nil where it was refused or did
    /// not run, so that it runs now.
    func result(_ position: Int) -> StatementResult? {
        guard !records.isEmpty else { return nil }
        let statement = retry.statement(position)
        for record in records {
            if let result = record.outcomes.result(statement - record.first) { return result }
        }
        return nil
    }

    /// What findAndModify returned as that statement.
    func document(_ position: Int) -> Document? {
        records.first { $0.first == retry.statement(position) }?.outcomes.document
    }

    /// Keeps the outcomes of the statements from that place of the command on.
    func save(
        _ results: [StatementResult], from position: Int, document: Document? = nil,
        _ transaction: inout WriteTransaction
    ) throws {
        var start = 0
        while start < results.count {
            guard !results[start].isReplayed else {
                start += 1
                continue
            }
            var end = start + 1
            while end < results.count, !results[end].isReplayed,
                retry.statement(position + end) == retry.statement(position + end - 1) + 1
            {
                end += 1
            }
            try OutcomeRecord(retry, Array(results[start..<end]), document: document).save(
                retry.statement(position + start), retry, &transaction)
            start = end
        }
        let first = OutcomeRecord.key(retry, retry.statement(position))
        for key in stale where key != first {
            _ = try transaction.delete(.outcomes, key: key.span.bytes)
        }
    }
}

extension StatementResult {
    /// Whether it has numbers only, so that a run of the same takes one entry.
    fileprivate var isPlain: Bool { upsertedID == nil && error == nil }
}

extension RoostEngine {
    /// Whether a transaction of that number was committed, also by an earlier process; answers on
    /// the writer thread.
    package func findCommit(
        _ retry: RetryIdentity, completion: @escaping Completion<Bool>
    ) {
        submit { transaction in
            try OutcomeRecord.find(retry, 0, transaction)?.isCommit ?? false
        } completion: {
            completion($0)
        }
    }

    /// Removes outcomes older than a session lives. Waits for the writer thread.
    func removeOldOutcomes(at millis: Int64) {
        do {
            let reader = try makeReader()
            let cutoff = millis - OutcomeRecord.keptMillis
            var last: [UInt8] = []
            while true {
                let (old, end) = try reader.read { transaction -> ([[UInt8]], [UInt8]?) in
                    var old: [[UInt8]] = []
                    var seen = 0
                    var cursor = transaction.cursor(.outcomes)
                    var isFound = try cursor.seek(to: last.span.bytes)
                    while isFound {
                        if try OutcomeRecord.millis(cursor.value()) < cutoff {
                            old.append([UInt8](copying: cursor.key))
                        }
                        seen += 1
                        if seen == 1_000 { return (old, [UInt8](copying: cursor.key) + [0]) }
                        isFound = try cursor.next()
                    }
                    return (old, nil)
                }
                if !old.isEmpty {
                    try submitAndWait(OperationOptions(mayUseReserve: true)) { transaction in
                        for key in old {
                            guard try OutcomeRecord.isOld(key, cutoff, transaction) else {
                                continue
                            }
                            _ = try transaction.delete(.outcomes, key: key.span.bytes)
                        }
                    }
                }
                guard let end else { return }
                last = end
            }
        } catch {
            // The next pass tries again.
            noteOutcomesKept(DBError(engineFailure: error))
        }
    }
}

extension RoostEngine {
    /// The number of the session's last retryable write or committed transaction, as far as it is
    /// kept; nil without one. Also those of an earlier process.
    package func lastNumber(of session: [UInt8]) throws(DBError) -> Int64? {
        // The commit of a transaction is kept as the first statement.
        let key = OutcomeRecord.key(RetryIdentity(session: session, number: 0), 0)
        do {
            let reader = try store.makeReader()
            return try reader.read { transaction in
                guard let bytes = try transaction.value(.outcomes, key.span.bytes) else {
                    return nil
                }
                return DocumentView(bytes).value("n")?.int64
            }
        } catch {
            throw DBError(engineFailure: error)
        }
    }
}
