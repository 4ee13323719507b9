// Decimal128 arithmetic by Intel's decimal library, which is MongoDB's own. Every operation rounds
// to nearest even at 34 digits unless it takes a direction; nothing here traps or throws: what is
// undefined is NaN, what is too large infinite.
//
// The bits (IEEE 754-2008, binary integer encoding): sign, 14 bits of exponent biased by 6176,
// 113 bits of coefficient. Coefficients of 10^34 and above, and those of the encoding's second
// form, count as zero.

internal import CDecimal

extension Decimal128 {
    /// A quiet NaN.
    public static let nan = Decimal128(low: 0, high: 0x7C00_0000_0000_0000)
    /// Positive infinity.
    public static let infinity = Decimal128(low: 0, high: 0x7800_0000_0000_0000)
    /// Zero with exponent 0.
    public static let zero = Decimal128(low: 0, high: 0x3040_0000_0000_0000)

    /// The exponent of 10 that bias 0 stands for.
    package static let exponentMin = -6176
    /// The largest exponent of 10.
    package static let exponentMax = 6111
    /// The largest coefficient, 10^34 - 1.
    static let coefficientMax: UInt128 = 9_999_999_999_999_999_999_999_999_999_999_999

    /// From its parts: coefficient below 10^34, exponent within `exponentMin...exponentMax`.
    init(isNegative: Bool, coefficient: UInt128, exponent: Int) {
        let biased = UInt64(truncatingIfNeeded: exponent - Decimal128.exponentMin)
        low = UInt64(truncatingIfNeeded: coefficient)
        high =
            (isNegative ? 1 << 63 : 0) | biased << 49
            | UInt64(truncatingIfNeeded: coefficient >> 64)
    }

    /// Whether the sign bit is set, for NaN and zero too.
    public var isNegative: Bool { high >> 63 != 0 }

    /// Whether this is a NaN.
    public var isNaN: Bool { high >> 58 & 0x1F == 0x1F }

    /// Whether this is an infinity of either sign.
    public var isInfinite: Bool { high >> 58 & 0x1F == 0x1E }

    /// Whether this is a number: neither NaN nor infinite.
    public var isFinite: Bool { high >> 58 & 0x1F < 0x1E }

    /// Whether this is a zero of either sign and any exponent.
    public var isZero: Bool { isFinite && coefficient == 0 }

    /// The coefficient of a finite number, at most 10^34 - 1.
    package var coefficient: UInt128 {
        guard high >> 61 & 0x3 != 0x3 else { return 0 }
        let value = UInt128(high & 0x0001_FFFF_FFFF_FFFF) << 64 | UInt128(low)
        return value <= Decimal128.coefficientMax ? value : 0
    }

    /// The exponent of 10 of a finite number.
    package var exponent: Int {
        let shift = high >> 61 & 0x3 == 0x3 ? high >> 47 : high >> 49
        return Int(shift & 0x3FFF) + Decimal128.exponentMin
    }

    var bits: decimal_bits { decimal_bits(low: low, high: high) }

    init(_ bits: decimal_bits) {
        self.init(low: bits.low, high: bits.high)
    }
}

// MARK: Order

extension Decimal128 {
    /// Numeric order: negative, zero or positive. NaN equals NaN and is below every number;
    /// -0 equals 0; 1.0 equals 1.00.
    public func compare(_ other: Decimal128) -> Int {
        let order = decimal_compare(bits, other.bits)
        if order != 2 { return Int(order) }
        return (isNaN ? 0 : 1) - (other.isNaN ? 0 : 1)
    }

    /// Exact numeric order against a double, which is not rounded for it.
    public func compare(_ other: Double) -> Int {
        if other.isNaN || isNaN { return (isNaN ? 0 : 1) - (other.isNaN ? 0 : 1) }
        // A double needs up to 767 digits. Cut to 34, it is equal to what 34 digits can say or
        // lies strictly between two neighbours; then the smaller magnitude decides.
        var isExact = false
        let cut = decimal_from_double(other, decimal_toward_zero, &isExact)
        let order = decimal_compare(bits, cut)
        if order != 0 || isExact { return Int(order) }
        return other > 0 ? -1 : 1
    }
}

extension Decimal128: Hashable {
    /// Numeric equality, NaN equal to itself.
    public static func == (left: Decimal128, right: Decimal128) -> Bool {
        left.compare(right) == 0
    }

    /// Agrees with `==`, and with the hash of equal numbers of other types.
    public func hash(into hasher: inout Hasher) {
        if let integer = exactInt64 {
            hasher.combine(integer)
        } else {
            hashNumber(truncatedDouble.value, into: &hasher)
        }
    }
}

// MARK: Conversion

extension Decimal128 {
    /// Exactly `value`.
    public init(_ value: Int64) {
        self.init(decimal_from_int64(value))
    }

