// One request on its way to its answer.

import BSON
import NIOCore
import NIOHTTP1
import Wire

/// A request, over HTTP, as part of a batch, or over a WebSocket.
struct GatewayRequest {
    var method: HTTPMethod
    /// Path and query, as sent.
    var target: String
    var headers = HTTPHeaders()
    var body = ByteBuffer()
}

/// A request with what its route found in it. Confined to the event loop.
final class Exchange {
    let request: GatewayRequest
    let visitor: Visitor
    let guest: DoorGuest
    /// The parts of the path that its pattern names.
    let parameters: [String: String]
    let query: QueryString
    /// The transaction that it is part of.
    let transaction: BatchTransaction?
    private var finish: ((HTTPAnswer) -> Void)?

    init(
        _ request: GatewayRequest, _ visitor: Visitor, _ guest: DoorGuest,
        parameters: [String: String], query: QueryString, transaction: BatchTransaction? = nil,
        _ finish: @escaping (HTTPAnswer) -> Void
    ) {
        self.request = request
        self.visitor = visitor
        self.guest = guest
        self.parameters = parameters
        self.query = query
        self.transaction = transaction
        self.finish = finish
    }

    // MARK: Answers

    /// Answers, once.
    func answer(_ answer: HTTPAnswer) {
        let finish = finish
        self.finish = nil
        finish?(answer)
    }

    /// Answers with an error.
    func fail(_ error: DBError) {
        answer(.failure(error, hasCredentials: hasCredentials))
    }

    /// Whether whoever asks has shown who that is.
    var hasCredentials: Bool { guest != .anonymous }

    // MARK: What was sent

    /// A part of the path.
    func parameter(_ name: String) -> String { parameters[name] ?? "" }

    /// The body's JSON object.
    /// - Throws: 9 FailedToParse; 61415 for another type than JSON.
    func bodyDocument() throws(DBError) -> Document {
        try Self.checkType(request.headers, ["application/json", "application/merge-patch+json"])
        let body = request.body
        guard body.readableBytes > 0 else {
            throw DBError(.failedToParse, "the body must be a JSON object; it is empty")
        }
        return try ExtendedJSON.parse(utf8: body.readableBytesSpan)
    }

    /// The body's JSON object, none of whose fields is unknown.
    /// - Throws: 2 BadValue besides.
    func bodyDocument(_ known: [String]) throws(DBError) -> Document {
        let body = try bodyDocument()
        for key in body.keys where !known.contains(key) {
            throw DBError(
                .badValue,
                "the body has no field '\(key.prefix(100))'; there are "
                    + known.joined(separator: ", "))
        }
        return body
    }

    private static func checkType(
        _ headers: HTTPHeaders, _ accepted: [String]
    ) throws(DBError) {
        guard let given = headers.first(name: "Content-Type") else { return }
        let type = given.prefix { $0 != ";" }.lowercased().filter { $0 != " " }
        guard accepted.contains(type) else {
            throw DBError(
                .httpMediaType,
                "the body's type must be \(accepted.joined(separator: " or ")), not "
                    + "'\(type.prefix(100))'")
        }
    }

    // MARK: Commands

    /// Runs a command and answers with what `body` makes of its reply.
    /// - Parameter isWrite: whether the fields that make a write unrepeatable belong to it.
    func run(
        _ command: Document, database: String, isWrite: Bool = false, as guest: DoorGuest? = nil,
        _ body: @escaping (CommandReply) throws(DBError) -> HTTPAnswer
    ) throws(DBError) {
        let link = try visitor.link(for: guest ?? self.guest)
        let key = isWrite ? try idempotencyKey(link) : nil
        let whole = Document { writer in
            writer.appendFields(of: command.view)
            writer.append("$db", database)
            if let transaction {
                transaction.append(to: &writer)
            } else if let key {
                writer.append("lsid", ["id": .binary(subtype: 4, key.session)] as Document)
                writer.append("txnNumber", key.number)
            }
        }
        link.run(whole) { reply in
            guard let reply else { return self.fail(Self.ended) }
            do throws(DBError) {
                if let failure = reply.failure { throw failure }
                self.answer(try body(reply))
            } catch {
                self.fail(error)
            }
        }
    }

    /// What is told where the server's side ended.
    static var ended: DBError {
        DBError(.shutdownInProgress, "the connection to the database has ended: try again")
    }

    /// The session and number of a write that is to be applied once, whatever happens.
    private func idempotencyKey(
        _ link: CommandLink
    ) throws(DBError) -> (session: [UInt8], number: Int64)? {
        guard let text = request.headers.first(name: "Idempotency-Key") else { return nil }
        return try IdempotencyKey.parse(text)
    }
}

/// What a client names a write by, so that sending it again doesn't apply it again: any text, or
/// `QUEUE:NUMBER` for writes of one queue, whose numbers rise. The outcome is kept with the write
/// (see Roost/Write/OutcomeRecord), by user; of a queue only the last one's.
enum IdempotencyKey {
    private static let lengthMax = 200

    /// - Throws: 2 BadValue.
    static func parse(_ text: String) throws(DBError) -> (session: [UInt8], number: Int64) {
        guard (1...lengthMax).contains(text.utf8.count) else {
            throw DBError(.badValue, "Idempotency-Key must have 1 to \(lengthMax) characters")
        }
        var name = text[...]
        var number: Int64 = 1
        if let colon = text.lastIndex(of: ":"),
            let given = Int64(text[text.index(after: colon)...]), given > 0
        {
            name = text[..<colon]
            number = given
        }
        return (Array(SecureRandom.digest(Array("key:\(name)".utf8)).prefix(16)), number)
    }
}

/// The transaction that a batch's writes belong to.
final class BatchTransaction {
    let session: [UInt8]
    let number: Int64
    private var hasBegun = false

    init(session: [UInt8], number: Int64) {
        self.session = session
        self.number = number
    }

    /// Whether a command of it was sent.
    var isOpen: Bool { hasBegun }

    /// Appends what makes a command part of it.
    func append(to writer: inout DocumentWriter) {
        writer.append("lsid", ["id": .binary(subtype: 4, session)] as Document)
        writer.append("txnNumber", number)
        writer.append("autocommit", false)
        if !hasBegun { writer.append("startTransaction", true) }
        hasBegun = true
    }
}
