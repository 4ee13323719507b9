// What a cursor reads: the request behind it, reduced to what all reads share.

import BSON
import Query

/// The request behind a cursor.
enum ReadSource {
    case find(FindRequest)
    case aggregate(AggregateRequest, leading: PipelineLead)
    case count(CountRequest)
    case distinct(DistinctRequest)

    var namespace: Namespace {
        switch self {
        case .find(let request): request.namespace
        case .aggregate(let request, _): request.namespace
        case .count(let request): request.namespace
        case .distinct(let request): request.namespace
        }
    }

    /// What documents must match before anything else happens.
    var filter: Filter {
        switch self {
        case .find(let request): request.filter
        case .aggregate(_, let leading): leading.filter
        case .count(let request): request.filter
        case .distinct(let request): request.filter
        }
    }

    var deadline: ContinuousClock.Instant? {
        switch self {
        case .find(let request): request.deadline
        case .aggregate(let request, _): request.deadline
        case .count(let request): request.deadline
        case .distinct(let request): request.deadline
        }
    }

    var skip: Int {
        switch self {
        case .find(let request): request.skip
        case .count(let request): request.skip
        case .aggregate, .distinct: 0
        }
    }

    /// Most results; 0 for all.
    var limit: Int {
        switch self {
        case .find(let request): request.limit
        case .count(let request): request.limit
        case .aggregate, .distinct: 0
        }
    }

    /// Whether it is known before looking that nothing is read.
    var readsNothing: Bool {
        if case .alwaysFalse = filter.root { return true }
        return false
    }

    /// What the planner is asked.
    /// - Throws: errors of a bad hint or sort.
    func question() throws(DBError) -> PlanQuestion {
        var question = PlanQuestion(filter: filter.root)
        switch self {
        case .find(let request):
            question.hint = try Hint(request.hint)
            question.min = request.min
            question.max = request.max
            if request.limit > 0 { question.limit = request.limit &+ request.skip }
            if let sort = request.sort, !sort.isEmpty {
                if let direction = sort.view.value("$natural") {
                    question.naturalIsBackward = direction.isNegative
                } else {
                    question.sort = try SortPattern.parse(sort.view)
                }
            }
        case .aggregate(let request, let leading):
            question.hint = try Hint(request.hint)
            question.sort = leading.sort
            question.limit = leading.limit
        case .count(let request):
            question.hint = try Hint(request.hint)
            if request.limit > 0 { question.limit = request.limit &+ request.skip }
        case .distinct(let request): question.hint = try Hint(request.hint)
        }
        return question
    }
}
