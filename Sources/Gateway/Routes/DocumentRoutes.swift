// /api/v1/databases/DB/collections/C/documents: documents one by one, and lists of them.

import BSON
import NIOHTTP1

enum DocumentRoutes {
    private static let collection = "/api/v1/databases/{db}/collections/{collection}"
    private static let list = collection + "/documents"
    private static let one = list + "/{id}"

    private static let idType = Route.Parameter(
        name: "idType",
        help: "What the id in the path is; by default an ObjectId where it has 24 hexadecimal "
            + "digits, else a string",
        schema: #"{"type":"string","enum":["string","objectId","int","json"]}"#)
    private static let fields = Route.Parameter(
        name: "fields", help: "The fields to show, separated by commas")
    private static let object = #"{"type":"object"}"#

    static let all = [
        Route(
            .GET, one, "Reads a document", parameters: [idType, fields], data: object, run: get),
        Route(
            .PUT, one, "Replaces a document, or makes it", parameters: [idType], body: object,
            data: object, isWrite: true, run: put),
        Route(
            .PATCH, one, "Changes fields of a document",
            parameters: [
                idType,
                Route.Parameter(
                    name: "return", help: "'document' answers with the changed document",
                    schema: #"{"type":"string","enum":["document"]}"#),
            ], body: DocumentChange.schema, data: object, isWrite: true, run: patch),
        Route(
            .DELETE, one, "Deletes a document", parameters: [idType], data: object,
            isWrite: true, run: delete),
        Route(
            .POST, list, "Makes a document", body: object, data: object, status: 201,
            isWrite: true, run: create),
        Route(
            .GET, list, "Lists documents",
            parameters: [
                Route.Parameter(name: "filter", help: "A filter in Extended JSON, as find's"),
                Route.Parameter(
                    name: "sort", help: "Fields separated by commas, '-' before descending ones"),
                Route.Parameter(
                    name: "limit", help: "Most documents in all",
                    schema: #"{"type":"integer","minimum":1}"#), fields,
            ] + QueryRoutes.pageParameters, data: #"{"type":"array","items":{"type":"object"}}"#,
            run: list),
        Route(
            .GET, collection + "/count", "Counts documents",
            parameters: [
                Route.Parameter(name: "filter", help: "A filter in Extended JSON, as find's")
            ], data: #"{"type":"object","properties":{"count":{"type":"integer"}}}"#, run: count),
    ]

    // MARK: Reading

    private static func get(_ exchange: Exchange) throws(DBError) {
        let id = try id(exchange)
        let projection = try projection(exchange)
        let collection = exchange.parameter("collection")
        let command = Document { writer in
            writer.append("find", collection)
            writer.append("filter", ["_id": id] as Document)
            writer.append("limit", Int32(1))
            writer.append("singleBatch", true)
            if let projection { writer.append("projection", projection) }
        }
        try exchange.run(command, database: exchange.parameter("db")) {
            reply throws(DBError) in
            guard
                let found = reply.document.value("cursor")?.document?.value("firstBatch")?.array?
                    .first?.value.document
            else { throw notFound }
            return .success { $0.append(found) }
        }
    }

    private static func list(_ exchange: Exchange) throws(DBError) {
        if exchange.query["page"] != nil { return try QueryRoutes.nextPage(exchange) }
        let filter = try exchange.query.document("filter")
        let sort = try sort(exchange.query["sort"])
        let limit = try exchange.query.integer("limit", in: 1...Int(Int32.max))
        let projection = try projection(exchange)
        let size = try QueryRoutes.pageSize(exchange)
        let collection = exchange.parameter("collection")
        let command = Document { writer in
            writer.append("find", collection)
            if let filter { writer.append("filter", filter) }
            if let sort { writer.append("sort", sort) }
            if let projection { writer.append("projection", projection) }
            if let limit { writer.append("limit", Int64(limit)) }
            writer.append("batchSize", Int64(size))
            writer.append("maxTimeMS", GatewayLimits.readMillisMax)
        }
        try QueryRoutes.answerPage(exchange, command)
    }

    private static func count(_ exchange: Exchange) throws(DBError) {
        let filter = try exchange.query.document("filter") ?? Document()
        let command: Document = [
            "count": .string(exchange.parameter("collection")), "query": .document(filter),
            "maxTimeMS": .int64(GatewayLimits.readMillisMax),
        ]
        try exchange.run(command, database: exchange.parameter("db")) { reply in
            .success(.ok, ["count": .int64(reply.document.value("n")?.exactInteger ?? 0)])
        }
    }

    /// `-a,b` as find's sort.
    private static func sort(_ text: String?) throws(DBError) -> Document? {
        guard let text, !text.isEmpty else { return nil }
        let names = text.split(separator: ",")
        return Document { writer in
            for name in names {
                let isDescending = name.hasPrefix("-")
                writer.append(
                    String(isDescending ? name.dropFirst() : name), Int32(isDescending ? -1 : 1))
            }
        }
    }

    private static func projection(_ exchange: Exchange) throws(DBError) -> Document? {
        guard let text = exchange.query["fields"], !text.isEmpty else { return nil }
        let names = Set(text.split(separator: ",")).sorted()
        return Document { writer in
            for name in names { writer.append(String(name), Int32(1)) }
        }
    }

    // MARK: Writing

    private static func create(_ exchange: Exchange) throws(DBError) {
        var body = try exchange.bodyDocument()
        if body["_id"] == nil {
            let given = body
            body = Document { writer in
                writer.append("_id", ObjectID.generate())
                writer.appendFields(of: given.view)
            }
        }
        let id = body["_id"] ?? .null
        let collection = exchange.parameter("collection")
        let document = body
        let command = Document { writer in
            writer.append("insert", collection)
            let documents = writer.openArray("documents")
            writer.append("0", document)
            writer.close(documents)
        }
        let path = exchange.request.target.prefix { $0 != "?" }
        try exchange.run(command, database: exchange.parameter("db"), isWrite: true) { _ in
            var answer = HTTPAnswer.success(.created, ["_id": id])
            if let segment = segment(of: id) {
                answer.headers.append(("Location", "\(path)/\(segment)"))
            }
            return answer
        }
    }

    private static func put(_ exchange: Exchange) throws(DBError) {
        let id = try id(exchange)
        let body = try exchange.bodyDocument()
        if let given = body["_id"], given != id {
            throw DBError(.immutableField, "the body's _id is not the one of the path")
        }
        if let name = body.keys.first(where: { $0.hasPrefix("$") }) {
            throw DBError(
                .badValue, "a document's field can't be named '\(name.prefix(100))'; PATCH changes")
        }
        try update(exchange, id, .document(body), isUpsert: true) { reply in
            let isNew = reply.document.value("upserted") != nil
            return .success(isNew ? .created : .ok, ["_id": id, "created": .bool(isNew)])
        }
    }

    private static func patch(_ exchange: Exchange) throws(DBError) {
        let id = try id(exchange)
        let change = try DocumentChange.update(exchange)
        if exchange.query["return"] == nil {
            return try update(exchange, id, .document(change), isUpsert: false) {
                reply throws(DBError) in
                guard (reply.document.value("n")?.exactInteger ?? 0) > 0 else { throw notFound }
                let count = reply.document.value("nModified")?.exactInteger ?? 0
                return .success(.ok, ["_id": id, "modified": .bool(count > 0)])
            }
        }
        let command: Document = [
            "findAndModify": .string(exchange.parameter("collection")), "query": ["_id": id],
            "update": .document(change), "new": true,
        ]
        try exchange.run(command, database: exchange.parameter("db"), isWrite: true) {
            reply throws(DBError) in
            guard let document = reply.document.value("value")?.document else { throw notFound }
            return .success { $0.append(document) }
        }
    }

    private static func update(
        _ exchange: Exchange, _ id: Value, _ change: Value, isUpsert: Bool,
        _ body: @escaping (CommandReply) throws(DBError) -> HTTPAnswer
    ) throws(DBError) {
        let command: Document = [
            "update": .string(exchange.parameter("collection")),
            "updates": [["q": ["_id": id], "u": change, "upsert": .bool(isUpsert)]],
        ]
        try exchange.run(
            command, database: exchange.parameter("db"), isWrite: true, body)
    }

    private static func delete(_ exchange: Exchange) throws(DBError) {
        let id = try id(exchange)
        let command: Document = [
            "delete": .string(exchange.parameter("collection")),
            "deletes": [["q": ["_id": id], "limit": 1]],
        ]
        try exchange.run(command, database: exchange.parameter("db"), isWrite: true) {
            reply throws(DBError) in
            guard (reply.document.value("n")?.exactInteger ?? 0) > 0 else { throw notFound }
            return .success(.ok, ["_id": id])
        }
    }

    // MARK: Ids

    private static var notFound: DBError {
        DBError(.httpNotFound, "there is no such document, or none that may be seen")
    }

    /// The `_id` that the path names.
    /// - Throws: 2 BadValue.
    private static func id(_ exchange: Exchange) throws(DBError) -> Value {
        let text = exchange.parameter("id")
        switch exchange.query["idType"] {
        case nil: return ObjectID(text).map { .objectID($0) } ?? .string(text)
        case "string": return .string(text)
        case "objectId":
            if let id = ObjectID(text) { return .objectID(id) }
            throw DBError(.badValue, "an ObjectId has 24 hexadecimal digits")
        case "int":
            if let number = Int64(text) {
                return Int32(exactly: number).map { .int32($0) } ?? .int64(number)
            }
            throw DBError(.badValue, "the id is not a whole number")
        case "json":
            let value = try ExtendedJSON.parseValue(text)
            switch value {
            // They would be taken for conditions.
            case .document, .array, .regex:
                throw DBError(.badValue, "an id in a path can't be an object or a pattern")
            default: return value
            }
        default:
            throw DBError(.badValue, "'idType' must be string, objectId, int or json")
        }
    }

    /// The `_id` as a path names it without `idType`; nil where it can't.
    private static func segment(of id: Value) -> String? {
        switch id {
        case .objectID(let id): id.hexString
        case .string(let text) where ObjectID(text) == nil && !text.isEmpty:
            PercentEncoding.encode(text)
        default: nil
        }
    }
}
