// query: runs a statement of the text language, `{query: "from orders | limit 3", params: {…}}`.
//
// Every statement answers with a cursor, so that any driver's runCommand-with-cursor and the shell
// read it alike: a read's documents, a write's counts, `{ok: 1}` of a change of the schema, an
// explanation. Reads run as the aggregate they are lowered to.

import BSON
import Query
import Roost
import Synchronization
import Wire

enum QueryCommand {
    static let definition = CommandDefinition(
        "query",
        [.isWrite, .isRetryableWrite, .takesReadConcern, .inTransaction, .takesSnapshot],
        fields: [
            FieldSpec("params", .document), FieldSpec("cursor", .document),
            FieldSpec("collation", .document), FieldSpec("bypassDocumentValidation", .truth),
            FieldSpec("resumeAfter", [.string, .document]),
        ], access: .text, help: "runs a statement of the text query language", run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let text = try text(call)
        let command = try compile(text, call, marksPlaces: true)
        try authorize(command, text, call)
        try checkTransaction(command, call)
        do throws(DBError) {
            switch command {
            case .read(let collection, let stages, let deleted):
                return try Aggregate.run(
                    try aggregate(collection, stages, deleted, call), source: TextSource(text),
                    &reply)
            case .live(let collection, let stages):
                return try Live.definition.run(try live(collection, stages, call), &reply)
            case .explain(let collection, _, let deleted, let verbosity):
                // Places are for errors; an explanation shows the stages without them.
                guard case .explain(_, let stages, _, _) = try compile(text, call) else { break }
                let inner = try aggregate(collection, stages, deleted, call)
                let request = try Aggregate.request(inner, try Aggregate.namespace(inner))
                return try Explain.run(
                    aggregate: request, inner,
                    ExplainVerbosity(rawValue: verbosity) ?? .queryPlanner, isRow: true, &reply)
            case .insert, .update, .delete, .restore, .purge:
                return try write(command, text, call)
            case .insertRows(let target, let source, let stages, let deleted):
                let merge: Value = [
                    "$merge": [
                        "into": .string(target), "whenMatched": "fail",
                        "whenNotMatched": "insert",
                    ]
                ]
                return try Aggregate.run(
                    try aggregate(source, stages + [merge], deleted, call),
                    source: TextSource(text), &reply)
            case .createIndex, .dropIndex, .createCollection, .dropCollection, .renameCollection,
                .alterCollection, .deployRules:
                break
            }
            return try define(command, text, call)
        } catch {
            throw TextQuery.located(error, in: text)
        }
    }

    /// Refuses what whoever asks may not run.
    private static func authorize(
        _ command: TextCommand, _ text: String, _ call: borrowing CommandCall
    ) throws(DBError) {
        try call.authorize(command)
        guard call.principal.isUnderRules else { return }
        // Without marks of places, which would be taken for stages.
        try AppUserCommands.check(try compile(text, call), call)
    }

    private static func text(_ call: borrowing CommandCall) throws(DBError) -> String {
        guard let text = call.commandValue.string else {
            throw DBError(
                .typeMismatch,
                "BSON field 'query.query' is the wrong type '\(call.commandValue.type.alias)', "
                    + "expected type 'string'")
        }
        return text
    }

    private static func compile(
        _ text: String, _ call: borrowing CommandCall, marksPlaces: Bool = false
    ) throws(DBError) -> TextCommand {
        let scope = ExpressionScope(nowMillis: Clock.wallMillis)
        return try TextQuery.compile(
            text, parameters: call.document("params"), scope, marksPlaces: marksPlaces)
    }

