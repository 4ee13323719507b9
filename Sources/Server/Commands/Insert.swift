// insert: stores documents.

import BSON
import Roost
import Synchronization
import Wire

enum Insert {
    static let definition = CommandDefinition(
        "insert", [.isWrite, .inStableAPI, .isRetryableWrite, .takesReadConcern, .inTransaction],
        fields: [
            FieldSpec("documents", .array, required: true), FieldSpec("ordered", .truth),
            FieldSpec("bypassDocumentValidation", .truth), FieldSpec("stmtId", .number),
            FieldSpec("stmtIds", .array),
        ], access: .insert, help: "stores documents", run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let namespace = try call.namespace()
        try namespace.validate()
        var request = WriteRequest(
            namespace, isOrdered: call.truth("ordered") ?? true, time: call.core.engine.writeTime)
        request.deadline = call.special.deadline
        request.bypassesValidation = call.truth("bypassDocumentValidation") == true
        var count = 0
        var isRefused = false
        try StatementReader.forEach("documents", call) { document throws(DBError) in
            count += 1
            // Behind the first error of an ordered command nothing is looked at.
            if isRefused, request.isOrdered { return }
            do throws(DBError) {
                try request.insert(document)
            } catch {
                request.refuse(error)
                isRefused = true
            }
        }
        call.core.counters.inserts.wrappingAdd(count, ordering: .relaxed)
        return try WriteReply.run(request, .insert, call)
    }
}
