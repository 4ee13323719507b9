// The answers of insert, update and delete.

import BSON
import Query
import Roost
import Wire

extension CommandCall {
    /// Says what transaction or retryable write a request with all its statements belongs to, and
    /// where it is answered.
    func enter(_ request: inout WriteRequest) throws(DBError) {
        request.access = try access()
        request.transaction = special.transaction
        request.retry = try retry(statements: request.statements.count)
        request.completionPlace = connection.loop.number
    }

    /// Under what the outcomes of so many statements are kept, with the numbers that the client
    /// gives them; nil outside of retryable writes.
    func retry(statements count: Int) throws(DBError) -> RetryIdentity? {
        guard special.transaction == nil, var retry = special.retry else { return nil }
        if let first = integer("stmtId") { retry.firstStatement = Int(clamping: max(0, first)) }
        guard command.fields.place(of: RawSpan("stmtIds")) != nil,
            let list = value("stmtIds")?.array
        else { return retry }
        var ids: [Int] = []
        var elements = list.makeIterator()
        while let element = elements.next() {
            ids.append(Int(clamping: element.value.exactInteger ?? -1))
        }
        guard ids.count == count, ids.allSatisfy({ (0...Int(Int32.max)).contains($0) }) else {
            throw DBError(
                .badValue,
                "BSON field 'stmtIds' must have a number of its own for each of the \(count) "
                    + "statements")
        }
        retry.statements = ids
        return retry
    }
}

/// What a write command says of its statements.
enum WriteReply {
    /// What the counts are called and which are told.
    enum Kind: Sendable {
        case insert, update, delete
        /// A restore's or purge's: its one statement's error is the command's.
        case trash
        /// A text statement's: one row of a cursor.
        case row(TextWrite)
    }

    /// A write that a text asks for.
    struct TextWrite: Sendable {
        let namespace: Namespace
        let text: String
        /// How many documents it inserts; 0 where it does something else.
        var insertedCount = 0
    }

    /// Runs a request and answers when it is committed.
    static func run(
        _ request: WriteRequest, _ kind: Kind, _ call: borrowing CommandCall
    ) throws(DBError) -> CommandOutcome {
        try call.failBeforeWrite(statements: request.statements.count)
        var request = request
        try call.enter(&request)
        let interrupt = request.prepareInterrupt(call.core.engine)
        let retry = request.retry
        let ticket = call.ticket()
        let concern = call.special.writeConcern
        let core = call.core
        if let interrupt { call.mayEnd(interrupt) }
        core.engine.write(request) { outcome in
            let done = (try? outcome.get())?.results.count { !$0.isReplayed } ?? 0
            if ticket.losesAnswer(core, statements: done) { return }
            ticket.answer { reply throws(DBError) in
                let outcome = try outcome.get()
                switch kind {
                case .row(let write): try writeRow(outcome, write, concern, &reply)
                case .trash: try writeTrash(outcome, concern, &reply)
                case .insert, .update, .delete:
                    write(outcome, kind, retry, concern, &reply)
                }
            }
        }
        return .deferred
    }

    private static func write(
        _ outcome: WriteOutcome, _ kind: Kind, _ retry: RetryIdentity?, _ concern: WriteConcern,
        _ reply: inout ReplyWriter
    ) {
        var n = 0
        var modified = 0
        var hasErrors = false
        var hasUpserts = false
        for result in outcome.results {
            n += result.n
            modified += result.modified
            if result.error != nil { hasErrors = true }
            if result.upsertedID != nil { hasUpserts = true }
        }
        reply.append("n", count: n)
        if case .update = kind {
            reply.append("nModified", count: modified)
            if hasUpserts { writeUpserts(outcome, &reply) }
        }
        if hasErrors { writeErrors(outcome, &reply) }
        appendRetried(outcome, retry, &reply)
        appendConcern(concern, &reply)
    }

    /// What a restore or purge did.
    /// - Throws: what ended it, with the number of documents that it got to before.
    private static func writeTrash(
        _ outcome: WriteOutcome, _ concern: WriteConcern, _ reply: inout ReplyWriter
    ) throws(DBError) {
        let n = outcome.results.reduce(0) { $0 + $1.n }
        if let error = outcome.results.lazy.compactMap(\.error).first {
            throw DBError(
                error.code, error.message,
                details: Document { writer in
                    writer.appendFields(of: error.details.view)
                    writer.append("n", Int32(clamping: n))
                }, underlying: error.underlying)
        }
        reply.append("n", count: n)
        appendConcern(concern, &reply)
    }

