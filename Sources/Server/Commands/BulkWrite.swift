// bulkWrite: inserts, updates and deletes over several collections in one command.

import BSON
import Query
import Roost
import Wire

enum BulkWrite {
    static let definition = CommandDefinition(
        "bulkWrite",
        [
            .isWrite, .inStableAPI, .isRetryableWrite, .adminOnly, .takesReadConcern,
            .inTransaction,
        ],
        fields: [
            FieldSpec("ops", .array, required: true), FieldSpec("nsInfo", .array, required: true),
            FieldSpec("ordered", .bool), FieldSpec("errorsOnly", .bool),
            FieldSpec("bypassDocumentValidation", .truth), FieldSpec("let", .document),
            FieldSpec("cursor", .document), FieldSpec("stmtId", .number),
            FieldSpec("stmtIds", .array),
        ], access: .bulkWrite, help: "writes to several collections at once", run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let compiler = try QueryCompiler(call, isUpdate: true)
        if call.value("nsInfo")?.array?.isEmpty == true {
            throw DBError(.badValue, "May not specify an empty array of namespaces (nsInfo)")
        }
        let collections = try collections(call)
        guard let first = collections.first?.namespace else {
            throw DBError(.badValue, "bulkWrite needs nsInfo")
        }
        var request = WriteRequest(
            first, isOrdered: call.truth("ordered") ?? true, time: call.core.engine.writeTime)
        request.namespaces = collections.map(\.namespace)
        request.refusesViewsByStatement = true
        request.deadline = call.special.deadline
        request.bypassesValidation = call.truth("bypassDocumentValidation") == true
        var kinds: [Kind] = []
        try StatementReader.forEach("ops", call) { document throws(DBError) in
            kinds.append(
                try append(document, &request, compiler, call.core.engine, collections))
        }
        try call.enter(&request)
        let answer = Answer(
            kinds: kinds, errorsOnly: call.truth("errorsOnly") == true,
            batchSize: try call.cursorBatchSize(), core: call.core, owner: call.cursorOwner,
            concern: call.special.writeConcern, retry: request.retry)
        let interrupt = request.prepareInterrupt(call.core.engine)
        let ticket = call.ticket()
        if let interrupt { call.mayEnd(interrupt) }
        call.core.engine.write(request) { outcome in
            ticket.answer { reply throws(DBError) in try answer.write(try outcome.get(), &reply) }
        }
        return .deferred
    }

    /// An element of nsInfo.
    private struct Collection {
        let namespace: Namespace
        /// Why its statements are refused: it is a view, or has another UUID than was said.
        var refusal: DBError?
    }

    private static func collections(_ call: borrowing CommandCall) throws(DBError) -> [Collection] {
        var collections: [Collection] = []
        try StatementReader.forEach("nsInfo", call) { document throws(DBError) in
            try StatementReader.check(
                document, "bulkWrite.nsInfo",
                [
                    FieldSpec("ns", .string, required: true), FieldSpec("collectionUUID", .binary),
                    FieldSpec("encryptionInformation", .document),
                ])
            let name = document.value("ns")?.string ?? ""
            guard let dot = name.firstIndex(of: ".") else {
                throw DBError(.invalidNamespace, "Invalid namespace specified '\(name)'")
            }
            let namespace = Namespace(
                String(name[..<dot]), String(name[name.index(after: dot)...]))
            try namespace.validate()
            var uuid: UUIDBytes?
            if let value = document.value("collectionUUID") { uuid = try UUIDBytes(value) }
            var collection = Collection(namespace: namespace)
            do throws(DBError) {
                try uuid?.check(namespace, in: call.core.engine.catalog)
                try call.core.engine.collection(namespace)?.checkIsNoView()
            } catch {
                collection.refusal = error
            }
            collections.append(collection)
        }
        return collections
    }

    /// What a statement does.
    enum Kind: Sendable {
        case insert, update, delete
    }

    private static let insertFields: [FieldSpec] = [
        FieldSpec("insert", .number, required: true),
        FieldSpec("document", .document, required: true),
    ]
    private static let updateFields: [FieldSpec] = [
        FieldSpec("update", .number, required: true),
        FieldSpec("filter", .document, required: true),
        FieldSpec(
            "updateMods", [.document, .array], required: true, mismatch: .failedToParse,
            refusesNull: true), FieldSpec("multi", .bool),
        FieldSpec("upsert", .bool), FieldSpec("upsertSupplied", .bool),
        FieldSpec("arrayFilters", .array),
        FieldSpec("hint", [.string, .document], mismatch: .failedToParse, refusesNull: true),
        FieldSpec("constants", .document), FieldSpec("collation", .document),
        FieldSpec("sort", .document), FieldSpec("sampleId", .any),
    ]
    private static let deleteFields: [FieldSpec] = [
        FieldSpec("delete", .number, required: true),
        FieldSpec("filter", .document, required: true), FieldSpec("multi", .bool),
        FieldSpec("hint", [.string, .document], mismatch: .failedToParse, refusesNull: true),
        FieldSpec("collation", .document),
        FieldSpec("sampleId", .any),
    ]

