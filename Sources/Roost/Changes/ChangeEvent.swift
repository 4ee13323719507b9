// A change as change streams show it: a document in MongoDB's shape, made from a record.

import BSON
import Storage

/// Makes events from records. Keeps its buffers; used by one thread at a time.
struct ChangeEventWriter: ~Copyable {
    let request: ChangeStreamRequest
    private let epoch: UInt64
    private let imageAge: ImageAge
    private var description = UpdateDescription()
    /// The document before the change at hand, and after.
    private(set) var before: [UInt8] = []
    private(set) var after: [UInt8] = []
    /// The document that an `image` record brought for the record behind it.
    private var image: [UInt8] = []

    init(_ request: ChangeStreamRequest, epoch: UInt64, imageAge: ImageAge) {
        self.request = request
        self.epoch = epoch
        self.imageAge = imageAge
    }

    /// Keeps what an `image` record holds.
    mutating func keepImage(_ record: borrowing ChangeRecordView) {
        image = [UInt8](copying: record.document.bytes)
    }

    /// Replaces what `writer` holds by the event of a record.
    /// - Throws: `noMatchingDocument` (47) where a required image is not shown;
    ///   `dataCorruptionDetected`.
    mutating func write(
        _ record: borrowing ChangeRecordView, into writer: inout DocumentWriter,
        _ engine: RoostEngine, _ transaction: borrowing ReadTransaction
    ) throws {
        try loadImages(record)
        writer.removeAll()
        let start = writer.openDocument()
        writeHeader(record, name: record.kind.name, record.position, into: &writer)
        switch record.kind {
        case .insert:
            writer.append("fullDocument", record.document)
            writeNamespace(record, into: &writer)
            writeKey(record.document, into: &writer)
            if record.flags.contains(.movesTrash) { writer.append("restored", true) }
        case .replace:
            writer.append("fullDocument", DocumentView(after.span.bytes))
            writeNamespace(record, into: &writer)
            writeKey(DocumentView(after.span.bytes), into: &writer)
        case .update:
            writeNamespace(record, into: &writer)
            writeKey(DocumentView(after.span.bytes), into: &writer)
            writeDescription(from: before, to: after, into: &writer)
            try writeAfterUpdate(record, into: &writer, engine, transaction)
        case .delete:
            writeNamespace(record, into: &writer)
            writeKey(record.document, into: &writer)
            if record.flags.contains(.movesTrash) { writer.append("softDeleted", true) }
        case .drop, .dropDatabase, .rename, .create, .createIndexes, .dropIndexes, .modify:
            writeNamespace(record, into: &writer)
            writeDetails(record, into: &writer)
        case .image: break
        }
        try writeBeforeChange(record, into: &writer)
        writer.close(start)
    }

    /// Replaces what `writer` holds by the `invalidate` behind a record's event.
    func writeInvalidation(
        _ record: borrowing ChangeRecordView, into writer: inout DocumentWriter
    ) {
        writer.removeAll()
        let start = writer.openDocument()
        ResumeToken(record.position.with(part: LogPosition.invalidation), epoch: epoch)
            .write("_id", into: &writer)
        writer.append("operationType", "invalidate")
        writer.append("clusterTime", record.position.sequence)
        writer.append("wallTime", dateMillis: record.wallMillis)
        writer.close(start)
    }

    // MARK: Parts

    mutating func writeDescription(
        from before: [UInt8], to after: [UInt8], into writer: inout DocumentWriter
    ) {
        let changes = writer.openDocument("updateDescription")
        description.compare(DocumentView(before.span.bytes), DocumentView(after.span.bytes))
        description.write(into: &writer, showsAmbiguity: request.showsExpandedEvents)
        writer.close(changes)
    }

    mutating func loadImages(_ record: borrowing ChangeRecordView) throws(DBError) {
        switch record.kind {
        case .update, .replace:
            let delta = try record.delta()
            if let bytes = record.before(delta) {
                before.removeAll(keepingCapacity: true)
                before.append(copying: bytes)
            } else {
                before = image
                image = []
            }
            try Self.apply(record, delta, to: before, into: &after)
        case .insert, .delete, .image, .drop, .rename, .dropDatabase, .create, .createIndexes,
            .dropIndexes, .modify:
            break
        }
    }

    // Static, so that one buffer can be filled from another.
    private static func apply(
        _ record: borrowing ChangeRecordView, _ delta: ChangeDelta, to before: [UInt8],
        into after: inout [UInt8]
    ) throws(DBError) {
        try record.apply(delta, to: before.span.bytes, into: &after)
    }

    func writeHeader(
        _ record: borrowing ChangeRecordView, name: String, _ position: LogPosition,
        into writer: inout DocumentWriter
    ) {
        ResumeToken(position, epoch: epoch).write("_id", into: &writer)
        writer.append("operationType", name)
        writer.append("clusterTime", position.sequence)
        if request.showsExpandedEvents, let uuid = record.uuid {
            writer.append("collectionUUID", uuid.value)
        }
        writer.append("wallTime", dateMillis: record.wallMillis)
        if request.access == nil, let session = record.session {
            writer.append("lsid", session)
            writer.append("txnNumber", record.transactionNumber)
        }
    }

    func writeNamespace(
        _ record: borrowing ChangeRecordView, into writer: inout DocumentWriter
    ) {
        let namespace = writer.openDocument("ns")
        writer.appendHeader(.string, "db")
        writer.appendString(utf8: record.database)
        if !record.collection.isEmpty {
            writer.appendHeader(.string, "coll")
            writer.appendString(utf8: record.collection)
        }
        writer.close(namespace)
    }

