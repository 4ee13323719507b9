// Unique indexes: no two documents with the same parts.

import BSON
import Query
import Storage

/// Decides whether an entry may go into a unique index.
enum UniqueCheck {
    /// Looks for an entry of another document with the same parts.
    /// - Throws: `duplicateKey` (11000) naming index and key; `StorageError`.
    /// - Parameter restoring: the `_id` of the entry's document, where it comes back from the trash;
    ///   the error names both documents then.
    static func check(
        _ key: RawSpan, _ index: IndexEntry, _ entry: CollectionEntry,
        restoring: OwnedValue? = nil, _ transaction: borrowing WriteTransaction
    ) throws {
        guard let parts = IndexEntryKey.parts(in: key), let own = IndexEntryKey.record(in: key)
        else { return }
        var cursor = transaction.cursor(index.table)
        var found = try cursor.seek(to: parts)
        while found, let other = record(of: cursor.key, ifIts: parts) {
            if !other.span.bytes.equals(own) {
                guard let bytes = try transaction.value(entry.table, other.span.bytes) else {
                    return
                }
                let document = DocumentView(bytes)
                let error = DuplicateKey.error(
                    entry.namespace, index, parts: parts, document: document)
                if let restoring, let id = document.value("_id") {
                    throw error.refusing(restoreOf: restoring.view, over: id)
                }
                throw error
            }
            found = try cursor.next()
        }
    }

    /// The record key of an entry with just these parts, copied; nil for other entries.
    private static func record(of key: RawSpan, ifIts parts: RawSpan) -> [UInt8]? {
        guard key.starts(with: parts), let record = IndexEntryKey.record(in: key),
            key.byteCount == parts.byteCount + record.byteCount + 1
        else { return nil }
        return [UInt8](copying: record)
    }
}

extension UniqueCheck {
    /// Whether both snapshots have the same entries with the parts that are `key`'s, so that nobody
    /// has put or removed one between.
    static func isSame(
        _ key: TableKey, _ base: borrowing ReadTransaction, _ now: borrowing ReadTransaction
    ) throws(StorageError) -> Bool {
        let parts = key.key.span.bytes
        var old = base.cursor(key.table)
        var new = now.cursor(key.table)
        var (hasOld, hasNew) = (try old.seek(to: parts), try new.seek(to: parts))
        while true {
            let oldRecord = hasOld ? record(of: old.key, ifIts: parts) : nil
            let newRecord = hasNew ? record(of: new.key, ifIts: parts) : nil
            guard let oldRecord, let newRecord else { return oldRecord == newRecord }
            guard oldRecord == newRecord else { return false }
            (hasOld, hasNew) = (try old.next(), try new.next())
        }
    }

    /// Refuses an entry whose parts equal those of the one before it in a sorted run.
    static func check(
        _ key: RawSpan, follows previous: RawSpan, _ index: IndexEntry, _ entry: CollectionEntry,
        _ transaction: borrowing WriteTransaction
    ) throws {
        guard let parts = IndexEntryKey.parts(in: key), let own = IndexEntryKey.record(in: key),
            let before = IndexEntryKey.parts(in: previous), before.equals(parts),
            let other = IndexEntryKey.record(in: previous), !other.equals(own),
            let bytes = try transaction.value(entry.table, own)
        else { return }
        throw DuplicateKey.error(
            entry.namespace, index, parts: parts, document: DocumentView(bytes))
    }
}

/// The duplicate key error in the form that clients parse.
enum DuplicateKey {
    /// For the `_id` index.
    static func error(_ namespace: Namespace, id: ValueView) -> DBError {
        let value = OwnedValue(copying: id)
        return error(
            namespace, index: "_id_", pattern: ["_id": 1],
            keyValue: Document { $0.append("_id", value) })
    }

