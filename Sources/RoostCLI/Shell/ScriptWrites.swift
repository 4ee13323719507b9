// Writing methods of mongosh's form: `insertOne`, `updateMany`, `findOneAndUpdate`, `bulkWrite` …

import BSON

enum ScriptWrites {
    static let names: Set<String> = [
        "insertOne", "insertMany", "insert", "updateOne", "updateMany", "update", "replaceOne",
        "deleteOne", "deleteMany", "remove", "findOneAndUpdate", "findOneAndReplace",
        "findOneAndDelete", "findAndModify", "bulkWrite",
    ]

    /// Options that belong to the command, not to its statement.
    private static let ofCommand: Set<String> = [
        "writeConcern", "let", "comment", "bypassDocumentValidation", "ordered", "maxTimeMS",
    ]

    static func request(
        _ call: ScriptChain.Call, _ collection: String, _ database: String
    ) throws(ScriptError) -> ShellRequest {
        switch call.name {
        case "insertOne", "insertMany", "insert": return try insert(call, collection)
        case "updateOne", "updateMany", "update", "replaceOne":
            return try update(call, collection)
        case "deleteOne", "deleteMany", "remove": return try delete(call, collection)
        case "bulkWrite": return try bulk(call, "\(database).\(collection)")
        case "findAndModify":
            var fields = FieldList(["findAndModify": .string(collection)])
            fields.add(try call.required(0, "an object {query, update, …}"))
            return ShellRequest(command: fields.document, answer: .document("value"))
        default: return try findAndModify(call, collection)
        }
    }

    private static func insert(
        _ call: ScriptChain.Call, _ collection: String
    ) throws(ScriptError) -> ShellRequest {
        try call.takes(atMost: 2)
        let isMany = call.name == "insertMany"
        let what = isMany ? "a list of documents" : "a document"
        var documents: [Value]
        switch call.arguments.first {
        case .array(let list)? where call.name != "insertOne": documents = list
        case .document? where !isMany: documents = [call.arguments[0]]
        default: throw call.wrong(what)
        }
        var fields = FieldList([
            "insert": .string(collection), "documents": .array(documents),
        ])
        fields.add(try call.document(1))
        return ShellRequest(
            command: fields.document, answer: .inserted(isMany: documents.count != 1 || isMany))
    }

    private static func update(
        _ call: ScriptChain.Call, _ collection: String
    ) throws(ScriptError) -> ShellRequest {
        try call.takes(atMost: 3)
        guard call.arguments.count >= 2 else {
            throw call.wrong("a filter, a change and options")
        }
        let filter = try call.document(0) ?? Document()
        try check(call.arguments[1], call)
        let options = try call.document(2)
        let isMulti = call.name == "updateMany"
        var statement = FieldList([
            "q": .document(filter), "u": call.arguments[1], "multi": .bool(isMulti),
        ])
        statement.add(options, except: ofCommand)
        var fields = FieldList([
            "update": .string(collection), "updates": [.document(statement.document)],
        ])
        fields.add(options.map(ofCommand(in:)))
        return ShellRequest(command: fields.document, answer: .updated)
    }

    /// Whether a change fits the method: operators change documents, other fields replace them.
    private static func check(
        _ change: Value, _ call: ScriptChain.Call
    ) throws(ScriptError) {
        switch change {
        case .array where !call.name.lowercased().contains("replace"): return
        case .document(let document):
            let hasOperators = document.keys.first?.hasPrefix("$") == true
            if call.name == "update" { return }
            let replaces = call.name.lowercased().contains("replace")
            if replaces, hasOperators {
                throw call.wrong("a whole document to replace with, without operators such as $set")
            }
            if !replaces, !hasOperators {
                throw call.wrong("changes such as {$set: {…}}; replaceOne() takes a whole document")
            }
        default: throw call.wrong("a filter, a change and options")
        }
    }

    private static func ofCommand(in options: Document) -> Document {
        var fields = FieldList()
        fields.add(options)
        return fields.only(Array(ofCommand)).document
    }

