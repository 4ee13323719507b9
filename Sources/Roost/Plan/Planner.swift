// Chooses how to find a query's documents.
//
// Candidates are the collection's own table (ranges of `_id`) and each index that holds every
// match; a scan of everything is what remains. A candidate with fewer entries within its bounds
// wins, as far as counting a few of them tells; else the one that gives the order asked for, then
// the one with more single values in front, then the one with tighter bounds. What was
// chosen is kept for queries of the same shape (PlanCache).

import BSON
import Query
import Storage

/// Plans one query on one snapshot.
struct Planner {
    let collection: CollectionEntry
    let question: PlanQuestion
    let conjuncts: [Conjunct]

    /// Where choices are kept; nil to choose anew.
    var cache: PlanCache?

    init(_ collection: CollectionEntry, _ question: PlanQuestion) {
        self.collection = collection
        self.question = question
        conjuncts = Conjunct.all(of: question.filter)
    }

    /// What was chosen, and what else was possible.
    struct Outcome {
        var winner: QueryPlan
        let rejected: [QueryPlan]
        /// How many entries were counted of each, winner first; empty where none were.
        var estimates: [Int] = []
        /// The query's shape, where the choice is kept under it.
        var shape: String?
    }

    /// Most entries of a candidate that are counted to compare it with others.
    private static let sampleMin = 200
    private static let sampleMax = 2_000

    /// The plan to use. Flags of indexes are read here, so the snapshot must have been taken.
    /// - Throws: `badValue` (2) for a hint that names nothing; 51173, 51174 for min and max.
    func plan(_ transaction: borrowing ReadTransaction) throws(DBError) -> Outcome {
        if case .alwaysFalse = question.filter {
            return Outcome(winner: .nothing, rejected: [])
        }
        if question.scope != .live { return try planDeleted(transaction) }
        if question.min != nil || question.max != nil {
            return Outcome(winner: try givenBounds(), rejected: [])
        }
        if let hint = question.hint {
            let plan = try hinted(hint)
            try checkDemand(plan)
            return Outcome(winner: plan, rejected: [])
        }
        if let demand = try SpecialDemand(conjuncts) {
            return try choose(try demanded(demand), transaction)
        }
        if let isBackward = question.naturalIsBackward {
            return Outcome(
                winner: collectionScan(isBackward: isBackward, providesSort: true), rejected: [])
        }
        var plans = candidates()
        plans += try unions(transaction)
        if plans.isEmpty, let plan = try narrowScan(transaction) { plans.append(plan) }
        return try choose(plans, transaction)
    }

    // MARK: Candidates

    func candidates() -> [QueryPlan] {
        var plans: [QueryPlan] = []
        let timeSeries = collection.traits.timeSeries
        if collection.isClustered || timeSeries != nil,
            question.sort != nil || restricts(timeSeries?.timePath ?? IndexShape.recordPath)
        {
            let own = tablePlan()
            if !own.isFullScan || (question.sort != nil && own.providesSort) { plans.append(own) }
        }
        guard !collection.indexes.isEmpty else { return plans }
        let implication = Implication(conjuncts: conjuncts, question.collation)
        for index in collection.indexes where index.isReady && !index.isHidden {
            guard index.pattern.isOrdered else {
                plans += specialPlans(index, implication).filter {
                    $0.bounds.map { !$0.parts[0].isAll } ?? false
                }
                continue
            }
            guard
                question.sort != nil || restricts(index.pattern.parts[0].path)
                    || listsValues(index),
                implication.covers(index)
            else {
                continue
            }
            let plan = indexPlan(index)
            if listsValues(index) { plans.append(plan) }
            let isRestricted = plan.bounds.map { !$0.parts[0].isAll } ?? false
            if isRestricted || (question.sort != nil && plan.providesSort) { plans.append(plan) }
            if isRestricted, !plan.providesSort, let merged = exploded(plan, index) {
                plans.append(merged)
            }
        }
        return plans
    }

    /// Whether a distinct without conditions needs only look at each of the index's values once.
    private func listsValues(_ index: IndexEntry) -> Bool {
        conjuncts.isEmpty && question.distinctPath == index.pattern.parts[0].path
            && index.flags.multikeyParts == 0 && !index.flags.hasCutKeys
            && Collation.areSame(question.collation, index.pattern.collation)
    }

