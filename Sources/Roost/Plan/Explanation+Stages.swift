// The stages of a plan, as explain nests them.

import BSON
import Query

extension Explanation {
    // MARK: Stages

    enum Stage {
        case limit, projection(String), skip, sort, fetch(hasFilter: Bool), indexScan(QueryPlan)
        case collectionScan(QueryPlan), clusteredScan(QueryPlan), express, endOfFile, count,
            countScan(QueryPlan), fastCount
        case subplan, covered, sortKeys, union(QueryPlan, [QueryPlan])
        case trashScan(QueryPlan)
        case write(WriteKind), distinctScan(QueryPlan), textMatch(IndexEntry), near(IndexEntry)
    }

    func stages(_ plan: QueryPlan) -> [Stage] {
        guard let write = shape.write else { return readStages(plan) }
        return [.write(write)] + readStages(plan)
    }

    private func readStages(_ plan: QueryPlan) -> [Stage] {
        if case .nothing = plan.access {
            return shape.isCount ? [.count, .endOfFile] : [.endOfFile]
        }
        if shape.isCount, shape.countsWholeCollection { return [.count, .fastCount] }
        var stages: [Stage] = []
        if plan.isUnion, shape.isDisjunction { stages.append(.subplan) }
        if shape.isCount {
            stages.append(.count)
            if case .index = plan.access, plan.impliesMatch { return stages + [.countScan(plan)] }
        } else {
            if shape.limit > 0, plan.providesSort { stages.append(.limit) }
            if let projection = shape.projection, !projection.isEmpty {
                stages.append(
                    plan.coversProjection
                        ? .covered : .projection(Self.projectionStage(projection)))
                if plan.providesSort, shape.sort != nil, projection.view.mentionsMeta("sortKey") {
                    stages.append(.sortKeys)
                }
            }
            if shape.skip > 0 { stages.append(.skip) }
            if !plan.providesSort { stages.append(.sort) }
        }
        if case .index(let index) = plan.access {
            if case .text? = shape.demand { stages.append(.textMatch(index)) }
            if case .near? = shape.demand { stages.append(.near(index)) }
        }
        if isExpress(plan) { return stages + [.express] }
        switch plan.access {
        case .table where plan.isFullScan: stages.append(.collectionScan(plan))
        case .table where isClustered: stages.append(.clusteredScan(plan))
        case .table, .index:
            if !plan.coversProjection { stages.append(.fetch(hasFilter: !plan.impliesMatch)) }
            stages.append(shape.isDistinct && plan.leaps ? .distinctScan(plan) : .indexScan(plan))
        case .trash: stages.append(.trashScan(plan))
        case .union(let branches):
            stages.append(.fetch(hasFilter: !plan.impliesMatch))
            stages.append(.union(plan, branches))
        case .nothing: stages.append(.endOfFile)
        }
        return stages
    }

