import BSON

/// A number written out digit by digit: the oracle for comparisons between numeric types.
///
/// Finite numbers are a sign, decimal digits without leading or trailing zeros, and the exponent of
/// the digit before the first: value = 0.DIGITS * 10^exponent.
struct ExactDecimal {
    enum Kind { case nan, negativeInfinity, finite, infinity }

    var kind = Kind.finite
    var isNegative = false
    var digits: [UInt8] = []
    var exponent = 0

    private init(kind: Kind) {
        self.kind = kind
    }

    init(_ view: ValueView) {
        if let number = view.int32 {
            self.init(isNegative: number < 0, text: String(number.magnitude), exponent: 0)
        } else if let number = view.int64 {
            self.init(isNegative: number < 0, text: String(number.magnitude), exponent: 0)
        } else if let number = view.double {
            self.init(number)
        } else if let number = view.decimal128 {
            if number.isNaN {
                self.init(kind: .nan)
            } else if number.isInfinite {
                self.init(kind: number.isNegative ? .negativeInfinity : .infinity)
            } else {
                self.init(
                    isNegative: number.isNegative, text: String(number.coefficient),
                    exponent: number.exponent)
            }
        } else {
            self.init(kind: .nan)
        }
    }

    private init(isNegative: Bool, text: String, exponent: Int) {
        self.init(isNegative: isNegative, digits: text.utf8.map { $0 - 48 }, exponent: exponent)
    }

    private init(isNegative: Bool, digits: [UInt8], exponent: Int) {
        let trimmed = digits.drop { $0 == 0 }
        self.exponent = exponent + trimmed.count
        self.digits = Array(trimmed)
        while self.digits.last == 0 { self.digits.removeLast() }
        self.isNegative = isNegative && !self.digits.isEmpty
    }

    private init(_ number: Double) {
        guard number.isFinite else {
            self.init(kind: number.isNaN ? .nan : number < 0 ? .negativeInfinity : .infinity)
            return
        }
        // significand * 2^power by schoolbook doubling and halving.
        var significand = number.magnitude.significandBitPattern
        var power = -1074
        if number.isNormal {
            significand |= 1 << 52
            power = Int(number.exponentBitPattern) - 1075
        }
        var digits: [UInt8] = String(significand).utf8.map { $0 - 48 }
        var exponent = 0
        while power > 0 {
            var carry: UInt8 = 0
            for index in digits.indices.reversed() {
                let twice = digits[index] * 2 + carry
                digits[index] = twice % 10
                carry = twice / 10
            }
            if carry > 0 { digits.insert(carry, at: 0) }
            power -= 1
        }
        while power < 0 {
            // Half is five times a tenth.
            var carry: UInt8 = 0
            for index in digits.indices.reversed() {
                let fivefold = digits[index] * 5 + carry
                digits[index] = fivefold % 10
                carry = fivefold / 10
            }
            if carry > 0 { digits.insert(carry, at: 0) }
            exponent -= 1
            power += 1
        }
        self.init(isNegative: number < 0, digits: digits, exponent: exponent)
    }

    static func compare(_ left: ExactDecimal, _ right: ExactDecimal) -> Int {
        func place(_ number: ExactDecimal) -> Int {
            switch number.kind {
            case .nan: -9
            case .negativeInfinity: -5
            case .infinity: 5
            case .finite: number.digits.isEmpty ? 0 : (number.isNegative ? -1 : 1)
            }
        }
        let (a, b) = (place(left), place(right))
        if a != b || left.kind != .finite || a == 0 { return (a - b).signum() }
        if left.exponent != right.exponent {
            return (left.exponent - right.exponent).signum() * a
        }
        if left.digits == right.digits { return 0 }
        return left.digits.lexicographicallyPrecedes(right.digits) ? -a : a
    }
}
