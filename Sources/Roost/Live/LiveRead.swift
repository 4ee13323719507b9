// Reading a live query's result as an ordinary query.

import BSON
import Query
import Storage

/// Documents as a read hands them out.
struct LiveDocuments: DocumentSink {
    private(set) var batch = DocumentBatch()

    mutating func append(_ document: DocumentView) {
        batch.append(document)
    }

    mutating func removeAll() {
        batch.removeAll()
    }
}

/// Reads whole results.
enum LiveRead {
    /// Most rows of a result that is kept, and most bytes.
    static let rowsMax = 100_000
    static let bytesMax = 64 << 20

    /// Lends each result of a read to `body`.
    /// - Throws: what the read and `body` throw.
    static func documents(
        _ source: ReadSource, _ engine: RoostEngine, _ reader: Reader,
        _ body: (DocumentView) throws(DBError) -> Void
    ) throws(DBError) {
        let cursor = QueryCursor(engine, source)
        var documents = LiveDocuments()
        let limits = BatchLimits(
            documentsMax: DocumentBatch.documentsMax, bytesMax: DocumentBatch.bytesMax)
        var status = ReadStatus.batchFull
        while status != .exhausted {
            documents.removeAll()
            status = .budgetSpent
            while status == .budgetSpent {
                status = try cursor.advance(reader, limits, .slice, into: &documents)
            }
            let batch = documents.batch
            for index in 0..<batch.count { try body(batch[index]) }
        }
    }

    /// The rows of a request's result in a view, or in the reader's own snapshot; of an app user's
    /// as `access` has it.
    /// - Throws: what the query throws; `exceededMemoryLimit` (146) where it has too many rows,
    ///   `badValue` (2) where two have one id.
    static func rows(
        _ request: LiveRequest, _ view: ReadView?, _ engine: RoostEngine, _ reader: Reader,
        _ projection: LiveProjection, _ access: RequestAccess? = nil
    ) throws(DBError) -> [LiveRow] {
        var rows: [LiveRow] = []
        var seen: Set<OwnedValue> = []
        var bytes = 0
        var writer = DocumentWriter()
        try documents(request.source(view, access), engine, reader) { document throws(DBError) in
            writer.removeAll()
            try projection.write(document, into: &writer)
            let row = LiveRow(id: id(of: document), document: writer.bytes)
            guard seen.insert(row.id).inserted else { throw twice }
            bytes += row.document.count
            rows.append(row)
            guard rows.count <= rowsMax, bytes <= bytesMax else { throw tooLarge }
        }
        return rows
    }

    static var tooLarge: DBError {
        DBError(
            .exceededMemoryLimit,
            "The result of this live query is kept, and has more than \(rowsMax) rows or "
                + "\(bytesMax >> 20) MiB; narrow it by a filter or a limit")
    }

    /// What a row is known by.
    static func id(of document: DocumentView) -> OwnedValue {
        guard let id = document.value("_id") else { return OwnedValue(.null) }
        return OwnedValue(copying: id)
    }

    static var twice: DBError {
        DBError(
            .badValue,
            "Two rows of the live query have one _id, or none: its stages must leave each row an "
                + "_id of its own (select it as well; $unwind can't be followed, unless $group is "
                + "behind it)")
    }
}
