// The engine's read commands. Each gives an object that runs in slices: in place on an event loop
// while that is quick (`ReadBudget.inPlace`), else on the reader pool (`ReadBudget.slice`).

package import BSON
package import Query

extension RoostEngine {
    /// A cursor over a find's results. Nothing is read yet; a collection that doesn't exist has no
    /// documents. `interrupt`: what ends the operation that the read is a part of.
    package func openCursor(
        _ request: FindRequest, partOf interrupt: Interrupt? = nil
    ) throws(DBError) -> QueryCursor {
        QueryCursor(self, .find(request), partOf: interrupt)
    }

    /// A cursor over a pipeline's results. Nothing is read yet. `interrupt`: what ends the
    /// operation that the read is a part of.
    package func openCursor(
        _ request: AggregateRequest, partOf interrupt: Interrupt? = nil
    ) throws(DBError) -> QueryCursor {
        QueryCursor(
            self, .aggregate(request, leading: request.pipeline.leading), partOf: interrupt)
    }

    /// A change stream. Nothing is read yet, but what is committed from now on is seen.
    package func openCursor(_ request: ChangeStreamRequest) -> QueryCursor {
        QueryCursor(self, .changes(request))
    }

    /// The time of the newest change that is kept in the log.
    package var newestLogTime: Timestamp { tails.progress(.server).logEnd }

    /// Counts documents. Without a filter that is one look-up; where an index's bounds say all that
    /// the filter does, only its entries are counted.
    package func count(_ request: CountRequest) -> CountRead {
        CountRead(QueryCursor(self, .count(request)))
    }

    /// Counts documents to the end on this thread, slice after slice: for threads that may wait.
    package func count(_ request: CountRequest, _ reader: Reader) throws(DBError) -> Int {
        let read = count(request)
        while try !read.advance(reader, .slice) {}
        return read.count
    }

    /// Collects the distinct values of a path.
    package func distinct(_ request: DistinctRequest) -> DistinctRead {
        DistinctRead(
            QueryCursor(self, .distinct(request)), request.path, request.filter.collation)
    }

    /// Explains a find; `filter` and `projection` are its documents as given.
    package func explain(
        _ request: FindRequest, filter: Document, projection: Document?,
        _ verbosity: ExplainVerbosity
    ) -> ExplainRead {
        var shape = Explanation.Shape()
        shape.filter = filter
        shape.sort = request.sort
        shape.projection = projection
        shape.skip = request.skip
        shape.limit = request.limit
        return ExplainRead(QueryCursor(self, .find(request)), shape, verbosity)
    }

    /// Explains a count; `filter` is its document as given.
    package func explain(
        _ request: CountRequest, filter: Document, _ verbosity: ExplainVerbosity
    ) -> ExplainRead {
        var shape = Explanation.Shape()
        shape.filter = filter
        shape.isCount = true
        shape.countsWholeCollection = request.filter.isEmpty && request.hint == nil
        return ExplainRead(QueryCursor(self, .count(request)), shape, verbosity)
    }

    /// Explains a distinct; `filter` is its document as given.
    package func explain(
        _ request: DistinctRequest, filter: Document, _ verbosity: ExplainVerbosity
    ) -> ExplainRead {
        var shape = Explanation.Shape()
        shape.filter = filter
        shape.isDistinct = true
        return ExplainRead(QueryCursor(self, .distinct(request)), shape, verbosity)
    }

    /// Explains the read that finds a write's documents; `filter` is its document as given.
    package func explain(
        _ request: FindRequest, filter: Document, write: ExplainedWrite,
        _ verbosity: ExplainVerbosity
    ) -> ExplainRead {
        var shape = Explanation.Shape()
        shape.filter = filter
        shape.sort = request.sort
        shape.write = write
        return ExplainRead(QueryCursor(self, .find(request)), shape, verbosity)
    }

    /// Explains a pipeline: the part that reads the collection by its plan, what follows as it was
    /// given in `stages`.
    package func explain(
        _ request: AggregateRequest, stages: [Value], _ verbosity: ExplainVerbosity
    ) -> ExplainRead {
        let leading = request.pipeline.leading
        var shape = Explanation.Shape()
        shape.take(stages, leading)
        let source = ReadSource.aggregate(request, leading: leading)
        return ExplainRead(QueryCursor(self, source), shape, verbosity)
    }
}

