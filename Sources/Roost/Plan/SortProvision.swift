// When the order of an index's keys is the order that a query asks for.
//
// Parts that are one value say nothing about order and are skipped. The parts behind must be the
// sort's paths, all in its direction or all against it; then the scan runs forward or backward.
// Entries of equal parts are ordered by record key, which is the order of `_id`: that continues the
// pattern, and since no two documents share an `_id`, nothing behind it matters.

import Query

/// How a scan gives a sort.
struct SortProvision {
    /// Whether the scan must run against the index's order.
    let isBackward: Bool

    /// Nil where the index doesn't give `sort`.
    ///
    /// `hasUniqueIDs`: no two `_id`s are equal in the query's order of strings;
    /// `hasOrderedRecords`: record keys are in `_id` order; `hasOrderedKeys`: the index's are in
    /// the order of values (none was cut).
    init?(
        _ sort: SortPattern, _ shape: IndexShape, _ bounds: IndexBounds, hasOrderedKeys: Bool,
        hasOrderedRecords: Bool, hasUniqueIDs: Bool
    ) {
        guard hasOrderedKeys else { return nil }
        var wanted = sort.parts[...]
        var direction: Bool?
        for part in shape.paths.indices {
            guard let next = wanted.first else { break }
            let isSame = next.path == shape.paths[part] && shape.isOrdered(part)
            if isSame, !shape.isMultikey(part) {
                let isBackward = next.descending != shape.descending[part]
                guard direction == nil || direction == isBackward || Self.isSingle(bounds, part)
                else { return nil }
                if !Self.isSingle(bounds, part) { direction = isBackward }
                wanted = wanted.dropFirst()
                if hasUniqueIDs, shape.paths[part].dotted == "_id" { wanted = [] }
            } else if !Self.isSingle(bounds, part) {
                return nil
            }
        }
        if let next = wanted.first {
            guard next.path.dotted == "_id", hasOrderedRecords, hasUniqueIDs,
                direction == nil || direction == next.descending
            else { return nil }
            direction = next.descending
        }
        isBackward = direction ?? false
    }

    private static func isSingle(_ bounds: IndexBounds, _ part: Int) -> Bool {
        bounds.parts[part].isSinglePoint
    }
}
