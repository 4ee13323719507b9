// Decimal128 by Intel's decimal library, which is MongoDB's own.

extension Decimal128 {
    /// Whether this is a zero of either sign and any exponent.
    public var isZero: Bool {
        // With the two top combination bits set, the coefficient is out of range and counts as zero.
        let isInfiniteOrNaN = high >> 58 & 0x1F >= 0x1E
        if isInfiniteOrNaN { return false }
        if high >> 61 & 0x3 == 0x3 { return true }
        return low == 0 && high & 0x0001_FFFF_FFFF_FFFF == 0
    }
}
