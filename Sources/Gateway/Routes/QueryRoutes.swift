// POST /api/v1/databases/DB/query: statements of the text language; and pages of any result.
//
// A page is a batch of a server's cursor that belongs to a session, so that the next page may be
// asked for over another connection, by the same user. The page's token names cursor, session and
// number; a page that was lost on its way is given again.

import BSON
import NIOHTTP1
import Roost

enum QueryRoutes {
    static let pageParameters = [
        Route.Parameter(
            name: "pageSize",
            help: "Documents of a page (\(GatewayLimits.pageRowsDefault) by default)",
            schema: #"{"type":"integer","minimum":1,"maximum":\#(GatewayLimits.pageRowsMax)}"#),
        Route.Parameter(
            name: "page", help: "The token of the next page, as metadata.nextPage gave it"),
    ]

    static let all = [
        Route(
            .POST, "/api/v1/databases/{db}/query", "Runs a statement of the text query language",
            tag: "queries", parameters: pageParameters,
            body: #"{"type":"object","properties":{"query":{"type":"string"},"#
                + #""params":{"type":"object"}},"required":["query"],"#
                + #""additionalProperties":false}"#,
            data: #"{"type":"array","items":{"type":"object"}}"#, isWrite: true, run: run)
    ]

    private static func run(_ exchange: Exchange) throws(DBError) {
        if exchange.query["page"] != nil { return try nextPage(exchange) }
        let body = try exchange.bodyDocument(["query", "params"])
        guard case .string(let text)? = body["query"] else {
            throw DBError(.badValue, "the body needs the field 'query', a statement")
        }
        if text.drop(while: \.isWhitespace).lowercased().hasPrefix("live") {
            throw DBError(.badValue, "live queries are followed at \(LiveRoute.path)")
        }
        let size = try pageSize(exchange)
        let parameters = try parameters(body)
        let command = Document { writer in
            writer.append("query", text)
            if let parameters { writer.append("params", parameters) }
            writer.append("cursor", ["batchSize": .int64(Int64(size))] as Document)
        }
        try answerPage(
            exchange, command,
            isWrite: exchange.request.headers.contains(name: "Idempotency-Key"))
    }

    /// The field `params`.
    /// - Throws: 2 BadValue.
    static func parameters(_ body: Document) throws(DBError) -> Document? {
        switch body["params"] {
        case nil, .null?: return nil
        case .document(let parameters)?: return parameters
        default: throw DBError(.badValue, "'params' must be an object")
        }
    }

    /// How many documents a page has.
    static func pageSize(_ exchange: Exchange) throws(DBError) -> Int {
        try exchange.query.integer("pageSize", in: 1...GatewayLimits.pageRowsMax)
            ?? GatewayLimits.pageRowsDefault
    }

    /// Runs a command that answers with a cursor, and answers with its first page.
    static func answerPage(
        _ exchange: Exchange, _ command: Document, isWrite: Bool = false
    ) throws(DBError) {
        let database = exchange.parameter("db")
        guard exchange.transaction == nil, !isWrite else {
            return try exchange.run(command, database: database, isWrite: isWrite) { reply in
                page(reply, token: nil)
            }
        }
        let session = try exchange.visitor.link(for: exchange.guest).session
        let whole = Document { writer in
            writer.appendFields(of: command.view)
            writer.append("lsid", ["id": .binary(subtype: 4, session)] as Document)
        }
        try exchange.run(whole, database: database) { reply in
            var token: PageToken?
            if let cursor = reply.document.value("cursor")?.document,
                let id = cursor.value("id")?.int64, id != 0,
                let namespace = namespace(of: cursor)
            {
                token = PageToken(
                    cursor: id, number: 1, session: session, namespace: namespace)
                exchange.visitor.core.pages.begin(id)
            }
            return page(reply, token: token)
        }
    }

    /// The collection that a cursor reads.
    static func namespace(of cursor: DocumentView) -> Namespace? {
        let parts = (cursor.value("ns")?.string ?? "").split(separator: ".", maxSplits: 1)
        guard parts.count == 2 else { return nil }
        return Namespace(String(parts[0]), String(parts[1]))
    }

    /// Answers with the page that a token names.
    static func nextPage(_ exchange: Exchange) throws(DBError) {
        guard let token = PageToken(exchange.query["page"] ?? "") else {
            throw DBError(.badValue, "'page' is not a token of a page; send it as it was given")
        }
        let pages = exchange.visitor.core.pages
        let owner = try exchange.visitor.link(for: exchange.guest).owner
        if let again = try pages.take(token, owner) { return exchange.answer(again) }
        let size = try exchange.query.integer("pageSize", in: 1...GatewayLimits.pageRowsMax)
        let command = Document { writer in
            writer.append("getMore", token.cursor)
            writer.append("collection", token.namespace.collection)
            if let size { writer.append("batchSize", Int64(size)) }
            writer.append("lsid", ["id": .binary(subtype: 4, token.session)] as Document)
        }
        try exchange.run(command, database: token.namespace.database) { reply in
            let id = reply.document.value("cursor")?.document?.value("id")?.int64 ?? 0
            var next: PageToken? = token
            next?.number += 1
            let answer = page(reply, token: id == 0 ? nil : next)
            pages.keep(answer, of: token, owner)
            return answer
        }
    }

    /// A batch as an answer.
    private static func page(_ reply: CommandReply, token: PageToken?) -> HTTPAnswer {
        let view = reply.document
        var count = 0
        var writer = HTTPAnswer.jsonWriter()
        writer.raw("{\"success\":true,\"data\":[")
        if let cursor = view.value("cursor")?.document,
            let batch = CommandReply.batch(of: cursor)
        {
            var rows = batch.makeIterator()
            while let row = rows.next() {
                if count > 0 { writer.raw(",") }
                writer.append(row.value)
                count += 1
            }
        }
        let next = token.map { "\"\($0.text)\"" } ?? "null"
        writer.raw(
            "],\"error\":null,\"metadata\":{\"count\":\(count),\"nextPage\":\(next)}}")
        return HTTPAnswer(status: .ok, body: writer.bytes)
    }
}
