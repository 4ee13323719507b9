// drop and dropDatabase: remove collections with all that is in them.

import BSON
import Roost
import Wire

enum Drop {
    static let definition = CommandDefinition(
        "drop", [.isWrite, .inStableAPI], fields: [FieldSpec("collectionUUID", .binary)],
        access: .collection([.dropCollection]), help: "removes a collection", run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let namespace = try call.namespace()
        var uuid: UUIDBytes?
        if let value = call.value("collectionUUID") { uuid = try UUIDBytes(value) }
        if namespace.collection == Profiler.collection,
            call.core.profiler.settings(of: namespace.database).setting.level > 0
        {
            throw DBError(
                .illegalOperation, "turn off profiling before dropping system.profile collection")
        }
        let ticket = call.ticket()
        let concern = call.special.writeConcern
        call.core.engine.dropCollection(namespace, uuid: uuid) { outcome in
            ticket.answer { reply throws(DBError) in
                // Dropping what isn't there succeeds, and says less.
                if let dropped = try outcome.get() {
                    if case .collection(let indexes) = dropped {
                        reply.append("nIndexesWas", Int32(clamping: indexes))
                    }
                    reply.append("ns", namespace.description)
                }
                WriteReply.appendConcern(concern, &reply)
            }
        }
        return .deferred
    }
}

enum DropDatabase {
    static let definition = CommandDefinition(
        "dropDatabase", [.isWrite, .inStableAPI], access: .database([.dropDatabase]),
        help: "removes a database", run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let database = call.database
        try Namespace.validate(database: database)
        guard call.commandValue.truncatedInteger == 1 else {
            throw DBError(
                DBError.Code(rawValue: 5_255_100), "Invalid command: dropDatabase must be 1")
        }
        guard database != "admin" else {
            throw DBError(.illegalOperation, "Dropping the '\(database)' database is prohibited.")
        }
        call.core.profiler.forget(database)
        let ticket = call.ticket()
        let concern = call.special.writeConcern
        call.core.engine.dropDatabase(database) { outcome in
            ticket.answer { reply throws(DBError) in
                _ = try outcome.get()
                WriteReply.appendConcern(concern, &reply)
            }
        }
        return .deferred
    }
}
