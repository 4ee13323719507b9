// Reads of views: find, count and distinct become pipelines over the collection behind the view,
// the view's stages first.

import BSON
import Query
import Roost

enum ViewRead {
    /// A find over a view.
    static func find(
        _ call: borrowing CommandCall, _ view: ResolvedView
    ) throws(DBError) -> AggregateRequest {
        for option: StaticString in ["min", "max"] where call.value(option) != nil {
            throw notOnView(option)
        }
        for option: StaticString in ["returnKey", "showRecordId", "tailable"]
        where call.truth(option) == true {
            throw notOnView(option)
        }
        var stages = view.stages
        append("$match", call.ownedDocument("filter"), &stages)
        if let sort = call.ownedDocument("sort"), sort["$natural"] == nil {
            append("$sort", sort, &stages)
        }
        try append(
            skip: try Find.nonNegative("skip", call), limit: call.integer("limit"), &stages)
        append("$project", call.ownedDocument("projection"), &stages)
        return try request(stages, call, view)
    }

    /// A count over a view.
    static func count(
        _ call: borrowing CommandCall, _ view: ResolvedView
    ) throws(DBError) -> AggregateRequest {
        var stages = view.stages
        append("$match", call.ownedDocument("query"), &stages)
        try append(
            skip: try Find.nonNegative("skip", call), limit: call.integer("limit"), &stages)
        return try request(stages, call, view)
    }

    /// The documents of a distinct over a view.
    static func distinct(
        _ call: borrowing CommandCall, _ view: ResolvedView
    ) throws(DBError) -> AggregateRequest {
        var stages = view.stages
        append("$match", call.ownedDocument("query"), &stages)
        return try request(stages, call, view)
    }

    /// Compiles a view's stages with those of a read after them.
    static func pipeline(
        _ stages: [Value], _ view: ResolvedView, _ compiler: QueryCompiler,
        _ call: borrowing CommandCall
    ) throws(DBError) -> Pipeline {
        let list = OwnedValue(.array(stages))
        if let array = list.view.array,
            let listed = try ServerStages.replacing(array, on: view.namespace, call)
        {
            return try compiler.pipeline(listed)
        }
        return try compiler.pipeline(stages)
    }

    /// The elements of an array.
    static func values(_ array: DocumentView) -> [Value] {
        var values: [Value] = []
        var elements = array.makeIterator()
        while let element = elements.next() { values.append(Value(element.value)) }
        return values
    }

    private static func append(
        _ stage: String, _ argument: Document?, _ stages: inout [Value]
    ) {
        guard let argument, !argument.view.isEmpty else { return }
        stages.append(.document([stage: .document(argument)]))
    }

    private static func append(
        skip: Int64?, limit: Int64?, _ stages: inout [Value]
    ) throws(DBError) {
        if let skip, skip > 0 { stages.append(["$skip": .int64(skip)]) }
        if let limit, limit != 0 {
            stages.append(["$limit": .int64(Int64(clamping: limit.magnitude))])
        }
    }

    private static func request(
        _ stages: [Value], _ call: borrowing CommandCall, _ view: ResolvedView
    ) throws(DBError) -> AggregateRequest {
        let pipeline = try pipeline(stages, view, try QueryCompiler(call), call)
        var request = AggregateRequest(view.namespace, pipeline: pipeline)
        request.access = try call.access()
        request.hint = call.ownedValue("hint")
        request.deadline = call.special.deadline
        request.view = call.special.view
        return request
    }

    private static func notOnView(_ option: StaticString) -> DBError {
        DBError(.invalidPipelineOperator, "Option \(option) not supported on view.")
    }
}
