// One record of the change log, as bytes. Integers are little-endian.
//
//     chain       UInt32   CRC-32C over the chain of the record before, this record's key and all
//                          that follows here
//     offset      UInt64   bytes of all records that were ever logged before this one
//     wallMillis  Int64
//     kind        UInt8
//     flags       UInt8
//     uuid        16 bytes, the collection's; zeros where the record is about a database
//     names       UInt8 and UInt8, lengths; the names of database and collection
//     session     where the flag says so: a document, the session's id; Int64, its transaction
//     payload     insert, image: the document; delete: the document where a flag says so, else one
//                 of its _id alone
//                 update, replace: UInt32 prefix, UInt32 suffix, UInt32 length of what is between,
//                     that; the document before, unless an `image` record with it lies before
//                 others: a document with details
//
// The document after an update is the one before with the bytes between a common prefix (counted
// behind the length field) and a common suffix exchanged. So a record both redoes and undoes.

import BSON
import CChecksum

/// What a record says. Part of the on-disk format.
enum ChangeKind: UInt8, Sendable {
    case insert = 1
    case update = 2
    case replace = 3
    case delete = 4
    /// The document before the change that the next record tells, where both together are too long.
    case image = 5
    case drop = 16
    case rename = 17
    case dropDatabase = 18
    case create = 19
    case createIndexes = 20
    case dropIndexes = 21
    case modify = 22

    /// Whether it tells of a document, and not of a collection or database.
    var isOfDocument: Bool { rawValue < Self.drop.rawValue }

    /// Whether change streams show it only on request.
    var isExpanded: Bool { rawValue >= Self.create.rawValue }
}

/// What is true of a record. Part of the on-disk format.
struct ChangeFlags: OptionSet, Sendable {
    let rawValue: UInt8
    /// Change streams may show images: the collection's option at the time of the write.
    static let showsImages = ChangeFlags(rawValue: 1)
    /// Part of a transaction: session and number are in the record.
    static let hasSession = ChangeFlags(rawValue: 2)
    /// The document before is in the record before this.
    static let imageIsApart = ChangeFlags(rawValue: 4)
    /// A delete has the whole document, though change streams may not show it.
    static let keepsDocument = ChangeFlags(rawValue: 8)
    /// A document of a time series: no change stream shows it.
    static let isMeasurement = ChangeFlags(rawValue: 16)
    /// A delete moved the document to the trash, an insert brought it back from there.
    static let movesTrash = ChangeFlags(rawValue: 32)
}

/// The fixed places in a record.
enum ChangeLayout {
    static let chain = 0
    static let offset = 4
    static let wallMillis = 12
    static let kind = 20
    static let flags = 21
    static let uuid = 22
    static let names = 38
    static let headerBytes = 40
}

/// A record lent by the log.
struct ChangeRecordView: ~Escapable {
    /// The place of the record.
    let position: LogPosition
    let kind: ChangeKind
    let flags: ChangeFlags
    private let bytes: RawSpan
    private let payloadStart: Int

    /// Reads a record's header.
    /// - Throws: `dataCorruptionDetected` where the bytes are no record.
    @_lifetime(copy bytes)
    init(_ position: LogPosition, _ bytes: RawSpan) throws(DBError) {
        guard let header = Self.header(bytes) else { throw Self.damaged(position) }
        self.position = position
        self.bytes = bytes
        (kind, flags, payloadStart) = header
    }

    private static func header(_ bytes: RawSpan) -> (ChangeKind, ChangeFlags, Int)? {
        guard bytes.byteCount >= ChangeLayout.headerBytes,
            let kind = ChangeKind(rawValue: bytes.byte(at: ChangeLayout.kind))
        else { return nil }
        let flags = ChangeFlags(rawValue: bytes.byte(at: ChangeLayout.flags))
        var end =
            ChangeLayout.headerBytes + Int(bytes.byte(at: ChangeLayout.names))
            + Int(bytes.byte(at: ChangeLayout.names + 1))
        if flags.contains(.hasSession) {
            guard let length = bytes.length(at: end), end + length + 8 <= bytes.byteCount else {
                return nil
            }
            end += length + 8
        }
        guard end <= bytes.byteCount else { return nil }
        return (kind, flags, end)
    }

    static func damaged(_ position: LogPosition) -> DBError {
        DBError(
            .dataCorruptionDetected,
            "The change log is damaged at \(position.sequence.seconds):"
                + "\(position.sequence.ordinal); run 'roost verify' on the folder")
    }

