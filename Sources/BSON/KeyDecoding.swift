// Values back from their keys.
//
// A key keeps the order and equality of values, not their types: 1, 1.0 and decimal 1 have one key.
// So decoding takes the commonest value of a key (int32, else int64 for whole numbers, double for
// others; string), and `keyIsExact` says of a value whether that gives it back. Who stores keys
// notes whether some value wasn't exact. Null stands for a missing field too, and documents and
// arrays may hold anything: the caller has to look at the stored document for those.

/// Decodes keys, one value after another; reuses its memory.
package struct KeyDecoder: Sendable {
    /// The value decoded last, as BSON has it behind type and name.
    private var payload: [UInt8] = []

    package init() {}

    /// Appends the value decoded last; `type` is what `next` answered.
    package func append(_ name: String, _ type: BSONType, to writer: inout DocumentWriter) {
        writer.append(name, ValueView(type: type, bytes: payload.span.bytes))
    }

    /// Decodes the value at `offset` and moves on behind it. `.null` for null and missing fields;
    /// nil where the key doesn't say what the value was: then `offset` is of no use any more.
    package mutating func next(
        in key: RawSpan, at offset: inout Int, descending: Bool
    ) -> BSONType? {
        payload.removeAll(keepingCapacity: true)
        var reader = Reader(mask: descending ? 0xFF : 0, offset: offset)
        defer { offset = reader.offset }
        guard let header = reader.byte(key) else { return nil }
        switch header >> 3 {
        case BSONType.null.canonicalRank: return .null
        case BSONType.minKey.canonicalRank: return .minKey
        case BSONType.maxKey.canonicalRank: return .maxKey
        case BSONType.double.canonicalRank: return number(header & 7, key, &reader)
        case BSONType.string.canonicalRank: return string(key, &reader)
        case BSONType.objectID.canonicalRank: return copy(12, key, &reader) ? .objectID : nil
        case BSONType.bool.canonicalRank:
            return copy(1, key, &reader) && payload[0] <= 1 ? .bool : nil
        case BSONType.date.canonicalRank:
            guard let word = reader.word(key) else { return nil }
            append(word ^ 1 << 63)
            return .date
        case BSONType.timestamp.canonicalRank:
            guard let word = reader.word(key) else { return nil }
            append(word)
            return .timestamp
        default: return nil
        }
    }

    /// Bytes of a key, inverted where the part is descending.
    private struct Reader {
        let mask: UInt8
        var offset: Int

        mutating func byte(_ key: RawSpan) -> UInt8? {
            guard offset < key.byteCount else { return nil }
            defer { offset += 1 }
            // SAFETY: the offset was compared with the span's size.
            return key.unsafeLoad(fromByteOffset: offset, as: UInt8.self) ^ mask
        }

        mutating func word(_ key: RawSpan) -> UInt64? {
            guard offset + 8 <= key.byteCount else { return nil }
            defer { offset += 8 }
            // SAFETY: the end was compared with the span's size.
            let word = key.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self)
            return UInt64(bigEndian: mask == 0 ? word : ~word)
        }
    }

    private mutating func append<T: FixedWidthInteger>(_ value: T) {
        withUnsafeBytes(of: value.littleEndian) { payload.append(contentsOf: $0) }
    }

    private mutating func copy(_ count: Int, _ key: RawSpan, _ reader: inout Reader) -> Bool {
        for _ in 0..<count {
            guard let byte = reader.byte(key) else { return false }
            payload.append(byte)
        }
        return true
    }

    /// Classes as in KeyEncoding.swift: 3 negative, 4 zero, 5 positive.
    private mutating func number(
        _ kind: UInt8, _ key: RawSpan, _ reader: inout Reader
    ) -> BSONType? {
        if kind == 4 {
            append(Int32(0))
            return .int32
        }
        guard kind == 3 || kind == 5, let stored = reader.word(key) else { return nil }
        let word = kind == 3 ? ~stored : stored
        // Something was cut: no double.
        guard word & 1 == 0 else { return nil }
        let magnitude = Double(bitPattern: word >> 1)
        let value = kind == 3 ? -magnitude : magnitude
        if let small = Int32(exactly: value) {
            append(small)
            return .int32
        }
        if let large = Int64(exactly: value) {
            append(large)
            return .int64
        }
        append(value.bitPattern)
        return .double
    }

    private mutating func string(_ key: RawSpan, _ reader: inout Reader) -> BSONType? {
        append(UInt32(0))
        while true {
            guard let byte = reader.byte(key) else { return nil }
            if byte == 0 { break }
            if byte > 1 {
                payload.append(byte)
            } else {
                guard let escaped = reader.byte(key), escaped > 0 else { return nil }
                payload.append(escaped - 1)
            }
        }
        payload.append(0)
        let length = UInt32(truncatingIfNeeded: payload.count - 4)
        withUnsafeBytes(of: length.littleEndian) { bytes in
            for index in 0..<4 { payload[index] = bytes[index] }
        }
        return .string
    }
}

extension ValueView {
    /// Whether `KeyDecoder` gives this value back from its key, or says that it can't.
    package var keyIsExact: Bool {
        switch type {
        case .int64: Int32(exactly: int64 ?? 0) == nil
        case .double: double.map { Int64(exactly: $0) == nil } ?? false
        case .decimal128, .symbol: false
        default: true
        }
    }
}
