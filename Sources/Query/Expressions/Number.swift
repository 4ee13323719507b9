// The four numeric types of BSON as one Swift type, and sums over them.

import BSON
import Glibc

/// A number of any of BSON's numeric types.
enum Number {
    case int32(Int32)
    case int64(Int64)
    case double(Double)
    case decimal(Decimal128)

    /// The number in a value; nil for other types and for no value.
    @inline(__always)
    init?(_ value: ValueRef) {
        switch value.type {
        case .int32: self = .int32(value.view.int32 ?? 0)
        case .int64: self = .int64(value.view.int64 ?? 0)
        case .double: self = .double(value.view.double ?? 0)
        case .decimal128:
            guard let decimal = value.view.decimal128 else { return nil }
            self = .decimal(decimal)
        default: return nil
        }
    }

    /// The number as the nearest double.
    var double: Double {
        switch self {
        case .int32(let value): Double(value)
        case .int64(let value): Double(value)
        case .double(let value): value
        case .decimal(let value): value.roundedDouble
        }
    }

    /// The number as a decimal; doubles to the 15 digits that they are sure of, as MongoDB does.
    var decimal: Decimal128 {
        switch self {
        case .int32(let value): Decimal128(value)
        case .int64(let value): Decimal128(value)
        case .double(let value): Decimal128(fifteenDigits: value)
        case .decimal(let value): value
        }
    }

    /// The number as int64 if it is of an integer type.
    var integer: Int64? {
        switch self {
        case .int32(let value): Int64(value)
        case .int64(let value): value
        default: nil
        }
    }

    /// The number as int64 if it is whole and in range, whatever its type.
    var exactInt64: Int64? {
        switch self {
        case .int32(let value): Int64(value)
        case .int64(let value): value
        case .double(let value): Int64(exactly: value)
        case .decimal(let value): value.exactInt64
        }
    }

    var isDecimal: Bool {
        if case .decimal = self { true } else { false }
    }
    var isDouble: Bool {
        if case .double = self { true } else { false }
    }
    var isInt32: Bool {
        if case .int32 = self { true } else { false }
    }

    var isNaN: Bool {
        switch self {
        case .int32, .int64: false
        case .double(let value): value.isNaN
        case .decimal(let value): value.isNaN
        }
    }

    var isFinite: Bool {
        switch self {
        case .int32, .int64: true
        case .double(let value): value.isFinite
        case .decimal(let value): value.isFinite
        }
    }

    /// An integer as int32 where it fits and `narrow` allows it, else as int64.
    static func integer(_ value: Int64, narrow: Bool) -> Number {
        if narrow, let small = Int32(exactly: value) { return .int32(small) }
        return .int64(value)
    }
}

/// A running sum that is exact for integers and compensated for doubles.
///
/// Integers add up in 128 bits; doubles in a pair (sum, what rounding lost), so that 100 × 0.1 is
/// 10; decimals apart. The three meet when the result is read. Plain memory: no allocation.
struct NumberSum {
    private var integers: Int128 = 0
    private var sum = 0.0
    private var lost = 0.0
    private var decimals = Decimal128(Int32(0))
    private(set) var hasDecimal = false
    private(set) var hasDouble = false
    private(set) var hasInt64 = false
    /// Whether decimals may have been rounded to 34 digits, so that their order counts.
    private var roundsDecimals = false
    /// How many numbers were added.
    private(set) var count = 0

    init() {}

    /// What integers and doubles add up to; `sum + lost` is that of the doubles.
    init(
        integers: Int128, sum: Double, lost: Double, hasInt64: Bool, hasDouble: Bool, count: Int
    ) {
        self.integers = integers
        self.sum = sum
        self.lost = lost
        self.hasInt64 = hasInt64
        self.hasDouble = hasDouble
        self.count = count
    }

    /// Adds a value if it is a number.
    @inline(__always)
    mutating func add(_ value: ValueRef) {
        // SAFETY: the payload's size fits its type.
        switch value.kind {
        case BSONType.int32.rawValue:
            count += 1
            integers &+= Int128(value.bytes.unsafeLoadUnaligned(as: Int32.self))
        case BSONType.double.rawValue:
            count += 1
            hasDouble = true
            addDouble(Double(bitPattern: value.bytes.unsafeLoadUnaligned(as: UInt64.self)))
        default:
            if let number = Number(value) { add(number) }
        }
    }

