// What explain answers: the plan as MongoDB 8 nests its stages, and what running it took.
//
// Stages, outermost first: LIMIT, PROJECTION_*, SKIP, SORT, FETCH, IXSCAN; COLLSCAN; EXPRESS_IXSCAN
// for one `_id`; EOF where nothing can match; COUNT over COUNT_SCAN or RECORD_STORE_FAST_COUNT.
// A range of `_id` is shown as a scan of the index `_id_`, though the documents lie in that order
// themselves. A union is OR or SORT_MERGE, under SUBPLAN where the whole filter is a `$or`; a
// projection from index keys alone is PROJECTION_COVERED, without FETCH. $text is a TEXT_MATCH,
// $near a GEO_NEAR_*, a distinct that leaps from value to value a DISTINCT_SCAN. Writes have UPDATE
// or DELETE on top of the read that finds their documents. A pipeline that does more than its read
// is `stages`: a $cursor, then the stages as they were given; a $lookup's tells what it read. Where
// the user asked for a clustered collection, ranges of `_id` are CLUSTERED_IXSCAN.

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

/// A write that is explained.
package enum ExplainedWrite: Sendable {
    case update(isUpsert: Bool)
    case delete
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
        /// Whether the whole filter is a `$or`.
        var isDisjunction = false
        /// Whether a filter without conditions lets the count be looked up.
        var countsWholeCollection = false
        var isDistinct = false
        /// Whether deleted documents are seen.
        var isOfDeleted = false
        /// What the write does with what is found.
        var write: WriteKind?
        /// Which condition only a special index answers.
        var demand: SpecialDemand?
        /// The stages of a pipeline that follow what is planned, as given; nil where this is none.
        var stages: [Value]?
    }

    typealias WriteKind = ExplainedWrite

    let namespace: Namespace
    let shape: Shape
    let winner: QueryPlan
    let rejected: [QueryPlan]
    /// How many entries each plan has, winner first, as far as they were counted to compare them.
    var estimates: [Int] = []
    /// The name of the query's shape.
    var shapeHash: String?
    /// In plain words, what would make the query quicker; nil where nothing would.
    var advice: String?
    /// Whether the collection is clustered by its user's wish.
    var isClustered = false
    /// What stages read of other collections.
    var foreign: [Namespace: ForeignReport] = [:]
    /// Set when the query was run.
    var counters: ReadCounters?
    var milliseconds: Int64 = 0

    /// `queryPlanner` and, where the query was run, `executionStats`; in `stages` for a pipeline
    /// that does more.
    func write(_ verbosity: ExplainVerbosity, into writer: inout DocumentWriter) {
        guard let stages = shape.stages, !stages.isEmpty else {
            return writeRead(verbosity, into: &writer)
        }
        let list = writer.openArray("stages")
        writer.appendHeader(.document, index: 0)
        let first = writer.openDocument()
        let cursor = writer.openDocument("$cursor")
        writeRead(verbosity, into: &writer)
        writer.close(cursor)
        writer.close(first)
        for (index, stage) in stages.enumerated() {
            guard case .document(let document) = stage else { continue }
            writer.appendHeader(.document, index: index + 1)
            let start = writer.openDocument()
            writer.appendFields(of: document.view)
            if counters != nil { foreignReport(of: document)?.write(into: &writer) }
            if let counters, index == stages.count - 1 {
                writer.append("nReturned", Int64(counters.returned))
                writer.append("executionTimeMillisEstimate", milliseconds)
            }
            writer.close(start)
        }
        writer.close(list)
    }

    /// What a $lookup or $graphLookup read, where it names the collection itself.
    private func foreignReport(of stage: Document) -> ForeignReport? {
        for name in ["$lookup", "$graphLookup"] {
            guard case .document(let argument)? = stage[name],
                case .string(let collection)? = argument["from"]
            else { continue }
            return foreign[Namespace(namespace.database, collection)]
        }
        return nil
    }

    private func writeRead(_ verbosity: ExplainVerbosity, into writer: inout DocumentWriter) {
        let planner = writer.openDocument("queryPlanner")
        writer.append("namespace", namespace.description)
        writer.append("parsedQuery", shape.filter)
        writer.append("indexFilterSet", false)
        if let shapeHash {
            writer.append("planCacheShapeHash", shapeHash)
            writer.append("planCacheKey", shapeHash)
        }
        if let advice { writer.append("advice", advice) }
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
            writeAllPlans(counters, &writer)
        }
        writer.close(stats)
    }

    /// One entry for each plan that was considered: the winner as it ran, the others as far as their
    /// entries were counted.
    private func writeAllPlans(_ counters: ReadCounters, _ writer: inout DocumentWriter) {
        let list = writer.openArray("allPlansExecution")
        for (index, plan) in ([winner] + rejected).enumerated() {
            writer.appendHeader(.document, index: index)
            let start = writer.openDocument()
            let own = index == 0 ? counters : nil
            writer.append("nReturned", Int32(truncatingIfNeeded: own.map(returned) ?? 0))
            writer.append("executionTimeMillisEstimate", Int32(0))
            let keys = own.map(keysExamined) ?? (index < estimates.count ? estimates[index] : 0)
            writer.append("totalKeysExamined", Int32(truncatingIfNeeded: keys))
            writer.append(
                "totalDocsExamined", Int32(truncatingIfNeeded: own?.documentsExamined ?? 0))
            if index < estimates.count {
                writer.append("entriesCounted", Int32(truncatingIfNeeded: estimates[index]))
            }
            let tree = writer.openDocument("executionStages")
            writeStages(stages(plan), 0, own, &writer)
            writer.close(tree)
            writer.close(start)
        }
        writer.close(list)
    }

    func returned(_ counters: ReadCounters) -> Int {
        if shape.write != nil { return 0 }
        if shape.stages?.isEmpty == false { return counters.matched }
        return shape.isCount ? 1 : counters.returned
    }

    /// A range of `_id` counts its documents as keys too, unless it is shown as one of documents; a
    /// scan of everything has no keys.
    func keysExamined(_ counters: ReadCounters) -> Int {
        if case .table = winner.access, !winner.isFullScan, !isClustered {
            return counters.documentsExamined
        }
        return counters.keysExamined
    }
}
