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

    /// The rows of a request's result in a view, or in the reader's own snapshot.
    /// - Throws: what the query throws; `exceededMemoryLimit` (146) where it has too many rows,
    ///   `badValue` (2) where two have one id.
    static func rows(
        _ request: LiveRequest, _ view: ReadView?, _ engine: RoostEngine, _ reader: Reader,
        _ projection: LiveProjection
    ) throws(DBError) -> [LiveRow] {
        let cursor = QueryCursor(engine, request.source(view))
        var documents = LiveDocuments()
        var rows: [LiveRow] = []
        var seen: Set<OwnedValue> = []
        var bytes = 0
        var writer = DocumentWriter()
        while true {
            documents.removeAll()
            let status = try cursor.advance(
                reader,
                BatchLimits(
                    documentsMax: DocumentBatch.documentsMax, bytesMax: DocumentBatch.bytesMax),
                .slice, into: &documents)
            for index in 0..<documents.batch.count {
                let document = documents.batch[index]
                writer.removeAll()
                try projection.write(document, into: &writer)
                let row = LiveRow(id: id(of: document), document: writer.bytes)
                guard seen.insert(row.id).inserted else { throw twice(row.id) }
                bytes += row.document.count
                rows.append(row)
            }
            guard rows.count <= rowsMax, bytes <= bytesMax else {
                throw DBError(
                    .exceededMemoryLimit,
                    "The result of this live query is kept, and has more than \(rowsMax) rows or "
                        + "\(bytesMax >> 20) MiB; narrow it by a filter or a limit")
            }
            if status == .exhausted { return rows }
        }
    }

    /// What a row is known by.
    static func id(of document: DocumentView) -> OwnedValue {
        guard let id = document.value("_id") else { return OwnedValue(.null) }
        return OwnedValue(copying: id)
    }

    private static func twice(_ id: OwnedValue) -> DBError {
        DBError(
            .badValue,
            "Two rows of the live query have one _id; its stages must leave each row an _id of its "
                + "own ($unwind can't be followed, unless $group is behind it)")
    }
}
