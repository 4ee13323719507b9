// Tailable reads: a scan of a capped collection that waits at its end instead of ending there.

package import BSON
import Query
import Storage

extension QueryCursor {
    /// What a tailable read follows: a capped collection, from its first batch on, or changes; nil
    /// for other reads.
    package var tail: TailWatch.Key? {
        if let changes { return .changes(changes.scope) }
        return source.isTailable ? collection.map { .table($0.table) } : nil
    }

    /// Whether a batch at the end of what is followed is to wait for documents.
    package var awaitsData: Bool {
        switch source {
        case .find(let request): request.awaitsData
        case .changes: true
        case .aggregate, .count, .distinct: false
        }
    }

    /// What a client that has this batch resumes a change stream with; nil for other reads.
    package var postBatchResumeToken: Document? { changes?.resumeToken.document }

    /// The error as drivers should see it: those that a change stream may be resumed after say so.
    package func labelled(_ error: DBError) -> DBError {
        guard changes != nil, error.code.isResumableForChangeStreams,
            error.details.view.value("errorLabels") == nil
        else { return error }
        return DBError(
            error.code, error.message,
            details: Document { writer in
                writer.appendFields(of: error.details.view)
                writer.append("errorLabels", ["ResumableChangeStreamError"])
            }, underlying: error.underlying)
    }

    /// Checks that the collection can be followed.
    /// - Throws: `badValue` (2); `invalidPipelineOperator` (168) for a time series, which MongoDB
    ///   reads by a pipeline.
    func checkTailable(_ collection: CollectionEntry?) throws(DBError) {
        guard source.isTailable, let collection else { return }
        guard collection.traits.timeSeries == nil else {
            throw DBError(
                .invalidPipelineOperator, "Tailable cursors are not supported on time series")
        }
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
        let scope = scope(of: plan)
        var cursor = transaction.cursor(collection.table)
        var isFound = try startTail(&cursor)
        while isFound {
            switch try examine(try cursor.value(), scope, &sink) {
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

extension DBError.Code {
    /// Codes after which drivers resume a change stream (drivers' specification of change streams).
    package var isResumableForChangeStreams: Bool {
        switch rawValue {
        case 6, 7, 63, 89, 91, 133, 150, 189, 234, 262, 9001, 10107, 11600, 11602, 13388, 13435,
            13436:
            true
        default: false
        }
    }
}
