// find's options that change what a result shows: `returnKey` and `showRecordId`.

import BSON
import Query

/// Rewrites results; nil where they come out as they are.
struct ResultShape {
    /// The paths of the index in use; nil when documents come out whole. Empty without an index:
    /// results are empty documents then.
    private let keyPaths: [FieldPath]?
    private let showsRecordID: Bool
    private var writer = DocumentWriter()
    private var record = KeyEncoder()

    init?(_ source: ReadSource, _ plan: QueryPlan) {
        guard case .find(let request) = source, request.returnsKey || request.showsRecordID else {
            return nil
        }
        // A key comes alone, whatever else is asked for.
        showsRecordID = request.showsRecordID && !request.returnsKey
        guard request.returnsKey else {
            keyPaths = nil
            return
        }
        switch plan.access {
        case .index(let index): keyPaths = index.pattern.parts.map(\.path)
        case .table where plan.bounds != nil: keyPaths = [plan.timePath ?? FieldPath("_id")]
        case .table, .trash, .nothing, .union: keyPaths = []
        }
    }

    /// Makes the result for a document; `bytes` holds it until the next call.
    mutating func apply(_ document: DocumentView) {
        writer.removeAll()
        let start = writer.openDocument()
        if let keyPaths {
            for path in keyPaths { append(path, of: document) }
        } else {
            writer.appendFields(of: document)
        }
        if showsRecordID { appendRecordID(of: document) }
        writer.close(start)
    }

    /// The result made last.
    var bytes: [UInt8] { writer.bytes }

    /// The value that the path leads to without entering arrays, null where there is none.
    private mutating func append(_ path: FieldPath, of document: DocumentView) {
        var level = document
        for (position, segment) in path.segments.enumerated() {
            guard let value = level.value(segment.name.span.bytes) else { break }
            if position == path.segments.count - 1 {
                writer.append(path.dotted, value)
                return
            }
            guard let inner = value.document else { break }
            level = inner
        }
        writer.appendNull(path.dotted)
    }

    /// Records have no number of their own: a 63-bit FNV-1a hash of the record key stands for one.
    private mutating func appendRecordID(of document: DocumentView) {
        guard let id = document.value("_id") else { return }
        _ = RecordKey.encode(id, nil, into: &record)
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in record.bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        writer.append("$recordId", Int64(hash >> 1))
    }
}
