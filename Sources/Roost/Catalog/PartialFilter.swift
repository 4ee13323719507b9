// partialFilterExpression: which filters may limit an index.

import BSON
import Query

/// Which filters may limit an index: those whose implication by a query can be decided.
enum PartialFilter {
    /// Parses a partialFilterExpression.
    /// - Throws: `cannotCreateIndex` (67) for operators that are not allowed there, and what
    ///   `Filter.parse` throws.
    static func parse(
        _ filter: DocumentView, _ collation: Collation?
    ) throws(DBError) -> Filter {
        let parsed = try Filter.parse(
            filter, FilterOptions(context: .partialIndex, collation: collation))
        try check(parsed.root)
        return parsed
    }

    private static func check(_ node: FilterNode) throws(DBError) {
        switch node {
        case .alwaysTrue, .compare, .in, .type: return
        case .exists: return
        case .geo(_, let predicate) where predicate.near == nil: return
        case .and(let children), .or(let children):
            for child in children { try check(child) }
        default:
            throw DBError(
                .cannotCreateIndex,
                "Expression not supported in partial index; use equality, $exists: true, $gt, "
                    + "$gte, $lt, $lte, $type, $in, $geoWithin, $geoIntersects, $and and $or")
        }
    }
}