    /// Whether some condition is about an index's first path: without one, its entries would all
    /// be scanned.
    private func restricts(_ path: FieldPath) -> Bool {
        let builder = PathBoundsBuilder(path: path, isMultikey: true)
        return conjuncts.contains { builder.mayBound($0.node, under: $0.prefix) }
    }

    private func collectionScan(isBackward: Bool, providesSort: Bool) -> QueryPlan {
        .collectionScan(
            isBackward: isBackward, providesSort: providesSort, impliesMatch: conjuncts.isEmpty)
    }

    /// The collection's own table by `_id`, or by the time of a time series; a capped one's is in
    /// another order and is scanned.
    func tablePlan() -> QueryPlan {
        if let timeSeries = collection.traits.timeSeries {
            let shape = IndexShape.chronological(timeSeries.timePath)
            var plan = plan(
                .table, shape, IndexBounds(conjuncts, shape, question.collation),
                hasOrderedKeys: true)
            plan.timePath = timeSeries.timePath
            return plan
        }
        guard collection.isClustered else {
            return collectionScan(isBackward: false, providesSort: question.sort == nil)
        }
        let shape = IndexShape.clustered(collection.collation)
        return plan(
            .table, shape, IndexBounds(conjuncts, shape, question.collation),
            hasOrderedKeys: collection.hasOrderedRecords)
    }

    func indexPlan(_ index: IndexEntry, wildcard: WildcardChoice? = nil) -> QueryPlan {
        let shape = IndexShape(index, wildcard: wildcard)
        var plan = plan(
            .index(index), shape, IndexBounds(conjuncts, shape, question.collation),
            hasOrderedKeys: !index.flags.hasCutKeys)
        plan.wildcard = wildcard
        return plan
    }

    func plan(
        _ access: QueryPlan.Access, _ shape: IndexShape, _ bounds: IndexBounds,
        hasOrderedKeys: Bool
    ) -> QueryPlan {
        let ranges = KeyRanges(bounds, shape)
        var provision: SortProvision?
        if let sort = question.sort, Collation.areSame(question.collation, shape.collation) {
            provision = SortProvision(
                sort, shape, bounds, hasOrderedKeys: hasOrderedKeys,
                hasOrderedRecords: collection.hasOrderedRecords && comparesRecords,
                hasUniqueIDs: hasUniqueIDs)
        }
        return QueryPlan(
            access: bounds.isEmpty ? .nothing : access, ranges: ranges,
            isBackward: provision?.isBackward ?? false,
            providesSort: question.sort == nil || provision != nil,
            impliesMatch: bounds.impliesMatch && ranges.isExact,
            deduplicates: shape.multikeyParts != 0, bounds: bounds,
            multikeyParts: shape.multikeyParts)
    }

    /// Whether no two documents have an `_id` that the query calls equal.
    private var hasUniqueIDs: Bool {
        collection.traits.timeSeries == nil && (question.collation == nil || comparesRecords)
    }

    /// Whether the query compares strings as record keys do.
    private var comparesRecords: Bool {
        Collation.areSame(question.collation, collection.collation)
    }

    // MARK: Choice

    func choose(
        _ plans: [QueryPlan], _ transaction: borrowing ReadTransaction
    ) throws(DBError) -> Outcome {
        guard let first = plans.first else {
            return Outcome(
                winner: collectionScan(isBackward: false, providesSort: question.sort == nil),
                rejected: [])
        }
        if case .nothing = first.access { return Outcome(winner: first, rejected: []) }
        if plans.count == 1 { return Outcome(winner: first, rejected: []) }
        if let unique = plans.firstIndex(where: isSingleEntry) {
            return Self.outcome(plans, unique)
        }
        var shape: String?
        if let cache {
            let text = QueryShape.text(question.filter, question.sort, question.collation)
            shape = text
            if let known = cache.identity(collection, text),
                let place = plans.firstIndex(where: { $0.identity == known })
            {
                var outcome = Self.outcome(plans, place)
                outcome.shape = text
                return outcome
            }
        }
        let sampleSize = try self.sampleSize(plans, transaction)
        var best = 0
        var ranks = [try rank(plans[0], sampleSize, transaction)]
        for index in plans.indices.dropFirst() {
            ranks.append(try rank(plans[index], sampleSize, transaction))
            if ranks[index] < ranks[best] { best = index }
        }
        var outcome = Self.outcome(plans, best)
        outcome.estimates = ranks.map(\.entries)
        let chosen = outcome.estimates.remove(at: best)
        outcome.estimates.insert(chosen, at: 0)
        if let shape, let cache {
            cache.note(collection, shape, outcome.winner, works: chosen)
            outcome.shape = shape
        }
        return outcome
    }

