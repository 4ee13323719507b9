// The table of routes: what is found at which address, and what openapi.json says of it.

import BSON
import NIOHTTP1

/// What one method of one address does.
struct Route: Sendable {
    /// A parameter behind the question mark.
    struct Parameter: Sendable {
        let name: String
        let help: String
        /// Its JSON Schema.
        var schema = #"{"type":"string"}"#
    }

    let method: HTTPMethod
    /// The address; `{name}` stands for one segment.
    let pattern: String
    let summary: String
    var tag = "documents"
    var parameters: [Parameter] = []
    /// The JSON Schema of the body; nil for none.
    var body: String?
    /// The JSON Schema of `data`.
    var data = "{}"
    /// The status of success.
    var status = 200
    /// Whether the body of the answer is something else than the envelope.
    var contentType: String?
    /// Whether `Idempotency-Key` has a meaning.
    var isWrite = false
    let run: @Sendable (Exchange) throws(DBError) -> Void

    /// The pattern's segments.
    let segments: [Substring]

    init(
        _ method: HTTPMethod, _ pattern: String, _ summary: String, tag: String = "documents",
        parameters: [Parameter] = [], body: String? = nil, data: String = "{}", status: Int = 200,
        contentType: String? = nil, isWrite: Bool = false,
        run: @escaping @Sendable (Exchange) throws(DBError) -> Void
    ) {
        self.method = method
        self.pattern = pattern
        self.summary = summary
        self.tag = tag
        self.parameters = parameters
        self.body = body
        self.data = data
        self.status = status
        self.contentType = contentType
        self.isWrite = isWrite
        self.run = run
        segments = pattern.split(separator: "/")
    }
}

/// Finds the route of a request.
struct Router: Sendable {
    /// What an address leads to.
    enum Match {
        case route(Route, parameters: [String: String])
        /// The address is there, for these methods.
        case otherMethods([HTTPMethod])
        case nothing
    }

    let routes: [Route]
    private let byCount: [Int: [Route]]

    init(_ routes: [Route]) {
        self.routes = routes
        byCount = Dictionary(grouping: routes) { $0.segments.count }
    }

    /// Looks an address up; HEAD is answered by GET's route.
    /// - Throws: 2 BadValue for segments that don't decode.
    func match(_ method: HTTPMethod, _ path: Substring) throws(DBError) -> Match {
        let segments = path.split(separator: "/")
        var others: [HTTPMethod] = []
        for route in byCount[segments.count] ?? [] {
            guard Self.fits(route.segments, segments) else { continue }
            guard route.method == method || method == .HEAD && route.method == .GET else {
                others.append(route.method)
                continue
            }
            var parameters: [String: String] = [:]
            for (pattern, segment) in zip(route.segments, segments) where pattern.first == "{" {
                parameters[String(pattern.dropFirst().dropLast())] =
                    try PercentEncoding.decode(segment)
            }
            return .route(route, parameters: parameters)
        }
        return others.isEmpty ? .nothing : .otherMethods(others)
    }

    private static func fits(_ pattern: [Substring], _ segments: [Substring]) -> Bool {
        for (expected, segment) in zip(pattern, segments)
        where expected != segment && expected.first != "{" {
            return false
        }
        return true
    }
}
