// delete: removes documents.

import BSON
import Roost
import Synchronization
import Wire

enum Delete {
    static let definition = CommandDefinition(
        "delete", [.isWrite, .inStableAPI, .isRetryableWrite, .takesReadConcern, .inTransaction],
        fields: [
            FieldSpec("deletes", .array, required: true), FieldSpec("ordered", .truth),
            FieldSpec("let", .document), FieldSpec("stmtId", .number),
            FieldSpec("stmtIds", .array), FieldSpec("bypassDocumentValidation", .truth),
        ], access: .collection([.remove]), help: "removes documents", run: run)

    private static let statementFields: [FieldSpec] = [
        FieldSpec("q", .document, required: true), FieldSpec("limit", .number, required: true),
        FieldSpec("collation", .document), FieldSpec("hint", [.string, .document]),
        FieldSpec("sampleId", .any),
    ]

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let namespace = try call.namespace()
        try namespace.validate()
        let compiler = try QueryCompiler(call, namespace)
        var request = WriteRequest(
            namespace, isOrdered: call.truth("ordered") ?? true, time: call.core.engine.writeTime)
        request.deadline = call.special.deadline
        let entry = call.core.engine.collection(namespace)
        var count = 0
        try StatementReader.forEach("deletes", call) { document throws(DBError) in
            try StatementReader.check(document, "delete.deletes", statementFields)
            let limit = document.value("limit")?.truncatedInteger ?? 0
            guard limit == 0 || limit == 1 else {
                throw DBError(
                    .failedToParse,
                    "The limit field in delete objects must be 0 or 1. Got \(limit)")
            }
            count += 1
            do throws(DBError) {
                guard let filter = document.value("q")?.document else { return }
                let compiler = try compiler.collated(
                    by: document.value("collation")?.document, of: entry)
                request.statements.append(
                    .delete(
                        DeleteStatement(
                            target: try UpdateCommand.target(filter, document, compiler),
                            isMulti: limit == 0)))
            } catch {
                request.refuse(error)
            }
        }
        call.core.counters.deletes.wrappingAdd(count, ordering: .relaxed)
        return try WriteReply.run(request, .delete, call)
    }
}
