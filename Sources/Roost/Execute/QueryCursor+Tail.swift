// Tailable reads: a scan of a capped collection that waits at its end instead of ending there.

import BSON
import Query
package import Storage

extension QueryCursor {
    /// The capped collection that a tailable read follows; nil for other reads, and before the
    /// first batch.
    package var tailTable: TableID? { source.isTailable ? collection?.table : nil }

    /// Whether a batch at the end of a capped collection is to wait for documents.
    package var awaitsData: Bool {
        if case .find(let request) = source { request.awaitsData } else { false }
    }

    /// Checks that the collection can be followed.
    /// - Throws: `badValue` (2).
    func checkTailable(_ collection: CollectionEntry?) throws(DBError) {
        guard source.isTailable, let collection else { return }
        guard collection.traits.capped != nil else {
            throw DBError(
                .badValue,
                "error processing query: tailable cursor requested on non capped collection")
        }
    }

    /// Goes on behind the last document seen. At the end the batch counts as full, so that the
    /// cursor stays; only an empty collection ends it, as in MongoDB.
    /// - Throws: `cappedPositionLost` (136) where new documents have pushed out the last one seen.
    func sliceTail<Sink: DocumentSink>(
        _ transaction: borrowing ReadTransaction, _ meter: inout BudgetMeter, _ sink: inout Sink
    ) throws -> ReadStatus {
        guard let collection, let plan else { return .exhausted }
        // Behind its limit the cursor stays open and gives nothing, as in MongoDB.
        if wanted == 0 { return .batchFull }
        var cursor = transaction.cursor(collection.table)
        var isFound = try startTail(&cursor)
        while isFound {
            switch try examine(try cursor.value(), plan, &sink) {
            case .taken: break
            case .takenBatchFull:
                tailKey = [UInt8](copying: cursor.key)
                return .batchFull
            case .refused:
                if try cursor.previous() { tailKey = [UInt8](copying: cursor.key) }
                return .batchFull
            case .deferred:
                if try cursor.previous() { tailKey = [UInt8](copying: cursor.key) }
                return .budgetSpent
            case .finished:
                wanted = 0
                return .batchFull
            }
            if meter.spend() {
                tailKey = [UInt8](copying: cursor.key)
                return .budgetSpent
            }
            isFound = try cursor.next()
        }
        if try cursor.last() { tailKey = [UInt8](copying: cursor.key) }
        isInputEnded = tailKey == nil
        return isInputEnded ? .exhausted : .batchFull
    }

    /// Places a cursor on the first document that was not seen; false where there is none.
    private func startTail(_ cursor: inout ReadTransaction.Cursor) throws -> Bool {
        guard let tailKey else { return try cursor.first() }
        guard try cursor.seek(to: tailKey.span.bytes), cursor.key.equals(tailKey.span.bytes) else {
            throw DBError(
                DBError.Code(rawValue: 136),
                "CollectionScan died due to position in capped collection being deleted. The "
                    + "cursor fell behind; begin a new one")
        }
        return try cursor.next()
    }
}
