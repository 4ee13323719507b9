// What PATCH takes: transforms of fields, or with the type application/merge-patch+json a merge patch
// (RFC 7396).

import BSON
import NIOHTTP1

/// Reads changes of a document.
enum DocumentChange {
    /// The fields of a body, and the update operators that they are.
    private static let operators: [(name: String, update: String)] = [
        ("set", "$set"), ("setOnInsert", "$setOnInsert"), ("increment", "$inc"),
        ("multiply", "$mul"), ("min", "$min"), ("max", "$max"), ("rename", "$rename"),
    ]

    static let schema =
        #"{"type":"object","properties":{"set":{"type":"object"},"increment":{"type":"object"},"#
        + #""multiply":{"type":"object"},"min":{"type":"object"},"max":{"type":"object"},"#
        + #""rename":{"type":"object"},"setOnInsert":{"type":"object"},"#
        + #""unset":{"type":"array","items":{"type":"string"}},"#
        + #""serverTime":{"type":"array","items":{"type":"string"}},"#
        + #""arrayUnion":{"type":"object"},"arrayRemove":{"type":"object"}},"#
        + #""additionalProperties":false}"#

    /// The update that a request's body means.
    /// - Throws: 2 BadValue, 9 FailedToParse.
    static func update(_ exchange: Exchange) throws(DBError) -> Document {
        let type = exchange.request.headers.first(name: "Content-Type") ?? ""
        if type.lowercased().hasPrefix("application/merge-patch+json") {
            return try mergePatch(try exchange.bodyDocument())
        }
        let known = operators.map(\.name) + ["unset", "serverTime", "arrayUnion", "arrayRemove"]
        let body = try exchange.bodyDocument(known)
        let unset = try names("unset", body)
        let times = try names("serverTime", body)
        let unions = try lists("arrayUnion", body)
        let removals = try lists("arrayRemove", body)
        var parts: [(name: String, value: Document)] = []
        for (name, update) in operators {
            guard let value = body[name] else { continue }
            guard case .document(let fields) = value else {
                throw DBError(.badValue, "'\(name)' must be an object of fields")
            }
            parts.append((update, fields))
        }
        if !unset.isEmpty {
            parts.append(("$unset", Document { for name in unset { $0.append(name, "") } }))
        }
        if !times.isEmpty {
            parts.append(
                ("$currentDate", Document { for name in times { $0.append(name, true) } }))
        }
        if !unions.isEmpty {
            parts.append(
                (
                    "$addToSet",
                    Document { writer in
                        for (name, list) in unions {
                            writer.append(name, ["$each": .array(list)] as Document)
                        }
                    }
                ))
        }
        if !removals.isEmpty {
            parts.append(
                (
                    "$pullAll",
                    Document { writer in
                        for (name, list) in removals { writer.append(name, .array(list)) }
                    }
                ))
        }
        guard parts.contains(where: { !$0.value.view.isEmpty }) else {
            throw DBError(
                .badValue, "the body changes nothing; it takes \(known.joined(separator: ", "))")
        }
        let given = parts
        return Document { writer in
            for part in given where !part.value.view.isEmpty {
                writer.append(part.name, part.value)
            }
        }
    }

    private static func names(_ name: String, _ body: Document) throws(DBError) -> [String] {
        guard let value = body[name] else { return [] }
        guard case .array(let list) = value else {
            throw DBError(.badValue, "'\(name)' must be a list of fields' names")
        }
        var names: [String] = []
        for item in list {
            guard case .string(let text) = item else {
                throw DBError(.badValue, "'\(name)' must be a list of fields' names")
            }
            if !names.contains(text) { names.append(text) }
        }
        return names
    }

    private static func lists(
        _ name: String, _ body: Document
    ) throws(DBError) -> [(name: String, list: [Value])] {
        guard let value = body[name] else { return [] }
        guard case .document(let fields) = value else {
            throw DBError(.badValue, "'\(name)' must be an object of lists")
        }
        var lists: [(name: String, list: [Value])] = []
        for key in fields.keys {
            guard case .array(let list)? = fields[key] else {
                throw DBError(.badValue, "'\(name).\(key)' must be a list")
            }
            lists.append((key, list))
        }
        return lists
    }

    /// null takes a field away, an object merges, anything else replaces.
    private static func mergePatch(_ patch: Document) throws(DBError) -> Document {
        var set: [(String, Value)] = []
        var unset: [String] = []
        func walk(_ object: Document, _ prefix: String) throws(DBError) {
            for key in object.keys {
                guard !key.isEmpty, !key.contains("."), !key.hasPrefix("$") else {
                    throw DBError(
                        .badValue,
                        "a merge patch can't name the field '\(key.prefix(100))': use the "
                            + "transforms of application/json")
                }
                switch object[key] {
                case .null?: unset.append(prefix + key)
                case .document(let inner)? where !inner.view.isEmpty:
                    try walk(inner, "\(prefix)\(key).")
                case let value?: set.append((prefix + key, value))
                case nil: break
                }
            }
        }
        try walk(patch, "")
        guard !set.isEmpty || !unset.isEmpty else {
            throw DBError(.badValue, "the body changes nothing")
        }
        let (assigned, removed) = (set, unset)
        return Document { writer in
            if !assigned.isEmpty {
                let fields = writer.openDocument("$set")
                for (name, value) in assigned { writer.append(name, value) }
                writer.close(fields)
            }
            if !removed.isEmpty {
                let fields = writer.openDocument("$unset")
                for name in removed { writer.append(name, "") }
                writer.close(fields)
            }
        }
    }
}
