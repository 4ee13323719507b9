// Reading methods of mongosh's form and what follows them: `find({…}).sort({…}).limit(3)`.

import BSON

enum ScriptReads {
    static let names: Set<String> = [
        "find", "findOne", "aggregate", "count", "countDocuments", "estimatedDocumentCount",
        "distinct", "watch",
    ]

    /// What may follow a find or an aggregation, for completion.
    static let cursorMethods = [
        "sort", "limit", "skip", "projection", "hint", "collation", "comment", "batchSize",
        "maxTimeMS", "allowDiskUse", "min", "max", "returnKey", "showRecordId", "readConcern",
        "count", "toArray", "pretty", "next", "explain",
    ]

    static func request(
        _ call: ScriptChain.Call, _ modifiers: ArraySlice<ScriptChain.Call>, _ collection: String
    ) throws(ScriptError) -> ShellRequest {
        var read = try Read(call, collection)
        var explains: String?
        for modifier in modifiers {
            if modifier.name == "explain" {
                explains = try ScriptCommands.verbosity(modifier)
            } else {
                try read.modify(modifier)
            }
        }
        let request = ShellRequest(
            command: read.fields.document, answer: read.answer, isPretty: read.isPretty)
        return explains.map { ScriptCommands.explanation(of: request, $0) } ?? request
    }

    /// A change stream over a collection, or over a database for `collection` 1.
    static func watch(
        _ call: ScriptChain.Call, _ collection: Value
    ) throws(ScriptError) -> ShellRequest {
        try call.takes(atMost: 2)
        var options = FieldList()
        options.add(try call.document(1), except: ["maxAwaitTimeMS", "batchSize"])
        let pipeline =
            call.arguments.isEmpty ? [] : try call.list(0, "a list of stages, and options")
        let stages = [["$changeStream": .document(options.document)]] + pipeline
        let fields = FieldList([
            "aggregate": collection, "pipeline": .array(stages), "cursor": [:],
        ])
        return ShellRequest(command: fields.document, answer: .changes)
    }
}

/// A reading command while its chain is read.
private struct Read {
    var fields: FieldList
    var answer = ShellRequest.Answer.rows
    var isPretty = false

    init(_ call: ScriptChain.Call, _ collection: String) throws(ScriptError) {
        let name = Value.string(collection)
        switch call.name {
        case "find", "findOne":
            try call.takes(atMost: 3)
            fields = FieldList(["find": name])
            fields.set("filter", ifAny: try call.document(0))
            fields.set("projection", ifAny: try call.document(1))
            fields.add(try call.document(2))
            if call.name == "findOne" { takeOne() }
        case "aggregate": fields = try Self.aggregate(call, name)
        case "count", "countDocuments":
            try call.takes(atMost: 2)
            fields = FieldList(["count": name])
            fields.set("query", ifAny: try call.document(0))
            fields.add(try call.document(1))
            answer = .field("n")
        case "estimatedDocumentCount":
            try call.takes(atMost: 1)
            fields = FieldList(["count": name])
            fields.add(try call.document(0))
            answer = .field("n")
        case "watch":
            let request = try ScriptReads.watch(call, name)
            fields = FieldList()
            fields.add(request.command)
            answer = .changes
        default:
            try call.takes(atMost: 3)
            let key = try call.text(0, "a field's name in quotes, and a filter")
            fields = FieldList(["distinct": name, "key": .string(key)])
            fields.set("query", ifAny: try call.document(1))
            fields.add(try call.document(2))
            answer = .list("values")
        }
    }

    /// `aggregate([stages], options)`, or stages one after the other.
    private static func aggregate(
        _ call: ScriptChain.Call, _ collection: Value
    ) throws(ScriptError) -> FieldList {
        var stages = call.arguments
        var options: Document?
        if case .array(let list)? = call.arguments.first {
            try call.takes(atMost: 2)
            stages = list
            options = try call.document(1)
        }
        var cursor: Value = [:]
        if let size = options?["batchSize"] { cursor = ["batchSize": size] }
        var fields = FieldList([
            "aggregate": collection, "pipeline": .array(stages), "cursor": cursor,
        ])
        fields.add(options, except: ["batchSize", "cursor"])
        return fields
    }

    private mutating func takeOne() {
        fields.set("limit", 1)
        fields.set("singleBatch", true)
        answer = .one
    }

    /// `.sort(…)`, `.limit(…)` and their like.
    mutating func modify(_ call: ScriptChain.Call) throws(ScriptError) {
        let isFind = fields.first == "find"
        switch call.name {
        case "hint", "collation", "comment", "maxTimeMS", "readConcern":
            guard call.arguments.count == 1 else { throw call.wrong("one argument") }
            var value = call.arguments[0]
            if call.name == "readConcern", case .string = value { value = ["level": value] }
            fields.set(call.name, value)
        case "batchSize" where fields.first == "aggregate":
            guard call.arguments.count == 1 else { throw call.wrong("a number") }
            fields.set("cursor", ["batchSize": call.arguments[0]])
        case "allowDiskUse":
            guard isFind || fields.first == "aggregate" else { throw misplaced(call) }
            fields.set("allowDiskUse", call.arguments.first ?? true)
        case "toArray", "itcount", "size", "readPref", "close", "pretty", "next", "tryNext",
            "hasNext", "count":
            try finish(call)
        case "sort", "limit", "skip", "projection", "project", "batchSize", "min", "max":
            guard isFind else { throw misplaced(call) }
            guard call.arguments.count == 1 else { throw call.wrong("one argument") }
            fields.set(call.name == "project" ? "projection" : call.name, call.arguments[0])
        case "showRecordId", "returnKey", "noCursorTimeout":
            guard isFind else { throw misplaced(call) }
            fields.set(call.name, call.arguments.first ?? true)
        default:
            throw ScriptError(
                offset: call.offset, message: "there is no method \(call.name)() on a cursor")
        }
    }

    private func misplaced(_ call: ScriptChain.Call) -> ScriptError {
        ScriptError(offset: call.offset, message: "\(call.name)() belongs behind find()")
    }

    /// Methods that say what is to become of the results.
    private mutating func finish(_ call: ScriptChain.Call) throws(ScriptError) {
        switch call.name {
        case "pretty": isPretty = true
        case "next", "tryNext":
            if fields.first == "find" { takeOne() }
            answer = .one
        case "count", "itcount", "size":
            guard fields.first == "find" else { throw misplaced(call) }
            let kept = fields.only(["hint", "collation", "maxTimeMS", "comment"])
            let skips = call.name != "count" || call.arguments.first == true
            var count = FieldList(["count": fields["find"] ?? .null])
            if let filter = fields["filter"] { count.set("query", filter) }
            if skips { count.add(fields.only(["limit", "skip"]).document) }
            count.add(kept.document)
            fields = count
            answer = .field("n")
        case "hasNext", "close":
            throw ScriptError(
                offset: call.offset,
                message: "\(call.name)() makes no sense here: the shell reads a cursor to its end")
        default: break
        }
    }
}
