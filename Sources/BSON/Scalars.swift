// The scalar types that Swift has no type for.

/// A 12-byte ObjectId: seconds since 1970, five random bytes of the process, a counter.
public struct ObjectID: Hashable, Sendable {
    /// Bytes 0 to 7, big-endian, so that comparing numbers compares bytes.
    let head: UInt64
    /// Bytes 8 to 11, big-endian.
    let tail: UInt32

    /// The first 12 of `bytes`; nil when there are fewer.
    public init?(_ bytes: RawSpan) {
        guard bytes.byteCount >= 12 else { return nil }
        head = UInt64(bigEndian: bytes.unsafeLoadUnaligned(as: UInt64.self))
        tail = UInt32(bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: 8, as: UInt32.self))
    }

    /// From its parts.
    package init(head: UInt64, tail: UInt32) {
        self.head = head
        self.tail = tail
    }

    /// The time in it, in seconds since 1970.
    public var seconds: UInt32 { UInt32(head >> 32) }
}

/// BSON's internal timestamp: seconds since 1970 and an ordinal within the second.
public struct Timestamp: RawRepresentable, Hashable, Comparable, Sendable {
    /// Seconds in the high half, ordinal in the low one.
    public let rawValue: UInt64

    /// From its 64 bits.
    public init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    /// From seconds and ordinal.
    public init(seconds: UInt32, ordinal: UInt32) {
        rawValue = UInt64(seconds) << 32 | UInt64(ordinal)
    }

    /// Seconds since 1970.
    public var seconds: UInt32 { UInt32(rawValue >> 32) }
    /// Counts within the second.
    public var ordinal: UInt32 { UInt32(truncatingIfNeeded: rawValue) }

    /// Unsigned order of the 64 bits.
    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        left.rawValue < right.rawValue
    }
}

/// An IEEE 754-2008 decimal128 in its binary integer encoding, as BSON stores it.
public struct Decimal128: Sendable {
    /// Bits 0 to 63.
    public let low: UInt64
    /// Bits 64 to 127: sign, exponent, the coefficient's top.
    public let high: UInt64

    /// From its 128 bits.
    @inlinable
    public init(low: UInt64, high: UInt64) {
        self.low = low
        self.high = high
    }
}