    /// The checksum that chains the records.
    var chain: UInt32 { UInt32(truncatingIfNeeded: bytes.uint32(at: ChangeLayout.chain)) }
    /// Bytes of all records that were ever logged before this one.
    var offset: UInt64 { bytes.uint64(at: ChangeLayout.offset) }
    /// Bytes of the record.
    var byteCount: Int { bytes.byteCount }
    /// When it was written, by the wall clock.
    var wallMillis: Int64 { Int64(bitPattern: bytes.uint64(at: ChangeLayout.wallMillis)) }

    /// The collection's UUID; nil for a record about a database.
    var uuid: UUIDBytes? {
        let raw = [UInt8](
            copying: bytes.extracting(ChangeLayout.uuid..<ChangeLayout.uuid + 16))
        return raw.allSatisfy { $0 == 0 } ? nil : UUIDBytes(raw)
    }

    /// The database's name in UTF-8.
    var database: RawSpan {
        @_lifetime(copy self)
        get {
            let start = ChangeLayout.headerBytes
            return bytes.extracting(start..<start + Int(bytes.byte(at: ChangeLayout.names)))
        }
    }

    /// The collection's name in UTF-8; empty for a record about a database.
    var collection: RawSpan {
        @_lifetime(copy self)
        get {
            let start = ChangeLayout.headerBytes + Int(bytes.byte(at: ChangeLayout.names))
            return bytes.extracting(start..<start + Int(bytes.byte(at: ChangeLayout.names + 1)))
        }
    }

    /// The collection's name, copied.
    var namespace: Namespace { Namespace(String(utf8: database), String(utf8: collection)) }

    /// The collections that it is about: a rename's old and new name, else one.
    var namespaces: [Namespace] {
        guard kind == .rename, let to = document.value("to")?.document else { return [namespace] }
        let target = Namespace(to.value("db")?.text ?? "", to.value("coll")?.text ?? "")
        return [namespace, target]
    }

    /// The session whose transaction it is part of.
    var session: DocumentView? {
        @_lifetime(copy self)
        get {
            guard flags.contains(.hasSession) else { return nil }
            return DocumentView(bytes.extracting(sessionStart..<payloadStart - 8))
        }
    }

    /// The number of that transaction.
    var transactionNumber: Int64 {
        flags.contains(.hasSession) ? Int64(bitPattern: bytes.uint64(at: payloadStart - 8)) : 0
    }

    private var sessionStart: Int {
        ChangeLayout.headerBytes + Int(bytes.byte(at: ChangeLayout.names))
            + Int(bytes.byte(at: ChangeLayout.names + 1))
    }

    /// The payload: a document, but in updates and replacements.
    var document: DocumentView {
        @_lifetime(copy self)
        get { DocumentView(bytes.extracting(payloadStart..<bytes.byteCount)) }
    }

    /// The `_id` of the document that an insert, update, replacement, delete or image is about; nil
    /// where the image is in the record before.
    /// - Throws: `dataCorruptionDetected` where the lengths make no sense.
    @_lifetime(copy self)
    func documentID() throws(DBError) -> ValueView? {
        guard kind == .update || kind == .replace else { return document.value("_id") }
        guard let before = before(try delta()) else { return nil }
        return DocumentView(before).value("_id")
    }

    /// Whether a delete has the whole document.
    var holdsDocument: Bool {
        flags.contains(.showsImages) || flags.contains(.keepsDocument)
    }

    /// What an update or replacement exchanged.
    /// - Throws: `dataCorruptionDetected` where the lengths make no sense.
    func delta() throws(DBError) -> ChangeDelta {
        let start = payloadStart + ChangeDelta.headerBytes
        guard start <= bytes.byteCount else { throw Self.damaged(position) }
        let middle = bytes.uint32(at: payloadStart + 8)
        guard start + middle <= bytes.byteCount else { throw Self.damaged(position) }
        return ChangeDelta(
            prefix: bytes.uint32(at: payloadStart), suffix: bytes.uint32(at: payloadStart + 4),
            middle: start..<start + middle)
    }

