// Decimal128 to and from text, as the BSON specification writes it (bson-decimal128.md): the
// scientific form only where the exponent is positive or the number below 10^-6; every digit and
// the exponent survive the round trip.

extension Decimal128: CustomStringConvertible, LosslessStringConvertible {
    /// Parses a number, `Infinity`, `Inf` or `NaN` in any case; nil for other text, and for
    /// numbers that 34 digits or the exponent's range don't hold exactly.
    public init?(_ description: String) {
        var text = description
        let parsed = text.withUTF8 { Decimal128.parse($0.span.bytes) }
        guard let parsed, parsed.isExact else { return nil }
        self = parsed.value
    }

    /// Parses as the exact initialiser does, but rounds to nearest even what doesn't fit; too large
    /// numbers become infinite. nil for other text.
    public init?(rounding text: String) {
        var text = text
        let parsed = text.withUTF8 { Decimal128.parse($0.span.bytes) }
        guard let parsed else { return nil }
        self = parsed.value
    }

    /// Parses as the exact initialiser does, but cuts digits beyond the 34th off; too large numbers
    /// become infinite. nil for other text.
    package init?(cutting text: String) {
        var text = text
        let parsed = text.withUTF8 { Decimal128.parse($0.span.bytes, isCut: true) }
        guard let parsed else { return nil }
        self = parsed.value
    }

    /// The text of the BSON specification.
    public var description: String {
        if isNaN { return "NaN" }
        let sign = isNegative ? "-" : ""
        if isInfinite { return sign + "Infinity" }
        let digits = String(coefficient)
        let exponent = exponent
        let scientific = exponent + digits.utf8.count - 1
        if exponent > 0 || scientific < -6 {
            let rest = digits.dropFirst()
            let point = rest.isEmpty ? "" : "."
            return sign + digits.prefix(1) + point + rest + "E"
                + (scientific < 0 ? "" : "+") + String(scientific)
        }
        if exponent == 0 { return sign + digits }
        let wholeCount = digits.utf8.count + exponent
        if wholeCount > 0 {
            return sign + digits.prefix(wholeCount) + "." + digits.dropFirst(wholeCount)
        }
        return sign + "0." + String(repeating: "0", count: -wholeCount) + digits
    }

    /// Parses UTF-8; `isExact` tells whether nothing was rounded. nil where it is no number.
    /// Digits that don't fit are rounded to nearest even, or cut off where `isCut`.
    package static func parse(
        _ text: RawSpan, isCut: Bool = false
    ) -> (value: Decimal128, isExact: Bool)? {
        var parser = DecimalParser(text, isCut: isCut)
        return parser.parse()
    }
}

/// What was cut off behind the last kept digit.
private enum Remainder {
    case zero
    case belowHalf
    case half
    case aboveHalf

    /// With a digit put before what was cut off so far.
    func preceded(by digit: UInt128) -> Remainder {
        if digit == 0 { return self == .zero ? .zero : .belowHalf }
        if digit < 5 { return .belowHalf }
        return digit > 5 || self != .zero ? .aboveHalf : .half
    }

    /// With a digit that is not zero put behind it.
    var followed: Remainder {
        switch self {
        case .zero, .belowHalf: .belowHalf
        case .half, .aboveHalf: .aboveHalf
        }
    }
}

private struct DecimalParser: ~Escapable {
    private let text: RawSpan
    private var offset = 0
    private var coefficient: UInt128 = 0
    private var digitCount = 0
    private var exponent = 0
    private var remainder = Remainder.zero
    private var hasCut = false
    /// Whether digits that don't fit are dropped, not rounded.
    private let isCut: Bool

    @_lifetime(copy text)
    init(_ text: RawSpan, isCut: Bool) {
        self.text = text
        self.isCut = isCut
    }

    /// The byte at the current place; 0 at the end.
    private var current: UInt8 {
        // SAFETY: compared with the span's size first.
        offset < text.byteCount ? text.unsafeLoad(fromByteOffset: offset, as: UInt8.self) : 0
    }

    @_lifetime(self: copy self)
    mutating func parse() -> (value: Decimal128, isExact: Bool)? {
        var isNegative = false
        if current == UInt8(ascii: "-") || current == UInt8(ascii: "+") {
            isNegative = current == UInt8(ascii: "-")
            offset += 1
        }
        if let special = special() {
            let sign: UInt64 = isNegative ? 1 << 63 : 0
            return (Decimal128(low: special.low, high: special.high | sign), true)
        }
        guard scanDigits(), scanExponent(), offset == text.byteCount else { return nil }
        return finish(isNegative)
    }

