// A command that was answered, as system.profile and the log of slow commands show it.

import BSON
import Query
import Roost
import Wire

/// What is known of a command at its end.
struct EndedOperation {
    /// Commands longer than this are shown without their fields, in bytes.
    private static let commandBytesMax = 50_000

    let request: Request
    let client: OperationSlot.Client
    /// How long it took, in nanoseconds.
    let nanos: UInt64
    /// What it read, where it read.
    let report: ReadReport?
    /// How it failed; nil where it succeeded.
    let error: DBError?
    /// The size of its answer.
    let replyBytes: Int

    /// The database that it was about.
    var database: String {
        request.legacyDatabase ?? request.body.value("$db")?.string ?? ""
    }

    /// The command's name as the client wrote it.
    private var name: String { request.body.first?.nameString ?? "" }

    /// The collection that it was about, `$cmd` where there is none.
    var namespace: Namespace {
        var collection = request.body.first?.value.string
        switch name {
        case "getMore": collection = request.body.value("collection")?.string
        case "query": collection = collection.flatMap(TextQuery.collection)
        default: break
        }
        return Namespace(database, collection ?? "$cmd")
    }

    /// Whether the profiler takes such commands: not those that set it, nor those that clients send
    /// by themselves.
    var isProfiled: Bool {
        switch name {
        case "profile", "hello", "isMaster", "ismaster", "endSessions", "refreshSessions": false
        default: !database.isEmpty
        }
    }

    /// Whether the time went by in waiting for something to happen, as the client wished.
    var isWaiting: Bool {
        switch name {
        case "hello", "isMaster", "ismaster": true
        case "getMore": request.body.value("maxTimeMS") != nil
        default: false
        }
    }

    /// What kind of operation MongoDB calls it.
    static func kind(_ name: String) -> String {
        switch name {
        case "find": "query"
        case "getMore": "getmore"
        case "insert", "update": name
        case "delete": "remove"
        default: "command"
        }
    }

    /// The command, without its fields where they are too many.
    var commandDocument: Document { Self.shortened(request.body) }

    /// The commands whose fields hold secrets, in all spellings.
    private static let secretive = Set(
        allCommands.filter { $0.options.contains(.holdsSecrets) }
            .flatMap { [$0.name] + $0.aliases }.map { "\($0)" })

    /// The command without the cluster's time, without its fields where they are too long, and
    /// without secrets.
    static func shortened(_ command: DocumentView) -> Document {
        let isSecret = secretive.contains(command.first?.nameString ?? "")
        return Document { writer in
            if isSecret {
                // The value of the name too: some clients put a whole document there.
                if let first = command.first { writer.append(first.nameString, "###") }
                if let database = command.value("$db") { writer.append("$db", database) }
                return
            }
            if command.bytes.byteCount > commandBytesMax {
                if let first = command.first { writer.append(first.nameString, first.value) }
                writer.append("$truncated", "\(command.bytes.byteCount) bytes")
                return
            }
            var fields = command.makeIterator()
            while let field = fields.next() {
                if field.name.equals("$clusterTime") || field.name.equals("speculativeAuthenticate")
                {
                    continue
                }
                writer.append(field.nameString, field.value)
            }
        }
    }

    /// The document for system.profile.
    func entry() -> Document {
        Document { writer in
            writer.append("_id", .objectID(ObjectID.generate()))
            writer.append("op", Self.kind(name))
            writer.append("ns", namespace.description)
            writer.append("command", commandDocument)
            if let report {
                writer.append("keysExamined", Int64(report.counters.keysExamined))
                writer.append("docsExamined", Int64(report.counters.documentsExamined))
                if report.sorts { writer.append("hasSortStage", true) }
                writer.append("nreturned", Int64(report.counters.returned))
                writer.append("planSummary", report.summary)
                if let hash = report.shapeHash { writer.append("planCacheShapeHash", hash) }
            }
            writer.append("numYield", Int64(max(0, (report?.counters.slices ?? 1) - 1)))
            writer.append("responseLength", Int64(replyBytes))
            writer.append("protocol", request.kind == .message ? "op_msg" : "op_query")
            writer.append("millis", Int64(nanos / 1_000_000))
            if let error {
                writer.append("ok", 0.0)
                writer.append("errMsg", error.message)
                writer.append("errName", error.code.name)
                writer.append("errCode", error.code.rawValue)
            }
            writer.append("ts", .date(Clock.wallMillis))
            writer.append("client", client.address)
            if let appName = client.appName { writer.append("appName", appName) }
            let user = client.user
            writer.append(
                "allUsers",
                .array(user.map { [["user": .string($0.name), "db": .string($0.database)]] } ?? []))
            writer.append("user", user.map { "\($0.name)@\($0.database)" } ?? "")
        }
    }
}
