// Methods of `db` itself: `db.runCommand({…})`, `db.createCollection("x")`, `db.stats()` …

import BSON

enum ScriptDatabase {
    static let names = [
        "adminCommand", "aggregate", "createCollection", "createView", "currentOp",
        "dropDatabase", "getCollection", "getCollectionInfos", "getCollectionNames", "getName",
        "getProfilingStatus", "getSiblingDB", "hello", "help", "hostInfo", "killOp",
        "listCommands", "runCommand", "serverStatus", "setProfilingLevel", "stats", "version",
        "watch",
    ]

    static func request(
        _ call: ScriptChain.Call, _ rest: ArraySlice<ScriptChain.Call>
    ) throws(ScriptError) -> ShellRequest {
        if call.name == "aggregate" {
            var request = try ScriptReads.request(call, rest, "")
            request.command = overDatabase(request.command)
            return request
        }
        if let second = rest.first {
            throw ScriptError(
                offset: second.offset, message: "\(second.name)() can't follow \(call.name)()")
        }
        switch call.name {
        case "runCommand", "adminCommand": return try command(call)
        case "createCollection":
            var fields = FieldList(["create": .string(try call.text(0, "a name, and options"))])
            fields.add(try call.document(1))
            return ShellRequest(command: fields.document, answer: .reply)
        case "createView":
            let wanted = "a name, a collection's name and a list of stages"
            var fields = FieldList([
                "create": .string(try call.text(0, wanted)),
                "viewOn": .string(try call.text(1, wanted)),
                "pipeline": .array(try call.list(2, wanted)),
            ])
            fields.add(try call.document(3))
            return ShellRequest(command: fields.document, answer: .reply)
        case "getCollectionNames":
            return ShellRequest(command: ["listCollections": 1, "nameOnly": true], answer: .names)
        case "getCollectionInfos":
            var fields = FieldList(["listCollections": 1])
            fields.set("filter", ifAny: try call.document(0))
            return ShellRequest(command: fields.document, answer: .rows, isPretty: true)
        case "watch": return try ScriptReads.watch(call, 1)
        default: return try administration(call)
        }
    }

    /// `aggregate` of a database is that of the number 1; whole-server stages belong to `admin`.
    private static func overDatabase(_ command: Document) -> Document {
        var fields = FieldList(["aggregate": 1])
        fields.add(command, except: ["aggregate"])
        return fields.document
    }

    private static func administration(
        _ call: ScriptChain.Call
    ) throws(ScriptError) -> ShellRequest {
        switch call.name {
        case "dropDatabase": return ShellRequest(command: ["dropDatabase": 1], answer: .reply)
        case "stats":
            var fields = FieldList(["dbStats": 1])
            if case .document(let options)? = call.arguments.first { fields.add(options) }
            return ShellRequest(command: fields.document, answer: .reply)
        case "version":
            return ShellRequest(command: ["buildInfo": 1], answer: .field("version"))
        case "serverStatus", "hello", "hostInfo", "listCommands", "buildInfo", "ping":
            return ShellRequest(
                command: Document { $0.append(call.name, Int32(1)) }, answer: .reply)
        case "serverBuildInfo": return ShellRequest(command: ["buildInfo": 1], answer: .reply)
        case "currentOp":
            var fields = FieldList(["currentOp": 1])
            if case .document(let filter)? = call.arguments.first { fields.add(filter) }
            return ShellRequest(command: fields.document, answer: .reply, database: "admin")
        case "killOp":
            guard call.arguments.count == 1 else { throw call.wrong("an operation's number") }
            return ShellRequest(
                command: ["killOp": 1, "op": call.arguments[0]], answer: .reply, database: "admin")
        case "setProfilingLevel":
            guard let level = call.arguments.first else { throw call.wrong("0, 1 or 2") }
            var fields = FieldList(["profile": level])
            switch call.arguments.dropFirst().first {
            case .document(let options)?: fields.add(options)
            case let millis?: fields.set("slowms", millis)
            case nil: break
            }
            return ShellRequest(command: fields.document, answer: .reply)
        case "getProfilingStatus":
            return ShellRequest(command: ["profile": -1], answer: .reply)
        case "help": return ShellRequest(command: [:], answer: .text(ShellHelp.database))
        default:
            throw ScriptError(offset: call.offset, message: "there is no method db.\(call.name)()")
        }
    }

    private static func command(_ call: ScriptChain.Call) throws(ScriptError) -> ShellRequest {
        let wanted = "a command such as {ping: 1}"
        guard call.arguments.count == 1 else { throw call.wrong(wanted) }
        let database = call.name == "adminCommand" ? "admin" : nil
        switch call.arguments[0] {
        case .document(let command) where !command.isEmpty:
            return ShellRequest(command: command, answer: .reply, database: database)
        case .string(let name) where !name.isEmpty && !name.utf8.contains(0):
            return ShellRequest(
                command: Document { $0.append(name, Int32(1)) }, answer: .reply,
                database: database)
        default: throw call.wrong(wanted)
        }
    }
}
