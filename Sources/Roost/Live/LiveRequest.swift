// What a live query asks for.

package import BSON
package import Query

/// A live query. The filter, and a pipeline's, must not depend on time or chance
/// (`LiveRefusal.check`).
package struct LiveRequest: Sendable {
    /// What the rows are.
    enum Shape: Sendable {
        /// The documents that match, in no order.
        case rows
        /// The first of them in an order, behind those skipped.
        case window(SortPattern, skip: Int, limit: Int)
        /// A pipeline's results; `isOrdered` where its order is part of the result.
        case pipeline(Pipeline, isOrdered: Bool)
    }

    /// Most rows of a window, with those skipped.
    package static let windowRowsMax = 1_000

    /// The collection whose documents are asked for.
    package let namespace: Namespace
    /// What they must match, before a pipeline's other stages; of an app user's with what the
    /// rules ask.
    private(set) var filter: Filter
    /// The same as it was asked.
    let asked: Filter
    let shape: Shape
    /// What is shown of them; nil for all, and for pipelines.
    let projection: Projection?
    /// Other collections that the pipeline reads.
    let foreign: [Namespace]
    /// Equal requests have equal bytes.
    private(set) var identity: [UInt8]
    /// The state that the client has.
    package var resumeAfter: LiveToken?
    /// The app user who asks; nil for those who bypass the rules.
    package var user: AppUser?
    /// What the rules leave of an app user's query; nil for others, and before they are asked.
    private(set) var binding: LiveBinding?
    /// A hash of what was asked.
    let hash: UInt64

    /// Documents that match. A limit without a sort means the order of `_id`s.
    /// - Throws: `badValue` (2) for a sort without a limit, or a window that is too large.
    package init(
        _ namespace: Namespace, filter: Filter, sort: SortPattern?, skip: Int, limit: Int,
        projection: Projection?, identity: [UInt8]
    ) throws(DBError) {
        if limit == 0 {
            guard sort?.isEmpty ?? true, skip == 0 else {
                throw DBError(
                    .badValue,
                    "A live query that is sorted, or skips rows, needs a limit (at most "
                        + "\(Self.windowRowsMax) with the rows skipped); without one leave the "
                        + "order to the client")
            }
            self.init(namespace, filter, .rows, projection, [], identity)
            return
        }
        let (rows, overflow) = skip.addingReportingOverflow(limit)
        guard !overflow, rows <= Self.windowRowsMax else {
            throw DBError(
                .badValue,
                "limit and skip of a live query are at most \(Self.windowRowsMax) together")
        }
        let order = Self.totalOrder(sort, filter.collation)
        self.init(
            namespace, filter, .window(order, skip: skip, limit: limit), projection, [], identity)
    }

    /// A pipeline's results. A filter, a sort, a window and a projection are taken as find's.
    /// - Throws: as the other.
    package init(
        _ namespace: Namespace, pipeline: Pipeline, foreign: [Namespace], identity: [UInt8]
    ) throws(DBError) {
        let leading = pipeline.leading
        var rest = pipeline.stages.dropFirst(leading.stageCount)
        var projection: Projection?
        if case .project(let given) = rest.first {
            projection = given.isIdentity ? nil : given
            rest = rest.dropFirst()
        }
        if rest.isEmpty, leading.limit != nil || leading.skip == nil && leading.sort == nil {
            try self.init(
                namespace, filter: leading.filter ?? .everything, sort: leading.sort,
                skip: leading.skip ?? 0, limit: leading.limit ?? 0, projection: projection,
                identity: identity)
            return
        }
        self.init(
            namespace, leading.filter ?? .everything,
            .pipeline(pipeline, isOrdered: Self.isOrdered(pipeline)), nil, foreign, identity)
    }

    private init(
        _ namespace: Namespace, _ filter: Filter, _ shape: Shape, _ projection: Projection?,
        _ foreign: [Namespace], _ identity: [UInt8]
    ) {
        self.namespace = namespace
        self.filter = filter
        asked = filter
        self.shape = shape
        self.projection = projection
        self.foreign = foreign
        self.identity = identity
        hash = Self.hash(identity)
    }

    /// Whether a pipeline's results come in an order that its stages make.
    private static func isOrdered(_ pipeline: Pipeline) -> Bool {
        var isOrdered = false
        for stage in pipeline.stages {
            switch stage {
            case .sort: isOrdered = true
            case .group, .count: isOrdered = false
            default: break
            }
        }
        return isOrdered
    }

    /// The sort with `_id` behind it, so that no two rows are equal.
    private static func totalOrder(_ sort: SortPattern?, _ collation: Collation?) -> SortPattern {
        var parts = sort?.parts ?? []
        let id = FieldPath("_id")
        if !parts.contains(where: { $0.path == id }) {
            parts.append(SortPattern.Part(path: id, descending: false))
        }
        return SortPattern(parts, collation: collation)
    }

    /// Whether rows have places that events tell.
    var isOrdered: Bool {
        switch shape {
        case .rows: false
        case .window: true
        case .pipeline(_, let isOrdered): isOrdered
        }
    }

    /// Whether running the query again on an earlier state gives what a client had then. A pipeline's
    /// order may leave rows equal, its cut may fall otherwise, which a window's can't, and $push and
    /// its like show the order in which documents were read.
    var isRepeatable: Bool {
        if binding?.usesTime == true { return false }
        guard case .pipeline(let pipeline, let isOrdered) = shape else { return true }
        return !isOrdered
            && !pipeline.stages.contains { stage in
                switch stage {
                case .sort(_, limit: .some), .skip, .limit: true
                default: stage.dependsOnOrder
                }
            }
    }

    /// Whether the result is kept, since a change alone does not say what becomes of it.
    var keepsRows: Bool {
        if isReread { return true }
        return if case .rows = shape { false } else { true }
    }

    /// Whether rules ask what a change of a document alone doesn't tell.
    var isReread: Bool { binding.map { !$0.isSelfContained } ?? false }

    /// What is kept of the result, for explain.
    var keeping: String {
        if isReread { return "all rows, read again when one changes or what rules look up" }
        return switch shape {
        case .rows: "rows, told from each change alone"
        case .window: "a window with a spare tail"
        case .pipeline(let pipeline, _):
            maintainedGroups(pipeline) != nil
                ? "groups, kept from each change" : "all rows, read again when one changes"
        }
    }

    /// The groups of a pipeline, none yet; nil where they can't be kept up to date from changes.
    func maintainedGroups(_ pipeline: Pipeline) -> MaintainedGroups? {
        // What is joined behind them changes on its own.
        foreign.isEmpty && !isReread ? MaintainedGroups(pipeline) : nil
    }

    /// A hash that tokens carry: FNV-1a.
    static func hash(_ bytes: [UInt8]) -> UInt64 {
        bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
    }

    /// The token of the result as of `sequence`. That of a user to whom the rules show something
    /// else is one of another history.
    func token(_ sequence: Timestamp, epoch: UInt64) -> LiveToken {
        LiveToken(sequence, epoch: self.epoch(epoch), query: hash)
    }

    /// The history that tokens name, where `epoch` is the log's.
    func epoch(_ epoch: UInt64) -> UInt64 { epoch ^ (binding?.claims ?? 0) }

    /// The query as an ordinary read: of whole documents but for pipelines.
    func source(_ view: ReadView?, _ access: RequestAccess?) -> ReadSource {
        // A filter that has in it what the rules ask needs nothing else.
        let isWhole = binding?.isSelfContained ?? false
        var find = FindRequest(namespace, filter: isWhole ? filter : asked)
        find.view = view
        find.access = isWhole ? nil : access
        switch shape {
        case .rows: return .find(find)
        case .window(let sort, let skip, let limit):
            find.sort = Self.document(sort)
            find.skip = skip
            find.limit = limit
            return .find(find)
        case .pipeline(let pipeline, _):
            var request = AggregateRequest(namespace, pipeline: pipeline)
            request.view = view
            request.access = access
            return .aggregate(request, leading: pipeline.leading)
        }
    }

    /// The query as it was asked, of an app user whose rules are to be asked anew.
    var unbound: LiveRequest {
        guard let binding else { return self }
        var request = self
        request.binding = nil
        request.filter = asked
        request.identity.removeLast(binding.identity.count)
        return request
    }

    /// The query as it is for an app user: bound to what the rules leave of it.
    func bound(_ binding: LiveBinding, filter: Filter) -> LiveRequest {
        var request = self
        request.binding = binding
        request.filter = filter
        request.identity = identity + binding.identity
        return request
    }

    /// The sort as find takes it.
    static func document(_ sort: SortPattern) -> Document {
        Document { writer in
            for part in sort.parts {
                writer.append(part.path.dotted, Int32(part.descending ? -1 : 1))
            }
        }
    }
}
