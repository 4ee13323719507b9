// planCacheClear and $planCacheStats: the plans that are kept for queries of one shape.

import BSON
import Query
import Roost
import Wire

enum PlanCacheCommands {
    static let clear = CommandDefinition(
        "planCacheClear", [],
        fields: [
            // As in MongoDB, a sort or projection of another type counts as none.
            FieldSpec("query", .document), FieldSpec("sort", .any),
            FieldSpec("projection", .any), FieldSpec("collation", .document),
        ], access: .collection([.planCacheWrite]), help: "forgets chosen plans"
    ) { call, _ throws(DBError) in
        let namespace = try call.namespace()
        try namespace.validate()
        guard let entry = call.core.engine.collection(namespace) else { return .done }
        try entry.checkIsNoView()
        try entry.checkIsNoTimeSeries()
        guard let query = call.document("query") else {
            guard call.value("sort") == nil, call.value("projection") == nil else {
                throw DBError(
                    .badValue, "sort or projection provided without query")
            }
            call.core.engine.plans.clear(entry)
            return .done
        }
        let compiler = try QueryCompiler(call, namespace)
        let filter = try compiler.filter(query)
        var sort: SortPattern?
        if let pattern = call.document("sort") { sort = try SortPattern.parse(pattern) }
        call.core.engine.plans.clear(
            entry, shape: QueryShape.text(filter.root, sort, filter.collation))
        return .done
    }

    /// One document a shape.
    static func statistics(
        _ namespace: Namespace, _ call: borrowing CommandCall
    ) throws(DBError) -> [Value] {
        guard let entry = call.core.engine.collection(namespace) else { return [] }
        try entry.checkIsNoView()
        return call.core.engine.plans.entries(of: entry).map { plan in
            let hash = Value.string(QueryShape.hash(plan.shape))
            return [
                "version": "1", "planCacheShapeHash": hash, "planCacheKey": hash,
                "isActive": true, "works": .int64(Int64(plan.works)), "worksType": "works",
                "timeOfCreation": .date(plan.createdMillis), "hits": .int64(Int64(plan.hits)),
                "createdFromQuery": ["shape": .string(plan.shape)],
                "estimatedSizeBytes": .int64(
                    Int64(plan.shape.utf8.count + plan.summary.utf8.count)),
                "cachedPlan": ["summary": .string(plan.summary)], "indexFilterSet": false,
                "host": .string(HostInfo.hostName),
            ]
        }
    }
}
