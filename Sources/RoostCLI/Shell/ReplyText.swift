// Replies that are no rows, as text: counts, `_id`s, explanations, single documents.

import BSON

/// Writes what one command answered.
struct ReplyText {
    private let format: RowFormat

    init(_ format: RowFormat) {
        self.format = format
    }

    /// The text of a reply, a newline at its end.
    /// - Parameters:
    ///   - path: the part that is wanted; empty for all.
    ///   - ids: the `_id`s of what the command inserted.
    /// - Throws: a write's error, which comes in a reply that is otherwise fine.
    func text(
        of reply: Document, _ answer: ShellRequest.Answer, path: [ResultStep] = [], _ ids: [Value]
    ) throws(DBError) -> String {
        try Self.checkErrors(reply, answer)
        let result = Self.result(reply, answer, ids)
        guard path.isEmpty else { return part(ResultPath.part(of: result, at: path)) }
        switch answer {
        case .field: return (result == .null ? "" : Cell.text(result)) + "\n"
        case .list:
            guard case .array(let values) = result else { return "" }
            return values.map { Self.json($0) + "\n" }.joined()
        case .document, .inserted, .updated, .deleted, .bulk: return document(result) + "\n"
        case .explanation where format == .table:
            return ExplainTree.text(of: reply, columns: Terminal.size.columns)
        default: return self.reply(reply)
        }
    }

    /// The text of a part of a result; nil for one that isn't there.
    func part(_ value: Value?) -> String {
        switch value {
        case nil: (format == .json ? "null" : "undefined") + "\n"
        case .document?, .array?: document(value ?? .null) + "\n"
        case let value?: (format == .json ? Self.json(value) : Cell.text(value)) + "\n"
        }
    }

    /// What a command gives in mongosh's form, made of its reply.
    private static func result(
        _ reply: Document, _ answer: ShellRequest.Answer, _ ids: [Value]
    ) -> Value {
        switch answer {
        case .field(let name), .document(let name), .list(let name): reply[name] ?? .null
        case .inserted(let isMany):
            fields([
                isMany
                    ? ("insertedIds", numbered(ids)) : ("insertedId", ids.first ?? .null)
            ])
        case .updated: updated(reply)
        case .deleted: fields([("deletedCount", reply["n"] ?? 0)])
        case .bulk: bulk(reply, ids)
        default: .document(reply)
        }
    }

    /// A document over several lines, or on one for programs.
    func document(_ value: Value) -> String {
        format == .table ? PrettyJSON.text(value) : Self.json(value)
    }

    private static func json(_ value: Value) -> String {
        ExtendedJSON.string(of: OwnedValue(value).view)
    }

    private static func checkErrors(
        _ reply: Document, _ answer: ShellRequest.Answer
    ) throws(DBError) {
        var errors: [Value] = []
        if case .array(let list)? = reply["writeErrors"] { errors = list }
        var done = reply["n"]
        if answer == .bulk, case .document(let cursor)? = reply["cursor"],
            case .array(let list)? = cursor["firstBatch"]
        {
            errors = list.filter {
                if case .document(let row) = $0 { row["ok"] == 0.0 } else { false }
            }
            done = nil
        }
        guard case .document(let first)? = errors.first,
            case .string(let message)? = first["errmsg"], case .int32(let code)? = first["code"]
        else { return }
        let others = errors.count > 1 ? "; \(errors.count - 1) more failed" : ""
        let before = done.map { "; \(Cell.text($0)) done" } ?? ""
        throw DBError(DBError.Code(rawValue: code), message + others + before)
    }

    private static func fields(_ list: [(String, Value)]) -> Value {
        .document(
            Document { writer in
                writer.append("acknowledged", true)
                for (name, value) in list { writer.append(name, value) }
            })
    }

    /// `{"0": id, "1": id}`, as mongosh shows several.
    private static func numbered(_ ids: [Value]) -> Value {
        .document(
            Document { writer in
                for (index, id) in ids.enumerated() { writer.append("\(index)", id) }
            })
    }

    private static func updated(_ reply: Document) -> Value {
        var upserted: Value?
        if case .array(let list)? = reply["upserted"], case .document(let first)? = list.first {
            upserted = first["_id"]
        }
        let matched: Value = upserted == nil ? reply["n"] ?? 0 : 0
        return fields([
            ("insertedId", upserted ?? .null), ("matchedCount", matched),
            ("modifiedCount", reply["nModified"] ?? 0),
            ("upsertedCount", upserted == nil ? 0 : 1),
        ])
    }

    private static func bulk(_ reply: Document, _ ids: [Value]) -> Value {
        fields([
            ("insertedCount", reply["nInserted"] ?? 0), ("insertedIds", numbered(ids)),
            ("matchedCount", reply["nMatched"] ?? 0), ("modifiedCount", reply["nModified"] ?? 0),
            ("deletedCount", reply["nDeleted"] ?? 0), ("upsertedCount", reply["nUpserted"] ?? 0),
        ])
    }

    private func reply(_ reply: Document) -> String {
        let hidden: Set<String> = ["ok", "$clusterTime", "operationTime"]
        let shown = Document { writer in
            var fields = reply.view.makeIterator()
            while let field = fields.next() {
                if !hidden.contains(field.nameString) { writer.append(field) }
            }
        }
        if !shown.isEmpty { return document(.document(shown)) + "\n" }
        return format == .json ? "{\"ok\":1}\n" : "ok\n"
    }
}
