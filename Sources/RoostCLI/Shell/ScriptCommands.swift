// The methods of mongosh's form, as the commands that they send.

import BSON

/// A command and what of its answer is shown.
struct ShellRequest {
    enum Answer {
        /// The documents of a cursor.
        case rows
        /// The reply's own fields.
        case reply
        /// The elements of one field.
        case list(String)
        /// One field.
        case field(String)
    }

    var command: Document
    var answer: Answer
    /// Whether it goes to `admin` instead of the current database.
    var isAdministrative = false
}

/// Turns chains of calls into requests.
struct ScriptCommands {
    private let chain: ScriptChain
    private var fields: [(String, Value)] = []

    private init(_ chain: ScriptChain) {
        self.chain = chain
    }

    /// The request that a chain stands for.
    static func request(_ chain: ScriptChain) throws(ScriptError) -> ShellRequest {
        guard let first = chain.calls.first else {
            throw ScriptError(offset: 0, message: "expected a method such as .find()")
        }
        guard let collection = chain.collection else { return try database(first, chain) }
        var commands = ScriptCommands(chain)
        return try commands.request(first, collection)
    }

    private static func database(
        _ call: ScriptChain.Call, _ chain: ScriptChain
    ) throws(ScriptError) -> ShellRequest {
        try onlyCall(chain)
        switch call.name {
        case "runCommand", "adminCommand":
            guard call.arguments.count == 1 else { break }
            let isAdministrative = call.name == "adminCommand"
            switch call.arguments[0] {
            case .document(let command) where !command.isEmpty:
                return ShellRequest(
                    command: command, answer: .reply, isAdministrative: isAdministrative)
            case .string(let name) where !name.isEmpty && !name.utf8.contains(0):
                return ShellRequest(
                    command: Document { $0.append(name, Int32(1)) }, answer: .reply,
                    isAdministrative: isAdministrative)
            default: break
            }
        case "createCollection":
            guard case .string(let name)? = call.arguments.first else { break }
            let options = try document(call, 1) ?? Document()
            return ShellRequest(
                command: Document { writer in
                    writer.append("create", name)
                    writer.appendFields(of: options.view)
                }, answer: .reply)
        case "getCollectionNames":
            return ShellRequest(command: ["listCollections": 1, "nameOnly": true], answer: .rows)
        case "dropDatabase": return ShellRequest(command: ["dropDatabase": 1], answer: .reply)
        case "stats": return ShellRequest(command: ["dbStats": 1], answer: .reply)
        case "serverStatus": return ShellRequest(command: ["serverStatus": 1], answer: .reply)
        default:
            throw ScriptError(offset: call.offset, message: "there is no method db.\(call.name)()")
        }
        throw ScriptError(
            offset: call.offset, message: "db.\(call.name)() takes other arguments; see .help")
    }

    // MARK: Collections

    private mutating func request(
        _ call: ScriptChain.Call, _ collection: String
    ) throws(ScriptError) -> ShellRequest {
        let name = Value.string(collection)
        switch call.name {
        case "find", "findOne", "aggregate", "countDocuments", "distinct":
            return try read(call, name)
        case "insertOne", "insertMany":
            guard let argument = call.arguments.first else { throw wrong(call) }
            let documents = if case .array(let list) = argument { list } else { [argument] }
            fields = [("insert", name), ("documents", .array(documents))]
            return try reply(call)
        case "updateOne", "updateMany", "replaceOne":
            guard call.arguments.count >= 2, let filter = try Self.document(call, 0) else {
                throw wrong(call)
            }
            let isMulti = call.name == "updateMany"
            var statement: [(String, Value)] = [
                ("q", .document(filter)), ("u", call.arguments[1]), ("multi", .bool(isMulti)),
            ]
            try append(try Self.document(call, 2), to: &statement)
            fields = [("update", name), ("updates", .array([Self.document(statement)]))]
            return try reply(call)
        case "deleteOne", "deleteMany":
            guard let filter = try Self.document(call, 0) else { throw wrong(call) }
            var statement: [(String, Value)] = [
                ("q", .document(filter)), ("limit", call.name == "deleteOne" ? 1 : 0),
            ]
            try append(try Self.document(call, 1), to: &statement)
            fields = [("delete", name), ("deletes", .array([Self.document(statement)]))]
            return try reply(call)
        default: return try schema(call, name)
        }
    }

    private mutating func schema(
        _ call: ScriptChain.Call, _ collection: Value
    ) throws(ScriptError) -> ShellRequest {
        switch call.name {
        case "createIndex":
            guard let keys = try Self.document(call, 0) else { throw wrong(call) }
            let generated = keys.keys.map { "\($0)_\(keys[$0].map(Cell.text) ?? "")" }
            var index: [(String, Value)] = [("key", .document(keys))]
            let options = try Self.document(call, 1)
            if options?["name"] == nil {
                index.append(("name", .string(generated.joined(separator: "_"))))
            }
            try append(options, to: &index)
            fields = [("createIndexes", collection), ("indexes", .array([Self.document(index)]))]
            return try reply(call)
        case "dropIndex", "dropIndexes":
            fields = [
                ("dropIndexes", collection), ("index", call.arguments.first ?? .string("*")),
            ]
            return try reply(call)
        case "getIndexes":
            fields = [("listIndexes", collection)]
            try Self.onlyCall(chain)
            return ShellRequest(command: built, answer: .rows)
        case "drop":
            fields = [("drop", collection)]
            return try reply(call)
        case "stats":
            fields = [("collStats", collection)]
            return try reply(call)
        default:
            throw ScriptError(
                offset: call.offset, message: "there is no method \(call.name)() on a collection")
        }
    }

