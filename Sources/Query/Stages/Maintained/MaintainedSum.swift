// A sum from which numbers can be taken away again.
//
// Taking a double away from a rounded sum would leave the rounding behind, and the sum would drift
// from what adding up anew gives. So doubles are added exactly, in fixed point; a number that does
// not fit (very large or very small, an infinity, a decimal) is only counted, and while there is
// one the sum is not known.

import BSON

/// The sum of $sum, $avg and $count over documents that come and go.
struct MaintainedSum {
    private var integers: Int128 = 0
    /// Doubles, times 2 to the 64th.
    private var fractions: Int128 = 0
    private var int32Count = 0
    private var int64Count = 0
    private var doubleCount = 0
    private var otherCount = 0

    /// Adds (1) or takes away (-1) a value if it is a number.
    mutating func change(_ value: ValueRef, by sign: Int) {
        guard let number = Number(value) else { return }
        switch number {
        case .int32(let value):
            int32Count += sign
            integers += Int128(value) * Int128(sign)
        case .int64(let value):
            int64Count += sign
            integers += Int128(value) * Int128(sign)
        case .double(let value):
            guard let fixed = Self.fixed(value) else {
                otherCount += sign
                return
            }
            doubleCount += sign
            fractions += fixed * Int128(sign)
        case .decimal: otherCount += sign
        }
    }

    /// Adds (1) or takes away (-1) a document.
    mutating func count(by sign: Int) {
        int32Count += sign
        integers += Int128(sign)
    }

    /// The double in fixed point, where that is exact and 2^30 of its size can be added up.
    private static func fixed(_ value: Double) -> Int128? {
        guard value.isFinite, value.magnitude < 0x1p32 else { return nil }
        return Int128(exactly: value * 0x1p64)
    }

    /// The sum as $group keeps it; nil where it must be added up anew.
    var sum: NumberSum? {
        guard otherCount == 0 else { return nil }
        let high = Double(fractions)
        let low = Int128(exactly: high).map { Double(fractions - $0) } ?? 0
        return NumberSum(
            integers: integers, sum: high * 0x1p-64, lost: low * 0x1p-64,
            hasInt64: int64Count > 0, hasDouble: doubleCount > 0,
            count: int32Count + int64Count + doubleCount)
    }
}
