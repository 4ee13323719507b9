// aggregate: runs a pipeline of stages over a collection.

import BSON
import Query
import Roost
import Synchronization
import Wire

enum Aggregate {
    static let fields: [FieldSpec] =
        [
            FieldSpec("pipeline", .array, required: true, refusesNull: true),
            FieldSpec("cursor", .document, refusesNull: true),
            FieldSpec("explain", .bool, refusesNull: true), FieldSpec("allowDiskUse", .truth),
            FieldSpec("bypassDocumentValidation", .truth),
            FieldSpec("hint", [.string, .document], mismatch: .failedToParse, refusesNull: true),
            FieldSpec("collation", .document), FieldSpec("let", .document),
        ] + ReadScope.fields

    static let definition = CommandDefinition(
        "aggregate",
        [.inStableAPI, .isWrite, .takesReadConcern, .inTransaction, .takesSnapshot], fields: fields,
        access: .aggregate, help: "runs a pipeline of stages"
    ) { call, reply throws(DBError) in
        try run(call, &reply)
    }

    /// Runs the command; one that the text `source` was lowered to reports errors there.
    static func run(
        _ call: borrowing CommandCall, source: TextSource? = nil, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        call.core.counters.queries.wrappingAdd(1, ordering: .relaxed)
        let isExplain = call.truth("explain") == true
        guard isExplain || call.document("cursor") != nil else {
            throw DBError(
                .failedToParse,
                "The 'cursor' option is required, except for aggregate with the explain argument")
        }
        guard !isExplain || call.document("writeConcern") == nil else {
            throw DBError(
                .failedToParse, "Aggregation explain does not support the 'writeConcern' option")
        }
        let batchSize = try call.cursorBatchSize()
        let namespace = try namespace(call)
        if !isExplain, var request = try ChangeStream.request(call, namespace) {
            try ReadScope(call).checkIsOfCollection("a change stream")
            request.access = try call.access()
            var plan = BatchPlan(
                namespace: namespace, owner: call.cursorOwner,
                limits: BatchLimits(documentsMax: batchSize ?? BatchLimits.firstBatchDocuments))
            plan.batchSize = nil
            return try BatchRun.start(call.core.engine.openCursor(request), plan, call, &reply)
        }
        let request = try request(call, namespace, source: source)
        if isExplain {
            return try Explain.run(aggregate: request, call, .queryPlanner, &reply)
        }
        if let destination = request.pipeline.destination {
            guard call.special.transaction == nil else {
                throw DBError(
                    .operationNotSupportedInTransaction,
                    "\(destination.stageName) cannot be used in a transaction")
            }
            return try write(request, to: destination, call)
        }
        var plan = BatchPlan(
            namespace: namespace, owner: call.cursorOwner,
            limits: BatchLimits(documentsMax: batchSize ?? BatchLimits.firstBatchDocuments))
        plan.isKeptWhenIdle = false
        plan.staysOpen = batchSize == 0
        plan.snapshotTime = call.special.givenSnapshotTime
        let cursor = try call.core.engine.openCursor(request)
        return try BatchRun.start(cursor, plan, call, &reply)
    }

    /// Runs a pipeline that ends in $out or $merge: the results are written, the cursor is empty.
    private static func write(
        _ request: AggregateRequest, to destination: PipelineDestination,
        _ call: borrowing CommandCall
    ) throws(DBError) -> CommandOutcome {
        guard call.document("readConcern")?.value("level")?.string != "linearizable" else {
            throw DBError(
                .invalidOptions,
                "\(destination.stageName) cannot be used with a 'linearizable' read concern level")
        }
        let ticket = call.ticket()
        let concern = call.special.writeConcern
        let namespace = try namespace(call)
        let interrupt = Interrupt(deadline: request.deadline)
        call.mayEnd(interrupt)
        call.core.engine.write(resultsOf: request, to: destination, interrupt) { outcome in
            ticket.answer { reply throws(DBError) in
                try outcome.get()
                let cursor = reply.openDocument("cursor")
                let batch = reply.openArray("firstBatch")
                BatchRun.writeEnd(
                    id: 0, namespace, &reply, cursorMark: cursor, batchMark: batch)
                WriteReply.appendConcern(concern, &reply)
            }
        }
        return .deferred
    }

    /// The collection, or the database's own namespace for `{aggregate: 1}`.
    static func namespace(_ call: borrowing CommandCall) throws(DBError) -> Namespace {
        if call.commandValue.isNumeric {
            guard call.commandValue.isOne else {
                throw DBError(
                    .badValue,
                    "Invalid command format: the 'aggregate' field must specify a collection "
                        + "name or 1")
            }
            return Namespace(call.database, ForeignCollection.ofDatabase)
        }
        let namespace = try call.namespace()
        try namespace.validate()
        return namespace
    }

    /// The request in an aggregate command's fields; explain reads it too.
    static func request(
        _ call: borrowing CommandCall, _ namespace: Namespace, source: TextSource? = nil
    ) throws(DBError) -> AggregateRequest {
        guard let stages = call.value("pipeline")?.array else {
            throw DBError(
                .typeMismatch, "'pipeline' option must be specified as an array")
        }
        guard let replaced = try ServerStages.replacingInside(stages, call) else {
            return try request(call, namespace, stages, source)
        }
        let list = OwnedValue(.array(replaced))
        return try request(call, namespace, DocumentView(list.view.bytes), source)
    }

    private static func request(
        _ call: borrowing CommandCall, _ namespace: Namespace, _ stages: DocumentView,
        _ source: TextSource?
    ) throws(DBError) -> AggregateRequest {
        let scope = try ReadScope(call)
        let compiler = try QueryCompiler(
            call, namespace, source: source, seesDeleted: scope != .live)
        var namespace = namespace
        let pipeline: Pipeline
        if let listed = try ServerStages.replacing(stages, on: namespace, call) {
            try scope.checkIsOfCollection("such a stage")
            pipeline = try compiler.pipeline(listed)
        } else if let view = try call.resolveView(namespace) {
            try scope.checkIsOfCollection("a view")
            namespace = view.namespace
            pipeline = try ViewRead.pipeline(
                view.stages + ViewRead.values(stages), view, compiler, call)
        } else {
            pipeline = try compiler.pipeline(stages)
            let first = stages.first?.value.document?.first
            let makesDocuments = first?.name.equals("$documents") ?? false
            if makesDocuments, namespace.collection != ForeignCollection.ofDatabase {
                throw DBError(
                    .invalidNamespace,
                    "$documents must be run against the database with {aggregate: 1}")
            }
            if makesDocuments { try scope.checkIsOfCollection("$documents") }
            if namespace.collection == ForeignCollection.ofDatabase, !makesDocuments {
                throw DBError(
                    .invalidNamespace,
                    "{aggregate: 1} is not valid for '\(first?.nameString ?? "an empty pipeline")'; "
                        + "a collection is required.")
            }
        }
        var request = AggregateRequest(namespace, pipeline: pipeline)
        request.access = try call.access()
        request.hint = call.ownedValue("hint")
        request.scope = scope
        request.showsDeletion = scope != .live && stages.mentionsMeta("deleted")
        request.deadline = call.special.deadline
        request.view = call.special.view
        request.allowsDiskUse = call.truth("allowDiskUse") ?? true
        request.bypassesValidation = call.truth("bypassDocumentValidation") == true
        return request
    }
}

extension ValueView {
    /// Whether this is the number 1, of whichever type; as a double where it is a decimal.
    fileprivate var isOne: Bool { anyDouble == 1 }
}
