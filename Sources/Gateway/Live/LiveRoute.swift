// /api/v1/live: a WebSocket where the request asks for one, else Server-Sent Events of one query.

import BSON
import NIOHTTP1

/// A live query as a client asks for it.
struct LiveQuery {
    var database: String
    /// The statement, with or without `live` before it.
    var text: String
    var parameters: Document?
    /// The token of the state that the client has.
    var resume: String?

    /// The command that follows it.
    var command: Document {
        let trimmed = text.drop(while: \.isWhitespace)
        let isMarked =
            trimmed.lowercased().hasPrefix("live")
            && trimmed.dropFirst(4).first?.isWhitespace == true
        let (statement, parameters, resume) = (
            isMarked ? text : "live \(text)", parameters, resume
        )
        return Document { writer in
            writer.append("query", statement)
            if let parameters { writer.append("params", parameters) }
            if let resume { writer.append("resumeAfter", resume) }
            writer.append("$db", database)
        }
    }
}

enum LiveRoute {
    static let path = "/api/v1/live"

    private static let parameters = [
        Route.Parameter(name: "db", help: "The database"),
        Route.Parameter(name: "query", help: "A statement of the text query language"),
        Route.Parameter(name: "params", help: "The statement's parameters, in Extended JSON"),
        Route.Parameter(name: "resume", help: "The token of the state that the client has"),
        Route.Parameter(
            name: "access_token",
            help: "The access token, for EventSource, which can't send headers"),
    ]

    /// For openapi.json; the connection itself answers.
    static let all = [
        Route(
            .GET, path, "Follows a live query by Server-Sent Events, or opens a WebSocket",
            tag: "live", parameters: parameters, contentType: "text/event-stream"
        ) { _ throws(DBError) in
            throw DBError(.badValue, "a live query can't be part of a batch")
        }
    ]

    /// The query in a request's target.
    /// - Throws: 2 BadValue, 9 FailedToParse.
    static func request(_ head: HTTPRequestHead) throws(DBError) -> LiveQuery {
        let items = try query(head)
        try items.check(parameters.map(\.name))
        guard let text = items["query"], let database = items["db"] else {
            throw DBError(.badValue, "a live query needs the parameters 'db' and 'query'")
        }
        return LiveQuery(
            database: database, text: text, parameters: try items.document("params"),
            resume: items["resume"] ?? head.headers.first(name: "Last-Event-ID"))
    }

    /// The parameters of a request.
    static func query(_ head: HTTPRequestHead) throws(DBError) -> QueryString {
        let parts = head.uri.split(separator: "?", maxSplits: 1)
        return parts.count > 1 ? try QueryString(parts[1]) : QueryString()
    }
}
