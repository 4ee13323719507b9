// Keys of the collection tables and of index entries. Part of the on-disk format, version 1.
//
//     record key   encoding of `_id` (KeyEncoder; strings by the collection's collation, if it has
//                  one, which makes `_id` unique by it), at most 128 bytes;
//                  a longer one: its first 111 bytes, 0xFF, 16 bytes of hash
//     index key    encoding of the parts, at most 360 bytes (a longer one: its first 343 bytes,
//                  0xFF, 16 bytes of hash), record key, one byte: the record key's length
//
// KeyEncoder's encodings are prefix-free and never hold 0xFF where a type byte could stand, so cut
// and whole keys don't collide. A cut key sorts with its prefix: bounds over it are widened to the
// prefix, and the filter is applied to the document again. Two values with one prefix and one hash
// would be refused as duplicates; no read mistakes one for the other.

package import BSON
package import Query

/// The key of a document in its collection's table.
package enum RecordKey {
    /// Longest record key, in bytes.
    package static let bytesMax = 128
    static let prefixBytes = 111

    /// Replaces `key` with the record key of an `_id` in a collection with this collation; says
    /// whether it was cut.
    package static func encode(
        _ id: ValueView, _ collation: Collation?, into key: inout KeyEncoder
    ) -> Bool {
        key.removeAll()
        return append(id, collation, to: &key)
    }

    /// Appends the record key of an `_id` to what `key` holds; says whether it was cut.
    static func append(
        _ id: ValueView, _ collation: Collation?, to key: inout KeyEncoder
    ) -> Bool {
        let start = key.count
        key.append(id, order: collation)
        return CutKey.cut(&key, from: start, bytesMax: bytesMax, prefixBytes: prefixBytes)
    }
}

/// The key of an entry in an index's table.
package enum IndexEntryKey {
    /// Longest encoding of the parts, in bytes.
    package static let partsBytesMax = 360
    static let prefixBytes = 343

    /// Appends to `entry` the key for encoded parts and a record key; says whether it was cut.
    package static func append(
        parts: RawSpan, record: RawSpan, to entry: inout [UInt8]
    ) -> Bool {
        let isCut = appendParts(parts, to: &entry)
        entry.append(copying: record)
        entry.append(UInt8(truncatingIfNeeded: record.byteCount))
        return isCut
    }

    /// Appends only the parts, cut where they are too long: the prefix that all entries of equal
    /// parts share. Says whether it was cut.
    package static func appendParts(_ parts: RawSpan, to entry: inout [UInt8]) -> Bool {
        guard parts.byteCount > partsBytesMax else {
            entry.append(copying: parts)
            return false
        }
        entry.append(copying: parts.extracting(0..<prefixBytes))
        CutKey.appendHash(of: parts, to: &entry)
        return true
    }

    /// The first bytes that every key with these parts begins with, for bounds: cut to the length
    /// below which keys keep value order.
    @_lifetime(copy parts)
    package static func boundPrefix(_ parts: RawSpan) -> RawSpan {
        parts.byteCount > prefixBytes ? parts.extracting(0..<prefixBytes) : parts
    }

    /// Encoded parts as far as they are those of the values: without the hash of a cut key.
    @_lifetime(copy parts)
    static func withoutHash(_ parts: RawSpan) -> RawSpan {
        let isCut =
            parts.byteCount == prefixBytes + 17
            && parts.unsafeLoad(fromByteOffset: prefixBytes, as: UInt8.self) == CutKey.marker
        return isCut ? parts.extracting(0..<prefixBytes) : parts
    }

    /// The record key in an index entry's key, or nil where the key is damaged.
    @_lifetime(copy key)
    package static func record(in key: RawSpan) -> RawSpan? {
        guard key.byteCount > 1 else { return nil }
        let length = Int(key.unsafeLoad(fromByteOffset: key.byteCount - 1, as: UInt8.self))
        let start = key.byteCount - 1 - length
        guard length > 0, start > 0 else { return nil }
        return key.extracting(start..<key.byteCount - 1)
    }

    /// The parts in an index entry's key, or nil where the key is damaged.
    @_lifetime(copy key)
    package static func parts(in key: RawSpan) -> RawSpan? {
        guard let record = record(in: key) else { return nil }
        return key.extracting(0..<key.byteCount - 1 - record.byteCount)
    }
}

/// Cutting of long keys.
enum CutKey {
    /// Marks the end of a cut prefix.
    static let marker: UInt8 = 0xFF

    /// Cuts what `key` holds from `start` on when that is longer than `bytesMax`.
    static func cut(
        _ key: inout KeyEncoder, from start: Int, bytesMax: Int, prefixBytes: Int
    ) -> Bool {
        guard key.count - start > bytesMax else { return false }
        var tail: [UInt8] = []
        appendHash(of: key.bytes.span.bytes.extracting(start..<key.count), to: &tail)
        key.truncate(to: start + prefixBytes)
        key.append(copying: tail.span.bytes)
        return true
    }

    /// Appends the marker and 128 bits of hash.
    static func appendHash(of bytes: RawSpan, to key: inout [UInt8]) {
        key.append(marker)
        for seed in [0x9E37_79B9_7F4A_7C15 as UInt64, 0xC2B2_AE3D_27D4_EB4F] {
            withUnsafeBytes(of: hash(bytes, seed: seed).bigEndian) {
                key.append(contentsOf: $0)
            }
        }
    }

    /// FNV-1a (64 bit) with a seed, finished by MurmurHash3's mixer. It need not resist attack:
    /// who makes two of his own values collide has one refused as a duplicate.
    private static func hash(_ bytes: RawSpan, seed: UInt64) -> UInt64 {
        var state: UInt64 = 0xCBF2_9CE4_8422_2325 ^ seed
        for index in 0..<bytes.byteCount {
            state =
                (state ^ UInt64(bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self)))
                &* 0x0000_0100_0000_01B3
        }
        state = (state ^ state >> 33) &* 0xFF51_AFD7_ED55_8CCD
        state = (state ^ state >> 33) &* 0xC4CE_B9FE_1A85_EC53
        return state ^ state >> 33
    }
}
