// Unions of scans: `$or` where each branch has an index of its own, and scans that are taken apart
// because their parts come in the order asked for.
//
//     {$or: [{a: 1}, {b: 2}]}                  a: [1, 1]  ∪  b: [2, 2]
//     {a: {$in: [1, 2]}} sorted by b           (a, b): [1, 1] × all  merged with  [2, 2] × all
//
// A branch's plan answers for the branch and all conditions beside the $or, so its bounds may come
// from either. A document that several branches find is given out once, by its record key.

import BSON
import Query
import Storage

extension Planner {
    /// Most scans that one union has.
    static let branchesMax = 200

    /// The unions that answer the question: for each `$or` at the top of the filter that all of
    /// whose branches have an index, one without regard to order, and one that merges.
    func unions(_ transaction: borrowing ReadTransaction) throws(DBError) -> [QueryPlan] {
        let nodes: [FilterNode] =
            if case .and(let nodes) = question.filter { nodes } else { [question.filter] }
        var plans: [QueryPlan] = []
        for (position, node) in nodes.enumerated() {
            guard case .or(let branches) = node, branches.count <= Self.branchesMax else {
                continue
            }
            var others = nodes
            others.remove(at: position)
            if let plan = try union(branches, others, inOrder: false, transaction) {
                plans.append(plan)
            }
            if question.sort != nil,
                let plan = try union(branches, others, inOrder: true, transaction)
            {
                plans.append(plan)
            }
        }
        return plans
    }

    /// Nil where some branch would have to scan everything, or hasn't the order.
    private func union(
        _ branches: [FilterNode], _ others: [FilterNode], inOrder: Bool,
        _ transaction: borrowing ReadTransaction
    ) throws(DBError) -> QueryPlan? {
        var plans: [QueryPlan] = []
        for branch in branches {
            var part = question
            part.filter = .all([branch] + others)
            if !inOrder { part.sort = nil }
            if case .alwaysFalse = part.filter { continue }
            let planner = Planner(collection, part)
            var fitting = planner.candidates()
            fitting.removeAll { $0.isFullScan || !$0.providesSort || $0.isUnion }
            guard !fitting.isEmpty else { return nil }
            let chosen = try planner.choose(fitting, transaction).winner
            if case .nothing = chosen.access { continue }
            plans.append(chosen)
        }
        return Self.union(
            plans, order: inOrder ? question.sort : nil,
            providesSort: question.sort == nil || inOrder)
    }

    /// A plan whose leading parts are several values, taken apart into one scan for each, where
    /// those come in the order asked for.
    func exploded(_ plan: QueryPlan, _ index: IndexEntry) -> QueryPlan? {
        guard let sort = question.sort, let bounds = plan.bounds, plan.multikeyParts == 0 else {
            return nil
        }
        let shape = IndexShape(index)
        var combinations: [[KeyIntervalSet]] = [[]]
        for set in bounds.parts {
            guard combinations[0].count < bounds.parts.count, set.isPoints, !set.isEmpty,
                combinations.count * set.intervals.count <= Self.branchesMax
            else { break }
            combinations = combinations.flatMap { before in
                set.intervals.map { before + [KeyIntervalSet($0)] }
            }
        }
        let leading = combinations[0].count
        guard combinations.count > 1 else { return nil }
        var parts: [QueryPlan] = []
        for combination in combinations {
            let part = self.plan(
                .index(index), shape,
                IndexBounds(
                    parts: combination + bounds.parts[leading...],
                    impliesMatch: bounds.impliesMatch),
                hasOrderedKeys: !index.flags.hasCutKeys)
            guard part.providesSort else { return nil }
            parts.append(part)
        }
        return Self.union(parts, order: sort, providesSort: true)
    }

    private static func union(
        _ plans: [QueryPlan], order: SortPattern?, providesSort: Bool
    ) -> QueryPlan {
        guard let first = plans.first else { return .nothing }
        let impliesMatch = plans.allSatisfy(\.impliesMatch)
        let branches = plans.map { plan in
            var branch = plan
            branch.impliesMatch = impliesMatch
            branch.deduplicates = true
            return branch
        }
        return QueryPlan(
            access: .union(branches), ranges: first.ranges, isBackward: false,
            providesSort: providesSort, impliesMatch: impliesMatch, deduplicates: true,
            bounds: nil, multikeyParts: 0, mergeOrder: order)
    }
}

extension QueryPlan {
    /// Whether several scans make it up.
    var isUnion: Bool {
        if case .union = access { true } else { false }
    }

    /// How many scans make it up.
    var scanCount: Int {
        if case .union(let branches) = access { branches.count } else { 1 }
    }
}
