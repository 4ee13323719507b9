// Methods of mongosh's form about a collection as a whole: indexes, statistics, names.

import BSON

enum ScriptSchema {
    static let names: Set<String> = [
        "createIndex", "createIndexes", "dropIndex", "dropIndexes", "getIndexes", "hideIndex",
        "unhideIndex", "drop", "renameCollection", "validate", "stats", "dataSize", "storageSize",
        "totalIndexSize", "totalSize", "isCapped", "convertToCapped", "help",
    ]

    static func request(
        _ call: ScriptChain.Call, _ collection: String, _ database: String
    ) throws(ScriptError) -> ShellRequest {
        let name = Value.string(collection)
        switch call.name {
        case "createIndex", "createIndexes": return try createIndexes(call, name)
        case "dropIndex", "dropIndexes":
            try call.takes(atMost: 1)
            if call.name == "dropIndex", call.arguments.isEmpty {
                throw call.wrong("an index's name or keys")
            }
            return ShellRequest(
                command: ["dropIndexes": name, "index": call.arguments.first ?? "*"],
                answer: .reply)
        case "getIndexes", "getIndices":
            try call.takes(atMost: 0)
            return ShellRequest(command: ["listIndexes": name], answer: .rows)
        case "hideIndex", "unhideIndex":
            guard call.arguments.count == 1 else { throw call.wrong("an index's name or keys") }
            let field = if case .string = call.arguments[0] { "name" } else { "keyPattern" }
            let index = Document { writer in
                writer.append(field, call.arguments[0])
                writer.append("hidden", call.name == "hideIndex")
            }
            return ShellRequest(
                command: ["collMod": name, "index": .document(index)], answer: .reply)
        case "drop":
            try call.takes(atMost: 1)
            return ShellRequest(command: ["drop": name], answer: .reply)
        case "renameCollection":
            let to = try call.text(0, "the new name in quotes")
            return ShellRequest(
                command: [
                    "renameCollection": .string("\(database).\(collection)"),
                    "to": .string("\(database).\(to)"),
                    "dropTarget": .bool(call.arguments.dropFirst().first == true),
                ], answer: .reply, database: "admin")
        case "validate":
            var fields = FieldList(["validate": name])
            switch call.arguments.first {
            case .bool(let isFull)?: fields.set("full", .bool(isFull))
            default: fields.add(try call.document(0))
            }
            return ShellRequest(command: fields.document, answer: .reply)
        case "convertToCapped":
            guard call.arguments.count == 1 else { throw call.wrong("a size in bytes") }
            return ShellRequest(
                command: ["convertToCapped": name, "size": call.arguments[0]], answer: .reply)
        case "help": return ShellRequest(command: [:], answer: .text(ShellHelp.collection))
        default: return try statistics(call, name)
        }
    }

    private static func statistics(
        _ call: ScriptChain.Call, _ collection: Value
    ) throws(ScriptError) -> ShellRequest {
        let fields = [
            "dataSize": "size", "storageSize": "storageSize", "totalIndexSize": "totalIndexSize",
            "totalSize": "totalSize", "isCapped": "capped",
        ]
        if call.name == "stats" {
            var command = FieldList(["collStats": collection])
            command.add(try call.document(0))
            return ShellRequest(command: command.document, answer: .reply)
        }
        guard let field = fields[call.name] else {
            throw ScriptError(
                offset: call.offset, message: "there is no method \(call.name)() on a collection")
        }
        try call.takes(atMost: 0)
        return ShellRequest(command: ["collStats": collection], answer: .field(field))
    }

    /// `createIndex(keys, options)` and `createIndexes([keys, …], options)`.
    private static func createIndexes(
        _ call: ScriptChain.Call, _ collection: Value
    ) throws(ScriptError) -> ShellRequest {
        try call.takes(atMost: 3)
        let isMany = call.name == "createIndexes"
        let wanted = isMany ? "a list of keys, and options" : "keys such as {a: 1}, and options"
        let list = isMany ? try call.list(0, wanted) : [.document(try call.required(0, wanted))]
        let options = try call.document(1)
        var indexes: [Value] = []
        for element in list {
            guard case .document(let keys) = element, !keys.isEmpty else {
                throw call.wrong(wanted)
            }
            var index = FieldList(["key": .document(keys)])
            if options?["name"] == nil {
                let generated = keys.keys.map { "\($0)_\(keys[$0].map(Cell.text) ?? "")" }
                index.set("name", .string(generated.joined(separator: "_")))
            }
            index.add(options)
            indexes.append(.document(index.document))
        }
        var fields = FieldList(["createIndexes": collection, "indexes": .array(indexes)])
        if call.arguments.count == 3 { fields.set("commitQuorum", call.arguments[2]) }
        return ShellRequest(command: fields.document, answer: .reply)
    }
}
