// Command fields take any kind of number where they want an integer.

extension ValueView {
    /// The number as an integer, as commands read it: a double's fraction is cut off, a decimal is
    /// rounded to the nearest, to even half-way; beyond int64 the nearest of its ends; NaN is 0; nil
    /// for what is no number.
    package var truncatedInteger: Int64? {
        switch type {
        case .int32: return int32.map(Int64.init)
        case .int64: return int64
        case .double:
            guard let double else { return nil }
            if double.isNaN { return 0 }
            return Int64(exactly: double.rounded(.towardZero)) ?? (double < 0 ? .min : .max)
        case .decimal128: return decimal128?.nearestInteger
        default: return nil
        }
    }

    /// The number where it is an integer within int64, else nil.
    package var exactInteger: Int64? {
        switch type {
        case .double: return double.flatMap { Int64(exactly: $0) }
        case .decimal128:
            guard let decimal128 else { return nil }
            let nearest = decimal128.nearestInteger
            return Decimal128(nearest) == decimal128 ? nearest : nil
        default: return truncatedInteger
        }
    }
}

extension Decimal128 {
    /// The nearest integer, to even half-way; beyond int64 the nearest of its ends; NaN is 0.
    var nearestInteger: Int64 {
        // Combination bits 11111 are NaN, 11110 infinity.
        let isNegative = high >> 63 == 1
        if high >> 58 & 0x1F == 0x1F { return 0 }
        if high >> 58 & 0x1F == 0x1E { return isNegative ? .min : .max }
        let whole = rounded(.toNearestOrEven)
        if whole.isZero { return 0 }
        var coefficient = whole.coefficient
        var exponent = whole.exponent
        while exponent < 0, coefficient > 0 {
            coefficient /= 10
            exponent += 1
        }
        while exponent > 0, coefficient <= UInt128(UInt64.max) {
            coefficient *= 10
            exponent -= 1
        }
        guard let magnitude = Int64(exactly: coefficient) else { return isNegative ? .min : .max }
        return isNegative ? -magnitude : magnitude
    }
}
