// Decimals as values, and the conversion from double that MongoDB's arithmetic uses.

extension Decimal128 {
    /// `value` to 15 significant digits, trailing zeros kept, as MongoDB converts a double that
    /// meets a decimal: 5.5 becomes 5.50000000000000, 0.1 becomes 0.100000000000000.
    public init(fifteenDigits value: Double) {
        let exact = Decimal128(rounding: value)
        guard exact.isFinite, !exact.isZero else {
            self = exact
            return
        }
        let place = exact.exponent + decimalDigitCount(exact.coefficient) - 15
        let unit = Decimal128(isNegative: false, coefficient: 1, exponent: place)
        let rounded = exact.quantized(like: unit)
        // 9.9…9 may have become 10.0…0, which has a digit too many.
        guard rounded.coefficient >= 1_000_000_000_000_000 else {
            self = rounded
            return
        }
        self = rounded.quantized(
            like: Decimal128(isNegative: false, coefficient: 1, exponent: place + 1))
    }
}

extension Value {
    /// A decimal128.
    public init(_ decimal: Decimal128) {
        self = .decimal128(low: decimal.low, high: decimal.high)
    }
}

extension DocumentWriter {
    /// Appends a decimal128.
    public mutating func append(_ name: String, _ value: Decimal128) {
        appendHeader(.decimal128, name)
        appendPayload(value)
    }

    /// Appends a decimal128's payload.
    public mutating func appendPayload(_ value: Decimal128) {
        appendRaw(value.low)
        appendRaw(value.high)
    }
}
