// Angles and hyperbolas in decimal128.

internal import CDecimal

// MARK: Trigonometry

extension Decimal128 {
    /// The sine of an angle in radians; NaN for infinities.
    public var sine: Decimal128 { Decimal128(decimal_sine(bits)) }
    /// The cosine of an angle in radians; NaN for infinities.
    public var cosine: Decimal128 { Decimal128(decimal_cosine(bits)) }
    /// The tangent of an angle in radians; NaN for infinities.
    public var tangent: Decimal128 { Decimal128(decimal_tangent(bits)) }
    /// The angle in radians whose sine this is; NaN outside -1 to 1.
    public var arcsine: Decimal128 { Decimal128(decimal_arcsine(bits)) }
    /// The angle in radians whose cosine this is; NaN outside -1 to 1.
    public var arccosine: Decimal128 { Decimal128(decimal_arccosine(bits)) }
    /// The angle in radians whose tangent this is.
    public var arctangent: Decimal128 { Decimal128(decimal_arctangent(bits)) }
    /// The hyperbolic sine.
    public var hyperbolicSine: Decimal128 { Decimal128(decimal_hyperbolic_sine(bits)) }
    /// The hyperbolic cosine.
    public var hyperbolicCosine: Decimal128 { Decimal128(decimal_hyperbolic_cosine(bits)) }
    /// The hyperbolic tangent.
    public var hyperbolicTangent: Decimal128 { Decimal128(decimal_hyperbolic_tangent(bits)) }
    /// The inverse of the hyperbolic sine.
    public var hyperbolicArcsine: Decimal128 { Decimal128(decimal_hyperbolic_arcsine(bits)) }
    /// The inverse of the hyperbolic cosine; NaN below 1.
    public var hyperbolicArccosine: Decimal128 { Decimal128(decimal_hyperbolic_arccosine(bits)) }
    /// The inverse of the hyperbolic tangent; NaN outside -1 to 1.
    public var hyperbolicArctangent: Decimal128 { Decimal128(decimal_hyperbolic_arctangent(bits)) }

    /// The angle in radians of the point (`x`, this).
    public func arctangent(over x: Decimal128) -> Decimal128 {
        Decimal128(decimal_arctangent2(bits, x.bits))
    }
}
