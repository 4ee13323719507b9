// Reads that see deleted documents: the fields `withDeleted` and `onlyDeleted` of find, count,
// distinct and aggregate.

import BSON
import Query
import Roost

extension ReadScope {
    /// The fields of commands that read.
    static let fields: [FieldSpec] = [
        FieldSpec("withDeleted", .truth), FieldSpec("onlyDeleted", .truth),
    ]

    /// Reads a command's fields.
    /// - Throws: `badValue` (2) where both are set.
    init(_ call: borrowing CommandCall) throws(DBError) {
        switch (call.truth("withDeleted") == true, call.truth("onlyDeleted") == true) {
        case (false, false): self = .live
        case (true, false): self = .withDeleted
        case (false, true): self = .onlyDeleted
        case (true, true):
            throw DBError(
                .badValue,
                "Give either withDeleted (live and deleted documents) or onlyDeleted, not both")
        }
    }

    /// Refuses deleted documents of what has none.
    /// - Throws: `optionNotSupportedOnView` (167).
    func checkIsOfCollection(_ what: String) throws(DBError) {
        guard self != .live else { return }
        throw DBError(
            .optionNotSupportedOnView,
            "withDeleted and onlyDeleted are for collections, and \(what) has no deleted documents "
                + "of its own: read the collection behind it")
    }
}

extension CommandCall {
    /// Whether one of the fields asks when or by whom documents were deleted.
    func asksForDeletion(_ fields: [StaticString]) -> Bool {
        for field in fields {
            if value(field)?.nested?.mentionsMeta("deleted") == true { return true }
        }
        return false
    }
}
