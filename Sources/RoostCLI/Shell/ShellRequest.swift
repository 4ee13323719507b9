// A command and how its answer is shown: what the mongosh form and the text language both become.

import BSON

/// What the shell is to send and show.
struct ShellRequest {
    enum Answer: Equatable {
        /// The documents of a cursor.
        case rows
        /// The first document of a cursor, or null.
        case one
        /// The documents of a cursor that goes on until it is interrupted.
        case changes
        /// The reply's own fields.
        case reply
        /// The elements of one field, one a line.
        case list(String)
        /// One field.
        case field(String)
        /// One field that is a document or null.
        case document(String)
        /// The names in a cursor's documents.
        case names
        /// The `_id`s of what was inserted.
        case inserted(isMany: Bool)
        /// How many documents an update matched and changed.
        case updated
        /// How many documents were deleted.
        case deleted
        /// The counts of a bulk write.
        case bulk
        /// An explanation as the reply.
        case explanation
        /// An explanation as a cursor's row.
        case explanationRow
        /// No command: text that the shell itself has.
        case text(String)
    }

    var command: Document
    var answer: Answer
    /// The database that it goes to, where that isn't the current one.
    var database: String?
    /// Whether documents are shown indented, not as a table.
    var isPretty = false
    /// The part of the result that is shown; empty for all of it.
    var path: [ResultStep] = []

    /// The same with an `_id` in each document to be inserted, and these `_id`s: drivers make them,
    /// so that they are known.
    func withIDs() -> (command: Document, ids: [Value]) {
        var ids: [Value] = []
        let command = Document { writer in
            for name in self.command.keys {
                guard let value = self.command[name] else { continue }
                switch (answer, name, value) {
                case (.inserted, "documents", .array(let list)):
                    writer.append(name, .array(list.map { Self.identified($0, &ids) }))
                case (.bulk, "ops", .array(let list)):
                    writer.append(name, .array(list.map { Self.operation($0, &ids) }))
                default: writer.append(name, value)
                }
            }
        }
        return (command, ids)
    }

    private static func operation(_ value: Value, _ ids: inout [Value]) -> Value {
        guard case .document(let operation) = value, operation["insert"] != nil,
            let document = operation["document"]
        else { return value }
        return ["insert": 0, "document": identified(document, &ids)]
    }

    private static func identified(_ value: Value, _ ids: inout [Value]) -> Value {
        guard case .document(let document) = value else { return value }
        if let id = document["_id"] {
            ids.append(id)
            return value
        }
        let id = Value.objectID(.generate())
        ids.append(id)
        return .document(
            Document { writer in
                writer.append("_id", id)
                writer.appendFields(of: document.view)
            })
    }
}

/// The fields of a command, in the order in which they were set.
struct FieldList {
    private var fields: [(name: String, value: Value)] = []

    init(_ fields: KeyValuePairs<String, Value> = [:]) {
        for (name, value) in fields { self.fields.append((name, value)) }
    }

    /// The name of the first field: the command's.
    var first: String? { fields.first?.name }

    /// The value of a field.
    subscript(name: String) -> Value? { fields.first { $0.name == name }?.value }

    /// Sets a field, which then stands last.
    mutating func set(_ name: String, _ value: Value) {
        remove(name)
        fields.append((name, value))
    }

    /// Sets a field where there is a value.
    mutating func set(_ name: String, ifAny value: Document?) {
        if let value { set(name, .document(value)) }
    }

    mutating func remove(_ name: String) {
        fields.removeAll { $0.name == name }
    }

    /// Adds the fields of `options`; `null` counts as not given.
    mutating func add(_ options: Document?, except left: Set<String> = []) {
        guard let options else { return }
        for name in options.keys where !left.contains(name) {
            if let value = options[name], value != .null { set(name, value) }
        }
    }

    /// The fields with those names.
    func only(_ names: [String]) -> FieldList {
        var kept = FieldList()
        kept.fields = fields.filter { names.contains($0.name) }
        return kept
    }

    var document: Document {
        Document { writer in for (name, value) in fields { writer.append(name, value) } }
    }
}
