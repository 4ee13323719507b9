// Plans by special indexes, and the conditions that can't do without one: $near and $text.

import BSON
import Query
import Storage

/// A condition that only a certain kind of index can answer.
enum SpecialDemand {
    case text
    case near(path: String, GeoPredicate)

    /// What the conditions demand; nil for nothing.
    /// - Throws: `badValue` (2) where they demand two things that no index gives together.
    init?(_ conjuncts: [Conjunct]) throws(DBError) {
        var found: SpecialDemand?
        for conjunct in conjuncts {
            let demand: SpecialDemand
            switch conjunct.node {
            case .text: demand = .text
            case .geo(let path, let predicate) where predicate.near != nil:
                demand = .near(path: path.dotted, predicate)
            default: continue
            }
            if let found, found.isText != demand.isText {
                throw DBError(
                    .badValue, "text and geoNear not allowed in same query: ask for one of them")
            }
            found = found ?? demand
        }
        guard let found else { return nil }
        self = found
    }

    private var isText: Bool { if case .text = self { true } else { false } }

    /// Whether an index can answer it.
    func isMet(by index: IndexEntry) -> Bool {
        switch self {
        case .text: index.pattern.text != nil
        case .near(let path, let predicate):
            index.pattern.parts.contains {
                $0.path.dotted == path && predicate.fits($0.kind)
            }
        }
    }

    /// Why there is no plan without such an index.
    var failure: DBError {
        switch self {
        case .text: DBError(.indexNotFound, "text index required for $text query")
        case .near(let path, _):
            DBError(
                .noQueryExecutionPlans,
                "error processing query: planner returned error :: caused by :: unable to find "
                    + "index for $geoNear query on '\(path)': create a 2dsphere or 2d index")
        }
    }
}

extension Planner {
    /// The ways of one special index that holds every match.
    func specialPlans(_ index: IndexEntry, _ implication: Implication) -> [QueryPlan] {
        guard implication.covers(index) else { return [] }
        guard index.pattern.wildcard != nil else { return [indexPlan(index)] }
        let reader = WildcardReader(index: index, conjuncts: conjuncts, implication: implication)
        let plans = reader.choices(question.collation).map { indexPlan(index, wildcard: $0) }
        // A compound one holds every document, if only by its other parts.
        return plans.isEmpty && index.pattern.parts.count > 1 ? [indexPlan(index)] : plans
    }

    /// All of a sparse or partial index that holds every match and few other documents: for
    /// `{a: {$exists: true}}` with a sparse index of `a`, or the very condition of a partial one.
    /// Nil where reading the collection costs less.
    func narrowScan(_ transaction: borrowing ReadTransaction) throws(DBError) -> QueryPlan? {
        let partial = collection.indexes.filter {
            isUsable($0) && $0.pattern.isOrdered && ($0.isSparse || $0.partialFilter != nil)
        }
        guard !partial.isEmpty, !conjuncts.isEmpty else { return nil }
        let implication = Implication(conjuncts: conjuncts, question.collation)
        var fewest = Int(try transaction.count(collection.table)) / Self.lookupCost
        var best: IndexEntry?
        for index in partial where implication.covers(index) {
            let entries = Int(try transaction.count(index.table))
            if entries < fewest { (best, fewest) = (index, entries) }
        }
        return best.map { indexPlan($0) }
    }

    /// How many documents are scanned in the time that finding one by an index takes, about.
    private static let lookupCost = 4

    /// The plans that meet a demand.
    /// - Throws: `indexNotFound` (27) or `noQueryExecutionPlans` (291) where there is none.
    func demanded(_ demand: SpecialDemand) throws(DBError) -> [QueryPlan] {
        let implication = Implication(conjuncts: conjuncts, question.collation)
        let plans = collection.indexes.filter { isUsable($0) && demand.isMet(by: $0) }
            .flatMap { specialPlans($0, implication) }
        guard !plans.isEmpty else { throw demand.failure }
        return plans
    }

    /// Refuses a hint at an index that can't answer the query.
    func checkDemand(_ plan: QueryPlan) throws(DBError) {
        guard let demand = try SpecialDemand(conjuncts) else { return }
        if case .text = demand {
            throw DBError(.badValue, "A hint and $text can't be used in one query")
        }
        guard case .index(let index) = plan.access else {
            if case .nothing = plan.access { return }
            throw DBError(.badValue, "A hint at $natural can't be used with $near or $geoNear")
        }
        guard demand.isMet(by: index) else { throw demand.failure }
    }

    /// The plan of an index that was asked for.
    /// - Throws: `noQueryExecutionPlans` (291) for a wildcard index without a path of the query.
    func hintedPlan(_ index: IndexEntry) throws(DBError) -> QueryPlan {
        guard index.pattern.wildcard != nil else { return indexPlan(index) }
        let implication = Implication(conjuncts: conjuncts, question.collation)
        guard let plan = specialPlans(index, implication).first else {
            throw DBError(
                .noQueryExecutionPlans,
                "error processing query: planner returned error :: caused by :: the hinted "
                    + "wildcard index '\(index.name)' holds no path of the query")
        }
        return plan
    }
}