    private static func delete(
        _ call: ScriptChain.Call, _ collection: String
    ) throws(ScriptError) -> ShellRequest {
        try call.takes(atMost: 2)
        guard let filter = try call.document(0) else {
            throw call.wrong("a filter; {} means all documents")
        }
        var options: Document?
        var isOne = call.name == "deleteOne"
        if call.name == "remove", call.arguments.count == 2 {
            if case .document(let given) = call.arguments[1] {
                isOne = given["justOne"] == true
                options = given
            } else {
                isOne = call.arguments[1] == true || call.arguments[1] == 1
            }
        } else {
            options = try call.document(1)
        }
        var statement = FieldList(["q": .document(filter), "limit": isOne ? 1 : 0])
        statement.add(options, except: ofCommand.union(["justOne"]))
        var fields = FieldList([
            "delete": .string(collection), "deletes": [.document(statement.document)],
        ])
        fields.add(options.map(ofCommand(in:)))
        return ShellRequest(command: fields.document, answer: .deleted)
    }

    private static func findAndModify(
        _ call: ScriptChain.Call, _ collection: String
    ) throws(ScriptError) -> ShellRequest {
        let removes = call.name == "findOneAndDelete"
        try call.takes(atMost: removes ? 2 : 3)
        var fields = FieldList(["findAndModify": .string(collection)])
        fields.set("query", .document(try call.document(0) ?? Document()))
        if removes {
            fields.set("remove", true)
        } else {
            guard call.arguments.count >= 2 else {
                throw call.wrong("a filter, a change and options")
            }
            try check(call.arguments[1], call)
            fields.set("update", call.arguments[1])
        }
        let options = try call.document(removes ? 1 : 2)
        let isNew =
            options?["returnDocument"] == "after" || options?["returnNewDocument"] == true
            || options?["returnOriginal"] == false
        if isNew { fields.set("new", true) }
        if let projection = options?["projection"] { fields.set("fields", projection) }
        fields.add(
            options,
            except: ["returnDocument", "returnNewDocument", "returnOriginal", "projection"])
        return ShellRequest(command: fields.document, answer: .document("value"))
    }

    // MARK: Bulk

    private static func bulk(
        _ call: ScriptChain.Call, _ namespace: String
    ) throws(ScriptError) -> ShellRequest {
        try call.takes(atMost: 2)
        let wanted = "a list of operations such as {insertOne: {document: {…}}}"
        let list = try call.list(0, wanted)
        guard !list.isEmpty else { throw call.wrong(wanted) }
        var operations: [Value] = []
        for element in list {
            guard case .document(let operation) = element, operation.keys.count == 1,
                let name = operation.keys.first, case .document(let body)? = operation[name],
                let made = self.operation(name, body)
            else { throw call.wrong(wanted) }
            operations.append(.document(made))
        }
        var fields = FieldList([
            "bulkWrite": 1, "ops": .array(operations), "nsInfo": [["ns": .string(namespace)]],
        ])
        fields.add(try call.document(1))
        return ShellRequest(command: fields.document, answer: .bulk, database: "admin")
    }

    /// One operation in the command's form; nil where it is none.
    private static func operation(_ name: String, _ body: Document) -> Document? {
        switch name {
        case "insertOne":
            guard let document = body["document"] else { return nil }
            return ["insert": 0, "document": document]
        case "updateOne", "updateMany", "replaceOne":
            guard let filter = body["filter"], let change = body["update"] ?? body["replacement"]
            else { return nil }
            var fields = FieldList([
                "update": 0, "filter": filter, "updateMods": change,
                "multi": .bool(name == "updateMany"),
            ])
            fields.add(body, except: ["filter", "update", "replacement"])
            return fields.document
        case "deleteOne", "deleteMany":
            guard let filter = body["filter"] else { return nil }
            var fields = FieldList([
                "delete": 0, "filter": filter, "multi": .bool(name == "deleteMany"),
            ])
            fields.add(body, except: ["filter"])
            return fields.document
        default: return nil
        }
    }
}