    private static func append(
        _ document: DocumentView, _ request: inout WriteRequest, _ compiler: QueryCompiler,
        _ engine: RoostEngine, _ collections: [Collection]
    ) throws(DBError) -> Kind {
        guard let first = document.first else {
            throw DBError(.failedToParse, "an operation of bulkWrite is empty")
        }
        let collection = Int(clamping: first.value.truncatedInteger ?? -1)
        let kind: Kind
        if first.name.equals("insert") {
            try StatementReader.check(document, "bulkWrite.ops.insert", insertFields)
            kind = .insert
        } else if first.name.equals("update") {
            try StatementReader.check(document, "bulkWrite.ops.update", updateFields)
            kind = .update
        } else if first.name.equals("delete") {
            try StatementReader.check(document, "bulkWrite.ops.delete", deleteFields)
            kind = .delete
        } else {
            throw DBError(
                .idlUnknownField,
                "BSON field 'bulkWrite.ops.\(first.nameString)' is an unknown field; an operation "
                    + "begins with insert, update or delete")
        }
        guard collections.indices.contains(collection) else {
            throw DBError(
                .badValue, "BulkWrite ops entry has an invalid nsInfo index: \(collection)")
        }
        do throws(DBError) {
            if let refusal = collections[collection].refusal { throw refusal }
            let compiler = try compiler.collated(
                by: document.value("collation")?.document,
                of: engine.collection(request.namespaces[collection]))
            try append(document, kind, collection, &request, compiler)
        } catch {
            request.refuse(error)
        }
        return kind
    }

    private static func append(
        _ document: DocumentView, _ kind: Kind, _ collection: Int, _ request: inout WriteRequest,
        _ compiler: QueryCompiler
    ) throws(DBError) {
        if kind == .insert {
            guard let inserted = document.value("document")?.document else { return }
            return try request.insert(inserted, into: collection)
        }
        guard let filter = document.value("filter")?.document else { return }
        let isMulti = document.value("multi")?.isTruthy == true
        let target = try UpdateCommand.target(
            filter, document, collection: collection, compiler)
        if kind == .delete {
            request.statements.append(.delete(DeleteStatement(target: target, isMulti: isMulti)))
            return
        }
        guard let change = document.value("updateMods") else { return }
        let update = try compiler.update(
            change, arrayFilters: document.value("arrayFilters")?.array,
            constants: document.value("constants")?.document, isMulti: isMulti)
        request.statements.append(
            .update(
                UpdateStatement(
                    target: target, update: update, isMulti: isMulti,
                    isUpsert: document.value("upsert")?.isTruthy == true,
                    bypassesValidation: request.bypassesValidation)))
    }

    /// What the answer needs beside the outcome.
    private struct Answer: Sendable {
        let kinds: [Kind]
        let errorsOnly: Bool
        let batchSize: Int?
        let core: ServerCore
        let owner: CursorOwner
        let concern: WriteConcern
        let retry: RetryIdentity?

        func write(_ outcome: WriteOutcome, _ reply: inout ReplyWriter) throws(DBError) {
            var counts = Counts()
            var list = DocumentWriter()
            for (index, result) in outcome.results.enumerated() where index < kinds.count {
                counts.add(result, kinds[index])
                if result.error == nil, errorsOnly { continue }
                append(result, kinds[index], index, &list)
            }
            try ListReply.write(
                list.take(), Namespace("admin", "$cmd.bulkWrite"), batchSize: batchSize, core,
                owner, &reply)
            reply.append("nErrors", count: counts.errors)
            reply.append("nInserted", count: counts.inserted)
            reply.append("nMatched", count: counts.matched)
            reply.append("nModified", count: counts.modified)
            reply.append("nUpserted", count: counts.upserted)
            reply.append("nDeleted", count: counts.deleted)
            WriteReply.appendRetried(outcome, retry, &reply)
            WriteReply.appendConcern(concern, &reply)
        }

        private func append(
            _ result: StatementResult, _ kind: Kind, _ index: Int, _ list: inout DocumentWriter
        ) {
            let start = list.openDocument()
            list.append("ok", result.error == nil ? 1.0 : 0.0)
            list.append("idx", Int32(index))
            if let error = result.error {
                list.append("code", error.code.rawValue)
                list.append("errmsg", error.message)
                list.appendFields(of: error.details.view)
            }
            list.append("n", Int32(clamping: result.n))
            if kind == .update { list.append("nModified", Int32(clamping: result.modified)) }
            if let id = result.upsertedID {
                let upserted = list.openDocument("upserted")
                list.append("_id", id)
                list.close(upserted)
            }
            list.close(start)
        }
    }

    /// The sums over all statements.
    private struct Counts {
        var errors = 0
        var inserted = 0
        var matched = 0
        var modified = 0
        var upserted = 0
        var deleted = 0

        mutating func add(_ result: StatementResult, _ kind: Kind) {
            if result.error != nil { errors += 1 }
            switch kind {
            case .insert: inserted += result.n
            case .delete: deleted += result.n
            case .update:
                modified += result.modified
                if result.upsertedID != nil { upserted += 1 } else { matched += result.n }
            }
        }
    }
}
