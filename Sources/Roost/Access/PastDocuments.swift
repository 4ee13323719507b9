// Documents as they were at a place of the change log: what rules look up to decide about an event.
//
// A document was then what the first record about it behind that place says it had been before;
// where there is none, what it is now. One pass over the log answers for all documents of a
// collection, and for all later places in the same snapshot.

import BSON
import Query
import Storage

/// The past of collections that rules look documents up in. Confined to one thread.
struct PastDocuments {
    /// Most records that a pass goes over, and most bytes of documents that it keeps.
    static let recordsMax = 50_000
    static let bytesMax = 16 << 20

    /// What a document had been before a record, or that it isn't known.
    fileprivate enum Image {
        case document(Document?)
        case unknown
    }

    /// The records about a collection's documents, by record key, in the order of the log.
    fileprivate struct Past {
        var images: [[UInt8]: [(place: LogPosition, before: Image)]] = [:]
        var byteCount = 0
        /// What an `image` record holds for the one behind it.
        var image: [UInt8]?
        /// Where the collection itself was exchanged.
        var exchanged: LogPosition?
    }

    private var snapshotID: UInt64?
    private var pasts: [Namespace: Past] = [:]

    /// A document right behind a place of the log, which must not be before that of earlier calls in
    /// the same snapshot.
    /// - Throws: `changeStreamHistoryLost` (286) where that isn't known; what reading throws.
    mutating func document(
        _ wanted: KnownDocuments.Place, behind place: LogPosition, _ catalog: CatalogSnapshot,
        _ transaction: borrowing ReadTransaction
    ) throws -> Document? {
        if snapshotID != transaction.snapshotID {
            pasts = [:]
            snapshotID = transaction.snapshotID
        }
        let (namespace, ids) = CollectionPath.target(of: wanted.segments, in: wanted.database)
        let past: Past
        if let known = pasts[namespace] {
            past = known
        } else {
            past = try Self.collect(namespace, behind: place, transaction)
            pasts[namespace] = past
        }
        if let exchanged = past.exchanged, exchanged > place {
            throw Self.lost("the collection \(namespace) was dropped or renamed since")
        }
        for id in ids {
            let images = past.images[Self.key(id.view)] ?? []
            switch images.first(where: { $0.place > place })?.before {
            case .document(let document)?: if let document { return document }
            case .unknown?: throw Self.lost("documents of \(namespace) were deleted unseen")
            case nil:
                let now = try KnownDocuments.read([id], of: namespace, catalog, transaction)
                if let now { return now }
            }
        }
        return nil
    }

    private static func collect(
        _ namespace: Namespace, behind place: LogPosition,
        _ transaction: borrowing ReadTransaction
    ) throws -> Past {
        var past = Past()
        var log = LogCursor(transaction)
        var records = 0
        var isFound = try log.seek(behind: place)
        while isFound {
            records += 1
            guard records <= recordsMax, past.byteCount <= bytesMax else {
                throw lost("more changed since than is worth going over")
            }
            try past.note(try ChangeRecordView(log.place, try log.value()), of: namespace)
            isFound = try log.next()
        }
        return past
    }

    /// The document before an update or replacement.
    fileprivate static func before(
        _ record: borrowing ChangeRecordView, _ apart: [UInt8]?
    ) throws(DBError) -> Document {
        if let apart { return Document(copying: DocumentView(apart.span.bytes)) }
        guard let before = record.before(try record.delta()) else {
            throw ChangeRecordView.damaged(record.position)
        }
        return Document(copying: DocumentView(before))
    }

    fileprivate static func key(_ id: ValueView) -> [UInt8] {
        var key = KeyEncoder()
        _ = RecordKey.encode(id, nil, into: &key)
        return key.bytes
    }

    private static func lost(_ reason: String) -> DBError {
        DBError(
            .changeStreamHistoryLost,
            "The rules look documents up, and how these were when the change was made isn't known: "
                + "\(reason). Open a new stream without a token and read the collection anew",
            details: .nonResumable)
    }
}

extension PastDocuments.Past {
    /// Takes in a record of the log, where it is about the collection.
    fileprivate mutating func note(
        _ record: borrowing ChangeRecordView, of namespace: Namespace
    ) throws(DBError) {
        let isOfDatabase =
            record.kind == .dropDatabase && namespace.database == String(utf8: record.database)
        guard isOfDatabase || record.namespaces.contains(namespace) else { return }
        switch record.kind {
        case .image: image = [UInt8](copying: record.document.bytes)
        case .insert: note(record.document.value("_id"), record.position, .document(nil))
        case .update, .replace:
            let document = try PastDocuments.before(record, image)
            image = nil
            byteCount += document.bytes.count
            note(document.view.value("_id"), record.position, .document(document))
        case .delete:
            let document = record.holdsDocument ? Document(copying: record.document) : nil
            byteCount += document?.bytes.count ?? 0
            note(
                record.document.value("_id"), record.position,
                document.map { .document($0) } ?? .unknown)
        case .drop, .rename, .dropDatabase: exchanged = record.position
        case .create, .createIndexes, .dropIndexes, .modify: break
        }
    }

    private mutating func note(
        _ id: ValueView?, _ place: LogPosition, _ before: PastDocuments.Image
    ) {
        guard let id else { return }
        images[PastDocuments.key(id), default: []].append((place, before))
    }
}
