// What a cursor reads: the request behind it, reduced to what all reads share.

import BSON
import Query

/// The request behind a cursor.
indirect enum ReadSource {
    case find(FindRequest)
    case aggregate(AggregateRequest, leading: Pipeline.Leading)
    case count(CountRequest)
    case distinct(DistinctRequest)
    case changes(ChangeStreamRequest)

    var namespace: Namespace {
        switch self {
        case .find(let request): request.namespace
        case .aggregate(let request, _): request.namespace
        case .count(let request): request.namespace
        case .distinct(let request): request.namespace
        case .changes(let request): request.namespace
        }
    }

    /// What documents must match before anything else happens.
    var filter: Filter {
        switch self {
        case .find(let request): request.filter
        case .aggregate(_, let leading): leading.filter ?? .everything
        case .count(let request): request.filter
        case .distinct(let request): request.filter
        case .changes: .everything
        }
    }

    /// The order of strings in filter and sort.
    var collation: Collation? {
        if case .aggregate(let request, _) = self { return request.pipeline.collation }
        return filter.collation
    }

    /// The snapshot to read; nil for the newest at each slice.
    var view: ReadView? {
        switch self {
        case .find(let request): request.view
        case .aggregate(let request, _): request.view
        case .distinct(let request): request.view
        case .count, .changes: nil
        }
    }

    /// Whether deleted documents are seen.
    var scope: ReadScope {
        switch self {
        case .find(let request): request.scope
        case .aggregate(let request, _): request.scope
        case .count(let request): request.scope
        case .distinct(let request): request.scope
        case .changes: .live
        }
    }

    /// Whether something asks when and by whom a document was deleted.
    var showsDeletion: Bool {
        switch self {
        case .find(let request): request.showsDeletion
        case .aggregate(let request, _): request.showsDeletion
        case .count(let request): request.showsDeletion
        case .distinct(let request): request.showsDeletion
        case .changes: false
        }
    }

    var deadline: ContinuousClock.Instant? {
        switch self {
        case .find(let request): request.deadline
        case .aggregate(let request, _): request.deadline
        case .count(let request): request.deadline
        case .distinct(let request): request.deadline
        case .changes: nil
        }
    }

    /// What an app user may see; nil for those who bypass the rules.
    var access: RequestAccess? {
        switch self {
        case .find(let request): request.access
        case .aggregate(let request, _): request.access
        case .count(let request): request.access
        case .distinct(let request): request.access
        case .changes(let request): request.access
        }
    }

    /// Whether no collection is read.
    var isCollectionless: Bool {
        if case .aggregate(let request, _) = self {
            request.pipeline.isCollectionless
        } else {
            false
        }
    }

    var skip: Int {
        switch self {
        case .find(let request): request.skip
        case .count(let request): request.skip
        case .aggregate, .distinct, .changes: 0
        }
    }

    /// Most results; 0 for all.
    var limit: Int {
        switch self {
        case .find(let request): request.limit
        case .count(let request): request.limit
        case .aggregate, .distinct, .changes: 0
        }
    }

    /// Whether it is known before looking that nothing is read.
    var readsNothing: Bool {
        if case .aggregate(let request, _) = self, request.pipeline.isCollectionless { return true }
        if case .alwaysFalse = filter.root { return true }
        return false
    }

    /// Whether the filter must run even where the bounds imply a match: for the position in an
    /// array that a positional projection shows.
    var needsArrayPosition: Bool {
        guard case .find(let request) = self else { return false }
        return request.projection?.isPositional ?? false
    }

    /// Whether the read waits at the end of a capped collection.
    var isTailable: Bool {
        if case .find(let request) = self { request.isTailable } else { false }
    }

    /// Whether sorts and groups may use temporary files.
    var allowsDiskUse: Bool {
        switch self {
        case .find(let request): request.allowsDiskUse
        case .aggregate(let request, _): request.allowsDiskUse
        case .count, .distinct, .changes: false
        }
    }

    /// Whether one small document may mean much work.
    var multiplies: Bool {
        switch self {
        case .find(let request): request.filter.loops || request.projection?.loops == true
        case .aggregate(let request, _): request.pipeline.multiplies
        case .count, .distinct: filter.loops
        case .changes: false
        }
    }

    /// Whether only the number of matches is of interest.
    var countsOnly: Bool {
        switch self {
        case .count: true
        case .aggregate(let request, let leading):
            request.pipeline.countsOnly(after: leading.filterStageCount)
        case .find, .distinct, .changes: false
        }
    }

    /// Whether the score of a text search may be asked for.
    var wantsTextScore: Bool {
        switch self {
        case .find(let request): request.projection != nil || request.sort != nil
        case .aggregate: !countsOnly
        case .count, .distinct, .changes: false
        }
    }

    /// Whether the distance from the point of $near is needed.
    var wantsDistance: Bool {
        switch self {
        case .find(let request): wantsTextScore || request.sort?.isEmpty ?? true
        case .aggregate: true
        case .count, .distinct, .changes: false
        }
    }

    /// What becomes of matches under a plan.
    func output(
        _ plan: QueryPlan, _ resources: ExecutionResources
    ) throws(DBError) -> ReadOutput {
        switch self {
        case .count: return .counting
        case .distinct, .changes: return .direct
        case .find(let request):
            let projection = request.projection.flatMap { $0.isIdentity ? nil : $0 }
            let showsKey = projection?.showsSortKey == true
            var wanted: SortPattern?
            if !plan.providesSort || showsKey { wanted = try request.sortPattern }
            var sort = plan.providesSort ? nil : wanted
            if request.sort?.isEmpty ?? true, request.filter.metadata.contains(.distance) {
                sort = .byDistance
            }
            if sort == nil, projection == nil { return .direct }
            let pipeline = Pipeline.find(
                sort: sort, skip: request.skip, limit: request.limit, projection: projection,
                shownKey: showsKey ? wanted : nil)
            return .pipeline(PipelineExecution(pipeline, resources))
        case .aggregate(let request, let leading):
            var done = leading.filterStageCount
            if leading.sort != nil, plan.providesSort { done += 1 }
            if done == request.pipeline.stages.count, !request.pipeline.isCollectionless {
                return .direct
            }
            return .pipeline(
                PipelineExecution(request.pipeline, skippingLeading: done, resources))
        }
    }

    /// What the planner is asked.
    /// - Throws: errors of a bad hint or sort.
    func question() throws(DBError) -> PlanQuestion {
        var question = PlanQuestion(filter: filter.root)
        question.collation = collation
        question.scope = scope
        switch self {
        case .find(let request):
            question.hint = try Hint(request.hint)
            question.min = request.min
            if request.isTailable { question.naturalIsBackward = false }
            question.max = request.max
            if request.limit > 0 { question.limit = request.limit &+ request.skip }
            if let sort = request.sort, let isBackward = try sort.naturalIsBackward {
                question.naturalIsBackward = isBackward
            } else {
                question.sort = try request.sortPattern
            }
        case .aggregate(let request, let leading):
            question.hint = try Hint(request.hint)
            question.sort = leading.sort
            if let limit = leading.limit { question.limit = limit &+ (leading.skip ?? 0) }
        case .count(let request):
            question.hint = try Hint(request.hint)
            if request.limit > 0 { question.limit = request.limit &+ request.skip }
        case .distinct(let request):
            question.hint = try Hint(request.hint)
            question.distinctPath = request.path
        case .changes: break
        }
        return question
    }
}

extension FindRequest {
    /// The order by fields that is asked for; nil for none, and for `$natural`.
    /// - Throws: errors of a bad sort.
    fileprivate var sortPattern: SortPattern? {
        get throws(DBError) {
            guard let sort, !sort.isEmpty, try sort.naturalIsBackward == nil else { return nil }
            return try SortPattern.parse(
                sort.view, collation: filter.collation,
                metadata: filter.metadata.union(scope == .live ? [] : .deletion))
        }
    }
}
