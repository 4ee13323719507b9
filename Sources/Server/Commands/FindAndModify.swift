// findAndModify: changes or removes one document and returns it.

import BSON
import Query
import Roost
import Wire

enum FindAndModify {
    static let definition = CommandDefinition(
        "findAndModify", aliases: ["findandmodify"],
        [.isWrite, .inStableAPI, .isRetryableWrite, .takesReadConcern, .inTransaction],
        fields: [
            FieldSpec("query", .document), FieldSpec("sort", .document),
            FieldSpec("remove", .truth), FieldSpec("update", [.document, .array]),
            FieldSpec("new", .truth), FieldSpec("fields", .document),
            FieldSpec("upsert", .truth), FieldSpec("arrayFilters", .array),
            FieldSpec("hint", [.string, .document]), FieldSpec("collation", .document),
            FieldSpec("let", .document), FieldSpec("bypassDocumentValidation", .truth),
            FieldSpec("stmtId", .number),
        ], access: .findAndModify, help: "changes one document and returns it", run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let namespace = try call.namespace()
        try namespace.validate()
        let isRemove = call.truth("remove") == true
        let returnsNew = call.truth("new") == true
        try check(call, isRemove: isRemove, returnsNew: returnsNew)
        let compiler = try QueryCompiler(call, namespace, isUpdate: true)
        let projection = try compiler.projection(call.document("fields"))
        let interrupt = Interrupt(deadline: call.special.deadline)
        var request = FindAndModifyRequest(
            namespace: namespace, statement: try statement(call, compiler, isRemove: isRemove),
            returnsNew: returnsNew, projection: projection, interrupt: interrupt,
            time: call.core.engine.writeTime)
        request.access = try call.access()
        request.transaction = call.special.transaction
        request.retry = try call.retry(statements: 1)
        request.completionPlace = call.connection.loop.number
        try call.failBeforeWrite(statements: 1)
        let ticket = call.ticket()
        let concern = call.special.writeConcern
        let core = call.core
        let retry = request.retry
        call.mayEnd(interrupt)
        core.engine.findAndModify(request) { outcome in
            let isNew = (try? outcome.get())?.result.isReplayed == false
            if ticket.losesAnswer(core, statements: isNew ? 1 : 0) { return }
            let answer = { @Sendable () in
                ticket.answer { reply throws(DBError) in
                    let outcome = try outcome.get()
                    try write(
                        outcome, projection, isRemove: isRemove, interrupt, &reply)
                    if let retry, outcome.result.isReplayed {
                        reply.append("retriedStmtId", Int32(clamping: retry.statement(0)))
                    }
                    WriteReply.appendConcern(concern, &reply)
                }
            }
            // The writer thread evaluates nothing that may last.
            if let projection, projection.loops {
                core.engine.readerPool.submit { _ in answer() }
            } else {
                answer()
            }
        }
        return .deferred
    }

    private static func check(
        _ call: borrowing CommandCall, isRemove: Bool, returnsNew: Bool
    ) throws(DBError) {
        let hasUpdate = call.value("update") != nil
        if isRemove, hasUpdate {
            throw DBError(
                .failedToParse, "Cannot specify both an update and remove=true")
        }
        if isRemove, call.truth("upsert") == true {
            throw DBError(.failedToParse, "Cannot specify both upsert=true and remove=true")
        }
        if isRemove, returnsNew {
            throw DBError(
                .failedToParse,
                "Cannot specify both new=true and remove=true; 'remove' always returns the "
                    + "deleted document")
        }
        if !isRemove, !hasUpdate {
            throw DBError(
                .failedToParse, "Either an update or remove=true must be specified")
        }
        if isRemove, call.value("arrayFilters") != nil {
            throw DBError(.failedToParse, "Cannot specify arrayFilters and remove=true")
        }
    }

    private static func statement(
        _ call: borrowing CommandCall, _ compiler: QueryCompiler, isRemove: Bool
    ) throws(DBError) -> WriteStatement {
        let empty = Document()
        let target: WriteTarget
        if let query = call.document("query") {
            target = try UpdateCommand.target(query, call.body, compiler)
        } else {
            target = try UpdateCommand.target(empty.view, call.body, compiler)
        }
        if isRemove { return .delete(DeleteStatement(target: target, isMulti: false)) }
        guard let change = call.value("update") else {
            throw DBError(.failedToParse, "Either an update or remove=true must be specified")
        }
        let update = try compiler.update(
            change, arrayFilters: call.value("arrayFilters")?.array, constants: nil,
            isMulti: false)
        return .update(
            UpdateStatement(
                target: target, update: update, isMulti: false,
                isUpsert: call.truth("upsert") == true,
                bypassesValidation: call.truth("bypassDocumentValidation") == true))
    }

    private static func write(
        _ outcome: FindAndModifyOutcome, _ projection: Projection?, isRemove: Bool,
        _ interrupt: Interrupt, _ reply: inout ReplyWriter
    ) throws(DBError) {
        if let error = outcome.result.error { throw error }
        let last = reply.openDocument("lastErrorObject")
        reply.append("n", count: outcome.result.n)
        if !isRemove {
            let isUpdated = outcome.result.n > 0 && outcome.result.upsertedID == nil
            reply.append("updatedExisting", isUpdated)
            if let id = outcome.result.upsertedID { reply.append("upserted", id.view) }
        }
        reply.close(last)
        if let document = outcome.document {
            if let projection {
                reply.append("value", document: try projected(document, projection, interrupt))
            } else {
                reply.append("value", document: document)
            }
        } else {
            reply.appendNull("value")
        }
    }

    private static func projected(
        _ document: Document, _ projection: Projection, _ interrupt: Interrupt
    ) throws(DBError) -> Document {
        var writer = DocumentWriter()
        var context = EvaluationContext(interrupt)
        try projection.apply(document.view, arrayPosition: nil, into: &writer, &context)
        return Document(unchecked: writer.take())
    }
}
