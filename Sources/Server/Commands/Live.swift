// live: a query whose result is kept up to date, `{live: "orders", filter: {…}}`. The cursor's
// documents are events; Sources/Roost/Live/Events.md says what they mean.

import BSON
import Query
import Roost
import Synchronization
import Wire

enum Live {
    static let definition = CommandDefinition(
        "live", [.takesReadConcern],
        fields: [
            FieldSpec("filter", .document), FieldSpec("sort", .document),
            FieldSpec("projection", .document), FieldSpec("skip", .number),
            FieldSpec("limit", .number), FieldSpec("pipeline", .array),
            FieldSpec("resumeAfter", [.string, .document]), FieldSpec("batchSize", .number),
            FieldSpec("cursor", .document), FieldSpec("collation", .document),
            FieldSpec("let", .document), FieldSpec("noCursorTimeout", .truth),
        ], access: .live, help: "keeps a query's result up to date by events", run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        call.core.counters.queries.wrappingAdd(1, ordering: .relaxed)
        let namespace = try call.namespace()
        let request = try request(call, namespace)
        let size = try Find.nonNegative("batchSize", call).map { Int(clamping: $0) }
        let nested = try call.cursorBatchSize()
        let batchSize = size ?? nested
        var plan = BatchPlan(
            namespace: namespace, owner: call.cursorOwner,
            limits: BatchLimits(
                documentsMax: batchSize.map { max($0, 1) } ?? BatchLimits.firstBatchDocuments))
        plan.batchSize = batchSize
        plan.isKeptWhenIdle = call.truth("noCursorTimeout") == true
        return try LiveBatch.start(
            LiveCursor(call.core.engine, request), plan, call, &reply)
    }

    // MARK: Requests

    /// The live query in a command's fields; explain reads it too.
    static func request(
        _ call: borrowing CommandCall, _ namespace: Namespace
    ) throws(DBError) -> LiveRequest {
        try namespace.validate()
        for name: StaticString in ["filter", "pipeline", "projection"] {
            if let value = call.value(name) { try LiveRefusal.check(value) }
        }
        var request: LiveRequest
        if let stages = call.value("pipeline") {
            request = try self.request(call, namespace, stages: stages)
        } else {
            request = try find(call, namespace)
        }
        guard call.core.engine.collection(namespace)?.traits.timeSeries == nil else {
            throw DBError(
                .commandNotSupportedOnView,
                "A live query can't be about a time series, whose documents may share an _id: "
                    + "\(namespace)")
        }
        if case .app(let user) = call.principal { request.user = user }
        if let token = call.value("resumeAfter") { request.resumeAfter = try LiveToken(token) }
        return request
    }

    private static func find(
        _ call: borrowing CommandCall, _ namespace: Namespace
    ) throws(DBError) -> LiveRequest {
        guard try call.core.engine.resolveView(namespace) == nil else {
            throw DBError(
                .commandNotSupportedOnView,
                "On a view a live query must be given as a pipeline")
        }
        let compiler = try QueryCompiler(call, namespace)
        let filter = try compiler.filter(call.document("filter"))
        var sort: SortPattern?
        if let given = call.document("sort") {
            sort = try SortPattern.parse(given, collation: compiler.scope.collation)
        }
        return try LiveRequest(
            namespace, filter: filter, sort: sort,
            skip: Int(clamping: try Find.nonNegative("skip", call) ?? 0),
            limit: Int(clamping: try Find.nonNegative("limit", call) ?? 0),
            projection: try compiler.projection(call.document("projection"), of: filter),
            identity: identity(call, namespace))
    }

    private static func request(
        _ call: borrowing CommandCall, _ namespace: Namespace, stages: ValueView
    ) throws(DBError) -> LiveRequest {
        for name: StaticString in ["filter", "sort", "projection", "skip", "limit"] {
            guard call.value(name) == nil else {
                throw DBError(
                    .badValue, "A live query has either a pipeline or '\(name)', not both")
            }
        }
        guard let array = stages.array else {
            throw DBError(.typeMismatch, "'pipeline' must be an array of stages")
        }
        let compiler = try QueryCompiler(call, namespace)
        var source = namespace
        var foreign: [Namespace] = []
        let engine = call.core.engine
        try addForeign(stages, call.database, engine, &foreign)
        let pipeline: Pipeline
        if let view = try engine.resolveView(namespace) {
            source = view.namespace
            try addForeign(
                OwnedValue(.array(view.stages)).view, call.database, engine, &foreign)
            pipeline = try compiler.pipeline(view.stages + ViewRead.values(array))
        } else {
            pipeline = try compiler.pipeline(array)
        }
        guard !pipeline.isCollectionless else {
            throw DBError(.badValue, "A live query can't use $documents: nothing changes there")
        }
        return try LiveRequest(
            source, pipeline: pipeline, foreign: foreign, identity: identity(call, namespace))
    }

    /// Adds the collections that stages read, behind views those that the views read.
    private static func addForeign(
        _ stages: ValueView, _ database: String, _ engine: RoostEngine,
        _ found: inout [Namespace]
    ) throws(DBError) {
        for (other, name) in LiveRefusal.foreignNames(stages) {
            var namespace = Namespace(other ?? database, name)
            if let view = try engine.resolveView(namespace) {
                namespace = view.namespace
                try addForeign(OwnedValue(.array(view.stages)).view, database, engine, &found)
            }
            if !found.contains(namespace) { found.append(namespace) }
        }
    }

    /// Bytes that are equal where the same is asked for.
    private static func identity(
        _ call: borrowing CommandCall, _ namespace: Namespace
    ) -> [UInt8] {
        let fields: [StaticString] = [
            "filter", "sort", "projection", "skip", "limit", "pipeline", "collation", "let",
        ]
        var writer = DocumentWriter()
        let start = writer.openDocument()
        writer.append("ns", namespace.description)
        for name in fields {
            if let value = call.value(name), value.type != .null { writer.append("\(name)", value) }
        }
        writer.close(start)
        return writer.take()
    }
}
