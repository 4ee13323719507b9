// The shortest read: one document by its `_id`. No plan, no cursor, nothing allocated.

package import BSON
import Storage

/// Reads documents by `_id`; one for each event loop or thread, which reuses its buffer.
package struct PointRead: ~Copyable {
    private var key = KeyEncoder(reserving: 256)

    package init() {}

    /// The `_id` that a filter asks for when it asks for nothing else: `{_id: x}` with a plain
    /// value, or `{_id: {$eq: x}}`.
    @_lifetime(copy filter)
    package static func id(in filter: DocumentView) -> ValueView? {
        var elements = filter.makeIterator()
        guard let element = elements.next(), element.name.equals("_id"), elements.next() == nil
        else { return nil }
        switch element.value.type {
        case .regex, .array, .undefined, .null: return nil
        case .document:
            // Operators, or a whole document.
            guard let first = DocumentView(element.value.bytes).first else { return element.value }
            return first.name.starts(with: RawSpan("$")) ? nil : element.value
        default: return element.value
        }
    }

    /// What became of a read.
    package enum Outcome {
        case found
        case absent
        /// The collection was dropped or replaced since the caller looked it up.
        case stale
    }

    /// Hands the document to `sink`, if there is one. O(log n).
    package mutating func read<Sink: DocumentSink>(
        _ id: ValueView, of collection: CollectionEntry, _ reader: Reader, into sink: inout Sink
    ) throws(DBError) -> Outcome {
        let isCut = RecordKey.encode(id, collection.collation, into: &key)
        do throws(StorageError) {
            return try reader.read { transaction throws(StorageError) in
                let found =
                    if let idTable = collection.idTable {
                        try Self.value(key.bytes.span.bytes, idTable, collection.table, transaction)
                    } else {
                        try transaction.value(collection.table, key.bytes.span.bytes)
                    }
                guard let found else { return .absent }
                let document = DocumentView(found)
                if isCut {
                    // Another `_id` may share the cut key.
                    guard let stored = document.value("_id"),
                        stored.equals(id, collection.collation)
                    else {
                        return .absent
                    }
                }
                sink.append(document)
                return .found
            }
        } catch .noSuchTable {
            return .stale
        } catch {
            throw DBError(storage: error)
        }
    }

    /// A capped collection's document: `_id` to place, place to document.
    @_lifetime(borrow transaction)
    private static func value(
        _ id: RawSpan, _ idTable: TableID, _ table: TableID,
        _ transaction: borrowing ReadTransaction
    ) throws(StorageError) -> RawSpan? {
        guard let place = try transaction.value(idTable, id) else { return nil }
        return try transaction.value(table, place)
    }
}