    func writeKey(_ document: DocumentView, into writer: inout DocumentWriter) {
        let key = writer.openDocument("documentKey")
        if let id = document.value("_id") { writer.append("_id", id) }
        writer.close(key)
    }

    /// `fullDocument` of an update.
    private func writeAfterUpdate(
        _ record: borrowing ChangeRecordView, into writer: inout DocumentWriter,
        _ engine: RoostEngine, _ transaction: borrowing ReadTransaction
    ) throws {
        let document = DocumentView(after.span.bytes)
        switch request.fullDocument {
        case .none: break
        case .always: writer.append("fullDocument", document)
        case .updateLookup:
            guard let id = document.value("_id"),
                let entry = engine.collection(record.namespace), entry.uuid == record.uuid,
                let found = try Self.look(up: id, in: entry, transaction)
            else { return writer.appendNull("fullDocument") }
            writer.append("fullDocument", DocumentView(found))
        case .whenAvailable, .required:
            if try showsImage(record, request.fullDocument, "post-image") {
                writer.append("fullDocument", document)
            } else {
                writer.appendNull("fullDocument")
            }
        }
    }

    /// The document with that `_id` as the snapshot has it.
    @_lifetime(borrow transaction)
    static func look(
        up id: ValueView, in entry: CollectionEntry, _ transaction: borrowing ReadTransaction
    ) throws -> RawSpan? {
        guard entry.traits.timeSeries == nil else { return nil }
        var key = KeyEncoder()
        _ = RecordKey.encode(id, entry.collation, into: &key)
        do throws(StorageError) {
            guard let idTable = entry.idTable else {
                return try transaction.value(entry.table, key.bytes.span.bytes)
            }
            guard let place = try transaction.value(idTable, key.bytes.span.bytes) else {
                return nil
            }
            return try transaction.value(entry.table, place)
        } catch .noSuchTable {
            // The collection is newer than the snapshot.
            return nil
        }
    }

    private func writeBeforeChange(
        _ record: borrowing ChangeRecordView, into writer: inout DocumentWriter
    ) throws(DBError) {
        guard request.beforeChange != .none else { return }
        switch record.kind {
        case .update, .replace, .delete:
            guard try showsImage(record, request.beforeChange, "pre-image") else {
                return writer.appendNull("fullDocumentBeforeChange")
            }
            if record.kind == .delete {
                writer.append("fullDocumentBeforeChange", record.document)
            } else {
                writer.append("fullDocumentBeforeChange", DocumentView(before.span.bytes))
            }
        case .insert, .image, .drop, .rename, .dropDatabase, .create, .createIndexes,
            .dropIndexes, .modify:
            break
        }
    }

    func showsImage(
        _ record: borrowing ChangeRecordView, _ images: ChangeStreamRequest.Images, _ what: String
    ) throws(DBError) -> Bool {
        let isTooOld = imageAge.isPast(record.wallMillis)
        if record.flags.contains(.showsImages), !isTooOld { return true }
        guard images == .required else { return false }
        throw DBError(
            .noMatchingDocument,
            "Change stream was configured to require a \(what) for all update, delete and replace "
                + "events, but the \(what) was not found for an event of \(record.namespace); "
                + (isTooOld
                    ? "it is older than the cluster parameter changeStreamOptions allows"
                    : Self.advice),
            details: .nonResumable)
    }

    private static let advice =
        "create the collection with changeStreamPreAndPostImages: {enabled: true}, or set that "
        + "with collMod"

    /// What an event about a collection tells beyond its name.
    private func writeDetails(
        _ record: borrowing ChangeRecordView, into writer: inout DocumentWriter
    ) {
        let details = record.document
        switch record.kind {
        case .rename:
            if let to = details.value("to") { writer.append("to", to) }
            if request.showsExpandedEvents { writer.append("operationDescription", details) }
        case .create:
            let isView = details.value("viewOn") != nil
            writer.append("nsType", isView ? "view" : "collection")
            let description = writer.openDocument("operationDescription")
            if !isView {
                writer.append("idIndex", ["v": 2, "key": ["_id": 1], "name": "_id_"] as Document)
            }
            writer.appendFields(of: details)
            writer.close(description)
        case .createIndexes, .dropIndexes: writer.append("operationDescription", details)
        case .modify:
            if let after = details.value("after") { writer.append("operationDescription", after) }
            if let before = details.value("before") {
                let state = writer.openDocument("stateBeforeChange")
                writer.append("collectionOptions", before)
                writer.close(state)
            }
        case .insert, .update, .replace, .delete, .image, .drop, .dropDatabase: break
        }
    }
}

extension ChangeKind {
    /// The event's `operationType`.
    var name: String {
        switch self {
        case .insert: "insert"
        case .update: "update"
        case .replace: "replace"
        case .delete: "delete"
        case .image: "image"
        case .drop: "drop"
        case .rename: "rename"
        case .dropDatabase: "dropDatabase"
        case .create: "create"
        case .createIndexes: "createIndexes"
        case .dropIndexes: "dropIndexes"
        case .modify: "modify"
        }
    }
}

extension Document {
    /// Tells drivers not to resume the stream.
    static let nonResumable: Document = ["errorLabels": ["NonResumableChangeStreamError"]]
}
