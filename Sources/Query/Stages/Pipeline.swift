// Aggregation pipelines: parsed stages, what of them a planner can take over, what they read.
//
// find lowers to a pipeline too ($sort, $skip, $limit, projection), so both run through
// PipelineExecution.

package import BSON

/// A compiled stage.
package enum PipelineStage: Sendable {
    case match(Filter)
    case project(Projection)
    /// `limit`: only so many are wanted (from a $limit behind).
    case sort(SortPattern, limit: Int?)
    case skip(Int)
    case limit(Int)
    case group(GroupSpecificationBox)
    case unwind(UnwindSpecificationBox)
    case replaceRoot(Expression)
    case count(String)
    /// Any other stage.
    case other(StagePlanBox)

    /// The stage at work before `next`.
    func execution(
        _ next: StageExecution, _ resources: ExecutionResources
    ) -> StageExecution {
        let interrupt = resources.interrupt
        return switch self {
        case .match(let filter): MatchStage(filter, interrupt, next)
        case .project(let projection): ProjectStage(projection, interrupt, next)
        case .sort(let pattern, let limit):
            SortStage(pattern, limit: limit, resources, next)
        case .skip(let count): SkipStage(count, next)
        case .limit(let count): LimitStage(count, next)
        case .group(let box):
            GroupStage(box.specification, resources, next)
        case .unwind(let box): UnwindStage(box.specification, interrupt, next)
        case .replaceRoot(let root): ReplaceRootStage(root, interrupt, next)
        case .count(let name): CountStage(name, next)
        case .other(let box): box.plan.execution(next, resources)
        }
    }

    /// Whether one small document may mean much work.
    var multiplies: Bool {
        switch self {
        case .unwind: true
        case .match(let filter): filter.loops
        case .project(let projection): projection.loops
        case .group(let box): box.specification.loops
        case .replaceRoot(let root): root.loops
        case .sort, .skip, .limit, .count: false
        case .other(let box): box.plan.multiplies
        }
    }
}

extension PipelineStage {
    /// Whether documents may become others where the same ones come in another order; which a cut
    /// takes depends on it too.
    package var dependsOnOrder: Bool {
        switch self {
        case .group(let box):
            box.specification.outputs.contains { $0.accumulator.kind.dependsOnOrder }
        case .other(let box): box.plan.dependsOnOrder
        case .match, .project, .sort, .skip, .limit, .unwind, .replaceRoot, .count: false
        }
    }
}

/// A compiled $group, opaque outside the module.
package struct GroupSpecificationBox: Sendable {
    let specification: GroupSpecification
}

/// A compiled $unwind, opaque outside the module.
package struct UnwindSpecificationBox: Sendable {
    let specification: UnwindSpecification
}

