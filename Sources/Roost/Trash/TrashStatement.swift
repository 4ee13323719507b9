// What the commands `restore` and `purge` ask of a collection's deleted documents.

import BSON
import Query

/// Restores or purges deleted documents.
package final class TrashStatement: Sendable {
    /// What becomes of them.
    package enum Action: Sendable {
        /// They are live again.
        case restore
        /// They are gone for good.
        case purge
    }

    package let action: Action
    /// Which of the deleted documents.
    package let target: WriteTarget
    /// Most documents, in the order of `_id`; 0 for all.
    package let limit: Int
    /// Whether the condition asks when or by whom a document was deleted.
    let readsDeletion: Bool
    /// Whether documents are restored without asking the collection's validator.
    let bypassesValidation: Bool

    package init(
        _ action: Action, target: WriteTarget, limit: Int = 0, bypassesValidation: Bool = false
    ) {
        self.action = action
        self.target = target
        self.limit = limit
        self.bypassesValidation = bypassesValidation
        readsDeletion = target.filterDocument.view.mentionsMeta("deleted")
    }
}