    /// The document after an update or replacement of `before`, in `writer`'s place of it.
    /// - Throws: `dataCorruptionDetected` where `before` is not the document that was changed.
    func apply(_ delta: ChangeDelta, to before: RawSpan, into after: inout [UInt8]) throws(DBError)
    {
        let tail = before.byteCount - delta.suffix
        guard 4 + delta.prefix <= tail else { throw Self.damaged(position) }
        let count = 4 + delta.prefix + delta.middle.count + delta.suffix
        after.removeAll(keepingCapacity: true)
        after.reserveCapacity(count)
        withUnsafeBytes(of: UInt32(truncatingIfNeeded: count).littleEndian) {
            after.append(contentsOf: $0)
        }
        after.append(copying: before.extracting(4..<4 + delta.prefix))
        after.append(copying: bytes.extracting(delta.middle))
        after.append(copying: before.extracting(tail..<before.byteCount))
    }

    /// The document before an update or replacement, where the record has it.
    @_lifetime(copy self)
    func before(_ delta: ChangeDelta) -> RawSpan? {
        guard !flags.contains(.imageIsApart) else { return nil }
        return bytes.extracting(delta.middle.upperBound..<bytes.byteCount)
    }

    /// The chain that a record with these bytes has behind one with the chain `previous`.
    func expectedChain(after previous: UInt32) -> UInt32 {
        ChangeChain.next(
            previous, key: position.key,
            bytes.extracting(ChangeLayout.offset..<bytes.byteCount))
    }
}

/// What an update exchanged in a document's bytes.
struct ChangeDelta: Sendable {
    /// Equal bytes at the beginning, behind the length field.
    var prefix: Int
    /// Equal bytes at the end.
    var suffix: Int
    /// The bytes between in the document after, within their owner.
    var middle: Range<Int>

    static let headerBytes = 12

    /// What differs between two documents; `middle` is a range of `after`.
    init(from before: RawSpan, to after: RawSpan) {
        let most = min(before.byteCount, after.byteCount) - 4
        prefix = before.commonPrefix(after, from: 4, most: most)
        suffix = before.commonSuffix(after, most: most - prefix)
        middle = 4 + prefix..<after.byteCount - suffix
    }

    init(prefix: Int, suffix: Int, middle: Range<Int>) {
        self.prefix = prefix
        self.suffix = suffix
        self.middle = middle
    }
}

/// The chain of checksums over the log's records.
enum ChangeChain {
    /// The chain of a record with that key whose bytes behind the chain are `rest`.
    static func next(_ previous: UInt32, key: [UInt8], _ rest: RawSpan) -> UInt32 {
        let start = key.span.bytes.crc32c(from: previous)
        return rest.crc32c(from: start)
    }
}

extension RawSpan {
    // SAFETY (all functions here): the callers have compared the offsets with the span's size, and
    // pointers stay in the closures that lend them.

    fileprivate func byte(at offset: Int) -> UInt8 {
        unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }

    fileprivate func uint32(at offset: Int) -> Int {
        Int(UInt32(littleEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self)))
    }

    fileprivate func uint64(at offset: Int) -> UInt64 {
        UInt64(littleEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }

    /// The length of the document at `offset`; nil where it doesn't fit.
    fileprivate func length(at offset: Int) -> Int? {
        guard offset + 5 <= byteCount else { return nil }
        let length = uint32(at: offset)
        return length >= 5 && offset + length <= byteCount ? length : nil
    }

    /// CRC-32C, going on from `checksum`.
    fileprivate func crc32c(from checksum: UInt32) -> UInt32 {
        withUnsafeBytes { roost_crc32c(checksum, $0.baseAddress, $0.count) }
    }

    /// How many bytes behind `start` are the same, eight at a time.
    fileprivate func commonPrefix(_ other: RawSpan, from start: Int, most: Int) -> Int {
        var count = 0
        while count + 8 <= most, word(at: start + count) == other.word(at: start + count) {
            count += 8
        }
        while count < most, byte(at: start + count) == other.byte(at: start + count) {
            count += 1
        }
        return count
    }

    /// How many bytes at the end are the same.
    fileprivate func commonSuffix(_ other: RawSpan, most: Int) -> Int {
        var count = 0
        while count + 8 <= most,
            word(at: byteCount - count - 8) == other.word(at: other.byteCount - count - 8)
        {
            count += 8
        }
        while count < most,
            byte(at: byteCount - count - 1) == other.byte(at: other.byteCount - count - 1)
        {
            count += 1
        }
        return count
    }

    private func word(at offset: Int) -> UInt64 {
        unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self)
    }
}
