// The methods of mongosh's form, as the commands that they send. A family of methods is a file:
// ScriptReads, ScriptWrites, ScriptSchema for collections, ScriptDatabase for `db` itself.

import BSON

/// Turns chains of calls into requests.
enum ScriptCommands {
    /// The request that a chain stands for.
    /// - Parameter database: the current one, for commands that want it spelled out.
    static func request(
        _ chain: ScriptChain, database: String = "test"
    ) throws(ScriptError) -> ShellRequest {
        var calls = chain.calls[...]
        guard let first = calls.popFirst() else {
            throw ScriptError(offset: 0, message: "expected a method such as .find()")
        }
        let target = chain.database ?? database
        var request: ShellRequest
        if let collection = chain.collection {
            request =
                first.name == "explain"
                ? try explained(first, calls, collection, target)
                : try self.request(first, calls, collection, target)
        } else if first.name == "getName" {
            request = ShellRequest(command: [:], answer: .text(target))
        } else {
            request = try ScriptDatabase.request(first, calls)
        }
        if request.database == nil { request.database = chain.database }
        try want(chain, &request)
        return request
    }

    /// Takes over what the chain wants of the result, where that result has parts.
    private static func want(
        _ chain: ScriptChain, _ request: inout ShellRequest
    ) throws(ScriptError) {
        guard let last = chain.calls.last, !chain.path.isEmpty else { return }
        switch request.answer {
        case .changes, .text:
            throw ScriptError(
                offset: chain.pathOffset, message: "nothing may follow \(last.name)()")
        case .rows where !arrays.contains(last.name):
            throw ScriptError(
                offset: chain.pathOffset,
                message: "a cursor has no fields: .toArray() may follow, and behind it .length or "
                    + "[number], or a method such as .limit()")
        default: request.path = chain.path
        }
    }

    /// Methods whose rows are an array, so that it has a length and elements.
    private static let arrays: Set<String> = [
        "toArray", "getIndexes", "getIndices", "getCollectionInfos",
    ]

    private static func request(
        _ call: ScriptChain.Call, _ rest: ArraySlice<ScriptChain.Call>, _ collection: String,
        _ database: String
    ) throws(ScriptError) -> ShellRequest {
        if ScriptReads.names.contains(call.name) {
            return try ScriptReads.request(call, rest, collection)
        }
        if let second = rest.first {
            throw ScriptError(
                offset: second.offset, message: "\(second.name)() can't follow \(call.name)()")
        }
        if ScriptWrites.names.contains(call.name) {
            return try ScriptWrites.request(call, collection, database)
        }
        return try ScriptSchema.request(call, collection, database)
    }

    /// `db.coll.explain(verbosity).find(…)`.
    private static func explained(
        _ call: ScriptChain.Call, _ rest: ArraySlice<ScriptChain.Call>, _ collection: String,
        _ database: String
    ) throws(ScriptError) -> ShellRequest {
        var rest = rest
        guard let next = rest.popFirst() else {
            throw ScriptError(
                offset: call.offset,
                message: "explain() stands before what it explains, as in "
                    + "db.coll.explain().find({…})")
        }
        let inner = try request(next, rest, collection, database)
        return explanation(of: inner, try verbosity(call))
    }

    /// The request that explains another.
    static func explanation(of request: ShellRequest, _ verbosity: String) -> ShellRequest {
        ShellRequest(
            command: [
                "explain": .document(request.command), "verbosity": .string(verbosity),
            ], answer: .explanation, database: request.database)
    }

    /// What an `explain()` asks for: nothing, a name, or true for all.
    static func verbosity(_ call: ScriptChain.Call) throws(ScriptError) -> String {
        switch call.arguments.first {
        case nil, .null?, .bool(false)?: return "queryPlanner"
        case .bool(true)?: return "allPlansExecution"
        case .string(let name)?: return name
        case .document(let options)?:
            if case .string(let name)? = options["verbosity"] { return name }
        default: break
        }
        throw call.wrong("a verbosity such as \"executionStats\"")
    }

    /// Every method's name, for completion.
    static let names =
        (Array(ScriptReads.names) + ScriptWrites.names + ScriptSchema.names + ["explain"]).sorted()
}

extension ScriptChain.Call {
    /// The argument at `index`, a document; nil where there is none or null.
    func document(_ index: Int) throws(ScriptError) -> Document? {
        guard index < arguments.count else { return nil }
        switch arguments[index] {
        case .document(let document): return document
        case .null, .undefined: return nil
        default:
            throw ScriptError(
                offset: offset,
                message: "argument \(index + 1) of \(name)() must be an object {…}")
        }
    }

    /// The argument at `index`, which must be a document.
    func required(_ index: Int, _ what: String) throws(ScriptError) -> Document {
        guard let document = try document(index) else { throw wrong(what) }
        return document
    }

    /// The argument at `index`, which must be text.
    func text(_ index: Int, _ what: String) throws(ScriptError) -> String {
        guard index < arguments.count, case .string(let text) = arguments[index],
            !text.utf8.contains(0)
        else { throw wrong(what) }
        return text
    }

    /// The argument at `index`, which must be a list.
    func list(_ index: Int, _ what: String) throws(ScriptError) -> [Value] {
        guard index < arguments.count, case .array(let list) = arguments[index] else {
            throw wrong(what)
        }
        return list
    }

    /// The error that the arguments are others than the method takes.
    func wrong(_ expected: String) -> ScriptError {
        ScriptError(offset: offset, message: "\(name)() takes \(expected)")
    }

    /// Refuses more arguments than that.
    func takes(atMost count: Int) throws(ScriptError) {
        guard arguments.count <= count else {
            throw ScriptError(
                offset: offset,
                message: count == 0
                    ? "\(name)() takes no arguments"
                    : "\(name)() takes at most \(count) argument\(count == 1 ? "" : "s")")
        }
    }
}
