// Events as an app user sees them: made of what may be seen of the documents before and after.

import BSON
import Storage

extension ChangeEventWriter {
    /// Replaces what `writer` holds by the event of a record as `sight` shows it; false where the
    /// user sees none.
    /// - Throws: `changeStreamHistoryLost` (286) where the log doesn't say what was in sight;
    ///   `noMatchingDocument` (47) where a required image is not shown; `dataCorruptionDetected`.
    mutating func write(
        _ record: borrowing ChangeRecordView, seenBy sight: EventSight,
        into writer: inout DocumentWriter, _ engine: RoostEngine,
        _ transaction: borrowing ReadTransaction
    ) throws -> Bool {
        guard record.kind.isOfDocument else {
            writer.removeAll()
            let start = writer.openDocument()
            writeHeader(record, name: record.kind.name, record.position, into: &writer)
            writeOwnNamespace(into: &writer)
            writer.close(start)
            return true
        }
        let (old, new) = try images(of: record)
        // A command's changes are made at once.
        let moment = LogPosition.behind(record.position.sequence)
        let before = try old.flatMap {
            try sight.see($0, at: moment, record.wallMillis, engine, transaction)
        }
        let after = try new.flatMap {
            try sight.see($0, at: moment, record.wallMillis, engine, transaction)
        }
        // What changed is hidden.
        if let before, let after, before == after { return false }
        guard let shown = after ?? before else { return false }
        let kind: ChangeKind = before == nil ? .insert : after == nil ? .delete : record.kind
        writer.removeAll()
        let start = writer.openDocument()
        writeHeader(record, name: kind.name, record.position, into: &writer)
        if kind == .insert || kind == .replace {
            writer.append("fullDocument", DocumentView(shown.span.bytes))
        }
        writeNamespace(record, into: &writer)
        writeKey(DocumentView(shown.span.bytes), into: &writer)
        if kind == .update, let before, let after {
            writeDescription(from: before, to: after, into: &writer)
            try writeFullDocument(record, after, seenBy: sight, into: &writer, engine, transaction)
        }
        if request.beforeChange != .none, let before {
            if try showsImage(record, request.beforeChange, "pre-image") {
                writer.append("fullDocumentBeforeChange", DocumentView(before.span.bytes))
            } else {
                writer.appendNull("fullDocumentBeforeChange")
            }
        }
        writer.close(start)
        return true
    }

    /// The documents before and after a change, nil where there was none.
    private mutating func images(
        of record: borrowing ChangeRecordView
    ) throws(DBError) -> (before: [UInt8]?, after: [UInt8]?) {
        switch record.kind {
        case .insert: return (nil, [UInt8](copying: record.document.bytes))
        case .delete:
            guard record.holdsDocument else {
                throw DBError(
                    .changeStreamHistoryLost,
                    "A document of \(record.namespace) was deleted before somebody followed the "
                        + "collection, and whether it was in sight isn't known: open a new stream "
                        + "without a token and read the collection anew",
                    details: .nonResumable)
            }
            return ([UInt8](copying: record.document.bytes), nil)
        default:
            try loadImages(record)
            return (before, after)
        }
    }

    /// The watched collection; a rename tells of another.
    private func writeOwnNamespace(into writer: inout DocumentWriter) {
        let namespace = writer.openDocument("ns")
        writer.append("db", request.namespace.database)
        writer.append("coll", request.namespace.collection)
        writer.close(namespace)
    }

    /// `fullDocument` of an update.
    private func writeFullDocument(
        _ record: borrowing ChangeRecordView, _ after: [UInt8], seenBy sight: EventSight,
        into writer: inout DocumentWriter, _ engine: RoostEngine,
        _ transaction: borrowing ReadTransaction
    ) throws {
        switch request.fullDocument {
        case .none: return
        case .always: return writer.append("fullDocument", DocumentView(after.span.bytes))
        case .whenAvailable, .required:
            if try showsImage(record, request.fullDocument, "post-image") {
                return writer.append("fullDocument", DocumentView(after.span.bytes))
            }
        case .updateLookup:
            if let id = DocumentView(after.span.bytes).value("_id"),
                let entry = engine.collection(record.namespace), entry.uuid == record.uuid,
                let found = try Self.look(up: id, in: entry, transaction),
                let seen = try sight.see(
                    [UInt8](copying: found), at: nil, LogicalClock.wallMillis, engine, transaction)
            {
                return writer.append("fullDocument", DocumentView(seen.span.bytes))
            }
        }
        writer.appendNull("fullDocument")
    }
}
