// Old records of the change log, many in one entry, compressed.
//
// Under the key of the last record and one more byte (so that it lies where its records lay):
//
//     wallMillis  Int64    when the last record was written
//     end         UInt64   bytes of all records that were ever logged up to the last one
//     inflated    UInt32   bytes of what follows the names, inflated
//     names       UInt16 count; for each collection that has a record here: UInt8 and UInt8, lengths;
//                 the names of database and collection; the place of its last record (entryBytes)
//     records     deflated (RFC 1950): for each its key, UInt32 length, the record
//
// Integers are little-endian. A segment holds whole commands.

import BSON
import CZlib

/// Reads a segment.
struct LogSegmentView: ~Escapable {
    /// When the last record was written, in milliseconds since 1970.
    let wallMillis: Int64
    /// Bytes of all records ever logged up to the last one.
    let end: UInt64
    private let bytes: RawSpan
    private let inflatedBytes: Int
    private let nameCount: Int

    private static let headerBytes = 22
    /// The most bytes of records in a segment: one command may be longer than the usual size.
    static let inflatedBytesMax = 16 << 20

    /// Whether an entry of the log is a segment.
    static func isKey(_ key: RawSpan) -> Bool {
        key.byteCount == LogPosition.keyBytes + 1
            && LogPosition(key: key.extracting(0..<LogPosition.keyBytes)) != nil
    }

    /// The place of a segment's last record.
    static func last(in key: RawSpan) -> LogPosition? {
        isKey(key) ? LogPosition(key: key.extracting(0..<LogPosition.keyBytes)) : nil
    }

    /// - Throws: `dataCorruptionDetected` where the bytes are no segment.
    @_lifetime(copy bytes)
    init(_ bytes: RawSpan) throws(DBError) {
        guard bytes.byteCount >= Self.headerBytes else { throw Self.damaged }
        self.bytes = bytes
        wallMillis = Int64(bitPattern: bytes.number(at: 0, as: UInt64.self))
        end = bytes.number(at: 8, as: UInt64.self)
        inflatedBytes = Int(bytes.number(at: 16, as: UInt32.self))
        nameCount = Int(bytes.number(at: 20, as: UInt16.self))
        guard inflatedBytes <= Self.inflatedBytesMax else { throw Self.damaged }
    }

    static var damaged: DBError {
        DBError(
            .dataCorruptionDetected,
            "A compressed part of the change log is damaged; run 'roost verify' on the folder")
    }

    /// The collections that have records here, each with the place of its last one.
    /// - Throws: `dataCorruptionDetected`.
    func names() throws(DBError) -> [Namespace: LogPosition] {
        var names: [Namespace: LogPosition] = [:]
        _ = try walkNames { names[$0] = $1 }
        return names
    }

    /// Where the names end.
    private func walkNames(
        _ body: (Namespace, LogPosition) -> Void
    ) throws(DBError) -> Int {
        var offset = Self.headerBytes
        for _ in 0..<nameCount {
            guard offset + 2 <= bytes.byteCount else { throw Self.damaged }
            let first = offset + 2 + Int(bytes.number(at: offset, as: UInt8.self))
            let second = first + Int(bytes.number(at: offset + 1, as: UInt8.self))
            let next = second + LogPosition.keyBytes
            guard next <= bytes.byteCount,
                let place = LogPosition(entry: bytes.extracting(second..<next))
            else { throw Self.damaged }
            body(
                Namespace(
                    String(utf8: bytes.extracting(offset + 2..<first)),
                    String(utf8: bytes.extracting(first..<second))), place)
            offset = next
        }
        return offset
    }

    /// The records, inflated: see `LogSegmentBuilder`.
    /// - Throws: `dataCorruptionDetected`.
    func inflate() throws(DBError) -> [UInt8] {
        let start = try walkNames { _, _ in }
        let deflated = bytes.extracting(start..<bytes.byteCount)
        var count = UInt(inflatedBytes)
        let records = [UInt8](unsafeUninitializedCapacity: inflatedBytes) { buffer, initialized in
            // SAFETY: zlib writes at most `count` bytes, which the buffer has.
            let code = deflated.withUnsafeBytes { input in
                uncompress(
                    buffer.baseAddress, &count,
                    input.baseAddress?.assumingMemoryBound(to: UInt8.self), UInt(input.count))
            }
            initialized = code == Z_OK ? Int(count) : 0
        }
        guard records.count == inflatedBytes else { throw Self.damaged }
        return records
    }
}

/// Collects records and makes a segment of them.
struct LogSegmentBuilder {
    /// The records one after another: key, UInt32 length, bytes.
    private(set) var records: [UInt8] = []
    /// The keys of the records.
    private(set) var keys: [[UInt8]] = []
    private var names: [Namespace: LogPosition] = [:]
    private var wallMillis: Int64 = 0
    private var end: UInt64 = 0
    private var isTooLong = false

    /// Adds a record.
    mutating func add(_ record: borrowing ChangeRecordView, _ bytes: RawSpan) {
        let key = record.position.key
        keys.append(key)
        // One command may be longer than a segment; it stays as it is.
        guard records.count + bytes.byteCount <= LogSegmentView.inflatedBytesMax else {
            isTooLong = true
            return
        }
        records += key
        append(UInt32(truncatingIfNeeded: bytes.byteCount), to: &records)
        records.append(copying: bytes)
        for namespace in record.namespaces { names[namespace] = record.position }
        wallMillis = record.wallMillis
        end = record.offset + UInt64(bytes.byteCount)
    }

    /// The segment's key and value; nil where there is nothing, or compression gains nothing.
    func make() -> (key: [UInt8], value: [UInt8])? {
        guard let last = keys.last, !isTooLong else { return nil }
        var value: [UInt8] = []
        append(UInt64(bitPattern: wallMillis), to: &value)
        append(end, to: &value)
        append(UInt32(truncatingIfNeeded: records.count), to: &value)
        append(UInt16(truncatingIfNeeded: names.count), to: &value)
        for (namespace, place) in names {
            // Names are at most 255 bytes together (Namespace.bytesMax).
            value.append(UInt8(truncatingIfNeeded: namespace.database.utf8.count))
            value.append(UInt8(truncatingIfNeeded: namespace.collection.utf8.count))
            value.append(contentsOf: namespace.database.utf8)
            value.append(contentsOf: namespace.collection.utf8)
            value += place.entryBytes
        }
        var count = compressBound(UInt(records.count))
        let deflated = [UInt8](unsafeUninitializedCapacity: Int(count)) { buffer, initialized in
            // SAFETY: zlib writes at most `count` bytes, which the buffer has.
            let code = records.withUnsafeBufferPointer { input in
                compress2(buffer.baseAddress, &count, input.baseAddress, UInt(input.count), 6)
            }
            initialized = code == Z_OK ? Int(count) : 0
        }
        guard !deflated.isEmpty, deflated.count < records.count - records.count / 8 else {
            return nil
        }
        return (last + [1], value + deflated)
    }

    private func append<T: FixedWidthInteger>(_ number: T, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
    }
}

extension RawSpan {
    /// The integer at `offset`, little-endian.
    ///
    /// SAFETY: the callers have compared the offset with the span's size.
    func number<T: FixedWidthInteger & BitwiseCopyable>(at offset: Int, as type: T.Type) -> T {
        T(littleEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: type))
    }
}
