// How deleted documents lie in the trash: one table for all collections. Part of the on-disk format,
// version 1. Numbers in keys are 8 bytes, big-endian, so that keys of one collection lie together.
//
//     number, record key                  a deletion, a BSON document {at: date, by: value or null},
//                                         and behind it the document as it was
//     FF 'a' number, age, record key      nothing: the records of a collection in the order in which
//                                         they were deleted; age is the deletion's time in
//                                         milliseconds since 1970 with the sign bit flipped
//     FF 't' number                       two Int64, little-endian: how many records the collection
//                                         has, and how many bytes they take
//     FF 'd' number                       nothing: the collection is gone, and what is left of its
//                                         records is being removed
//
// The number is that of the table that the collection had first: tables' numbers are never used
// again, so what a dropped collection left behind belongs to no other.

import BSON
import Storage

/// Names one collection's part of the trash.
package struct TrashID: Hashable, Sendable {
    /// The number in keys.
    package let rawValue: UInt64

    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// What all keys of records begin with.
    var prefix: [UInt8] { TrashKey.bytes(rawValue) }
}

/// Keys of the trash.
enum TrashKey {
    /// Begins all keys that are not records; no number begins so.
    static let other: UInt8 = 0xFF

    /// The kinds of entries that are no records.
    enum Kind: UInt8 {
        case age = 0x61
        case dropped = 0x64
        case totals = 0x74
    }

    static func bytes(_ number: UInt64) -> [UInt8] {
        withUnsafeBytes(of: number.bigEndian) { Array($0) }
    }

    /// The key of a record.
    static func record(_ id: TrashID, _ record: RawSpan) -> [UInt8] {
        var key = id.prefix
        key.append(copying: record)
        return key
    }

    /// The record key in a record's key.
    @_lifetime(copy key)
    static func record(in key: RawSpan) -> RawSpan {
        key.extracting(min(8, key.byteCount)..<key.byteCount)
    }

    /// Whose record a key is; nil for entries of other kinds.
    static func id(in key: RawSpan) -> TrashID? {
        guard key.byteCount > 8, !isOther(key) else { return nil }
        return TrashID(rawValue: number(at: 0, in: key))
    }

    /// What kind of entry it is, and of which collection; nil for records.
    static func kind(of key: RawSpan) -> (kind: Kind, id: TrashID)? {
        guard isOther(key), key.byteCount >= 10,
            // SAFETY: the key has ten bytes.
            let kind = Kind(rawValue: key.unsafeLoad(fromByteOffset: 1, as: UInt8.self))
        else { return nil }
        return (kind, TrashID(rawValue: number(at: 2, in: key)))
    }

    private static func isOther(_ key: RawSpan) -> Bool {
        // SAFETY: the key has a byte.
        key.byteCount > 0 && key.unsafeLoad(fromByteOffset: 0, as: UInt8.self) == other
    }

    /// The number at an offset that the caller has compared with the size.
    private static func number(at offset: Int, in key: RawSpan) -> UInt64 {
        // SAFETY: eight bytes lie behind the offset.
        UInt64(bigEndian: key.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    /// The key of an entry that a collection has once.
    static func entry(_ kind: Kind, _ id: TrashID) -> [UInt8] {
        [other, kind.rawValue] + id.prefix
    }

    /// What all entries of a kind begin with.
    static func prefix(_ kind: Kind) -> [UInt8] { [other, kind.rawValue] }

    /// The key of a record's entry by age.
    static func age(_ id: TrashID, _ millis: Int64, _ record: RawSpan) -> [UInt8] {
        var key = entry(.age, id) + bytes(UInt64(bitPattern: millis) ^ 1 << 63)
        key.append(copying: record)
        return key
    }

    /// The record key in an entry by age, copied; nil where the key is damaged.
    static func record(inAge key: RawSpan) -> [UInt8]? {
        key.byteCount > 18 ? [UInt8](copying: key.extracting(18..<key.byteCount)) : nil
    }

    /// The time in an entry by age, in milliseconds since 1970; nil where the key is damaged.
    static func millis(inAge key: RawSpan) -> Int64? {
        key.byteCount > 18 ? Int64(bitPattern: number(at: 10, in: key) ^ 1 << 63) : nil
    }
}

/// A record of the trash, lent by the store.
struct TrashRecord: ~Escapable {
    /// `{at, by}`.
    let deletion: DocumentView
    /// The document as it was.
    let document: DocumentView

    /// - Throws: `dataCorruptionDetected` where the bytes are no record.
    @_lifetime(copy bytes)
    init(_ bytes: RawSpan) throws(DBError) {
        guard let deletion = ValueView(checking: .document, bytes),
            let document = ValueView(
                checking: .document,
                bytes.extracting(deletion.bytes.byteCount..<bytes.byteCount)),
            deletion.bytes.byteCount + document.bytes.byteCount == bytes.byteCount
        else { throw Self.damaged }
        self.deletion = DocumentView(deletion.bytes)
        self.document = DocumentView(document.bytes)
    }

    /// When the document was deleted, in milliseconds since 1970.
    var millis: Int64 { deletion.value("at")?.dateMillis ?? 0 }

    static var damaged: DBError {
        DBError(
            .dataCorruptionDetected, "A record of the trash is damaged; run 'roost verify'")
    }

    /// Appends a record.
    static func append(
        at millis: Int64, _ document: [UInt8], to writer: inout DocumentWriter
    ) {
        let start = writer.openDocument()
        writer.append("at", dateMillis: millis)
        // Nobody has an identity yet.
        writer.appendNull("by")
        writer.close(start)
        writer.appendRaw(copying: document.span.bytes)
    }
}

/// How much of a collection is in the trash.
package struct TrashTotals: Sendable, Equatable {
    /// Documents.
    package var count: Int64 = 0
    /// Bytes of their records.
    package var bytes: Int64 = 0

    package init() {}

    /// Reads an entry; nil where it is damaged.
    init?(_ entry: RawSpan) {
        guard entry.byteCount == 16 else { return nil }
        // SAFETY: the entry has sixteen bytes.
        count = Int64(littleEndian: entry.unsafeLoadUnaligned(as: Int64.self))
        bytes = Int64(
            littleEndian: entry.unsafeLoadUnaligned(fromByteOffset: 8, as: Int64.self))
    }

    /// The entry.
    var entry: [UInt8] {
        withUnsafeBytes(of: count.littleEndian) { Array($0) }
            + withUnsafeBytes(of: bytes.littleEndian) { Array($0) }
    }

    static func + (left: TrashTotals, right: TrashTotals) -> TrashTotals {
        var sum = left
        sum.count += right.count
        sum.bytes += right.bytes
        return sum
    }
}
