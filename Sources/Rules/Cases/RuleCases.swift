// Test cases of rules: a small text file, one case a line.
//
//     rules firestore.rules
//     time 2026-01-01T00:00:00Z
//     data users/alice {"role": "admin"}
//
//     # an owner reads her own
//     allow alice get users/alice
//     deny nobody get users/alice
//     deny bob{"email_verified": true} update users/alice {"role": "none"}
//
// Values are Extended JSON. Lines that begin with space go on with the line before. Rules.md has the
// whole format.

package import BSON

/// A file of test cases.
package struct RuleCases: Sendable {
    /// What is tried, and what must come of it.
    package struct Case: Sendable {
        /// The remark above it, or its own line.
        package let name: String
        /// Its line in the file, from 1.
        package let line: Int
        /// Whether it must be allowed.
        package let isAllowed: Bool
        /// What is asked.
        package let request: RuleRequest
        /// Paths of the fields that must be hidden; nil where nothing is said of them.
        package let hidden: [String]?
        /// Documents as they are, by path.
        package let documents: CaseDocuments
    }

    /// The rules file that the cases are for; nil where the file doesn't name it.
    package private(set) var rules: String?
    /// In the order of the file.
    package private(set) var cases: [Case] = []

    /// What is wrong with a file of cases.
    package struct Problem: Error, Sendable {
        /// Its line in the file, from 1.
        package let line: Int
        /// What is wrong and what is expected.
        package let message: String
    }

    private var documents: [String: Document] = [:]
    private var timeMillis: Int64 = 1_767_225_600_000

    /// Most bytes of a file.
    private static let bytesMax = 4 << 20

    /// Reads a file.
    package init(_ text: String) throws(Problem) {
        guard text.utf8.count <= Self.bytesMax else {
            throw Problem(line: 1, message: "a file of cases has at most 4 MiB")
        }
        var remark: String?
        for (number, line) in Self.logicalLines(of: text) {
            if line.hasPrefix("#") {
                let words = line.drop { $0 == "#" || $0 == " " }
                remark = words.isEmpty ? nil : String(words)
                continue
            }
            if line.isEmpty {
                remark = nil
                continue
            }
            var words = CaseWords(line, number: number)
            let first = words.word()
            switch first {
            case "rules": rules = try words.required("the name of the rules file")
            case "time":
                let text = try words.required("a time such as 2026-01-01T00:00:00Z")
                guard let millis = ISODate.parse(text) else {
                    throw Problem(line: number, message: "'\(text)' is no time")
                }
                timeMillis = millis
            case "data":
                let path = try words.path()
                documents[path.joined(separator: "/")] = try words.document()
            case "none":
                let path = try words.path()
                documents[path.joined(separator: "/")] = nil
            case "allow", "deny":
                cases.append(try parse(&words, isAllowed: first == "allow", name: remark, line))
            default:
                throw Problem(
                    line: number,
                    message: "expected allow, deny, data, none, time or rules, found '\(first)'")
            }
            try words.end()
        }
    }

    /// Lines with those that go on with them, and the number of the first.
    private static func logicalLines(of text: String) -> [(Int, String)] {
        var lines: [(Int, String)] = []
        let all = text.split(separator: "\n", omittingEmptySubsequences: false)
        for (index, line) in all.enumerated() {
            let content = line.hasSuffix("\r") ? line.dropLast() : line
            let trimmed = String(content.drop { $0 == " " || $0 == "\t" })
            let goesOn = content.utf8.first == 32 || content.utf8.first == 9
            if goesOn, !trimmed.isEmpty, !trimmed.hasPrefix("#"), let last = lines.last,
                !last.1.isEmpty, !last.1.hasPrefix("#")
            {
                lines[lines.count - 1].1 += " " + trimmed
            } else {
                lines.append((index + 1, trimmed))
            }
        }
        return lines
    }

    /// `WHO METHOD PATH [DATA] [hide [...]]`.
    private func parse(
        _ words: inout CaseWords, isAllowed: Bool, name: String?, _ line: String
    ) throws(Problem) -> Case {
        let auth = try words.user()
        let verb = try words.required("get, list, create, update, set or delete")
        let path = try words.path(isOfList: verb == "list")
        let stored = documents[path.joined(separator: "/")]
        var request = RuleRequest(
            .get, path, auth: auth, timeMillis: timeMillis, resource: stored)
        switch verb {
        case "get", "delete": request.method = verb == "get" ? .get : .delete
        case "list":
            request.method = .list
            request.resource = nil
            if words.hasDocument { request.query = try Self.query(try words.document(), words) }
        case "create":
            request.method = .create
            request.resource = nil
            request.newResource = try words.document()
        case "set":
            request.method = stored == nil ? .create : .update
            request.newResource = try words.document()
        case "update":
            request.method = .update
            request.newResource = Self.merged(stored ?? Document(), try words.document())
        default:
            throw words.problem(
                "expected get, list, create, update, set or delete, found '\(verb)'")
        }
        var hidden: [String]?
        if words.peek == "hide" {
            _ = words.word()
            hidden = try words.texts()
        }
        return Case(
            name: name ?? line, line: words.number, isAllowed: isAllowed, request: request,
            hidden: hidden, documents: CaseDocuments(documents: documents))
    }

    /// The stored fields, with those given in their place or behind them.
    private static func merged(_ stored: Document, _ fields: Document) -> Document {
        Document { writer in
            for name in stored.keys {
                if let value = fields[name] ?? stored[name] { writer.append(name, value) }
            }
            for name in fields.keys where stored[name] == nil {
                if let value = fields[name] { writer.append(name, value) }
            }
        }
    }

    private static func query(
        _ document: Document, _ words: CaseWords
    ) throws(Problem) -> RuleRequest.Query {
        func number(_ value: Value?) -> Int64? {
            switch value {
            case .int32(let number): Int64(number)
            case .int64(let number): number
            default: nil
            }
        }
        for name in document.keys where !["limit", "offset", "orderBy"].contains(name) {
            throw words.problem("a query has limit, offset and orderBy, not '\(name)'")
        }
        var fields: [String] = []
        if case .array(let values) = document["orderBy"] {
            for case .string(let field) in values { fields.append(field) }
        }
        return RuleRequest.Query(
            limit: number(document["limit"]), offset: number(document["offset"]),
            orderBy: fields)
    }
}

/// The documents of a case but the request's own, which the request knows.
package struct CaseDocuments: RuleDocuments {
    let documents: [String: Document]

    /// The document at a path.
    package func document(
        at segments: ArraySlice<String>, in database: String, after: Bool
    ) throws(DBError) -> Document? {
        documents[segments.joined(separator: "/")]
    }
}
