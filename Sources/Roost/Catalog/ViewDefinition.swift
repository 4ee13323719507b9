// Views: collections that show another through a pipeline.
//
// A view is an entry of the catalog with the options `viewOn` and `pipeline`. Reads of it run the
// pipeline over the collection behind, with the read's own conditions after it; writes are refused.

package import BSON
package import Query

/// What a view shows.
package struct ViewDefinition: Sendable {
    /// The collection or view behind, in the same database.
    package let source: String
    /// The stages between.
    package let stages: [Value]

    /// Reads a collection's options; nil where they are not a view's.
    init?(_ options: Document) {
        guard case .string(let source)? = options["viewOn"] else { return nil }
        self.source = source
        if case .array(let stages)? = options["pipeline"] {
            self.stages = stages
        } else {
            stages = []
        }
    }
}

/// A view followed down to the collection that holds its documents.
package struct ResolvedView: Sendable {
    /// The collection.
    package let namespace: Namespace
    /// The stages of all views on the way, the innermost first.
    package let stages: [Value]

    /// What a name stands for.
    package init(namespace: Namespace, stages: [Value]) {
        self.namespace = namespace
        self.stages = stages
    }

    /// Most views on top of each other, as in MongoDB.
    static let depthMax = 20
}

extension RoostEngine {
    /// Follows a view; nil where the name is no view's.
    /// - Throws: 165 where views lie too deep on each other or lead in a circle.
    package func resolveView(_ namespace: Namespace) throws(DBError) -> ResolvedView? {
        guard var view = collection(namespace)?.view else { return nil }
        var stages = view.stages
        for _ in 0..<ResolvedView.depthMax {
            let source = Namespace(namespace.database, view.source)
            guard let next = collection(source)?.view else {
                return ResolvedView(namespace: source, stages: stages)
            }
            stages = next.stages + stages
            view = next
        }
        throw DBError(
            .viewDepthLimitExceeded,
            "View depth limit exceeded; maximum depth is \(ResolvedView.depthMax): \(namespace)")
    }

    /// Checks that a new view does not lie on itself or too deep.
    /// - Throws: 5 for a circle, 165 for too many views on each other.
    package func checkView(_ namespace: Namespace, on source: String) throws(DBError) {
        var source = Namespace(namespace.database, source)
        for _ in 0..<ResolvedView.depthMax {
            guard source != namespace else {
                throw DBError(
                    .graphContainsCycle, "View cycle detected: \(namespace) leads to itself")
            }
            guard let view = collection(source)?.view else { return }
            source = Namespace(namespace.database, view.source)
        }
        throw DBError(
            .viewDepthLimitExceeded,
            "View depth limit exceeded; maximum depth is \(ResolvedView.depthMax): \(namespace)")
    }

    /// Counts the results of a pipeline.
    package func count(_ request: AggregateRequest) throws(DBError) -> CountRead {
        CountRead(try openCursor(request), countsResults: true)
    }

    /// Collects the distinct values of a path in the results of a pipeline.
    package func distinct(
        _ path: FieldPath, in request: AggregateRequest
    ) throws(DBError) -> DistinctRead {
        DistinctRead(try openCursor(request), path, request.pipeline.collation)
    }
}
