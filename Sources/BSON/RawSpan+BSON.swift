// The few places where BSON's bytes are read through pointers.
//
// Lifetime rule: a pointer never leaves the closure that lends it, and every offset is compared
// with the span's size before it is read.

import Glibc

extension RawSpan {
    /// The UTF-8 of a literal, which lives as long as the process.
    @_lifetime(immortal)
    package init(_ string: StaticString) {
        // SAFETY: a StaticString's bytes lie in the binary's constant data.
        self = _overrideLifetime(
            RawSpan(
                _unsafeStart: UnsafeRawPointer(string.utf8Start),
                byteCount: string.utf8CodeUnitCount),
            copying: ())
    }

    /// The bytes of a constant string and the zero byte that ends it, like a field's name.
    @_lifetime(immortal)
    package init(terminated string: StaticString) {
        // SAFETY: as above; `utf8Start` is documented to be null-terminated.
        self = _overrideLifetime(
            RawSpan(
                _unsafeStart: UnsafeRawPointer(string.utf8Start),
                byteCount: string.utf8CodeUnitCount + 1),
            copying: ())
    }

    /// Whether both hold the same bytes.
    public func equals(_ other: RawSpan) -> Bool {
        guard byteCount == other.byteCount else { return false }
        return withUnsafeBytes { left in
            other.withUnsafeBytes { right in
                guard let left = left.baseAddress, let right = right.baseAddress else {
                    return true
                }
                return memcmp(left, right, byteCount) == 0
            }
        }
    }

    /// Whether the bytes are those of the literal.
    public func equals(_ literal: StaticString) -> Bool {
        equals(RawSpan(literal))
    }

    /// Byte order: negative, zero or positive. The shorter of two with a common prefix is smaller.
    public func compareBytes(_ other: RawSpan) -> Int {
        let common = min(byteCount, other.byteCount)
        let order = withUnsafeBytes { left in
            other.withUnsafeBytes { right in
                guard let left = left.baseAddress, let right = right.baseAddress else {
                    return Int32(0)
                }
                return memcmp(left, right, common)
            }
        }
        return order != 0 ? Int(order) : byteCount - other.byteCount
    }

    /// Whether the bytes begin with `prefix`.
    public func starts(with prefix: RawSpan) -> Bool {
        byteCount >= prefix.byteCount && extracting(unchecked: 0..<prefix.byteCount).equals(prefix)
    }

    /// Offset of the first zero byte at or after `start`; `byteCount` where there is none.
    @inline(__always)
    func indexOfZero(from start: Int) -> Int {
        let limit = byteCount
        var index = start
        // Eight bytes at a time: a byte of the word is zero exactly if the classic
        // (w - 0x01…) & ~w & 0x80… has its lowest set bit in that byte.
        while index + 8 <= limit {
            let word = UInt64(
                littleEndian: unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self))
            let zeros = (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080
            if zeros != 0 { return index + zeros.trailingZeroBitCount >> 3 }
            index += 8
        }
        while index < limit, unsafeLoad(fromByteOffset: index, as: UInt8.self) != 0 { index += 1 }
        return index
    }

    /// Offset of the zero byte that ends the name at `start`, as above, and whether the name is
    /// ASCII.
    @inline(__always)
    func scanName(from start: Int) -> (end: Int, isASCII: Bool) {
        let limit = byteCount
        var index = start
        var seen: UInt64 = 0
        while index + 8 <= limit {
            let word = UInt64(
                littleEndian: unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self))
            let zeros = (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080
            if zeros != 0 {
                let bits = zeros.trailingZeroBitCount
                // Only the bytes before the zero are the name's.
                seen |= word & ((1 << UInt64(bits)) &- 1)
                return (index + bits >> 3, seen & 0x8080_8080_8080_8080 == 0)
            }
            seen |= word
            index += 8
        }
        let end = indexOfZero(from: index)
        while index < end {
            seen |= UInt64(unsafeLoad(fromByteOffset: index, as: UInt8.self))
            index += 1
        }
        return (end, seen & 0x8080_8080_8080_8080 == 0)
    }

    /// Size of a payload of `type` that begins at `offset`, or -1 where the bytes don't hold one.
    @inline(__always)
    func payloadSize(of type: BSONType, at offset: Int) -> Int {
        switch type {
        case .double, .date, .timestamp, .int64: 8
        case .int32: 4
        case .bool: 1
        case .objectID: 12
        case .null, .undefined, .minKey, .maxKey: 0
        case .decimal128: 16
        case .string, .document, .array, .symbol, .code, .binary, .regex, .dbPointer,
            .codeWithScope:
            variablePayloadSize(of: type, at: offset)
        }
    }

    private func variablePayloadSize(of type: BSONType, at offset: Int) -> Int {
        if type == .regex {
            let patternEnd = indexOfZero(from: offset)
            guard patternEnd < byteCount else { return -1 }
            let optionsEnd = indexOfZero(from: patternEnd + 1)
            return optionsEnd < byteCount ? optionsEnd + 1 - offset : -1
        }
        guard byteCount - offset >= 4 else { return -1 }
        let length = Int(
            Int32(littleEndian: unsafeLoadUnaligned(fromByteOffset: offset, as: Int32.self)))
        switch type {
        case .string, .symbol, .code: return length >= 1 ? 4 + length : -1
        case .binary: return length >= 0 ? 5 + length : -1
        case .dbPointer: return length >= 1 ? 4 + length + 12 : -1
        case .codeWithScope:
            // Length of all, length of the code, the code, the scope.
            guard length >= 14, byteCount - offset >= length else { return -1 }
            let code = Int(
                Int32(littleEndian: unsafeLoadUnaligned(fromByteOffset: offset + 4, as: Int32.self))
            )
            return code >= 1 && code <= length - 13 ? length : -1
        default: return length >= 5 ? length : -1
        }
    }
}

extension String {
    /// The string of UTF-8 bytes; what is not UTF-8 becomes U+FFFD.
    public init(utf8 bytes: RawSpan) {
        self = bytes.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    }
}

extension Array where Element == UInt8 {
    /// A copy of lent bytes.
    public init(copying bytes: RawSpan) {
        self = bytes.withUnsafeBytes { Array($0) }
    }

    /// Appends a copy of lent bytes.
    public mutating func append(copying bytes: RawSpan) {
        bytes.withUnsafeBytes { append(contentsOf: $0) }
    }
}
