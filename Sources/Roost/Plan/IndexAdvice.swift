// Which index would have helped a query, in plain words.
//
// Paths that must equal a value come first, then those of the sort, then those that are bounded
// otherwise: so an index narrows as far as it can, gives the order, and still skips on the rest.

import BSON
import Query

/// What to say about a plan that reads more than it has to.
struct IndexAdvice {
    /// A sentence or two.
    let text: String

    /// Nil where no index would make the query quicker, or where it isn't known which.
    init?(_ cursor: QueryCursor) {
        guard let plan = cursor.plan, !cursor.source.readsNothing, cursor.source.scope == .live,
            let question = try? cursor.source.question(), question.hint == nil
        else { return nil }
        var readsAll = plan.isFullScan && !cursor.filter.isEmpty
        switch plan.access {
        case .nothing, .trash: return nil
        case .index(let index) where index.isSparse || index.partialFilter != nil: readsAll = false
        default: break
        }
        guard readsAll || !plan.providesSort else { return nil }
        if case .or(let branches) = question.filter {
            let keys = branches.compactMap { Self.key($0, question.sort) }
            guard keys.count == branches.count else { return nil }
            text =
                (readsAll
                    ? "Every document is read. An index for each branch of $or would let only "
                        + "matching ones be read: "
                    : "The results are sorted after they were read. An index for each branch of "
                        + "$or would give them in order: ") + keys.joined(separator: ", ") + "."
            return
        }
        guard let key = Self.key(question.filter, question.sort) else { return nil }
        if readsAll {
            let order = plan.providesSort ? "" : " and gives their order"
            text =
                "Every document is read. An index on \(key) would let only matching ones be read"
                + (question.sort == nil ? "." : "\(order).")
        } else {
            text =
                "The results are sorted after they were read. An index on \(key) would give them "
                + "in order."
        }
    }

    /// The key pattern that fits, as text.
    private static func key(_ filter: FilterNode, _ sort: SortPattern?) -> String? {
        var equal: [String] = []
        var bounded: [String] = []
        let conjuncts = Conjunct.all(of: filter)
        for conjunct in conjuncts {
            guard let path = conjunct.node.path, path != .wholeValue else { continue }
            let full = conjunct.prefix.map { $0 + "." + path.dotted } ?? path.dotted
            switch conjunct.node {
            case .compare(_, .equal, _), .in: if !equal.contains(full) { equal.append(full) }
            case .compare, .regex, .type, .exists, .mod, .elementValue:
                if !bounded.contains(full) { bounded.append(full) }
            default: break
            }
        }
        var parts = equal.map { "\($0): 1" }
        var named = Set(equal)
        for part in sort?.parts ?? [] where named.insert(part.path.dotted).inserted {
            parts.append("\(part.path.dotted): \(part.descending ? -1 : 1)")
        }
        for path in bounded where named.insert(path).inserted { parts.append("\(path): 1") }
        return parts.isEmpty ? nil : "{ \(parts.joined(separator: ", ")) }"
    }
}