    private func special() -> Decimal128? {
        let rest = text.extracting(offset..<text.byteCount)
        if rest.equalsIgnoringCase("nan") { return .nan }
        if rest.equalsIgnoringCase("inf") || rest.equalsIgnoringCase("infinity") {
            return .infinity
        }
        return nil
    }

    @_lifetime(self: copy self)
    private mutating func scanDigits() -> Bool {
        var hasDigits = false
        var hasPoint = false
        while true {
            let byte = current
            if byte == UInt8(ascii: "."), !hasPoint {
                hasPoint = true
            } else if byte >= 48, byte <= 57 {
                hasDigits = true
                take(UInt128(byte - 48), isFraction: hasPoint)
            } else {
                return hasDigits
            }
            offset += 1
        }
    }

    @_lifetime(self: copy self)
    private mutating func take(_ digit: UInt128, isFraction: Bool) {
        if digitCount < 34 {
            coefficient = coefficient * 10 + digit
            if coefficient != 0 { digitCount += 1 }
            if isFraction { exponent -= 1 }
            return
        }
        // Cut digits: the first decides, the others only tip a half.
        if !hasCut {
            remainder = Remainder.zero.preceded(by: digit)
        } else if digit != 0 {
            remainder = remainder.followed
        }
        hasCut = true
        if !isFraction { exponent += 1 }
    }

    @_lifetime(self: copy self)
    private mutating func scanExponent() -> Bool {
        guard current | 0x20 == UInt8(ascii: "e") else { return true }
        offset += 1
        var isNegative = false
        if current == UInt8(ascii: "-") || current == UInt8(ascii: "+") {
            isNegative = current == UInt8(ascii: "-")
            offset += 1
        }
        guard current >= 48, current <= 57 else { return false }
        var shift = 0
        while current >= 48, current <= 57 {
            // Far outside the range it no longer matters how far.
            if shift < 1 << 32 { shift = shift * 10 + Int(current - 48) }
            offset += 1
        }
        exponent += isNegative ? -shift : shift
        return true
    }

    /// Rounds, and moves the exponent into its range where zeros allow it.
    @_lifetime(self: copy self)
    private mutating func finish(_ isNegative: Bool) -> (value: Decimal128, isExact: Bool) {
        if coefficient == 0 {
            let clamped = min(max(exponent, Decimal128.exponentMin), Decimal128.exponentMax)
            let zero = Decimal128(isNegative: isNegative, coefficient: 0, exponent: clamped)
            return (zero, remainder == .zero)
        }
        while exponent < Decimal128.exponentMin, coefficient != 0 {
            let (rest, digit) = coefficient.quotientAndRemainder(dividingBy: 10)
            remainder = remainder.preceded(by: digit)
            coefficient = rest
            exponent += 1
        }
        exponent = max(exponent, Decimal128.exponentMin)
        let isExact = remainder == .zero
        let roundsUp = remainder == .aboveHalf || remainder == .half && coefficient & 1 == 1
        if roundsUp, !isCut {
            coefficient += 1
            if coefficient > Decimal128.coefficientMax {
                coefficient /= 10
                exponent += 1
            }
        }
        while exponent > Decimal128.exponentMax, coefficient <= Decimal128.coefficientMax / 10 {
            coefficient *= 10
            exponent -= 1
        }
        guard exponent <= Decimal128.exponentMax else {
            return (isNegative ? Decimal128.infinity.negated : .infinity, false)
        }
        let value = Decimal128(
            isNegative: isNegative, coefficient: coefficient, exponent: exponent)
        return (value, isExact)
    }
}

extension RawSpan {
    /// Whether these are the letters of a lower-case ASCII literal in any case.
    func equalsIgnoringCase(_ literal: StaticString) -> Bool {
        let expected = RawSpan(literal)
        guard byteCount == expected.byteCount else { return false }
        for index in 0..<byteCount {
            // SAFETY: `index` is below both sizes.
            let byte = unsafeLoad(fromByteOffset: index, as: UInt8.self)
            guard byte | 0x20 == expected.unsafeLoad(fromByteOffset: index, as: UInt8.self) else {
                return false
            }
        }
        return true
    }
}