    private static func outcome(_ plans: [QueryPlan], _ winner: Int) -> Outcome {
        var rejected = plans
        rejected.remove(at: winner)
        return Outcome(winner: plans[winner], rejected: rejected)
    }

    /// Whether at most one document can be in the bounds.
    private func isSingleEntry(_ plan: QueryPlan) -> Bool {
        guard let bounds = plan.bounds, bounds.parts.allSatisfy(\.isSinglePoint) else {
            return false
        }
        switch plan.access {
        case .nothing: return true
        case .table: return plan.timePath == nil
        case .trash: return true
        case .index(let index): return index.isUnique
        case .union: return false
        }
    }

    /// How many entries to count. Where one candidate filters and another sorts, and a limit is
    /// given, they break even when the first has about sqrt(limit * documents) entries.
    private func sampleSize(
        _ plans: [QueryPlan], _ transaction: borrowing ReadTransaction
    ) throws(DBError) -> Int {
        guard let limit = question.limit, plans.contains(where: { !$0.providesSort }),
            plans.contains(where: \.providesSort)
        else { return Self.sampleMin }
        let total = Double(try transaction.count(collection.table))
        let even = (Double(limit) * total).squareRoot()
        return Int(max(Double(Self.sampleMin), min(even, Double(Self.sampleMax))))
    }

    private struct Rank: Comparable {
        /// Entries counted; the sample's size where there are more.
        let entries: Int
        let lacksSort: Bool
        let isUnion: Bool
        let valuesMissing: Int
        let tightness: BoundsRank
        let partsOpen: Int

        static func < (left: Rank, right: Rank) -> Bool {
            if left.entries != right.entries { return left.entries < right.entries }
            if left.lacksSort != right.lacksSort { return right.lacksSort }
            if left.isUnion != right.isUnion { return right.isUnion }
            if left.valuesMissing != right.valuesMissing {
                return left.valuesMissing < right.valuesMissing
            }
            if left.tightness != right.tightness { return left.tightness < right.tightness }
            return left.partsOpen < right.partsOpen
        }
    }

    private func rank(
        _ plan: QueryPlan, _ sampleSize: Int, _ transaction: borrowing ReadTransaction
    ) throws(DBError) -> Rank {
        var entries = sampleSize
        if !plan.isFullScan { entries = try sample(plan, sampleSize, transaction) }
        // A sort of few documents costs about as much as finding them.
        if !plan.providesSort, entries < sampleSize { entries = min(sampleSize, entries * 3 / 2) }
        // What only gives matches, in order, ends at the limit.
        if plan.providesSort, plan.impliesMatch, let limit = question.limit {
            entries = min(entries, limit + max(1, plan.scanCount))
        }
        let bounds = plan.bounds
        let equalities = bounds?.equalityCount ?? 0
        let parts = bounds?.parts ?? []
        return Rank(
            entries: entries, lacksSort: !plan.providesSort, isUnion: plan.isUnion,
            valuesMissing: -equalities,
            tightness: BoundsRank(equalities < parts.count ? parts[equalities] : .none),
            partsOpen: parts.count { $0.isAll })
    }

    private func sample(
        _ plan: QueryPlan, _ most: Int, _ transaction: borrowing ReadTransaction
    ) throws(DBError) -> Int {
        let table: TableID
        switch plan.access {
        case .nothing: return 0
        case .table: table = collection.table
        case .trash: table = .trash
        case .index(let index): table = index.table
        case .union(let branches):
            var entries = 0
            for branch in branches where entries < most {
                entries += try sample(branch, most - entries, transaction)
            }
            return entries
        }
        return try transaction.count(table, plan.ranges, most: most)
    }

    // MARK: Demands

