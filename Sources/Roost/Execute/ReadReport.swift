// What a read did, in short: for the profiler and the log of slow commands.

import Query

/// What a read looked at, and how.
package struct ReadReport: Sendable {
    /// What was looked at.
    package let counters: ReadCounters
    /// The access paths in one line: `IXSCAN { a: 1 }`.
    package let summary: String
    /// Whether documents had to be sorted.
    package let sorts: Bool
    /// The query's shape, as the plan cache names it; nil where it isn't cached.
    package let shapeHash: String?
}

extension QueryCursor {
    /// What was done so far. Allocates.
    package var report: ReadReport {
        ReadReport(
            counters: counters, summary: plan?.summary ?? "EOF",
            sorts: plan.map { !$0.providesSort } ?? false,
            shapeHash: shapeText.map(QueryShape.hash))
    }
}

extension QueryCursor {
    /// The name of the query's shape; nil where its hint or sort makes no sense.
    var shapeHash: String? {
        guard let question = try? source.question() else { return nil }
        return QueryShape.hash(
            QueryShape.text(question.filter, question.sort, question.collation))
    }
}

extension QueryPlan {
    /// The access paths in one line, as MongoDB writes `planSummary`.
    var summary: String {
        switch access {
        case .nothing: return "EOF"
        case .table:
            if isFullScan, bounds.map(\.isUnbounded) ?? true { return "COLLSCAN" }
            if let timePath { return "IXSCAN { \(timePath.dotted): 1 }" }
            let isPoint = bounds.map { $0.parts[0].isSinglePoint } ?? false
            return isPoint ? "EXPRESS_IXSCAN { _id: 1 }" : "IXSCAN { _id: 1 }"
        case .trash: return "TRASH_SCAN"
        case .index(let index): return "IXSCAN \(index.key)"
        case .union(let branches):
            var parts: [String] = []
            for part in branches.map(\.summary) where !parts.contains(part) { parts.append(part) }
            return parts.joined(separator: ", ")
        }
    }
}
