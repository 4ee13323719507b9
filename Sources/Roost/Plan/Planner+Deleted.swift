// Plans of reads that see deleted documents. The trash has no indexes: it is scanned by ranges of
// `_id`, or whole.
//
//     onlyDeleted   the trash
//     withDeleted   live documents by whatever plan finds them best  ∪  the trash; merged where
//                   both come in the order asked for, which is that of `_id`

import BSON
import Query
import Storage

extension Planner {
    /// The plan of a read that sees deleted documents.
    /// - Throws: `badValue` (2) for what only an index of live documents could answer.
    func planDeleted(_ transaction: borrowing ReadTransaction) throws(DBError) -> Outcome {
        try checkDeleted()
        let trash = trashPlan()
        if question.scope == .onlyDeleted { return Outcome(winner: trash, rejected: []) }
        if question.sort != nil, trash.providesSort, collection.isClustered {
            let live = tablePlan()
            if live.providesSort {
                return Outcome(
                    winner: Self.union(live, trash, order: question.sort, providesSort: true),
                    rejected: [])
            }
        }
        var part = question
        part.scope = .live
        part.sort = nil
        part.distinctPath = nil
        let live = try Planner(collection, part).plan(transaction).winner
        let union = Self.union(live, trash, order: nil, providesSort: question.sort == nil)
        return Outcome(winner: union, rejected: [])
    }

    private func checkDeleted() throws(DBError) {
        if try SpecialDemand(conjuncts) != nil { throw Self.deletedHaveNoIndexes }
        let isNamed =
            switch question.hint {
            case nil, .natural?: false
            case .index(let name)?: !collection.isIDIndex(name)
            case .pattern(let pattern)?: !pattern.isIDPattern
            }
        guard !isNamed, question.min == nil, question.max == nil else {
            throw DBError(
                .badValue,
                "hint, min and max name an index, and indexes hold live documents only: with "
                    + "withDeleted and onlyDeleted a hint may only be \"_id_\" or {$natural: 1}")
        }
    }

    /// The error for a condition that only an index answers.
    static let deletedHaveNoIndexes = DBError(
        .badValue,
        "$text, $near and $nearSphere need an index, and indexes hold live documents only: leave "
            + "withDeleted and onlyDeleted out")

    /// The collection's part of the trash.
    private func trashPlan() -> QueryPlan {
        let shape = IndexShape.clustered(collection.collation)
        let access = QueryPlan.Access.trash(collection.trash)
        var own = plan(
            access, shape, IndexBounds(conjuncts, shape, question.collation),
            hasOrderedKeys: collection.hasOrderedRecords)
        if case .natural(let isBackward)? = question.hint { own.isBackward = isBackward }
        if let isBackward = question.naturalIsBackward { own.isBackward = isBackward }
        own.ranges = own.ranges.behind(collection.trash.prefix)
        return own
    }

    /// Both, live documents first or merged.
    private static func union(
        _ live: QueryPlan, _ trash: QueryPlan, order: SortPattern?, providesSort: Bool
    ) -> QueryPlan {
        var branches: [QueryPlan] = []
        if case .union(let parts) = live.access { branches = parts } else { branches = [live] }
        branches.append(trash)
        branches.removeAll { if case .nothing = $0.access { true } else { false } }
        guard let first = branches.first else { return .nothing }
        let impliesMatch = branches.allSatisfy(\.impliesMatch)
        let parts = branches.map { branch in
            var branch = branch
            branch.impliesMatch = impliesMatch
            return branch
        }
        return QueryPlan(
            access: .union(parts), ranges: first.ranges, isBackward: false,
            providesSort: providesSort, impliesMatch: impliesMatch,
            deduplicates: live.deduplicates, bounds: nil, multikeyParts: 0, mergeOrder: order)
    }
}
