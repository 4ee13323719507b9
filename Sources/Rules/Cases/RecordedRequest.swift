// Requests as they were asked of rules, with what came of them: the access log, one document a line.
//
//     {"at": {"$date": …}, "rules": 3, "method": "get", "database": "app", "segments": ["notes", "7"],
//      "auth": {"uid": "ann", "token": {…}}, "resource": {…}, "newResource": {…},
//      "query": {"limit": 10, "offset": 5, "orderBy": ["n"]},
//      "lookups": [{"path": "members/ann", "document": {…}}], "allowed": true, "hidden": ["salary"]}
//
// What there wasn't is left out (`document` is null for one that wasn't there). Replaying asks other
// rules the same. Lines hold documents and claims: the log is as secret as the database.

package import BSON
import Synchronization

/// A request and what the rules of its time said.
package struct RecordedRequest: Sendable {
    /// A document that rules looked up.
    package struct Lookup: Sendable, Hashable {
        /// The path behind `documents`, joined by slashes.
        package let path: String
        /// The document; nil where there was none.
        package let document: Document?

        /// A look-up and what it gave.
        package init(path: String, document: Document?) {
            self.path = path
            self.document = document
        }
    }

    /// What was asked.
    package let request: RuleRequest
    /// The number of the rules that were in force.
    package let rules: Int64
    /// What they looked up, in the same database.
    package let lookups: [Lookup]
    /// Whether they allowed it.
    package let isAllowed: Bool
    /// Fields that were hidden.
    package let hidden: [String]

    /// A record of a decision.
    package init(
        _ request: RuleRequest, rules: Int64, lookups: [Lookup], isAllowed: Bool, hidden: [String]
    ) {
        self.request = request
        self.rules = rules
        self.lookups = lookups
        self.isAllowed = isAllowed
        self.hidden = hidden
    }

    /// The line's document.
    package var document: Document {
        Document { writer in
            writer.append("at", dateMillis: request.timeMillis)
            writer.append("rules", rules)
            writer.append("method", request.method.rawValue)
            writer.append("database", request.database)
            // An id may hold slashes: it is kept apart.
            writer.append("segments", .array(request.segments.map { .string($0) }))
            if let auth = request.auth { writer.append("auth", auth) }
            if let resource = request.resource { writer.append("resource", resource) }
            if let resource = request.newResource { writer.append("newResource", resource) }
            if let query = request.query { writer.append("query", Self.document(query)) }
            if !lookups.isEmpty {
                writer.append(
                    "lookups",
                    .array(
                        lookups.map {
                            [
                                "path": .string($0.path),
                                "document": $0.document.map { .document($0) } ?? .null,
                            ]
                        }))
            }
            writer.append("allowed", isAllowed)
            if !hidden.isEmpty { writer.append("hidden", .array(hidden.map { .string($0) })) }
        }
    }

    private static func document(_ query: RuleRequest.Query) -> Document {
        Document { writer in
            if let limit = query.limit { writer.append("limit", limit) }
            if let offset = query.offset { writer.append("offset", offset) }
            if !query.orderBy.isEmpty {
                writer.append("orderBy", .array(query.orderBy.map { .string($0) }))
            }
        }
    }

    /// Reads a line's document; nil for one that is no record.
    package init?(_ document: Document) {
        let view = document.view
        guard let name = view.value("method")?.string, let method = RuleMethod(rawValue: name),
            let database = view.value("database")?.string,
            let segments = Self.strings(document["segments"]), !segments.isEmpty,
            case .bool(let isAllowed)? = document["allowed"],
            case .date(let millis)? = document["at"]
        else { return nil }
        var query: RuleRequest.Query?
        if let shape = view.value("query")?.document {
            query = RuleRequest.Query(
                limit: shape.value("limit")?.integer, offset: shape.value("offset")?.integer,
                orderBy: Self.strings(Document(copying: shape)["orderBy"]) ?? [])
        }
        var lookups: [Lookup] = []
        if case .array(let list)? = document["lookups"] {
            for case .document(let item) in list {
                guard case .string(let path)? = item["path"] else { return nil }
                lookups.append(Lookup(path: path, document: Self.document(item["document"])))
            }
        }
        self.init(
            RuleRequest(
                method, database: database, segments, auth: Self.document(document["auth"]),
                timeMillis: millis, resource: Self.document(document["resource"]),
                newResource: Self.document(document["newResource"]), query: query),
            rules: view.value("rules")?.integer ?? 0, lookups: lookups, isAllowed: isAllowed,
            hidden: Self.strings(document["hidden"]) ?? [])
    }

    private static func strings(_ value: Value?) -> [String]? {
        guard case .array(let list)? = value else { return nil }
        var texts: [String] = []
        for item in list {
            guard case .string(let text) = item else { return nil }
            texts.append(text)
        }
        return texts
    }

    private static func document(_ value: Value?) -> Document? {
        if case .document(let document)? = value { document } else { nil }
    }
}

extension ValueView {
    /// A whole number of either size.
    fileprivate var integer: Int64? { int64 ?? int32.map { Int64($0) } }
}

/// What other rules say about a recorded request.
package enum ReplayedVerdict: Sendable, Equatable {
    case same
    /// What was allowed would be denied, or fields of it hidden.
    case newlyDenied(hides: [String])
    /// What was denied would be allowed, or hidden fields shown.
    case newlyExposed(shows: [String])
    /// The rules look up a document that the log doesn't hold.
    case unknown(path: String)
}

extension RecordedRequest {
    /// Asks other rules the same.
    package func replay(_ rules: RuleSet) -> ReplayedVerdict {
        let documents = RecordedDocuments(lookups, own: request)
        let decision = rules.decide(request, documents)
        if let path = documents.missing { return .unknown(path: path) }
        if isAllowed != decision.isAllowed {
            return isAllowed ? .newlyDenied(hides: []) : .newlyExposed(shows: [])
        }
        guard isAllowed else { return .same }
        let (before, now) = (Set(hidden), Set(decision.hidden))
        let shown = before.subtracting(now)
        if !shown.isEmpty { return .newlyExposed(shows: shown.sorted()) }
        let covered = now.subtracting(before)
        return covered.isEmpty ? .same : .newlyDenied(hides: covered.sorted())
    }

    /// Why other rules say so.
    package func explanation(_ rules: RuleSet) -> String {
        RuleExplanation(rules, request, RecordedDocuments(lookups, own: request)).text
    }
}

/// What the log holds of documents. The request's own is known without a look-up.
private final class RecordedDocuments: RuleDocuments {
    private let known: [String: Document?]
    private let lacking = Mutex<String?>(nil)

    init(_ lookups: [RecordedRequest.Lookup], own request: RuleRequest) {
        var known: [String: Document?] = [:]
        if request.resource != nil || request.method == .create {
            known[request.segments.joined(separator: "/")] = .some(request.resource)
        }
        for lookup in lookups { known[lookup.path] = .some(lookup.document) }
        self.known = known
    }

    /// The first document that was asked for and isn't known.
    var missing: String? { lacking.withLock { $0 } }

    func document(
        at segments: ArraySlice<String>, in database: String, after: Bool
    ) throws(DBError) -> Document? {
        let path = segments.joined(separator: "/")
        if let found = known[path] { return found }
        lacking.withLock { $0 = $0 ?? path }
        throw DBError(.noMatchingDocument, "the log does not hold \(path)")
    }
}
