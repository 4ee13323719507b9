// The projection of a live query at work on single documents.

import BSON
import Query

/// Makes rows of documents. Confined to one thread at a time.
final class LiveProjection {
    /// What evaluation needs; kilobytes, so only where there is something to evaluate.
    private final class Workspace {
        var scratch = MatchScratch()
        var evaluation = EvaluationContext()
    }

    private let projection: Projection?
    private let filter: Filter
    private lazy var workspace = Workspace()

    init(_ projection: Projection?, _ filter: Filter) {
        self.projection = projection
        self.filter = filter
    }

    /// Whether rows are the documents themselves.
    var isIdentity: Bool { projection == nil }

    /// Writes the row of a document that matches.
    /// - Throws: what expressions throw.
    func write(_ document: DocumentView, into writer: inout DocumentWriter) throws(DBError) {
        guard let projection else {
            writer.appendRaw(copying: document.bytes)
            return
        }
        var position: Int?
        if projection.isPositional, try filter.matches(document, &workspace.scratch) {
            position = workspace.scratch.arrayPosition
        }
        try projection.apply(
            document, arrayPosition: position, into: &writer, &workspace.evaluation)
    }
}