    /// Refuses what can't belong to the transaction or retryable write that the command names.
    private static func checkTransaction(
        _ command: TextCommand, _ call: borrowing CommandCall
    ) throws(DBError) {
        let isOpen = call.special.transaction != nil
        guard isOpen || call.special.transactionNumber != nil else { return }
        switch command {
        case .insert, .update, .delete, .restore, .purge: return
        case .read, .createIndex, .createCollection:
            if isOpen { return }
            throw DBError(
                DBError.Code(rawValue: 50768),
                "txnNumber outside of a transaction is for inserts, updates, deletes, 'restore' and "
                    + "'purge'")
        case .live, .explain, .dropIndex, .dropCollection, .insertRows, .renameCollection,
            .alterCollection, .deployRules:
            throw DBError(
                .operationNotSupportedInTransaction,
                "'live', 'explain', 'drop', 'rename', 'alter', 'deploy' and 'insert … from' can't "
                    + "be part of a transaction; run them outside of it")
        }
    }

    // MARK: Reads

    /// The pipeline as the command that would run it.
    private static func aggregate(
        _ collection: String, _ stages: [Value], _ deleted: TextDeleted?,
        _ call: borrowing CommandCall
    ) throws(DBError) -> CommandCall {
        let cursor = call.ownedDocument("cursor") ?? Document()
        let collation = call.ownedDocument("collation")
        let command = Document { writer in
            writer.append("aggregate", collection)
            writer.append("pipeline", .array(stages))
            writer.append("cursor", cursor)
            if let collation { writer.append("collation", collation) }
            if let deleted { writer.append(deleted.rawValue, true) }
        }
        return try Explain.explainedCall(command.view, call)
    }

    /// Answers the command `explain` of a text, in MongoDB's form.
    static func explain(
        _ call: borrowing CommandCall, _ echo: Document, _ verbosity: ExplainVerbosity,
        _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let text = try text(call)
        let command = try compile(text, call)
        try authorize(command, text, call)
        switch command {
        case .read(let collection, let stages, let deleted),
            .explain(let collection, let stages, let deleted, _):
            let inner = try aggregate(collection, stages, deleted, call)
            let request = try Aggregate.request(inner, try Aggregate.namespace(inner))
            return try Explain.run(aggregate: request, inner, verbosity, echo: echo, &reply)
        case .live(let collection, let stages):
            return try Explain.run(live: try live(collection, stages, call), echo, &reply)
        case .update(let collection, let filter, _, let isUpsert):
            return try explain(
                .update(isUpsert: isUpsert), collection, filter, call, echo, verbosity, &reply)
        case .delete(let collection, let filter):
            return try explain(.delete, collection, filter, call, echo, verbosity, &reply)
        case .insert, .insertRows, .restore, .purge, .createIndex, .dropIndex, .createCollection,
            .dropCollection, .renameCollection, .alterCollection, .deployRules:
            throw TextQuery.located(
                DBError(
                    .commandNotSupported,
                    "only 'from', 'update', 'upsert' and 'delete' can be explained"),
                in: text)
        }
    }

    private static func explain(
        _ write: ExplainedWrite, _ collection: String, _ filter: Document,
        _ call: borrowing CommandCall, _ echo: Document, _ verbosity: ExplainVerbosity,
        _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let namespace = Namespace(call.database, collection)
        try namespace.validate()
        let compiler = try QueryCompiler(call, namespace)
        let target = FindRequest(namespace, filter: try compiler.filter(filter.view))
        return try Explain.run(
            target: target, filter, call, verbosity, write: write, echo: echo, &reply)
    }

    /// The live query as the command that would run it.
    private static func live(
        _ collection: String, _ stages: [Value], _ call: borrowing CommandCall
    ) throws(DBError) -> CommandCall {
        let cursor = call.ownedDocument("cursor")
        let collation = call.ownedDocument("collation")
        let token = call.ownedValue("resumeAfter")
        let command = Document { writer in
            writer.append("live", collection)
            writer.append("pipeline", .array(stages))
            if let cursor { writer.append("cursor", cursor) }
            if let collation { writer.append("collation", collation) }
            if let token { writer.append("resumeAfter", token) }
        }
        return try Explain.explainedCall(command.view, call)
    }

    // MARK: Writes

