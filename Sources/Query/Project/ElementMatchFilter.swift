// The condition of a projection's $elemMatch, which follows the query operator's rules.

import BSON

enum ElementMatchFilter {
    /// Compiles the condition on the array field `path` to a filter on documents, whose array
    /// position is then that of the first element that meets it.
    static func parse(
        _ path: FieldPath, _ condition: DocumentView, _ scope: ExpressionScope
    ) throws(DBError) -> Filter {
        let filter = Document { writer in
            let start = writer.openDocument(path.dotted)
            writer.append("$elemMatch", condition)
            writer.close(start)
        }
        return try FilterHook.parse(filter.view, scope, context: .projection)
    }
}