    /// The counts as a row.
    /// - Throws: the first statement's error, since a row has no place for it; it says how much was
    ///   done before.
    private static func writeRow(
        _ outcome: WriteOutcome, _ write: TextWrite, _ concern: WriteConcern,
        _ reply: inout ReplyWriter
    ) throws(DBError) {
        let n = outcome.results.reduce(0) { $0 + $1.n }
        for (index, result) in outcome.results.enumerated() {
            guard let error = result.error else { continue }
            throw failure(error, of: write, at: index, done: n)
        }
        let mark = RowReply.open(&reply)
        reply.append("n", count: n)
        reply.append("nModified", count: outcome.results.reduce(0) { $0 + $1.modified })
        let upserted = reply.openArray("upserted")
        for result in outcome.results {
            if let id = result.upsertedID { reply.append(element: id.view) }
        }
        reply.close(upserted)
        RowReply.close(mark, write.namespace, &reply)
        appendConcern(concern, &reply)
    }

    private static func failure(
        _ error: DBError, of write: TextWrite, at index: Int, done n: Int
    ) -> DBError {
        var message = error.message
        let total = write.insertedCount
        if total > 1 {
            message += " (\(n) of \(total) documents were inserted before it)"
        } else if n > 0 {
            message += " (\(n) document\(n == 1 ? " was" : "s were") changed before it)"
        }
        let details = Document { writer in
            writer.appendFields(of: error.details.view)
            writer.append("n", Int32(clamping: n))
        }
        return TextQuery.located(
            DBError(error.code, message, details: details, underlying: error.underlying),
            in: write.text, document: total > 0 ? index : nil, of: total)
    }

    private static func writeUpserts(_ outcome: WriteOutcome, _ reply: inout ReplyWriter) {
        let list = reply.openArray("upserted")
        for (index, result) in outcome.results.enumerated() {
            guard let id = result.upsertedID else { continue }
            let element = reply.openElement()
            reply.append("index", Int32(index))
            reply.append("_id", id.view)
            reply.close(element)
        }
        reply.close(list)
    }

    private static func writeErrors(_ outcome: WriteOutcome, _ reply: inout ReplyWriter) {
        let list = reply.openArray("writeErrors")
        for (index, result) in outcome.results.enumerated() {
            guard let error = result.error else { continue }
            let element = reply.openElement()
            reply.append("index", Int32(index))
            reply.append("code", error.code.rawValue)
            reply.appendFields(of: error.details.view)
            reply.append("errmsg", error.message)
            reply.close(element)
            // A reply is a document too: past this size the messages give way, the codes don't.
            if reply.byteCount > errorBytesMax { break }
        }
        reply.close(list)
    }

    /// Errors beyond this many bytes are left out, so that the reply stays a valid document.
    private static let errorBytesMax = Limits.documentBytesMax / 2

    /// Names the statements that an earlier command did, which this one repeats.
    static func appendRetried(
        _ outcome: WriteOutcome, _ retry: RetryIdentity?, _ reply: inout ReplyWriter
    ) {
        guard let retry, outcome.results.contains(where: \.isReplayed) else { return }
        let repeated = outcome.results.indices.filter { outcome.results[$0].isReplayed }
        reply.append(
            "retriedStmtIds",
            Value.array(repeated.map { .int32(Int32(clamping: retry.statement($0))) }))
    }

    /// Says that a write concern could not be met.
    static func appendConcern(_ concern: WriteConcern, _ reply: inout ReplyWriter) {
        if let failure = concern.failure {
            var fields = failure.view.makeIterator()
            // Labels belong beside the error, not in it.
            let error = Document { writer in
                while let field = fields.next() {
                    if !field.name.equals("errorLabels") { writer.append(field) }
                }
            }
            reply.append("writeConcernError", document: error)
            if let labels = failure.view.value("errorLabels") {
                reply.append("errorLabels", labels)
            }
        }
    }
}
