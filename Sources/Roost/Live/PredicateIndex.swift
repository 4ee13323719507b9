// Which live queries may be concerned by a document: an index of their predicates.

import BSON
import Query

/// The groups of one collection.
struct PredicateIndex {
    private var rest: [LiveGroup] = []

    /// Adds a group.
    mutating func insert(_ group: LiveGroup) throws(DBError) {
        rest.append(group)
    }

    /// Removes a group.
    mutating func remove(_ group: LiveGroup) {
        rest.removeAll { $0 === group }
    }

    /// Appends the groups that may match a document and don't have the mark yet.
    func find(_ document: DocumentView, _ mark: UInt64, into found: inout [LiveGroup]) {
        for group in rest where group.mark != mark {
            group.mark = mark
            found.append(group)
        }
    }

    /// Calls `body` with every group.
    func forEach(_ body: (LiveGroup) -> Void) {
        rest.forEach(body)
    }
}
