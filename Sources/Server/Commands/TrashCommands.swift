// restore and purge: deleted documents become live again, or are gone for good.
//
//     {restore: "orders", filter: {_id: 7}, limit: 1}   ->  {n: 1, ok: 1}
//     {purge: "orders", filter: {}}                     ->  {n: 12, ok: 1}
//
// Both look at deleted documents only. A restore is atomic for each document, as an update of many
// is, and ends at the first document that can't come back: the error is that document's, `n` says
// how many came back before. Validators are asked as by an insert.

import BSON
import Query
import Roost
import Synchronization
import Wire

enum TrashCommands {
    static let restore = CommandDefinition(
        "restore", options, fields: fields + [FieldSpec("bypassDocumentValidation", .truth)],
        access: .collection([.insert]), help: "makes deleted documents live again"
    ) { call, _ throws(DBError) in
        try run(.restore, call)
    }

    static let purge = CommandDefinition(
        "purge", options, fields: fields, access: .collection([.remove]),
        help: "removes deleted documents for good"
    ) { call, _ throws(DBError) in
        try run(.purge, call)
    }

    private static let options: CommandDefinition.Options = [
        .isWrite, .isRetryableWrite, .takesReadConcern, .inTransaction,
    ]

    private static let fields: [FieldSpec] = [
        FieldSpec("filter", .document, required: true, refusesNull: true),
        FieldSpec("limit", .number), FieldSpec("collation", .document),
        FieldSpec("let", .document), FieldSpec("stmtId", .number),
    ]

    private static func run(
        _ action: TrashStatement.Action, _ call: borrowing CommandCall
    ) throws(DBError) -> CommandOutcome {
        let namespace = try call.namespace()
        try namespace.validate()
        var request = WriteRequest(namespace, time: call.core.engine.writeTime)
        request.deadline = call.special.deadline
        let filter = call.ownedDocument("filter") ?? Document()
        let compiler = try QueryCompiler(call, namespace, seesDeleted: true)
        let limit = Int(clamping: try Find.nonNegative("limit", call) ?? 0)
        request.statements = [
            .trash(
                try statement(
                    action, filter, compiler, limit: limit,
                    bypassesValidation: action == .restore
                        && call.truth("bypassDocumentValidation") == true))
        ]
        return try WriteReply.run(request, .trash, call)
    }

    /// The statement for a condition, which the text language has too.
    /// - Throws: what the filter's parser throws; `badValue` (2) for a condition that needs an index.
    static func statement(
        _ action: TrashStatement.Action, _ filter: Document, _ compiler: QueryCompiler,
        limit: Int = 0, bypassesValidation: Bool = false
    ) throws(DBError) -> TrashStatement {
        let compiled = try compiler.filter(filter.view)
        guard !compiled.needsIndexes else {
            throw DBError(
                .badValue,
                "$text and $near need an index, and indexes hold live documents only: give another "
                    + "condition")
        }
        let target = WriteTarget(
            filter: compiled, filterDocument: filter, recordCollation: compiler.recordCollation,
            hasKeysOfIDs: compiler.hasKeysOfIDs)
        return TrashStatement(
            action, target: target, limit: limit, bypassesValidation: bypassesValidation)
    }
}
