// Documents on their way into the trash, back, and out of it for good.

import BSON
import Query
import Storage

extension RecordWriter {
    /// Keeps the document at hand, which was just removed, where its collection says so.
    mutating func keepDeleted(
        _ entry: CollectionEntry, _ transaction: inout WriteTransaction
    ) throws {
        guard entry.traits.softDelete != nil else { return }
        let millis = log.wallMillis
        trashRecord.removeAll()
        TrashRecord.append(at: millis, oldDocument, to: &trashRecord)
        try TrashTable.put(
            entry.trash, recordKey.bytes.span.bytes, at: millis, trashRecord.bytes.span.bytes,
            &transaction)
    }

    /// Makes the deleted document with that record key live again, if it matches.
    /// - Throws: `duplicateKey` (11000) naming both documents, `documentValidationFailure` (121)
    ///   before anything is put; `StorageError`.
    mutating func restore(
        _ key: RawSpan, _ statement: TrashStatement, _ entry: CollectionEntry,
        builds: IndexBuilds, _ transaction: inout WriteTransaction
    ) throws -> Bool {
        try flush(&transaction)
        guard let document = try find(key, statement, entry, transaction) else { return false }
        try insert(
            DocumentView(document.span.bytes), into: entry,
            bypassesValidation: statement.bypassesValidation, isRestored: true, builds: builds,
            &transaction)
        return true
    }

    /// Removes the deleted document with that record key for good, if it matches.
    mutating func purge(
        _ key: RawSpan, _ statement: TrashStatement, _ entry: CollectionEntry,
        _ transaction: inout WriteTransaction
    ) throws -> Bool {
        guard try find(key, statement, entry, transaction) != nil else { return false }
        try checkTrashIntent(key, entry)
        return try TrashTable.remove(entry.trash, key, &transaction)
    }

    /// Stops a write to a deleted document that an open transaction means to restore or purge.
    /// - Throws: `BlockedByTransaction`.
    func checkTrashIntent(_ record: RawSpan, _ entry: CollectionEntry) throws {
        guard let intents, !intents.isEmpty else { return }
        let key = TrashKey.record(entry.trash, record)
        try intents.check(.trash, key.span.bytes, for: owner)
    }

    /// The deleted document with that record key, copied; nil where there is none that matches.
    private mutating func find(
        _ key: RawSpan, _ statement: TrashStatement, _ entry: CollectionEntry,
        _ transaction: borrowing WriteTransaction
    ) throws -> [UInt8]? {
        let trashKey = TrashKey.record(entry.trash, key)
        guard let value = try transaction.value(.trash, trashKey.span.bytes) else { return nil }
        let record = try TrashRecord(value)
        let filter = statement.target.filter
        if statement.readsDeletion {
            var shown = DocumentWriter()
            record.appendShown(to: &shown)
            let bytes = shown.take()
            guard try filter.matches(DocumentView(bytes.span.bytes), &scratch) else { return nil }
        } else {
            guard try filter.matches(record.document, &scratch) else { return nil }
        }
        return [UInt8](copying: record.document.bytes)
    }
}

extension TrashRecord {
    /// Appends the document with when and by whom it was deleted, for `$meta`.
    func appendShown(to writer: inout DocumentWriter) {
        let start = writer.openDocument()
        writer.appendFields(of: document)
        writer.append(MetadataField.deletedAt, dateMillis: millis)
        if let deletedBy = deletion.value("by") {
            writer.append(MetadataField.deletedBy, deletedBy)
        }
        writer.close(start)
    }
}

extension WriterState {
    /// Restores or purges one deleted document by its record key, if it still matches.
    func apply(
        _ statement: TrashStatement, to key: RawSpan, _ namespace: Namespace,
        _ transaction: inout WriteTransaction
    ) throws -> StatementResult {
        var result = StatementResult()
        guard let entry = catalog[namespace] else { return result }
        defer { noteFlags(entry) }
        let isDone =
            switch statement.action {
            case .restore:
                try records.restore(key, statement, entry, builds: builds, &transaction)
            case .purge: try records.purge(key, statement, entry, &transaction)
            }
        if isDone { result.n = 1 }
        return result
    }
}
