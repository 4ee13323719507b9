// Capped collections: documents in the order they came, the oldest giving way to new ones.
//
// Part of the on-disk format:
//
//     table     8 bytes, big-endian: a number that only grows   ->  document
//     idTable   record key of `_id`                             ->  the document's key in `table`
//               0xFF, which begins no record key                ->  bytes of all documents, 8 bytes,
//                                                                   little-endian
//
// Index entries end with the key in `table`, so reads through an index know nothing of this. The
// number is the last one plus one, or the microseconds since 1970 where that is more: so a
// collection that was emptied goes on behind the numbers that a cursor at its end may remember.

import BSON
import Query
import Storage

enum CappedRecords {
    /// The key of the sum of all documents' bytes.
    static let totalKey: [UInt8] = [0xFF]

    /// Replaces `key` with the key for the next document.
    static func nextKey(
        _ table: TableID, _ transaction: borrowing WriteTransaction, into key: inout KeyEncoder
    ) throws(StorageError) {
        var number = UInt64(max(0, LogicalClock.wallMillis)) * 1_000
        var cursor = transaction.cursor(table)
        if try cursor.last() { number = max(number, Self.number(cursor.key) &+ 1) }
        key.removeAll()
        let bytes = withUnsafeBytes(of: number.bigEndian) { Array($0) }
        key.append(copying: bytes.span.bytes)
    }

    /// The number in a document's key.
    private static func number(_ key: RawSpan) -> UInt64 {
        guard key.byteCount == 8 else { return 0 }
        // SAFETY: the span has the eight bytes.
        return UInt64(bigEndian: key.unsafeLoadUnaligned(as: UInt64.self))
    }

    /// The bytes of all documents.
    static func totalBytes(
        _ idTable: TableID, _ transaction: borrowing WriteTransaction
    ) throws(StorageError) -> Int64 {
        guard let value = try transaction.value(idTable, totalKey.span.bytes),
            value.byteCount == 8
        else { return 0 }
        // SAFETY: the span has the eight bytes.
        return Int64(littleEndian: value.unsafeLoadUnaligned(as: Int64.self))
    }

    /// Adds to the bytes of all documents.
    static func add(
        _ bytes: Int, to idTable: TableID, _ transaction: inout WriteTransaction
    ) throws(StorageError) {
        guard bytes != 0 else { return }
        let total = try totalBytes(idTable, transaction) + Int64(bytes)
        let value = withUnsafeBytes(of: total.littleEndian) { Array($0) }
        try transaction.put(idTable, key: totalKey.span.bytes, value: value.span.bytes)
    }
}

extension RecordWriter {
    /// Finds the key in `table` of the document with that `_id`; false where there is none.
    mutating func locate(
        _ id: RawSpan, _ entry: CollectionEntry, _ transaction: borrowing WriteTransaction
    ) throws(StorageError) -> Bool {
        guard let idTable = entry.idTable else {
            setRecordKey(id)
            return true
        }
        guard let place = try transaction.value(idTable, id) else { return false }
        setRecordKey(place)
        return true
    }

    /// Checks that a document fits into a capped collection, and gives it its place.
    mutating func place(
        _ document: DocumentView, _ entry: CollectionEntry, _ limits: CappedLimits,
        _ transaction: borrowing WriteTransaction
    ) throws {
        guard document.bytes.byteCount <= limits.bytesMax else {
            throw DBError(
                .badValue,
                "object to insert exceeds cappedMaxSize: \(document.bytes.byteCount) bytes, at "
                    + "most \(limits.bytesMax)")
        }
        Self.copy(recordKey.bytes, into: &idKey)
        try CappedRecords.nextKey(entry.table, transaction, into: &recordKey)
    }

    /// Enters a document that was just put, and removes the oldest beyond the limits.
    mutating func finishCapped(
        _ byteCount: Int, _ entry: CollectionEntry, _ idTable: TableID, _ limits: CappedLimits,
        _ builds: IndexBuilds, _ transaction: inout WriteTransaction
    ) throws {
        try transaction.put(
            idTable, key: idKey.bytes.span.bytes, value: recordKey.bytes.span.bytes)
        try CappedRecords.add(byteCount, to: idTable, &transaction)
        while try isOverfull(entry, idTable, limits, transaction) {
            try flush(&transaction)
            guard try takeOldest(entry, transaction) else { return }
            try removeCollected(entry, builds, &transaction)
        }
    }

    private func isOverfull(
        _ entry: CollectionEntry, _ idTable: TableID, _ limits: CappedLimits,
        _ transaction: borrowing WriteTransaction
    ) throws(StorageError) -> Bool {
        let count = try transaction.entryCount(entry.table)
        if count <= 1 { return false }
        if let most = limits.documentsMax, count > UInt64(most) { return true }
        return try CappedRecords.totalBytes(idTable, transaction) > limits.bytesMax
    }

    /// Makes the oldest document the one at hand, with its entries in `removed`.
    private mutating func takeOldest(
        _ entry: CollectionEntry, _ transaction: borrowing WriteTransaction
    ) throws -> Bool {
        var cursor = transaction.cursor(entry.table)
        guard try cursor.first() else { return false }
        setRecordKey(cursor.key)
        guard
            try Self.load(recordKey.bytes, entry, transaction, into: &oldDocument)
        else { return false }
        var images = DocumentImages()
        return try Self.collectAll(
            of: oldDocument, recordKey.bytes, .everything, entry, images: &images, &keys, &removed,
            &scratch)
    }

    /// Removes the document at hand, whose entries are in `removed`.
    mutating func removeCollected(
        _ entry: CollectionEntry, _ builds: IndexBuilds, _ transaction: inout WriteTransaction
    ) throws {
        try removed.delete(from: entry.indexes, &transaction)
        _ = try transaction.delete(entry.table, key: recordKey.bytes.span.bytes)
        builds.note(recordKey.bytes, entry)
        log.delete(oldDocument.span.bytes, entry)
        guard let idTable = entry.idTable else { return }
        try Self.encodeID(of: oldDocument, in: entry, into: &idKey)
        _ = try transaction.delete(idTable, key: idKey.bytes.span.bytes)
        try CappedRecords.add(-oldDocument.count, to: idTable, &transaction)
    }

    private static func copy(_ bytes: [UInt8], into key: inout KeyEncoder) {
        key.removeAll()
        key.append(copying: bytes.span.bytes)
    }

    /// Copies the document under a key of `table`; false where there is none.
    static func load(
        _ key: [UInt8], _ entry: CollectionEntry, _ transaction: borrowing WriteTransaction,
        into document: inout [UInt8]
    ) throws(StorageError) -> Bool {
        try transaction.copyValue(entry.table, key.span.bytes, into: &document)
    }

    private static func encodeID(
        of document: [UInt8], in entry: CollectionEntry, into key: inout KeyEncoder
    ) throws(DBError) {
        guard let id = DocumentView(document.span.bytes).value("_id") else {
            throw DBError(.dataCorruptionDetected, "A stored document has no _id")
        }
        _ = RecordKey.encode(id, entry.collation, into: &key)
    }
}