/// A compiled pipeline. Immutable, so executions on any thread share it.
package final class Pipeline: Sendable {
    /// The first stages, as far as an access path with a residual filter can do them.
    package struct Leading: Sendable {
        /// All leading $match stages as one filter; nil for none.
        package var filter: Filter?
        /// What follows them: a sort, then skip, then limit, each nil if it does not come.
        package var sort: SortPattern?
        package var skip: Int?
        package var limit: Int?
        /// How many stages only the filter covers, and how many all of it does: pass to
        /// `PipelineExecution` what was done.
        package var filterStageCount = 0
        package var stageCount = 0
    }

    /// The stages in order, merged where that changes nothing.
    package let stages: [PipelineStage]
    /// The source of a pipeline that begins with $documents, which reads no collection.
    let documents: Expression?
    /// Where the results go, by a last stage $out or $merge; nil where the client gets them.
    package let destination: PipelineDestination?
    /// The order of strings in filters and sorts; nil for that of their bytes.
    package let collation: Collation?

    init(
        _ stages: [PipelineStage], documents: Expression? = nil,
        destination: PipelineDestination? = nil, collation: Collation? = nil
    ) {
        self.collation = collation
        self.stages = stages
        self.documents = documents
        self.destination = destination
    }

    /// Whether one small document may mean much work, so that threads which must not wait should
    /// not run the pipeline.
    package var multiplies: Bool {
        documents?.loops == true || stages.contains { $0.multiplies }
    }

    /// Whether the pipeline makes its own documents: it must run on the database, not on a
    /// collection, and its execution needs only `finish`.
    package var isCollectionless: Bool { documents != nil }

    /// Compiles an aggregate command's `pipeline`.
    ///
    /// Throws 40323 and 40324 for what is no stage, 115 for stages that Roost lacks, and each
    /// stage's codes for its argument. Allocates; O(bytes).
    package static func parse(
        _ stages: DocumentView, _ scope: ExpressionScope
    ) throws(DBError) -> Pipeline {
        var parser = PipelineParser(scope)
        return try parser.parse(stages)
    }

    /// find's sort, skip, limit (0 for none) and projection as a pipeline. The filter is the
    /// caller's: it must give `push` the filter's array position. `shownKey`: the order whose values
    /// the projection shows.
    package static func find(
        sort: SortPattern?, skip: Int, limit: Int, projection: Projection?,
        shownKey: SortPattern? = nil
    ) -> Pipeline {
        var stages: [PipelineStage] = []
        if let sort {
            let (wanted, overflow) = skip.addingReportingOverflow(limit)
            stages.append(.sort(sort, limit: limit > 0 && !overflow ? wanted : nil))
        }
        if skip > 0 { stages.append(.skip(skip)) }
        if limit > 0 { stages.append(.limit(limit)) }
        if let shownKey { stages.append(SortKeyAddition.stage(shownKey)) }
        if let projection, !projection.isIdentity { stages.append(.project(projection)) }
        if shownKey != nil { stages.append(.other(StagePlanBox(plan: MetadataRemoval()))) }
        return Pipeline(stages)
    }

    /// The same stages behind a filter.
    func preceded(by filter: Filter) -> Pipeline {
        Pipeline([.match(filter)] + stages, collation: collation)
    }

    /// What a planner can do in place of the first stages.
    package var leading: Leading {
        var leading = Leading()
        if isCollectionless { return leading }
        var rest = stages[...]
        // The parser has merged adjacent filters into one.
        if case .match(let filter) = rest.first {
            leading.filter = filter
            leading.filterStageCount = 1
            rest = rest.dropFirst()
        }
        if case .sort(let pattern, _) = rest.first {
            leading.sort = pattern
            rest = rest.dropFirst()
        }
        if case .skip(let count) = rest.first {
            leading.skip = count
            rest = rest.dropFirst()
        }
        if case .limit(let count) = rest.first {
            leading.limit = count
            rest = rest.dropFirst()
        }
        leading.stageCount = stages.count - rest.count
        return leading
    }

    /// How many documents are wanted of a pipeline that begins with $geoNear, nearest first; nil for
    /// all, and for other pipelines.
    package var nearestWanted: Int? {
        guard stages.count > 1, case .sort(let pattern, let limit) = stages[1],
            pattern.parts == SortPattern.byDistance.parts
        else { return nil }
        return limit
    }

    /// Whether the stages behind the first `count` only need to know how many documents there are.
    package func countsOnly(after count: Int) -> Bool {
        requiredPaths(after: count)?.isEmpty ?? false
    }

    /// What the stages behind the first `count` read of their input; nil for all of it. Paths may
    /// repeat. Filters and sorts behind a stage that passes documents on unchanged are included.
    package func requiredPaths(after count: Int) -> [FieldPath]? {
        requiredPaths(after: count, withArray: nil)
    }

    /// As `requiredPaths(after:)`; of the array at `array` only what is read in its elements.
    func requiredPaths(after count: Int, withArray array: FieldPath?) -> [FieldPath]? {
        var paths: [FieldPath] = []
        for stage in stages.dropFirst(count) {
            switch stage {
            case .match(let filter):
                guard let read = filter.requiredPaths else { return nil }
                paths += read
            case .sort(let pattern, _): paths += pattern.parts.map { $0.path }
            case .skip, .limit: break
            case .unwind(let box):
                if box.specification.path != array { paths.append(box.specification.path) }
            // What it writes may be read below under the same name; that reads no more input.
            case .project(let projection):
                guard let read = projection.requiredPaths else { return nil }
                return paths + read
            case .group(let box):
                guard let read = box.specification.requiredPaths else { return nil }
                return paths + read
            case .replaceRoot(let root):
                guard let read = root.requiredPaths else { return nil }
                return paths + read
            case .count: return paths
            case .other(let box):
                guard case .paths(let read) = box.plan.needs else { return nil }
                paths += read
            }
        }
        return nil
    }
}
