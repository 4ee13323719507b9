// The on-disk form of keys: bytes whose memcmp order is the order of the values.
//
// Guarantees: for values a and b, key(a) < key(b) exactly if a.compare(b) < 0, and the keys are
// the same bytes if the values are equal (1, 1.0, decimal 1.00; a string and a symbol). No key is a
// prefix of another, so keys can be strung together and still compare part by part. A descending
// part has every byte inverted, which reverses its order and keeps it prefix-free.
//
// Format, version 1. A value is one byte `8 * canonicalRank + class`, then:
//
//   numbers     class 1 NaN, 2 -Infinity, 3 negative, 4 zero, 5 positive, 6 +Infinity; the others
//               have class 1. Classes 3 and 5 are followed by 8 bytes big-endian: the magnitude
//               cut to a double toward zero, its bits shifted left by one (a magnitude has no
//               sign), plus 1 if something was cut. Then follows the exact magnitude: the decimal
//               exponent of the first digit + 6176 in 2 bytes big-endian, and the digits without
//               trailing zeros, two per byte as 1 + value, ended by 0. Class 3 has all bytes behind
//               the first inverted.
//   string, symbol, code
//               the UTF-8 with 00 as 01 01 and 01 as 01 02, ended by 00; under a collation, of
//               string and symbol the collation's sort key, ended by 00 (TextOrder.swift)
//   document    per field the rank byte of the value with class 0, the name, 00, the value; after
//               the last 00
//   array       the values; after the last 00
//   binary      length of the rest in 4 bytes big-endian, subtype, bytes
//   ObjectId    12 bytes
//   bool        one byte, 0 or 1
//   date        8 bytes big-endian with the sign bit flipped
//   timestamp   8 bytes big-endian
//   regex       pattern, 00, options, 00
//   DBPointer   length of the rest in 4 bytes big-endian, namespace, 00, 12 bytes
//   code with scope
//               the code as a string, the scope as a document
//   null, undefined, MinKey, MaxKey
//               nothing
//
// So a key's first byte lies within 9...142 (113...246 inverted): 00 and FF never begin a key and
// are free for bounds. key + FF is above everything that begins with that key. Classes 0 and 7
// begin no key either: they bound the keys of one type (`appendBracket`).