    /// For a secondary index, with the key that `document` has in it.
    /// - Parameter parts: the encoded key, which says what array element is meant.
    static func error(
        _ namespace: Namespace, _ index: IndexEntry, parts: RawSpan, document: DocumentView
    ) -> DBError {
        var search = KeyValueSearch(parts, index.pattern.collation)
        let values = Document { writer in
            for part in index.pattern.parts {
                let value = search.value(of: part, in: document)
                writer.append(part.path.dotted, value ?? OwnedValue(.null))
            }
        }
        return error(namespace, index: index.name, pattern: index.key, keyValue: values)
    }

    private static func error(
        _ namespace: Namespace, index: String, pattern: Document, keyValue: Document
    ) -> DBError {
        DBError(
            .duplicateKey,
            "E11000 duplicate key error collection: \(namespace) index: \(index) dup key: "
                + ShellNotation.string(keyValue.view),
            details: Document { writer in
                writer.append("keyPattern", pattern)
                writer.append("keyValue", keyValue)
            })
    }
}

extension DBError {
    /// This duplicate key error as that of a deleted document that can't come back, since a live one
    /// has its key.
    func refusing(restoreOf deleted: ValueView, over live: ValueView) -> DBError {
        DBError(
            code,
            message + " :: the deleted document with _id \(ShellNotation.string(deleted)) can't be "
                + "restored: the live document with _id \(ShellNotation.string(live)) has that key; "
                + "change or delete that one first, or purge the deleted one",
            details: Document { writer in
                writer.appendFields(of: details.view)
                writer.append("deletedId", deleted)
                writer.append("liveId", live)
            })
    }
}

/// Finds the values in a document that an encoded key is made of. Encodings are prefix-free, so
/// the value of a part is the one whose encoding the rest of the key begins with.
private struct KeyValueSearch: ~Copyable {
    private let parts: [UInt8]
    private let collation: Collation?
    /// Whether the key holds only the beginning of what it was made of.
    private let isCut: Bool
    private var offset = 0

    init(_ parts: RawSpan, _ collation: Collation?) {
        self.collation = collation
        let whole = IndexEntryKey.withoutHash(parts)
        isCut = whole.byteCount < parts.byteCount
        self.parts = [UInt8](copying: whole)
    }

    /// The value of the next part; nil where the document has none.
    mutating func value(of part: IndexPart, in document: DocumentView) -> OwnedValue? {
        var encoder = KeyEncoder()
        guard
            let value = find(
                document, part.path.segments[...], descending: part.descending, &encoder)
        else {
            encoder.removeAll()
            encoder.appendNull(descending: part.descending)
            offset += encoder.count
            return nil
        }
        offset += encoder.count
        return value
    }

    private func find(
        _ container: DocumentView, _ path: ArraySlice<FieldPath.Segment>, descending: Bool,
        _ encoder: inout KeyEncoder
    ) -> OwnedValue? {
        guard let segment = path.first, let value = container.value(segment.name.span.bytes) else {
            return nil
        }
        let rest = path.dropFirst()
        if rest.isEmpty {
            if isNext(value, descending: descending, &encoder) { return OwnedValue(copying: value) }
            guard let array = value.array else { return nil }
            var elements = array.makeIterator()
            while let element = elements.next() {
                if isNext(element.value, descending: descending, &encoder) {
                    return OwnedValue(copying: element.value)
                }
            }
            return nil
        }
        if let document = value.document {
            return find(document, rest, descending: descending, &encoder)
        }
        guard let array = value.array else { return nil }
        if let found = find(array, rest, descending: descending, &encoder) { return found }
        var elements = array.makeIterator()
        while let element = elements.next() {
            guard let document = element.value.document else { continue }
            if let found = find(document, rest, descending: descending, &encoder) { return found }
        }
        return nil
    }

    private func isNext(
        _ value: ValueView, descending: Bool, _ encoder: inout KeyEncoder
    ) -> Bool {
        encoder.removeAll()
        encoder.append(value, descending: descending, order: collation)
        let rest = parts.span.bytes.extracting(min(offset, parts.count)..<parts.count)
        let encoding = encoder.bytes.span.bytes
        return isCut && encoding.byteCount > rest.byteCount
            ? encoding.starts(with: rest) : rest.starts(with: encoding)
    }
}