    /// Adds a number.
    @inline(__always)
    mutating func add(_ number: Number) {
        count += 1
        switch number {
        case .int32(let value): integers &+= Int128(value)
        case .int64(let value):
            hasInt64 = true
            integers &+= Int128(value)
        case .double(let value):
            hasDouble = true
            addDouble(value)
        case .decimal(let value): addDecimal(value)
        }
    }

    private mutating func addDecimal(_ value: Decimal128) {
        if hasDecimal {
            let total = decimals.add(value)
            // An exact sum has as many places as the number with the most of them.
            if total.exponent != min(decimals.exponent, value.exponent) { roundsDecimals = true }
            decimals = total
        } else {
            decimals = value
            hasDecimal = true
        }
        if !decimals.isFinite { roundsDecimals = true }
    }

    /// Whether it doesn't matter in how many parts the numbers were added up: doubles aren't near
    /// the end of their range, where a part may reach what the whole doesn't, and no decimal was
    /// rounded.
    var isIndependentOfParts: Bool { sum.magnitude < 1e300 && !roundsDecimals }

    /// Adds what another sum holds.
    mutating func add(_ other: NumberSum) {
        count += other.count
        integers &+= other.integers
        if other.hasInt64 { hasInt64 = true }
        if other.hasDouble {
            hasDouble = true
            addDouble(other.sum)
            if other.lost.isFinite { lost += other.lost }
        }
        if other.hasDecimal { addDecimal(other.decimals) }
        if other.roundsDecimals { roundsDecimals = true }
    }

    /// The sum as bytes, for a temporary file of this process.
    var encoded: [UInt8] {
        // SAFETY: plain memory without references or padding that matters.
        withUnsafeBytes(of: self) { [UInt8]($0) }
    }

    /// The sum that `encoded` gave; an empty one for other bytes.
    init(encoded: RawSpan) {
        guard encoded.byteCount == MemoryLayout<NumberSum>.size else {
            self.init()
            return
        }
        // SAFETY: the size was checked; every field is plain memory that `encoded` wrote.
        self = encoded.withUnsafeBytes { $0.loadUnaligned(as: NumberSum.self) }
    }

    /// Knuth's two-sum: what `sum + value` rounds away goes to `lost`.
    @inline(__always)
    private mutating func addDouble(_ value: Double) {
        let total = sum + value
        let part = total - sum
        let error = (sum - (total - part)) + (value - part)
        sum = total
        // An infinity or NaN in `sum` would make the error NaN; it carries no information then.
        if error.isFinite { lost += error }
    }

    /// The sum of integers and doubles as the nearest double.
    private var doubleTotal: Double {
        guard integers != 0 else { return sum.isFinite ? sum + lost : sum }
        var both = self
        both.integers = 0
        let high = Double(integers)
        both.addDouble(high)
        if let highInteger = Int128(exactly: high) {
            both.addDouble(Double(integers - highInteger))
        }
        return both.doubleTotal
    }

    private var decimalTotal: Decimal128 {
        var total = decimals
        if hasDouble {
            total = total.add(Decimal128(rounding: sum))
            if lost != 0 { total = total.add(Decimal128(rounding: lost)) }
        }
        if let integer = Int64(exactly: integers) {
            if integer != 0 || !hasDouble { total = total.add(Decimal128(integer)) }
        } else {
            // Two 64-bit halves: high × 2^63 + low.
            let scale = Decimal128(Int64.max).add(Decimal128(Int32(1)))
            let (high, low) = integers.quotientAndRemainder(dividingBy: Int128(1) << 63)
            total = total.add(
                Decimal128(Int64(truncatingIfNeeded: high)).multiply(scale)
                    .add(Decimal128(Int64(truncatingIfNeeded: low))))
        }
        return total
    }

    /// The sum in the widest type that was added; an int64 overflow gives a double.
    var total: Number {
        if hasDecimal { return .decimal(decimalTotal) }
        if hasDouble { return .double(doubleTotal) }
        guard let integer = Int64(exactly: integers) else { return .double(Double(integers)) }
        return .integer(integer, narrow: !hasInt64)
    }

    /// The sum of integers alone, where it fits an int64.
    var integerTotal: Int64? { Int64(exactly: integers) }

    /// The mean; nil when nothing was added.
    var average: Number? {
        guard count > 0 else { return nil }
        if hasDecimal { return .decimal(decimalTotal.divide(Decimal128(Int64(count)))) }
        return .double(doubleTotal / Double(count))
    }
}