/// Builds order-preserving keys in a buffer that is reused.
package struct KeyEncoder: Sendable {
    /// Where a bound lies in the order of the values, whatever the direction of the part.
    package enum End: Sendable {
        case low
        case high
    }

    /// What was encoded so far.
    package internal(set) var bytes: [UInt8] = []

    /// An empty key.
    package init() {}

    /// An empty key with room for `capacity` bytes.
    package init(reserving capacity: Int) {
        bytes.reserveCapacity(capacity)
    }

    /// The number of bytes.
    package var count: Int { bytes.count }

    /// Forgets everything, keeps the memory.
    package mutating func removeAll() {
        truncate(to: 0)
    }

    /// Forgets what lies at and after `offset`.
    package mutating func truncate(to offset: Int) {
        if offset < bytes.count { bytes.removeLast(bytes.count - offset) }
    }

    /// Turns the key into the first byte string behind all that begin with it; empty where there is
    /// none.
    package mutating func moveBehind() {
        while let last = bytes.last {
            if last != 0xFF {
                bytes[bytes.count - 1] = last + 1
                return
            }
            bytes.removeLast()
        }
    }

    /// Appends the key of a value. O(bytes of the value); allocates only to grow the buffer.
    package mutating func append(_ value: ValueView, descending: Bool = false) {
        let start = bytes.count
        encode(value, depth: 0)
        if descending { invert(from: start) }
    }

    /// Appends the key of a null, which is also that of a missing field.
    package mutating func appendNull(descending: Bool = false) {
        let byte = header(.null)
        bytes.append(descending ? ~byte : byte)
    }

    /// Appends the key of an ObjectId.
    package mutating func append(_ id: ObjectID, descending: Bool = false) {
        let start = bytes.count
        bytes.append(header(.objectID))
        appendBigEndian(id.head)
        appendBigEndian(id.tail)
        if descending { invert(from: start) }
    }

    /// Appends bytes that are already a key or part of one.
    package mutating func append(copying raw: RawSpan) {
        bytes.append(copying: raw)
    }

    /// Appends one byte as it is: FF makes a key the upper bound of all that begin with it.
    package mutating func append(byte: UInt8) {
        bytes.append(byte)
    }

    // MARK: Bounds

    /// Appends a byte that is below (`.low`) or above (`.high`) every value of the types of `rank`
    /// in the order of the values. No key is equal to such a bound. In a descending part the low
    /// one comes after the values in byte order.
    package mutating func appendBracket(rank: UInt8, _ end: End, descending: Bool = false) {
        let byte = rank << 3 | (end == .low ? 0 : 7)
        bytes.append(descending ? ~byte : byte)
    }

    /// Appends a bound below or above every string that begins with `prefix` (UTF-8), the prefix
    /// itself included.
    package mutating func appendStringPrefix(
        _ prefix: RawSpan, _ end: End, descending: Bool = false
    ) {
        let start = bytes.count
        bytes.append(header(.string))
        appendEscaped(prefix)
        if end == .high { bytes.append(0xFF) }
        if descending { invert(from: start) }
        if descending, end == .low {
            // Inverted, the string that is the prefix itself continues with FF and then with a
            // byte below FF.
            bytes.append(0xFF)
            bytes.append(0xFF)
        }
    }

    // MARK: Encoding

    func header(_ type: BSONType) -> UInt8 {
        type.canonicalRank << 3 | 1
    }

    mutating func encode(_ value: ValueView, depth: Int) {
        switch value.type {
        case .int32: appendInteger(Int64(value.int32 ?? 0))
        case .int64: appendInteger(value.int64 ?? 0)
        case .double: appendDouble(value.double ?? 0)
        case .decimal128: appendDecimal(value.decimal128 ?? .nan)
        case .string, .symbol, .code:
            bytes.append(header(value.type))
            appendEscaped(textBytes(value.bytes))
            bytes.append(0)
        case .document:
            bytes.append(header(.document))
            appendFields(of: DocumentView(value.bytes), depth: depth)
        case .array:
            bytes.append(header(.array))
            appendElements(of: DocumentView(value.bytes), depth: depth)
        case .binary, .dbPointer:
            bytes.append(header(value.type))
            let length = value.bytes.byteCount - 4
            appendBigEndian(UInt32(truncatingIfNeeded: length))
            bytes.append(copying: value.bytes.extracting(last: length))
        case .objectID, .bool, .regex:
            bytes.append(header(value.type))
            bytes.append(copying: value.bytes)
        case .date:
            append(header(.date), word: UInt64(bitPattern: value.dateMillis ?? 0) ^ 1 << 63)
        case .timestamp:
            append(header(.timestamp), word: value.timestamp?.rawValue ?? 0)
        case .codeWithScope:
            bytes.append(header(.codeWithScope))
            guard let parts = value.codeWithScope else { return }
            appendEscaped(parts.code)
            bytes.append(0)
            appendFields(of: parts.scope, depth: depth)
        case .null, .undefined, .minKey, .maxKey:
            bytes.append(header(value.type))
        }
    }

    private mutating func appendFields(of document: DocumentView, depth: Int) {
        // Validation refuses what is nested deeper, so this only guards the stack.
        guard depth <= Limits.nestingDepthMax else { return bytes.append(0) }
        var elements = document.makeIterator()
        while let element = elements.next() {
            bytes.append(element.value.type.canonicalRank << 3)
            bytes.append(copying: element.name)
            bytes.append(0)
            encode(element.value, depth: depth + 1)
        }
        bytes.append(0)
    }

    private mutating func appendElements(of array: DocumentView, depth: Int) {
        guard depth <= Limits.nestingDepthMax else { return bytes.append(0) }
        var elements = array.makeIterator()
        while let element = elements.next() { encode(element.value, depth: depth + 1) }
        bytes.append(0)
    }

    /// Appends UTF-8 with 00 and 01 escaped.
    mutating func appendEscaped(_ text: RawSpan) {
        let count = text.byteCount
        let first = text.indexOfEscapee(from: 0)
        guard first < count else { return bytes.append(copying: text) }
        bytes.append(copying: text.extracting(unchecked: 0..<first))
        for index in first..<count {
            // SAFETY: `index` is below the span's size.
            let byte = text.unsafeLoad(fromByteOffset: index, as: UInt8.self)
            if byte > 1 {
                bytes.append(byte)
            } else {
                bytes.append(1)
                bytes.append(byte + 1)
            }
        }
    }

    private mutating func appendBigEndian<T: FixedWidthInteger>(_ value: T) {
        withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
    }

    /// Appends a byte and eight bytes big-endian; one step, since most keys are that.
    @inline(__always)
    private mutating func append(_ header: UInt8, word: UInt64) {
        let nine = (UInt128(header) << 120 | UInt128(word) << 56).bigEndian
        withUnsafeBytes(of: nine) {
            bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: $0[..<9]))
        }
    }

    mutating func invert(from start: Int) {
        for index in start..<bytes.count { bytes[index] = ~bytes[index] }
    }
}

// MARK: Numbers

extension KeyEncoder {
    private enum NumberClass: UInt8 {
        case nan = 1
        case negativeInfinity
        case negative
        case zero
        case positive
        case positiveInfinity

