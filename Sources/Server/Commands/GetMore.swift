// getMore: the next batch of a cursor; with exhaustAllowed one reply follows another.

import BSON
import Roost
import Synchronization
import Wire

enum GetMore {
    static let definition = CommandDefinition(
        "getMore", [.inStableAPI, .takesReadConcern, .inTransaction],
        fields: [
            FieldSpec("collection", .string, required: true), FieldSpec("batchSize", .number),
            FieldSpec("term", .number), FieldSpec("lastKnownCommittedOpTime", .document),
        ], access: .getMore, help: "continues a cursor", run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let core = call.core
        core.counters.getMores.wrappingAdd(1, ordering: .relaxed)
        guard let id = call.commandValue.int64 else {
            throw DBError(
                .typeMismatch,
                "BSON field 'getMore.getMore' is the wrong type "
                    + "'\(call.commandValue.type.alias)', expected type 'long'")
        }
        guard let collection = call.string("collection"), !collection.isEmpty else {
            throw DBError(
                .invalidNamespace, "Collection names cannot be empty")
        }
        let batchSize = try Find.nonNegative("batchSize", call).map { Int(clamping: $0) }
        let namespace = Namespace(call.database, collection)
        let open = try core.cursors.take(
            id, namespace, session: call.special.session, for: call.principal)
        // Zero means no bound here, unlike in find.
        let size = batchSize == 0 ? nil : batchSize ?? open.batchSize
        switch open.content {
        case .list(let bytes, let offset):
            ListReply.writeNext(open, bytes, from: offset, batchSize: size, core, &reply)
            return .done
        case .query(let cursor):
            if let failure = core.failPoints.takeGetMoreFailure() {
                core.cursors.remove(id)
                throw cursor.labelled(failure)
            }
            if cursor.hasTimeLimit, core.failPoints.expiresAllDeadlines {
                core.cursors.remove(id)
                throw .timeExpired
            }
            return try BatchRun.start(
                cursor, plan(open, id, batchSize: size, call), call, &reply)
        case .live(let cursor):
            return try LiveBatch.start(
                cursor, plan(open, id, batchSize: size, call), call, &reply)
        }
    }

    private static func plan(
        _ open: OpenCursor, _ id: Int64, batchSize: Int?, _ call: borrowing CommandCall
    ) -> BatchPlan {
        var plan = BatchPlan(
            namespace: open.namespace, owner: open.owner, cursorID: id,
            limits: BatchLimits(documentsMax: batchSize ?? .max))
        plan.batchSize = open.batchSize
        plan.isKeptWhenIdle = open.isKeptWhenIdle
        plan.isExhaust = call.request.flags.contains(.exhaustAllowed)
        return plan
    }
}
