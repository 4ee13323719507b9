// /api/v1/openapi.json: OpenAPI 3.1 made from the table of routes, so that it can't say otherwise.

import BSON
import NIOHTTP1

enum OpenAPI {
    static let all = [
        Route(
            .GET, "/api/v1/openapi.json", "This description", tag: "server",
            contentType: "application/json"
        ) { exchange throws(DBError) in
            let core = exchange.visitor.core
            exchange.answer(
                HTTPAnswer(
                    status: .ok, body: document(core.router.routes, core.settings.version)))
        }
    ]

    /// The description of routes.
    static func document(_ routes: [Route], _ version: String) -> [UInt8] {
        var writer = HTTPAnswer.jsonWriter()
        writer.raw(#"{"openapi":"3.1.0","info":{"title":"Roost","version":"#)
        writer.quote(version)
        writer.raw(#"},"security":[{},{"bearer":[]}],"paths":{"#)
        var patterns: [String] = []
        for route in routes where !patterns.contains(route.pattern) {
            patterns.append(route.pattern)
        }
        for (index, pattern) in patterns.enumerated() {
            if index > 0 { writer.raw(",") }
            writer.quote(pattern)
            writer.raw(":{")
            for (number, route) in routes.filter({ $0.pattern == pattern }).enumerated() {
                if number > 0 { writer.raw(",") }
                append(route, to: &writer)
            }
            writer.raw("}")
        }
        writer.raw(#"},"components":{"securitySchemes":{"bearer":{"type":"http","#)
        writer.raw(#""scheme":"bearer","bearerFormat":"JWT"}},"schemas":{"Error":"#)
        writer.raw(envelope(success: false, data: #"{"type":"null"}"#))
        writer.raw("}}}")
        return writer.bytes
    }

    private static func append(_ route: Route, to writer: inout ExtendedJSONWriter) {
        writer.raw("\"\(route.method.rawValue.lowercased())\":{\"summary\":")
        writer.quote(route.summary)
        writer.raw(",\"tags\":[\"\(route.tag)\"],\"operationId\":")
        writer.quote(operationID(route))
        writer.raw(",\"parameters\":[")
        var isFirst = true
        func parameter(
            _ name: String, _ place: String, _ help: String, _ schema: String
        ) {
            if !isFirst { writer.raw(",") }
            isFirst = false
            writer.raw("{\"name\":")
            writer.quote(name)
            writer.raw(",\"in\":\"\(place)\",\"required\":\(place == "path"),\"description\":")
            writer.quote(help)
            writer.raw(",\"schema\":\(schema)}")
        }
        for segment in route.segments where segment.first == "{" {
            let name = String(segment.dropFirst().dropLast())
            parameter(name, "path", help(of: name), #"{"type":"string","minLength":1}"#)
        }
        for query in route.parameters { parameter(query.name, "query", query.help, query.schema) }
        if route.isWrite {
            parameter(
                "Idempotency-Key", "header",
                "Names the write, so that sending it again doesn't apply it again",
                #"{"type":"string","minLength":1,"maxLength":200,"pattern":"^[!-~]+$"}"#)
        }
        writer.raw("]")
        if let body = route.body {
            writer.raw(",\"requestBody\":{\"required\":true,\"content\":{\"application/json\":")
            writer.raw("{\"schema\":\(body)}}}")
        }
        writer.raw(",\"responses\":{")
        let content = route.contentType ?? "application/json"
        let schema = route.contentType == nil ? envelope(success: true, data: route.data) : "{}"
        let statuses = route.method == .PUT ? [200, 201] : [route.status]
        for status in statuses {
            writer.raw("\"\(status)\":{\"description\":\"Success\",\"content\":{\"\(content)\":")
            writer.raw("{\"schema\":\(schema)}}},")
        }
        writer.raw("\"default\":{\"description\":\"Why it failed\",\"content\":")
        writer.raw("{\"application/json\":{\"schema\":")
        writer.raw("{\"$ref\":\"#/components/schemas/Error\"}}}}}}")
    }

    /// `getDocuments_id` and the like: unique, and fit for a name in generated code.
    private static func operationID(_ route: Route) -> String {
        let parts = route.segments.map { segment in
            String(segment.map { $0.isLetter || $0.isNumber ? $0 : "_" })
        }
        return ([route.method.rawValue.lowercased()] + parts.filter { $0 != "api" && $0 != "v1" })
            .joined(separator: "_")
    }

    private static func help(of parameter: String) -> String {
        switch parameter {
        case "db": "The database"
        case "collection": "The collection"
        case "id": "The document's _id"
        default: parameter
        }
    }

    private static func envelope(success: Bool, data: String) -> String {
        let error =
            success
            ? #"{"type":"null"}"#
            : #"{"type":"object","properties":{"code":{"type":"string"},"message":"#
                + #"{"type":"string"},"details":{"type":"object"}},"#
                + #""required":["code","message","details"]}"#
        return #"{"type":"object","properties":{"success":{"const":\#(success)},"data":\#(data),"#
            + #""error":\#(error),"metadata":{"type":"object"}},"#
            + #""required":["success","data","error","metadata"]}"#
    }
}