    private func hinted(_ hint: Hint) throws(DBError) -> QueryPlan {
        switch hint {
        case .natural(let isBackward):
            let isSorted = question.sort == nil || question.naturalIsBackward != nil
            return collectionScan(
                isBackward: question.naturalIsBackward ?? isBackward, providesSort: isSorted)
        case .index(let name):
            if collection.isIDIndex(name) { return tablePlan() }
            if let index = collection.index(named: name), isUsable(index) {
                return try hintedPlan(index)
            }
        case .pattern(let pattern):
            if pattern.isIDPattern, collection.traits.timeSeries == nil { return tablePlan() }
            if let index = index(of: pattern) { return try hintedPlan(index) }
        }
        throw DBError(
            .badValue,
            "error processing query: planner returned error :: caused by :: hint provided does "
                + "not correspond to an existing index")
    }

    /// The secondary index that a hint names.
    private func hintedIndex(_ hint: Hint) -> IndexEntry? {
        switch hint {
        case .index(let name): collection.index(named: name)
        case .pattern(let pattern): index(of: pattern)
        case .natural: nil
        }
    }

    func isUsable(_ index: IndexEntry) -> Bool { index.isReady && !index.isHidden }

    private func index(of pattern: Document) -> IndexEntry? {
        collection.indexes.first { index in
            isUsable(index) && index.key.view.compare(pattern.view) == 0
        }
    }

    /// The range that min and max give outright.
    private func givenBounds() throws(DBError) -> QueryPlan {
        guard let hint = question.hint else {
            throw DBError(
                DBError.Code(rawValue: 51173),
                "When using min()/max() a hint of which index to use must be provided")
        }
        if let index = hintedIndex(hint), !index.pattern.isOrdered {
            throw Self.incompatibleBounds
        }
        let chosen = try hinted(hint)
        let shape: IndexShape
        var hasOrderedKeys = collection.hasOrderedRecords
        switch chosen.access {
        case .index(let index):
            guard index.pattern.isOrdered else { throw Self.incompatibleBounds }
            shape = IndexShape(index)
            hasOrderedKeys = !index.flags.hasCutKeys
        default:
            guard collection.isClustered else { throw Self.incompatibleBounds }
            shape = .clustered(collection.collation)
        }
        let low = try question.min.map { bound throws(DBError) in try key(bound, shape) } ?? []
        let high = try question.max.map { bound throws(DBError) in try key(bound, shape) } ?? []
        if !low.isEmpty, !high.isEmpty, !KeyBytes.isLess(low, high) {
            throw DBError(
                DBError.Code(rawValue: 51175), "max bound must be greater than the min bound")
        }
        let unbounded = IndexBounds(unbounded: shape)
        var provision: SortProvision?
        if let sort = question.sort, Collation.areSame(question.collation, shape.collation) {
            provision = SortProvision(
                sort, shape, unbounded, hasOrderedKeys: hasOrderedKeys,
                hasOrderedRecords: collection.hasOrderedRecords && comparesRecords,
                hasUniqueIDs: hasUniqueIDs)
        }
        var access = chosen.access
        if case .nothing = access { access = .table }
        return QueryPlan(
            access: access, ranges: KeyRanges(low: low, high: high),
            isBackward: provision?.isBackward ?? false,
            providesSort: question.sort == nil || provision != nil, impliesMatch: false,
            deduplicates: chosen.deduplicates, bounds: unbounded,
            multikeyParts: shape.multikeyParts)
    }

    /// Encodes a min or max, which must name the index's paths in their order.
    private func key(_ bound: Document, _ shape: IndexShape) throws(DBError) -> [UInt8] {
        var encoder = KeyEncoder()
        var elements = bound.view.makeIterator()
        var part = 0
        while let element = elements.next() {
            guard part < shape.paths.count, element.nameString == shape.paths[part].dotted else {
                throw Self.incompatibleBounds
            }
            encoder.append(
                element.value, descending: shape.descending[part], order: shape.collation)
            part += 1
        }
        guard part == shape.paths.count else { throw Self.incompatibleBounds }
        return Array(encoder.bytes.prefix(shape.prefixBytesMax))
    }

    private static let incompatibleBounds = DBError(
        DBError.Code(rawValue: 51174),
        "The index chosen is not compatible with min/max")
}

extension Document {
    /// Whether this is the key pattern of the `_id` index.
    var isIDPattern: Bool {
        view.count == 1 && view.value("_id") != nil
    }
}