        /// The first byte of such a number's key.
        var header: UInt8 { BSONType.double.canonicalRank << 3 | rawValue }
    }

    private mutating func appendInteger(_ value: Int64) {
        if value.magnitude <= 1 << 53 {
            appendExact(Double(value))
        } else {
            appendLargeInteger(value)
        }
    }

    @inline(never)
    private mutating func appendLargeInteger(_ value: Int64) {
        let magnitude = value.magnitude
        // Clearing the bits below the 53 most significant ones cuts toward zero.
        let cutBits = 11 - magnitude.leadingZeroBitCount
        let cut = (magnitude >> cutBits) << cutBits
        if cut == magnitude { return appendExact(Double(value)) }
        appendInexact(
            isNegative: value < 0, cut: Double(cut), coefficient: UInt128(magnitude), exponent: 0)
    }

    private mutating func appendDouble(_ value: Double) {
        if value.isFinite {
            appendExact(value)
        } else if value.isNaN {
            bytes.append(NumberClass.nan.header)
        } else {
            let infinity: NumberClass = value < 0 ? .negativeInfinity : .positiveInfinity
            bytes.append(infinity.header)
        }
    }

    @inline(never)
    private mutating func appendDecimal(_ value: Decimal128) {
        guard value.isFinite else { return appendDouble(value.roundedDouble) }
        let (cut, isExact) = value.truncatedDouble
        if isExact { return appendExact(cut) }
        appendInexact(
            isNegative: value.isNegative, cut: cut.magnitude, coefficient: value.coefficient,
            exponent: value.exponent)
    }

    private mutating func appendExact(_ value: Double) {
        if value == 0 { return bytes.append(NumberClass.zero.header) }
        let word = value.magnitude.bitPattern << 1
        let header = (value < 0 ? NumberClass.negative : .positive).header
        append(header, word: value < 0 ? ~word : word)
    }

    /// A number that no double is: `coefficient` * 10^`exponent`, not zero; `cut` is the double
    /// next to its magnitude towards zero.
    private mutating func appendInexact(
        isNegative: Bool, cut: Double, coefficient: UInt128, exponent: Int
    ) {
        bytes.append((isNegative ? NumberClass.negative : .positive).header)
        let start = bytes.count
        appendBigEndian(cut.bitPattern << 1 | 1)
        let digitCount = decimalDigitCount(coefficient)
        appendBigEndian(
            UInt16(
                truncatingIfNeeded: exponent + digitCount - 1 - Decimal128.exponentMin))
        // An even number of digits, so that pairs begin at the first one.
        let parts = (digitCount & 1 == 0 ? coefficient : coefficient * 10)
            .quotientAndRemainder(dividingBy: 1_000_000_000_000_000_000)
        let head = UInt64(truncatingIfNeeded: parts.quotient)
        var rest = UInt64(truncatingIfNeeded: parts.remainder)
        // The last nine pairs lie in the remainder, up to eight more in the quotient.
        var pairs: InlineArray<17, UInt8> = .init(repeating: 0)
        var count = (digitCount + 1) >> 1
        for index in stride(from: count - 1, through: 0, by: -1) {
            if index == count - 10 { rest = head }
            pairs[index] = UInt8(truncatingIfNeeded: rest % 100)
            rest /= 100
        }
        while count > 0, pairs[count - 1] == 0 { count -= 1 }
        for index in 0..<count { bytes.append(pairs[index] + 1) }
        bytes.append(0)
        if isNegative { invert(from: start) }
    }
}

/// The number of decimal digits; 1 for zero.
func decimalDigitCount(_ value: UInt128) -> Int {
    var count = 1
    var rest = value
    while rest >= 1_000_000_000_000_000_000 {
        rest /= 1_000_000_000_000_000_000
        count += 18
    }
    var low = UInt64(truncatingIfNeeded: rest)
    while low >= 10 {
        low /= 10
        count += 1
    }
    return count
}

extension RawSpan {
    /// Offset of the first 00 or 01 at or after `start`; `byteCount` where there is none.
    fileprivate func indexOfEscapee(from start: Int) -> Int {
        let limit = byteCount
        var index = start
        // SAFETY: every offset is compared with `limit` first.
        while index + 8 <= limit {
            let word = unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self)
            // A byte below 2 has none of its upper seven bits set.
            let upper = word & 0xFEFE_FEFE_FEFE_FEFE
            if (upper &- 0x0101_0101_0101_0101) & ~upper & 0x8080_8080_8080_8080 != 0 { break }
            index += 8
        }
        while index < limit, unsafeLoad(fromByteOffset: index, as: UInt8.self) > 1 { index += 1 }
        return index
    }
}
