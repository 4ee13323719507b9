// update: changes documents.

import BSON
import Query
import Roost
import Synchronization
import Wire

enum UpdateCommand {
    static let definition = CommandDefinition(
        "update", [.isWrite, .inStableAPI, .isRetryableWrite, .takesReadConcern, .inTransaction],
        fields: [
            FieldSpec("updates", .array, required: true), FieldSpec("ordered", .truth),
            FieldSpec("bypassDocumentValidation", .truth), FieldSpec("let", .document),
            FieldSpec("stmtId", .number), FieldSpec("stmtIds", .array),
        ], access: .update, help: "changes documents", run: run)

    private static let statementFields: [FieldSpec] = [
        FieldSpec("q", .document, required: true),
        FieldSpec("u", [.document, .array], required: true, mismatch: .failedToParse),
        FieldSpec("c", .document), FieldSpec("multi", .truth), FieldSpec("upsert", .truth),
        FieldSpec("upsertSupplied", .truth), FieldSpec("arrayFilters", .array),
        FieldSpec("collation", .document), FieldSpec("hint", [.string, .document]),
        FieldSpec("sort", .document), FieldSpec("sampleId", .any),
        FieldSpec("allowShardKeyUpdatesWithoutFullShardKeyInQuery", .truth),
    ]

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let namespace = try call.namespace()
        let entry = call.core.engine.collection(namespace)
        if entry == nil { try namespace.validate() }
        let compiler = try QueryCompiler(call, namespace, isUpdate: true)
        var request = WriteRequest(
            namespace, isOrdered: call.truth("ordered") ?? true, time: call.core.engine.writeTime)
        request.deadline = call.special.deadline
        request.bypassesValidation = call.truth("bypassDocumentValidation") == true
        var count = 0
        try StatementReader.forEach("updates", call) { document throws(DBError) in
            try StatementReader.check(document, "update.updates", statementFields)
            count += 1
            do throws(DBError) {
                let compiler = try compiler.collated(
                    by: document.value("collation")?.document, of: entry)
                request.statements.append(
                    .update(
                        try statement(
                            document, compiler, bypassesValidation: request.bypassesValidation)))
            } catch {
                // A stage that nobody knows fails the command, not only its statement.
                if error.code.rawValue == 40324 { throw error }
                request.refuse(error)
            }
        }
        call.core.counters.updates.wrappingAdd(count, ordering: .relaxed)
        return try WriteReply.run(request, .update, call)
    }

    private static func statement(
        _ document: DocumentView, _ compiler: QueryCompiler, bypassesValidation: Bool
    ) throws(DBError) -> UpdateStatement {
        let isMulti = document.value("multi")?.isTruthy == true
        let isUpsert = document.value("upsert")?.isTruthy == true
        guard let filter = document.value("q")?.document, let change = document.value("u") else {
            throw DBError(.failedToParse, "an update needs q and u")
        }
        if isMulti, document.value("sort") != nil {
            throw DBError(.failedToParse, "Cannot specify sort with multi=true")
        }
        let update = try compiler.update(
            change, arrayFilters: document.value("arrayFilters")?.array,
            constants: document.value("c")?.document, isMulti: isMulti)
        return UpdateStatement(
            target: try target(filter, document, compiler), update: update, isMulti: isMulti,
            isUpsert: isUpsert, bypassesValidation: bypassesValidation)
    }

    /// The documents that a statement is about; its `sort` and `hint` are in `document`.
    static func target(
        _ filter: DocumentView, _ document: DocumentView, collection: Int = 0,
        _ compiler: QueryCompiler
    ) throws(DBError) -> WriteTarget {
        if compiler.scope.collation == nil, compiler.recordCollation == nil,
            compiler.hasKeysOfIDs,
            document.value("sort") == nil, document.value("hint") == nil,
            let id = PointRead.id(in: filter),
            let target = WriteTarget(
                collection: collection, id: id, filterDocument: Document(copying: filter))
        {
            return target
        }
        var sort: Document?
        if let given = document.value("sort")?.document, !given.isEmpty {
            sort = Document(copying: given)
        }
        var hint: Value?
        if let given = document.value("hint") { hint = Value(given) }
        return WriteTarget(
            collection: collection, filter: try compiler.filter(filter),
            filterDocument: Document(copying: filter), sort: sort, hint: hint,
            recordCollation: compiler.recordCollation, hasKeysOfIDs: compiler.hasKeysOfIDs)
    }
}