    /// One `_id` and no other condition.
    private func isExpress(_ plan: QueryPlan) -> Bool {
        guard case .table = plan.access, plan.timePath == nil, plan.impliesMatch,
            let bounds = plan.bounds
        else {
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

    func writeStages(
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
        case .projection, .covered:
            writer.append("transformBy", shape.projection ?? Document())
        case .sort:
            writer.append("sortPattern", shape.sort ?? Document())
            writer.append("memLimit", Int32(104_857_600))
            if shape.limit > 0 {
                writer.append("limitAmount", Int32(truncatingIfNeeded: shape.limit + shape.skip))
            }
            writer.append("type", "simple")
        case .fetch(let hasFilter):
            if hasFilter, !shape.filter.isEmpty { writer.append("filter", shape.filter) }
        case .trashScan(let plan):
            if !shape.filter.isEmpty { writer.append("filter", shape.filter) }
            writeTrash(plan, &writer)
        case .collectionScan(let plan):
            if !shape.filter.isEmpty { writer.append("filter", shape.filter) }
            writer.append("direction", plan.isBackward ? "backward" : "forward")
        case .clusteredScan(let plan):
            if !shape.filter.isEmpty { writer.append("filter", shape.filter) }
            writer.append("direction", plan.isBackward ? "backward" : "forward")
            writeRecords(plan, &writer)
        case .indexScan(let plan), .countScan(let plan), .distinctScan(let plan):
            write(plan, &writer)
        case .textMatch(let index):
            writer.append("indexName", index.name)
            writer.append("textIndexVersion", Int32(3))
        case .near(let index):
            writer.append("keyPattern", index.specification["key"] ?? .null)
            writer.append("indexName", index.name)
        case .express:
            if isClustered { break }
            writer.append("keyPattern", "{ _id: 1 }")
            writer.append("indexName", "_id_")
        case .union(let plan, let branches):
            if plan.mergeOrder != nil, let sort = shape.sort { writer.append("sortPattern", sort) }
            let inputs = writer.openArray("inputStages")
            for (index, branch) in branches.enumerated() {
                writer.appendHeader(.document, index: index)
                let start = writer.openDocument()
                writeBranch(branch, &writer)
                writer.close(start)
            }
            writer.close(inputs)
        case .endOfFile, .count, .fastCount, .subplan, .sortKeys, .write: break
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
        case .clusteredScan: "CLUSTERED_IXSCAN"
        case .trashScan: "TRASH_SCAN"
        case .express: isClustered ? "EXPRESS_CLUSTERED_IXSCAN" : "EXPRESS_IXSCAN"
        case .endOfFile: "EOF"
        case .count: "COUNT"
        case .countScan: "COUNT_SCAN"
        case .fastCount: "RECORD_STORE_FAST_COUNT"
        case .subplan: "SUBPLAN"
        case .covered: "PROJECTION_COVERED"
        case .sortKeys: "SORT_KEY_GENERATOR"
        case .write(.update): "UPDATE"
        case .write(.delete): "DELETE"
        case .distinctScan: "DISTINCT_SCAN"
        case .textMatch: "TEXT_MATCH"
        case .near(let index):
            index.pattern.parts.contains { $0.kind == .sphere }
                ? "GEO_NEAR_2DSPHERE" : "GEO_NEAR_2D"
        case .union(let plan, _): plan.mergeOrder == nil ? "OR" : "SORT_MERGE"
        }
    }

    private func writeCounts(
        _ stage: Stage, _ counters: ReadCounters, _ writer: inout DocumentWriter
    ) {
        let keys = keysExamined(counters)
        let advanced =
            switch stage {
            case .indexScan, .countScan, .distinctScan, .union: keys
            case .fetch, .collectionScan, .clusteredScan, .trashScan: counters.matched
            case .count, .fastCount, .write: 0
            default: counters.returned
            }
        writer.append("nReturned", Int32(truncatingIfNeeded: advanced))
        writer.append("executionTimeMillisEstimate", Int32(truncatingIfNeeded: milliseconds))
        // One unit of work for each entry or document looked at, and one to see the end.
        let looked =
            switch stage {
            case .indexScan, .countScan, .distinctScan, .union: keys
            case .collectionScan, .clusteredScan, .trashScan, .fetch:
                max(counters.documentsExamined, advanced)
            case .count, .write: counters.matched
            default: advanced
            }
        writer.append("works", Int32(truncatingIfNeeded: looked + 1))
        writer.append("advanced", Int32(truncatingIfNeeded: advanced))
        writer.append("needTime", Int32(truncatingIfNeeded: looked - advanced))
        writer.append("needYield", Int32(0))
        writer.append("saveState", Int32(truncatingIfNeeded: counters.slices))
        writer.append("restoreState", Int32(truncatingIfNeeded: counters.slices))
        writer.append("isEOF", Int32(1))
        switch stage {
        case .indexScan, .countScan, .distinctScan:
            writer.append("keysExamined", Int32(truncatingIfNeeded: keys))
        case .fetch, .collectionScan, .clusteredScan, .trashScan, .express:
            writer.append(
                "docsExamined", Int32(truncatingIfNeeded: counters.documentsExamined))
            if counters.parts > 0 {
                writer.append("parts", Int32(truncatingIfNeeded: counters.parts))
                writer.append("threads", Int32(truncatingIfNeeded: counters.threads))
            }
        case .count: writer.append("nCounted", Int32(truncatingIfNeeded: counters.matched))
        case .write(.update(let isUpsert)):
            writer.append("nMatched", Int32(truncatingIfNeeded: counters.matched))
            writer.append("nWouldModify", Int32(truncatingIfNeeded: counters.matched))
            writer.append("nWouldUpsert", Int32(isUpsert && counters.matched == 0 ? 1 : 0))
        case .write(.delete):
            writer.append("nWouldDelete", Int32(truncatingIfNeeded: counters.matched))
        default: break
        }
    }

    /// The values of `_id` between which a clustered collection is scanned, where there are any.
    private func writeRecords(_ plan: QueryPlan, _ writer: inout DocumentWriter) {
        guard let intervals = plan.bounds?.parts.first?.intervals else { return }
        if case .value(let least)? = intervals.first?.low.label {
            writer.append("minRecord", least.view)
        }
        if case .value(let most)? = intervals.last?.high.label {
            writer.append("maxRecord", most.view)
        }
    }

    /// One of a union's scans.
    private func writeBranch(_ plan: QueryPlan, _ writer: inout DocumentWriter) {
        switch plan.access {
        case .trash:
            writer.append("stage", "TRASH_SCAN")
            writeTrash(plan, &writer)
        case .table where plan.isFullScan && self.shape.isOfDeleted:
            writer.append("stage", "COLLSCAN")
            writer.append("direction", plan.isBackward ? "backward" : "forward")
        default:
            writer.append("stage", "IXSCAN")
            write(plan, &writer)
        }
    }

    /// A scan of deleted documents: its direction, and the values of `_id` between which it runs.
    private func writeTrash(_ plan: QueryPlan, _ writer: inout DocumentWriter) {
        writer.append("direction", plan.isBackward ? "backward" : "forward")
        writeBounds(plan, .clustered(nil), &writer)
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
        } else if let timePath = plan.timePath {
            // The series' own table; no index, so it has no name.
            shape = .chronological(timePath)
            writer.append("keyPattern", [timePath.dotted: 1] as Document)
            writer.append("isMultiKey", false)
            writer.append("isUnique", false)
            writer.append("isSparse", false)
            writer.append("isPartial", false)
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
        writeBounds(plan, shape, &writer)
    }

    private func writeBounds(
        _ plan: QueryPlan, _ shape: IndexShape, _ writer: inout DocumentWriter
    ) {
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
