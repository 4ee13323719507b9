// What a write command asks for, and what came of it.
//
// A request is a list of statements over a few collections, prepared on the thread that received
// it: filters and updates compiled, documents checked and laid out in one buffer.

package import BSON
package import Query

/// A write command: insert, update, delete, findAndModify's write, or bulkWrite.
package struct WriteRequest: Sendable {
    /// The collections that statements name by position.
    package var namespaces: [Namespace]
    /// What to do, in order.
    package var statements: [WriteStatement] = []
    /// The documents of insert statements, one after another, ready to be stored.
    package var documents = DocumentWriter()
    /// Whether the first error ends the request.
    package var isOrdered: Bool
    /// Whether inserts are stored without asking the collection's validator.
    package var bypassesValidation = false
    /// Whether statements on views have been refused one by one, so that the others may run.
    package var refusesViewsByStatement = false
    /// When the request gives up with `maxTimeMSExpired`, on the monotonic clock.
    package var deadline: ContinuousClock.Instant?
    /// Ends the request from outside, within a document's change too; see `prepareInterrupt`.
    package var interrupt: Interrupt?
    /// Where the completion runs, as the engine's completer counts; nil: on the writer thread.
    package var completionPlace: Int?
    /// Under what the outcome is kept, so that a repetition is answered with it.
    package var retry: RetryIdentity?
    /// The transaction that the request belongs to.
    package var transaction: Transaction?
    /// What an app user may do; nil for those who bypass the rules.
    package var access: RequestAccess?
    /// The command's time.
    package let time: WriteTime

    /// An empty request over one collection.
    package init(_ namespace: Namespace, isOrdered: Bool = true, time: WriteTime) {
        namespaces = [namespace]
        self.isOrdered = isOrdered
        self.time = time
    }

    /// Checks and adds a document to insert.
    /// - Throws: what `prepareInsert` throws; nothing is added then.
    package mutating func insert(_ document: DocumentView, into collection: Int = 0) throws(DBError)
    {
        let start = documents.count
        if try !prepareInsert(document, time: time, into: &documents) {
            documents.appendRaw(copying: document.bytes)
        }
        statements.append(.insert(collection: collection, document: start..<documents.count))
    }

    /// What can end the request; nil for one that soon ends by itself, as plain inserts do where no
    /// transaction is open that they might wait for.
    package mutating func prepareInterrupt(_ engine: RoostEngine) -> Interrupt? {
        if interrupt == nil,
            deadline != nil || !engine.intents.isEmpty
                || statements.contains(where: \.mayTakeLong)
        {
            interrupt = Interrupt(deadline: deadline)
        }
        return interrupt
    }

    /// Adds a statement that is refused when its turn comes, so that an error found while
    /// preparing keeps its place among the others.
    package mutating func refuse(_ error: DBError) {
        statements.append(.refused(error))
    }
}

/// One statement of a write command.
package enum WriteStatement: Sendable {
    /// Stores `documents[document]`.
    case insert(collection: Int, document: Range<Int>)
    case update(UpdateStatement)
    case delete(DeleteStatement)
    /// Restores or purges deleted documents.
    case trash(TrashStatement)
    case refused(DBError)

    /// Whether the statement looks for its documents, or evaluates expressions.
    var mayTakeLong: Bool {
        switch self {
        case .insert, .refused: false
        case .update(let update):
            update.target.point == nil || update.update.kind == .pipeline
                || update.target.filter.loops
        case .delete(let delete): delete.target.point == nil || delete.target.filter.loops
        case .trash(let trash): trash.target.point == nil || trash.target.filter.loops
        }
    }
}

