// Unique indexes: no two documents with the same parts.

import BSON
import Query
import Storage

/// Decides whether an entry may go into a unique index.
enum UniqueCheck {
    /// Looks for an entry of another document with the same parts.
    /// - Throws: `duplicateKey` (11000) naming index and key; `StorageError`.
    static func check(
        _ key: RawSpan, _ index: IndexEntry, _ entry: CollectionEntry,
        _ transaction: inout WriteTransaction
    ) throws {
        guard let parts = IndexEntryKey.parts(in: key), let own = IndexEntryKey.record(in: key)
        else { return }
        var cursor = try transaction.cursor(index.table)
        var found = try cursor.seek(to: parts)
        while found, cursor.key.starts(with: parts) {
            guard let other = IndexEntryKey.record(in: cursor.key),
                cursor.key.byteCount == parts.byteCount + other.byteCount + 1
            else { return }
            if !other.equals(own) {
                guard let bytes = try transaction.value(entry.table, other) else { return }
                throw DuplicateKey.error(entry.namespace, index, document: DocumentView(bytes))
            }
            found = try cursor.next()
        }
    }
}

extension UniqueCheck {
    /// Refuses an entry whose parts equal those of the one before it in a sorted run.
    static func check(
        _ key: RawSpan, follows previous: RawSpan, _ index: IndexEntry, _ entry: CollectionEntry,
        _ transaction: inout WriteTransaction
    ) throws {
        guard let parts = IndexEntryKey.parts(in: key), let own = IndexEntryKey.record(in: key),
            let before = IndexEntryKey.parts(in: previous), before.equals(parts),
            let other = IndexEntryKey.record(in: previous), !other.equals(own),
            let bytes = try transaction.value(entry.table, own)
        else { return }
        throw DuplicateKey.error(entry.namespace, index, document: DocumentView(bytes))
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
    static func error(
        _ namespace: Namespace, _ index: IndexEntry, document: DocumentView
    ) -> DBError {
        let values = Document { writer in
            for part in index.pattern.parts {
                if let value = document.firstValue(at: part.path) {
                    writer.append(part.path.dotted, value)
                } else {
                    writer.appendNull(part.path.dotted)
                }
            }
        }
        let pattern = index.specification.view.value("key")?.document
        return error(
            namespace, index: index.name,
            pattern: pattern.map { Document(copying: $0) } ?? Document(), keyValue: values)
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
