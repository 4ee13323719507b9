// What explain answers: the plan as MongoDB 8 nests its stages, and what running it took.
//
// Stages, outermost first: LIMIT, PROJECTION_*, SKIP, SORT, FETCH, IXSCAN; COLLSCAN; EXPRESS_IXSCAN
// for one `_id`; EOF where nothing can match; COUNT over COUNT_SCAN or RECORD_STORE_FAST_COUNT.
// A range of `_id` is shown as a scan of the index `_id_`, though the documents lie in that order
// themselves.

import BSON
import Query

/// How much explain says.
package enum ExplainVerbosity: String, Sendable {
    case queryPlanner
    case executionStats
    case allPlansExecution

    /// Whether the query is run.
    var runs: Bool { self != .queryPlanner }
}

/// Builds explain's answer.
struct Explanation {
    /// What surrounds the access path.
    struct Shape {
        var filter = Document()
        var sort: Document?
        var projection: Document?
        var skip = 0
        var limit = 0
        var isCount = false
        /// Whether a filter without conditions lets the count be looked up.
        var countsWholeCollection = false
    }

    let namespace: Namespace
    let shape: Shape
    let winner: QueryPlan
    let rejected: [QueryPlan]
    /// Set when the query was run.
    var counters: ReadCounters?
    var milliseconds: Int64 = 0

    /// `queryPlanner` and, where the query was run, `executionStats`.
    func write(_ verbosity: ExplainVerbosity, into writer: inout DocumentWriter) {
        let planner = writer.openDocument("queryPlanner")
        writer.append("namespace", namespace.description)
        writer.append("parsedQuery", shape.filter)
        writer.append("indexFilterSet", false)
        writer.append("optimizationTimeMillis", Int32(0))
        writer.append("maxIndexedOrSolutionsReached", false)
        writer.append("maxIndexedAndSolutionsReached", false)
        writer.append("maxScansToExplodeReached", false)
        writer.append("prunedSimilarIndexes", false)
        let winning = writer.openDocument("winningPlan")
        writer.append("isCached", false)
        writeStages(stages(winner), 0, nil, &writer)
        writer.close(winning)
        let others = writer.openArray("rejectedPlans")
        for (index, plan) in rejected.enumerated() {
            writer.appendHeader(.document, index: index)
            let start = writer.openDocument()
            writer.append("isCached", false)
            writeStages(stages(plan), 0, nil, &writer)
            writer.close(start)
        }
        writer.close(others)
        writer.close(planner)
        guard let counters else { return }
        let stats = writer.openDocument("executionStats")
        writer.append("executionSuccess", true)
        writer.append("nReturned", Int32(truncatingIfNeeded: returned(counters)))
        writer.append("executionTimeMillis", Int32(truncatingIfNeeded: milliseconds))
        writer.append("totalKeysExamined", Int32(truncatingIfNeeded: keysExamined(counters)))
        writer.append(
            "totalDocsExamined", Int32(truncatingIfNeeded: counters.documentsExamined))
        let tree = writer.openDocument("executionStages")
        writer.append("isCached", false)
        writeStages(stages(winner), 0, counters, &writer)
        writer.close(tree)
        if verbosity == .allPlansExecution {
            let plans = writer.openArray("allPlansExecution")
            writer.close(plans)
        }
        writer.close(stats)
    }

    private func returned(_ counters: ReadCounters) -> Int {
        shape.isCount ? 1 : counters.returned
    }

    /// A range of `_id` counts its documents as keys too; a scan of everything has no keys.
    private func keysExamined(_ counters: ReadCounters) -> Int {
        if case .table = winner.access, !winner.isFullScan { return counters.documentsExamined }
        return counters.keysExamined
    }

    // MARK: Stages

    private enum Stage {
        case limit, projection(String), skip, sort, fetch(hasFilter: Bool), indexScan(QueryPlan)
        case collectionScan(QueryPlan), express, endOfFile, count, countScan(QueryPlan), fastCount
    }

    private func stages(_ plan: QueryPlan) -> [Stage] {
        if case .nothing = plan.access {
            return shape.isCount ? [.count, .endOfFile] : [.endOfFile]
        }
        if shape.isCount, shape.countsWholeCollection { return [.count, .fastCount] }
        var stages: [Stage] = []
        if shape.isCount {
            stages.append(.count)
            if case .index = plan.access, plan.impliesMatch { return stages + [.countScan(plan)] }
        } else {
            if shape.limit > 0, plan.providesSort { stages.append(.limit) }
            if let projection = shape.projection, !projection.isEmpty {
                stages.append(.projection(Self.projectionStage(projection)))
            }
            if shape.skip > 0 { stages.append(.skip) }
            if !plan.providesSort { stages.append(.sort) }
        }
        if isExpress(plan) { return stages + [.express] }
        switch plan.access {
        case .table where plan.isFullScan: stages.append(.collectionScan(plan))
        case .table, .index:
            stages.append(.fetch(hasFilter: !plan.impliesMatch))
            stages.append(.indexScan(plan))
        case .nothing: stages.append(.endOfFile)
        }
        return stages
    }

    /// One `_id` and no other condition.
    private func isExpress(_ plan: QueryPlan) -> Bool {
        guard case .table = plan.access, plan.impliesMatch, let bounds = plan.bounds else {
            return false
        }
        return bounds.parts[0].isSinglePoint
    }