extension Explanation.Shape {
    /// Takes what is planned out of a pipeline's stages; the rest follows the read.
    fileprivate mutating func take(_ given: [Value], _ leading: Pipeline.Leading) {
        var rest = given[...]
        while case .document(let stage)? = rest.first {
            switch (stage.keys.first, stage[stage.keys.first ?? ""]) {
            case ("$match"?, .document(let condition)?) where leading.filter != nil:
                filter =
                    filter.isEmpty
                    ? condition : ["$and": [.document(filter), .document(condition)]]
            case ("$sort"?, .document(let order)?) where leading.sort != nil && sort == nil:
                sort = order
            case ("$skip"?, _) where leading.skip != nil && skip == 0: skip = leading.skip ?? 0
            case ("$limit"?, _) where leading.limit != nil && limit == 0:
                limit = leading.limit ?? 0
            default:
                stages = Array(rest)
                return
            }
            rest = rest.dropFirst()
        }
        stages = []
    }
}

/// A count under way. One thread at a time uses it.
package final class CountRead {
    /// What reads.
    package let cursor: QueryCursor
    /// Whether what the cursor hands out is counted, and not what matched.
    private let countsResults: Bool

    init(_ cursor: QueryCursor, countsResults: Bool = false) {
        self.cursor = cursor
        self.countsResults = countsResults
    }

    /// Goes on for one slice; true when the count is known.
    /// - Throws: what `QueryCursor.advance` throws.
    package func advance(_ reader: Reader, _ budget: ReadBudget) throws(DBError) -> Bool {
        var sink = NoSink()
        return try cursor.advance(
            reader, BatchLimits(bytesMax: .max), budget, into: &sink) == .exhausted
    }

    /// The count, once known.
    package var count: Int {
        countsResults ? cursor.counters.returned : cursor.counters.matched
    }
}

/// Takes nothing.
struct NoSink: DocumentSink {
    mutating func append(_ document: DocumentView) {}
}

/// An explain under way. One thread at a time uses it.
package final class ExplainRead {
    /// What reads.
    package let cursor: QueryCursor
    private let shape: Explanation.Shape
    private let verbosity: ExplainVerbosity
    private let start = MonotonicClock.nanoseconds

    init(_ cursor: QueryCursor, _ shape: Explanation.Shape, _ verbosity: ExplainVerbosity) {
        self.cursor = cursor
        self.shape = shape
        self.verbosity = verbosity
        cursor.isExplained = true
    }

    /// Goes on for one slice; true when the answer is ready.
    /// - Throws: what `QueryCursor.advance` throws.
    package func advance(_ reader: Reader, _ budget: ReadBudget) throws(DBError) -> Bool {
        var sink = NoSink()
        guard verbosity.runs else {
            // A batch of nothing plans and reads nothing.
            try cursor.plan(reader)
            return true
        }
        let status = try cursor.advance(
            reader, BatchLimits(bytesMax: .max), budget, into: &sink)
        return status == .exhausted
    }

    /// Appends `explainVersion`, `queryPlanner` and, where the query was run, `executionStats`.
    package func write(into writer: inout DocumentWriter) {
        writer.append("explainVersion", "1")
        var shape = shape
        shape.isOfDeleted = cursor.source.scope != .live
        if shape.isOfDeleted {
            shape.countsWholeCollection = false
        } else if case .or = cursor.filter.root {
            shape.isDisjunction = true
        }
        shape.demand = try? SpecialDemand(Conjunct.all(of: cursor.filter.root))
        var explanation = Explanation(
            namespace: cursor.namespace, shape: shape, winner: cursor.plan ?? .nothing,
            rejected: cursor.rejectedPlans, estimates: cursor.estimates,
            shapeHash: cursor.shapeHash,
            advice: IndexAdvice(cursor)?.text)
        explanation.isClustered = cursor.readCollection?.traits.clusteredIndex != nil
        explanation.foreign = cursor.foreignReports
        if verbosity.runs {
            explanation.counters = cursor.counters
            explanation.milliseconds = Int64((MonotonicClock.nanoseconds - start) / 1_000_000)
        }
        explanation.write(verbosity, into: &writer)
    }
}