    /// Exactly `value`.
    public init(_ value: Int32) {
        self.init(decimal_from_int64(Int64(value)))
    }

    /// `value` to 34 digits.
    public init(rounding value: Double) {
        var isExact = false
        self.init(decimal_from_double(value, decimal_nearest_even, &isExact))
    }

    /// The integer that this is; nil when it has a fraction or does not fit.
    public var exactInt64: Int64? {
        var isExact = false
        let value = decimal_to_int64_exact(bits, &isExact)
        return isExact ? value : nil
    }

    /// The integral part; nil for NaN, infinities and what does not fit.
    public var truncatedInt64: Int64? {
        rounded(.towardZero).exactInt64
    }

    /// The double that this is; nil when it must be rounded.
    public var exactDouble: Double? {
        var isExact = false
        let value = decimal_to_double(bits, decimal_nearest_even, &isExact)
        return isExact ? value : nil
    }

    /// The nearest double.
    public var roundedDouble: Double {
        var isExact = false
        return decimal_to_double(bits, decimal_nearest_even, &isExact)
    }

    /// The double next to this towards zero, and whether it is this.
    var truncatedDouble: (value: Double, isExact: Bool) {
        var isExact = false
        let value = decimal_to_double(bits, decimal_toward_zero, &isExact)
        return (value, isExact)
    }
}

// MARK: Arithmetic

extension Decimal128 {
    /// Sum.
    public func add(_ other: Decimal128) -> Decimal128 {
        Decimal128(decimal_add(bits, other.bits))
    }

    /// Difference.
    public func subtract(_ other: Decimal128) -> Decimal128 {
        Decimal128(decimal_subtract(bits, other.bits))
    }

    /// Product.
    public func multiply(_ other: Decimal128) -> Decimal128 {
        Decimal128(decimal_multiply(bits, other.bits))
    }

    /// Quotient; x/0 is infinite, 0/0 NaN.
    public func divide(_ other: Decimal128) -> Decimal128 {
        Decimal128(decimal_divide(bits, other.bits))
    }

    /// Remainder with the sign of `self`, as C's fmod; NaN for a zero divisor.
    public func mod(_ other: Decimal128) -> Decimal128 {
        Decimal128(decimal_remainder(bits, other.bits))
    }

    /// The magnitude.
    public var magnitude: Decimal128 { Decimal128(low: low, high: high & ~(1 << 63)) }

    /// The value with the other sign.
    public var negated: Decimal128 { Decimal128(low: low, high: high ^ 1 << 63) }

    /// Square root; NaN below zero.
    public var squareRoot: Decimal128 { Decimal128(decimal_square_root(bits)) }

    /// e to this power.
    public var exponential: Decimal128 { Decimal128(decimal_exponential(bits)) }

    /// Natural logarithm; NaN below zero.
    public var naturalLogarithm: Decimal128 { Decimal128(decimal_natural_logarithm(bits)) }

    /// Logarithm to base 10; NaN below zero.
    public var commonLogarithm: Decimal128 { Decimal128(decimal_common_logarithm(bits)) }

    /// This to the power `exponent`.
    public func power(_ exponent: Decimal128) -> Decimal128 {
        Decimal128(decimal_power(bits, exponent.bits))
    }

    /// As an integral value; NaN and infinities stay. Floor is `.down`, ceiling `.up`.
    public func rounded(_ rule: FloatingPointRoundingRule) -> Decimal128 {
        Decimal128(decimal_round_integral(bits, direction(rule)))
    }

    /// With the exponent of `other`; NaN where 34 digits don't hold that.
    public func quantized(
        like other: Decimal128, _ rule: FloatingPointRoundingRule = .toNearestOrEven
    ) -> Decimal128 {
        Decimal128(decimal_quantize(bits, other.bits, direction(rule)))
    }

    /// Rounded to `places` digits behind the point (before it, when negative). A value that has
    /// no more digits than that stays as it is.
    public func rounded(
        places: Int, _ rule: FloatingPointRoundingRule = .toNearestOrEven
    ) -> Decimal128 {
        let places = min(max(places, -10_000), 10_000)
        guard isFinite, exponent < -places else { return self }
        guard -places <= Decimal128.exponentMax else { return .zero }
        let unit = Decimal128(isNegative: false, coefficient: 1, exponent: -places)
        return quantized(like: unit, rule)
    }

    private func direction(_ rule: FloatingPointRoundingRule) -> decimal_rounding {
        switch rule {
        case .toNearestOrEven: decimal_nearest_even
        case .toNearestOrAwayFromZero: decimal_nearest_away
        case .up: decimal_upward
        case .down: decimal_downward
        case .towardZero: decimal_toward_zero
        case .awayFromZero: isNegative ? decimal_downward : decimal_upward
        @unknown default: decimal_nearest_even
        }
    }
}