    private static func write(
        _ command: TextCommand, _ text: String, _ call: borrowing CommandCall
    ) throws(DBError) -> CommandOutcome {
        let namespace = Namespace(call.database, command.collection)
        try namespace.validate()
        var request = WriteRequest(namespace, time: call.core.engine.writeTime)
        request.deadline = call.special.deadline
        request.bypassesValidation = call.truth("bypassDocumentValidation") == true
        let compiler = try QueryCompiler(
            call, namespace, source: TextSource(text), seesDeleted: command.isAboutDeleted)
        var row = WriteReply.TextWrite(namespace: namespace, text: text)
        switch command {
        case .insert(_, let documents):
            guard documents.count <= Limits.writeBatchMax else {
                throw DBError(
                    .invalidLength,
                    "at most \(Limits.writeBatchMax) documents can be inserted at once")
            }
            row.insertedCount = documents.count
            for (index, document) in documents.enumerated() {
                do throws(DBError) {
                    try request.insert(document.view)
                } catch {
                    throw TextQuery.located(
                        error, in: text, document: index, of: documents.count)
                }
            }
            call.core.counters.inserts.wrappingAdd(documents.count, ordering: .relaxed)
        case .update(_, let filter, let stages, let isUpsert):
            let change = OwnedValue(.array(stages))
            let update = try compiler.update(
                change.view, arrayFilters: nil, constants: nil, isMulti: true)
            request.statements.append(
                .update(
                    UpdateStatement(
                        target: try target(filter, compiler), update: update, isMulti: true,
                        isUpsert: isUpsert, bypassesValidation: request.bypassesValidation)))
            call.core.counters.updates.wrappingAdd(1, ordering: .relaxed)
        case .delete(_, let filter):
            request.statements.append(
                .delete(DeleteStatement(target: try target(filter, compiler), isMulti: true)))
            call.core.counters.deletes.wrappingAdd(1, ordering: .relaxed)
        case .restore(_, let filter):
            request.statements.append(
                .trash(
                    try TrashCommands.statement(
                        .restore, filter, compiler,
                        bypassesValidation: request.bypassesValidation)))
        case .purge(_, let filter):
            request.statements.append(
                .trash(try TrashCommands.statement(.purge, filter, compiler)))
        default: break
        }
        return try WriteReply.run(request, .row(row), call)
    }

    private static func target(
        _ filter: Document, _ compiler: QueryCompiler
    ) throws(DBError) -> WriteTarget {
        let none = Document()
        return try UpdateCommand.target(filter.view, none.view, compiler)
    }

    // MARK: Schema

    private static func define(
        _ command: TextCommand, _ text: String, _ call: borrowing CommandCall
    ) throws(DBError) -> CommandOutcome {
        let namespace = Namespace(
            call.database, command.collection.isEmpty ? "$cmd" : command.collection)
        let engine = call.core.engine
        let transaction = call.special.transaction
        let answer = Answer(
            ticket: call.ticket(), concern: call.special.writeConcern, namespace: namespace,
            text: text)
        let interrupt = Interrupt(deadline: call.special.deadline)
        if transaction == nil { call.mayEnd(interrupt) }
        engine.define(command, in: call.database, transaction, interrupt) { answer.send($0) }
        return .deferred
    }

    /// What a change of the schema answers: one row `{ok: 1}`.
    private struct Answer: Sendable {
        let ticket: ReplyTicket
        let concern: WriteConcern
        let namespace: Namespace
        let text: String

        func send<T>(_ outcome: Result<T, DBError>) {
            ticket.answer { reply throws(DBError) in
                do throws(DBError) {
                    _ = try outcome.get()
                } catch {
                    throw TextQuery.located(error, in: text)
                }
                let mark = RowReply.open(&reply)
                reply.append("ok", Int32(1))
                RowReply.close(mark, namespace, &reply)
                WriteReply.appendConcern(concern, &reply)
            }
        }
    }
}

extension TextCommand {
    /// Whether it looks for deleted documents.
    fileprivate var isAboutDeleted: Bool {
        switch self {
        case .restore, .purge: true
        default: false
        }
    }
}