    /// MongoDB calls projections simple that only keep or only drop whole top-level fields.
    private static func projectionStage(_ projection: Document) -> String {
        var elements = projection.view.makeIterator()
        while let element = elements.next() {
            let isPlain = element.value.isNumeric || element.value.type == .bool
            if !isPlain || element.nameString.utf8.contains(46) { return "PROJECTION_DEFAULT" }
        }
        return "PROJECTION_SIMPLE"
    }

    private func writeStages(
        _ stages: [Stage], _ index: Int, _ counters: ReadCounters?, _ writer: inout DocumentWriter
    ) {
        guard index < stages.count else { return }
        write(stages[index], counters, &writer)
        guard index + 1 < stages.count else { return }
        let input = writer.openDocument("inputStage")
        writeStages(stages, index + 1, counters, &writer)
        writer.close(input)
    }

    private func write(
        _ stage: Stage, _ counters: ReadCounters?, _ writer: inout DocumentWriter
    ) {
        writer.append("stage", name(stage))
        if let counters { writeCounts(stage, counters, &writer) }
        switch stage {
        case .limit: writer.append("limitAmount", Int32(truncatingIfNeeded: shape.limit))
        case .skip: writer.append("skipAmount", Int32(truncatingIfNeeded: shape.skip))
        case .projection: writer.append("transformBy", shape.projection ?? Document())
        case .sort:
            writer.append("sortPattern", shape.sort ?? Document())
            writer.append("memLimit", Int32(104_857_600))
            if shape.limit > 0 {
                writer.append("limitAmount", Int32(truncatingIfNeeded: shape.limit + shape.skip))
            }
            writer.append("type", "simple")
        case .fetch(let hasFilter):
            if hasFilter, !shape.filter.isEmpty { writer.append("filter", shape.filter) }
        case .collectionScan(let plan):
            if !shape.filter.isEmpty { writer.append("filter", shape.filter) }
            writer.append("direction", plan.isBackward ? "backward" : "forward")
        case .indexScan(let plan), .countScan(let plan): write(plan, &writer)
        case .express:
            writer.append("keyPattern", "{ _id: 1 }")
            writer.append("indexName", "_id_")
        case .endOfFile, .count, .fastCount: break
        }
    }

    private func name(_ stage: Stage) -> String {
        switch stage {
        case .limit: "LIMIT"
        case .projection(let name): name
        case .skip: "SKIP"
        case .sort: "SORT"
        case .fetch: "FETCH"
        case .indexScan: "IXSCAN"
        case .collectionScan: "COLLSCAN"
        case .express: "EXPRESS_IXSCAN"
        case .endOfFile: "EOF"
        case .count: "COUNT"
        case .countScan: "COUNT_SCAN"
        case .fastCount: "RECORD_STORE_FAST_COUNT"
        }
    }

    private func writeCounts(
        _ stage: Stage, _ counters: ReadCounters, _ writer: inout DocumentWriter
    ) {
        let keys = keysExamined(counters)
        let advanced =
            switch stage {
            case .indexScan, .countScan: keys
            case .fetch, .collectionScan: counters.matched
            case .count, .fastCount: 0
            default: counters.returned
            }
        writer.append("nReturned", Int32(truncatingIfNeeded: advanced))
        writer.append("executionTimeMillisEstimate", Int32(truncatingIfNeeded: milliseconds))
        writer.append("advanced", Int32(truncatingIfNeeded: advanced))
        writer.append("isEOF", Int32(1))
        switch stage {
        case .indexScan, .countScan:
            writer.append("keysExamined", Int32(truncatingIfNeeded: keys))
        case .fetch, .collectionScan, .express:
            writer.append(
                "docsExamined", Int32(truncatingIfNeeded: counters.documentsExamined))
        case .count: writer.append("nCounted", Int32(truncatingIfNeeded: counters.matched))
        default: break
        }
    }

    private func write(_ plan: QueryPlan, _ writer: inout DocumentWriter) {
        let shape: IndexShape
        if case .index(let index) = plan.access {
            shape = IndexShape(index, wildcard: plan.wildcard)
            writer.append("keyPattern", index.specification["key"] ?? .null)
            writer.append("indexName", index.name)
            if let collation = shape.collation {
                writer.append("collation", collation.document)
            }
            writer.append("isMultiKey", plan.multikeyParts != 0)
            let paths = writer.openDocument("multiKeyPaths")
            for (part, path) in shape.paths.enumerated() {
                let list = writer.openArray(path.dotted)
                if plan.multikeyParts >> UInt64(part) & 1 != 0 {
                    writer.append(index: 0, .string(path.dotted))
                }
                writer.close(list)
            }
            writer.close(paths)
            writer.append("isUnique", index.isUnique)
            writer.append("isSparse", index.isSparse)
            writer.append("isPartial", index.partialFilter != nil)
        } else {
            shape = .clustered(nil)
            writer.append("keyPattern", ["_id": 1] as Document)
            writer.append("indexName", "_id_")
            writer.append("isMultiKey", false)
            writer.append("isUnique", true)
            writer.append("isSparse", false)
            writer.append("isPartial", false)
        }
        writer.append("indexVersion", Int32(2))
        writer.append("direction", plan.isBackward ? "backward" : "forward")
        guard let bounds = plan.bounds else { return }
        let list = writer.openDocument("indexBounds")
        for (part, path) in shape.paths.enumerated() {
            let isReversed = shape.descending[part] != plan.isBackward
            let intervals = writer.openArray(path.dotted)
            let set = bounds.parts[part].intervals
            for (index, interval) in (isReversed ? set.reversed() : set).enumerated() {
                writer.append(index: index, .string(interval.text(isReversed: isReversed)))
            }
            writer.close(intervals)
        }
        writer.close(list)
    }
}
