// Reading deleted documents: the collection's part of the trash, by ranges of `_id` or whole.

import BSON
import Query
import Storage

extension QueryCursor {
    /// The trash, from where `walk` stands. Nil at the end of the input.
    func scanTrash<Sink: DocumentSink>(
        _ scope: SliceScope, _ transaction: borrowing ReadTransaction, _ meter: inout BudgetMeter,
        _ sink: inout Sink
    ) throws -> ReadStatus? {
        let needsDocuments = !scope.plan.impliesMatch || !countsOnly
        let none = Self.emptyDocument
        var cursor = transaction.cursor(.trash)
        var isFound = try walk.start(&cursor)
        while isFound {
            let acceptance: Acceptance
            if needsDocuments {
                acceptance = try examineDeleted(try cursor.value(), scope, &sink)
            } else {
                acceptance = try accept(DocumentView(none.span.bytes), scope, &sink)
            }
            switch acceptance {
            case .taken: break
            case .takenBatchFull:
                walk.suspend(cursor, isDone: true)
                return .batchFull
            case .refused:
                walk.suspend(cursor, isDone: false)
                return .batchFull
            case .finished:
                hasEnough = true
                return nil
            case .deferred:
                walk.suspend(cursor, isDone: false)
                return .budgetSpent
            }
            if meter.spend() {
                walk.suspend(cursor, isDone: true)
                return .budgetSpent
            }
            isFound = try walk.next(&cursor)
        }
        return nil
    }

    /// The deleted document under a key of the trash, which a merge has found.
    func takeDeleted<Sink: DocumentSink>(
        _ key: RawSpan, _ scope: SliceScope, _ transaction: borrowing ReadTransaction,
        _ sink: inout Sink
    ) throws -> Acceptance {
        // What was restored or purged since is none of this read's documents any more.
        guard let value = try transaction.value(.trash, key) else { return .taken }
        return try examineDeleted(value, scope, &sink)
    }

    /// One deleted document, with when and by whom where the query asks for that.
    private func examineDeleted<Sink: DocumentSink>(
        _ bytes: RawSpan, _ scope: SliceScope, _ sink: inout Sink
    ) throws -> Acceptance {
        let record = try TrashRecord(bytes)
        guard metadata?.carriesDeletion == true else {
            return try examine(record.document.bytes, scope, &sink)
        }
        deletedDocument.removeAll()
        record.appendShown(to: &deletedDocument)
        let shown = deletedDocument.bytes
        return try examine(shown.span.bytes, scope, &sink)
    }
}
