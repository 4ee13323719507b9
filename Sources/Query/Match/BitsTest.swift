// $bitsAllSet, $bitsAnySet, $bitsAllClear, $bitsAnyClear.

internal import BSON

/// A test of bit positions of integers and binary data. Integers are sign-extended without end,
/// binary data is little-endian and zero beyond its length.
package struct BitsTest: Sendable, Hashable {
    /// What must hold for the positions.
    package enum Kind: UInt8, Sendable, Hashable {
        case allSet
        case allClear
        case anySet
        case anyClear
    }

    let kind: Kind
    /// Positions, ascending, distinct.
    let positions: [UInt32]
    /// The positions below 64 as a mask.
    private let low: UInt64
    /// Whether there are positions beyond 63: those read an integer's sign.
    private let hasHigh: Bool

    init(_ kind: Kind, positions: [UInt32]) {
        self.kind = kind
        self.positions = Array(Set(positions)).sorted()
        low = positions.reduce(0) { $1 < 64 ? $0 | 1 << UInt64($1) : $0 }
        hasHigh = positions.contains { $0 >= 64 }
    }

    /// Whether the value is an integer (of any numeric type) or binary data and passes. O(1) for
    /// integers, O(positions) for binary data.
    func matches(_ value: ValueView) -> Bool {
        if let binary = value.binary { return matches(binary.content) }
        guard let integer = value.wholeInt64 else { return false }
        let bits = UInt64(bitPattern: integer)
        let isHighSet = integer < 0
        switch kind {
        case .allSet: return bits & low == low && (!hasHigh || isHighSet)
        case .allClear: return bits & low == 0 && (!hasHigh || !isHighSet)
        case .anySet: return bits & low != 0 || hasHigh && isHighSet
        case .anyClear: return ~bits & low != 0 || hasHigh && !isHighSet
        }
    }

    private func matches(_ bytes: RawSpan) -> Bool {
        let wantsSet = kind == .allSet || kind == .anySet
        let wantsAll = kind == .allSet || kind == .allClear
        for position in positions {
            let index = Int(position >> 3)
            // SAFETY: loaded only below the span's size.
            let isSet =
                index < bytes.byteCount
                && bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self) >> (position & 7) & 1
                    == 1
            if (isSet == wantsSet) != wantsAll { return !wantsAll }
        }
        return wantsAll
    }
}

extension ValueView {
    /// The number as an int64 when it is whole and fits, whatever its type; else nil.
    var wholeInt64: Int64? {
        switch type {
        case .int32: int32.map { Int64($0) }
        case .int64: int64
        case .double: double.flatMap { Int64(exactly: $0) }
        case .decimal128: decimal128?.exactInt64
        default: nil
        }
    }

    /// The number cut to an int64 toward zero; nil for NaN, what does not fit, and other types.
    var truncatedInt64: Int64? {
        switch type {
        case .int32: int32.map { Int64($0) }
        case .int64: int64
        case .double: double.flatMap { Int64(exactly: $0.rounded(.towardZero)) }
        case .decimal128: decimal128?.truncatedInt64
        default: nil
        }
    }
}
