// Changes of the schema that a migration makes, each with the one that takes it back. They are kept
// in the migration's records as documents.

import BSON
import Query

/// A change of collections, indexes or rules.
enum SchemaChange: Sendable {
    case createCollection(String, Document)
    case dropCollection(String, onlyIfEmpty: Bool)
    case rename(String, String)
    /// The specification as `createIndexes` takes it.
    case createIndex(String, Document)
    case dropIndex(String, String)
    /// The changes as `collMod` takes them.
    case alter(String, Document)
    case deployRules([RulesText])

    /// As it is kept.
    var document: Document {
        switch self {
        case .createCollection(let name, let options):
            ["op": "createCollection", "collection": .string(name), "options": .document(options)]
        case .dropCollection(let name, let onlyIfEmpty):
            [
                "op": "dropCollection", "collection": .string(name),
                "onlyIfEmpty": .bool(onlyIfEmpty),
            ]
        case .rename(let name, let target):
            ["op": "rename", "collection": .string(name), "to": .string(target)]
        case .createIndex(let name, let specification):
            [
                "op": "createIndex", "collection": .string(name),
                "index": .document(specification),
            ]
        case .dropIndex(let name, let index):
            ["op": "dropIndex", "collection": .string(name), "name": .string(index)]
        case .alter(let name, let changes):
            ["op": "alter", "collection": .string(name), "changes": .document(changes)]
        case .deployRules(let files):
            [
                "op": "deployRules",
                "files": .array(
                    files.map {
                        .document(["name": .string($0.name), "text": .string($0.text)])
                    }),
            ]
        }
    }

    /// Reads what `document` wrote; nil for anything else.
    init?(_ document: Document) {
        let name = document.text("collection") ?? ""
        switch document.text("op") {
        case "createCollection":
            self = .createCollection(name, document.document("options") ?? Document())
        case "dropCollection":
            self = .dropCollection(name, onlyIfEmpty: document["onlyIfEmpty"] == true)
        case "rename": self = .rename(name, document.text("to") ?? "")
        case "createIndex": self = .createIndex(name, document.document("index") ?? Document())
        case "dropIndex": self = .dropIndex(name, document.text("name") ?? "")
        case "alter": self = .alter(name, document.document("changes") ?? Document())
        case "deployRules":
            guard case .array(let files)? = document["files"] else { return nil }
            self = .deployRules(
                files.compactMap { value in
                    guard case .document(let file) = value, let name = file.text("name"),
                        let text = file.text("text")
                    else { return nil }
                    return RulesText(name: name, text: text)
                })
        default: return nil
        }
    }

    /// The statement that does it; dropping is renaming, see `MigrationRunner`.
    var command: TextCommand? {
        switch self {
        case .createCollection(let name, let options):
            .createCollection(collection: name, options: options)
        case .dropCollection: nil
        case .rename(let name, let target): .renameCollection(collection: name, to: target)
        case .createIndex(let name, let specification):
            .createIndex(collection: name, specification: specification)
        case .dropIndex(let name, let index): .dropIndex(collection: name, name: index)
        case .alter(let name, let changes): .alterCollection(collection: name, changes: changes)
        case .deployRules: nil
        }
    }
}

extension Document {
    /// The string in a field.
    func text(_ name: String) -> String? {
        if case .string(let text)? = self[name] { text } else { nil }
    }

    /// The whole number in a field.
    func number(_ name: String) -> Int64? {
        switch self[name] {
        case .int32(let number)?: Int64(number)
        case .int64(let number)?: number
        default: nil
        }
    }

    /// The document in a field.
    func document(_ name: String) -> Document? {
        if case .document(let document)? = self[name] { document } else { nil }
    }

    /// The documents of a list in a field.
    func documents(_ name: String) -> [Document] {
        guard case .array(let values)? = self[name] else { return [] }
        return values.compactMap { if case .document(let document) = $0 { document } else { nil } }
    }
}