    private mutating func read(
        _ call: ScriptChain.Call, _ collection: Value
    ) throws(ScriptError) -> ShellRequest {
        var answer = ShellRequest.Answer.rows
        switch call.name {
        case "find", "findOne":
            fields = [("find", collection)]
            if let filter = try Self.document(call, 0) { set("filter", .document(filter)) }
            if let projection = try Self.document(call, 1) {
                set("projection", .document(projection))
            }
            if call.name == "findOne" {
                set("limit", 1)
                set("singleBatch", true)
            }
        case "aggregate":
            guard let pipeline = call.arguments.first else { throw wrong(call) }
            let stages = if case .array(let list) = pipeline { list } else { call.arguments }
            fields = [("aggregate", collection), ("pipeline", .array(stages)), ("cursor", [:])]
            if case .array = pipeline, let options = try Self.document(call, 1) {
                try append(options, to: &fields)
            }
        case "countDocuments":
            fields = [("count", collection)]
            if let filter = try Self.document(call, 0) { set("query", .document(filter)) }
            answer = .field("n")
        default:
            guard case .string? = call.arguments.first else { throw wrong(call) }
            fields = [("distinct", collection), ("key", call.arguments[0])]
            if let filter = try Self.document(call, 1) { set("query", .document(filter)) }
            answer = .list("values")
        }
        var explains: String?
        for modifier in chain.calls.dropFirst() {
            if modifier.name == "explain" {
                explains = "queryPlanner"
                if case .string(let verbosity)? = modifier.arguments.first { explains = verbosity }
            } else {
                answer = try modify(modifier, answer)
            }
        }
        guard let explains else { return ShellRequest(command: built, answer: answer) }
        return ShellRequest(
            command: ["explain": .document(built), "verbosity": .string(explains)], answer: .reply)
    }

    /// `.sort(…)`, `.limit(…)` and their like.
    private mutating func modify(
        _ call: ScriptChain.Call, _ answer: ShellRequest.Answer
    ) throws(ScriptError) -> ShellRequest.Answer {
        let isFind = fields.first?.0 == "find"
        switch call.name {
        case "sort", "limit", "skip", "hint", "projection", "collation", "comment", "maxTimeMS",
            "batchSize", "min", "max":
            guard isFind || ["hint", "collation", "comment", "maxTimeMS"].contains(call.name) else {
                throw ScriptError(
                    offset: call.offset, message: "\(call.name)() belongs behind find()")
            }
            guard call.arguments.count == 1 else { throw wrong(call) }
            set(call.name, call.arguments[0])
        case "count":
            guard isFind else { throw wrong(call) }
            fields = fields.compactMap { name, value in
                switch name {
                case "find": ("count", value)
                case "filter": ("query", value)
                case "hint", "collation": (name, value)
                default: nil
                }
            }
            return .field("n")
        case "toArray", "pretty", "next": break
        default:
            throw ScriptError(
                offset: call.offset, message: "there is no method \(call.name)() on a cursor")
        }
        return answer
    }

    // MARK: Parts

    private mutating func set(_ name: String, _ value: Value) {
        fields.removeAll { $0.0 == name }
        fields.append((name, value))
    }

    private var built: Document {
        Document { writer in for (name, value) in fields { writer.append(name, value) } }
    }

    private func reply(_ call: ScriptChain.Call) throws(ScriptError) -> ShellRequest {
        try Self.onlyCall(chain)
        return ShellRequest(command: built, answer: .reply)
    }

    private func append(
        _ options: Document?, to fields: inout [(String, Value)]
    ) throws(ScriptError) {
        guard let options else { return }
        for name in options.keys { if let value = options[name] { fields.append((name, value)) } }
    }

    private static func document(_ fields: [(String, Value)]) -> Value {
        .document(
            Document { writer in for (name, value) in fields { writer.append(name, value) } })
    }

    /// The argument at `index`, a document; nil where there is none.
    private static func document(
        _ call: ScriptChain.Call, _ index: Int
    ) throws(ScriptError) -> Document? {
        guard index < call.arguments.count else { return nil }
        guard case .document(let document) = call.arguments[index] else {
            throw ScriptError(
                offset: call.offset,
                message: "argument \(index + 1) of \(call.name)() must be an object {…}")
        }
        return document
    }

    private static func onlyCall(_ chain: ScriptChain) throws(ScriptError) {
        if chain.calls.count > 1 {
            let second = chain.calls[1]
            throw ScriptError(
                offset: second.offset,
                message: "\(second.name)() can't follow \(chain.calls[0].name)()")
        }
    }

    private func wrong(_ call: ScriptChain.Call) -> ScriptError {
        ScriptError(
            offset: call.offset, message: "\(call.name)() takes other arguments; see .help")
    }
}