/// Which documents a statement is about.
package struct WriteTarget: Sendable {
    /// Position in the request's namespaces.
    package let collection: Int
    /// The condition.
    package let filter: Filter
    /// The condition as given, for upserts and explain.
    package let filterDocument: Document
    /// Which of several matches comes first.
    package let sort: Document?
    /// The index to use.
    package let hint: Value?
    /// The record key when the filter asks for one `_id`.
    package let point: [UInt8]?

    /// The document with that `_id`, in a collection without a collation; nil for an `_id` whose
    /// record key says less than the whole.
    package init?(collection: Int = 0, id: ValueView, filterDocument: Document) {
        var encoder = KeyEncoder()
        guard !RecordKey.encode(id, nil, into: &encoder) else { return nil }
        self.collection = collection
        // The key is the condition.
        filter = .everything
        self.filterDocument = filterDocument
        sort = nil
        hint = nil
        point = encoder.bytes
    }

    /// `recordCollation`: the collection's own collation; `hasKeysOfIDs`: whether its record keys
    /// are made of `_id`s.
    package init(
        collection: Int = 0, filter: Filter, filterDocument: Document, sort: Document? = nil,
        hint: Value? = nil, recordCollation: Collation? = nil, hasKeysOfIDs: Bool = true
    ) {
        self.collection = collection
        self.filter = filter
        self.filterDocument = filterDocument
        self.sort = sort
        self.hint = hint
        point =
            hasKeysOfIDs
            ? PointFilter.recordKey(
                of: filter.root, recordCollation,
                comparesText: Collation.areSame(filter.collation, recordCollation))
            : nil
    }
}

/// Changes documents.
package final class UpdateStatement: Sendable {
    package let target: WriteTarget
    package let update: Update
    /// All matches, not just the first.
    package let isMulti: Bool
    /// Whether a document is made where none matches.
    package let isUpsert: Bool
    /// Whether results are stored without asking the collection's validator.
    package let bypassesValidation: Bool
    /// What an upsert inserts, in place of what the update makes of the filter.
    package let insertion: Document?

    package init(
        target: WriteTarget, update: Update, isMulti: Bool, isUpsert: Bool,
        bypassesValidation: Bool = false, insertion: Document? = nil
    ) {
        self.bypassesValidation = bypassesValidation
        self.target = target
        self.update = update
        self.isMulti = isMulti
        self.isUpsert = isUpsert
        self.insertion = insertion
    }
}

/// Removes documents.
package final class DeleteStatement: Sendable {
    package let target: WriteTarget
    /// All matches, not just the first.
    package let isMulti: Bool

    package init(target: WriteTarget, isMulti: Bool) {
        self.target = target
        self.isMulti = isMulti
    }
}

/// What came of one statement.
package struct StatementResult: Sendable {
    /// Documents inserted, matched or deleted; an upsert counts one.
    package var n: Int = 0
    /// Documents that differ from before.
    package var modified: Int = 0
    /// The `_id` of an upserted document.
    package var upsertedID: OwnedValue?
    /// Why the statement was refused.
    package var error: DBError?
    /// Whether this is the outcome of an earlier command that was repeated.
    package var isReplayed = false

    package init() {}

    /// A refused statement.
    package init(error: DBError) {
        self.error = error
    }

    /// The open transaction that must end before the statement can go on; see `IntentTable`.
    var blockedBy: UInt64?

    /// A statement that a transaction blocks.
    init(blockedBy transaction: UInt64) {
        blockedBy = transaction
    }
}

/// What came of a request: a result for each statement that ran. An ordered request that met an
/// error has that statement's result last.
package struct WriteOutcome: Sendable {
    /// In the statements' order.
    package var results: [StatementResult] = []
    /// The commit's time, for `operationTime`.
    package var operationTime: Timestamp?
}

/// Recognises filters that ask for one `_id`.
package enum PointFilter {
    /// The record key of a filter that no document with another `_id` can match, else nil.
    ///
    /// `collation` is the collection's; `comparesText`: whether the filter compares strings by it
    /// too. If not, documents with other record keys may match an `_id` that holds strings.
    package static func recordKey(
        of node: FilterNode, _ collation: Collation?, comparesText: Bool
    ) -> [UInt8]? {
        switch node {
        case .compare(let path, .equal, let value)
        where path.dotted == "_id" && value.type != .array && value.type != .regex
            && (comparesText || !value.type.mayHoldText):
            var encoder = KeyEncoder()
            _ = RecordKey.encode(value.view, collation, into: &encoder)
            return encoder.bytes
        case .and(let children):
            for child in children {
                if let key = recordKey(of: child, collation, comparesText: comparesText) {
                    return key
                }
            }
            return nil
        default: return nil
        }
    }
}
