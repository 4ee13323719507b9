// $ceil $floor $round $trunc.

import BSON
import Glibc

enum RoundingOperators {
    static let rows: [OperatorRow] = [
        .unary("$ceil") { arguments, context throws(DBError) in
            try integral(arguments, .up, "$ceil", &context)
        },
        .unary("$floor") { arguments, context throws(DBError) in
            try integral(arguments, .down, "$floor", &context)
        },
        .list("$round", 1...2, .nullIfAny) { arguments, context throws(DBError) in
            try placed(arguments, .toNearestOrEven, "$round", &context)
        },
        .list("$trunc", 1...2, .nullIfAny) { arguments, context throws(DBError) in
            try placed(arguments, .towardZero, "$trunc", &context)
        },
    ]

    private static func integral(
        _ arguments: Arguments, _ rule: FloatingPointRoundingRule, _ name: String,
        _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let value = arguments(0, context)
        switch try ArithmeticOperators.number(value, name) {
        case .int32, .int64: return value
        case .double(let number): return context.make(number.rounded(rule))
        case .decimal(let number): return context.make(number.rounded(rule))
        }
    }

    private static func placed(
        _ arguments: Arguments, _ rule: FloatingPointRoundingRule, _ name: String,
        _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let value = arguments(0, context)
        let number = try ArithmeticOperators.number(value, name, 51081)
        let places = arguments.count > 1 ? try place(arguments(1, context), name) : 0
        switch number {
        case .int32(let integer):
            let rounded = rounded(Int128(integer), places, rule)
            return context.make(Number.integer(Int64(truncatingIfNeeded: rounded), narrow: true))
        case .int64(let integer):
            let rounded = rounded(Int128(integer), places, rule)
            guard let fitting = Int64(exactly: rounded) else {
                throw .location(51080, "Invalid conversion to long during \(name)")
            }
            return context.make(fitting)
        case .double(let double):
            return context.make(rounded(double, places, rule))
        case .decimal(let decimal):
            return context.make(decimal.rounded(places: places, rule))
        }
    }

    private static func place(_ value: ValueRef, _ name: String) throws(DBError) -> Int {
        if case .decimal(let decimal) = Number(value), decimal.exactInt64 == nil {
            throw .location(51082, "precision argument to \(name) must be a integral value")
        }
        let number = try Coercion.integer(value)
        guard number == Number(value)?.exactInt64 else {
            throw .location(51082, "precision argument to \(name) must be a integral value")
        }
        guard (-20...100).contains(number) else {
            throw .location(
                51083,
                "cannot apply \(name) with precision value \(number) value must be in "
                    + "[-20, 100]")
        }
        return Int(number)
    }

    private static func rounded(
        _ integer: Int128, _ places: Int, _ rule: FloatingPointRoundingRule
    ) -> Int128 {
        guard places < 0 else { return integer }
        var unit: Int128 = 1
        for _ in 0..<(-places) { unit *= 10 }
        let (quotient, rest) = integer.quotientAndRemainder(dividingBy: unit)
        guard rule == .toNearestOrEven else { return quotient * unit }
        let doubled = rest.magnitude * 2
        let away = doubled > unit.magnitude || (doubled == unit.magnitude && quotient % 2 != 0)
        return (quotient + (away ? integer.signum() : 0)) * unit
    }

    /// On the double's exact value, by way of decimals: 34 digits hold what counts.
    private static func rounded(
        _ double: Double, _ places: Int, _ rule: FloatingPointRoundingRule
    ) -> Double {
        guard double.isFinite else { return double }
        if places == 0 { return double.rounded(rule) }
        let exact = Decimal128(rounding: double)
        let result = exact.rounded(places: places, rule).roundedDouble
        return result == 0 ? Double(signOf: double, magnitudeOf: 0) : result
    }
}

/// Conversions that operators apply to their secondary arguments.
enum Coercion {
    /// An int32 from any number, truncated: 16004 for other types, 31109 out of range.
    static func integer(_ value: ValueRef) throws(DBError) -> Int64 {
        guard let number = Number(value) else {
            throw .location(
                16004, "can't convert from BSON type \(value.typeName) to int")
        }
        let truncated: Int64? =
            switch number {
            case .int32(let integer): Int64(integer)
            case .int64(let integer): integer
            case .double(let double): Int64(exactly: double.rounded(.towardZero))
            case .decimal(let decimal): decimal.truncatedInt64
            }
        guard let truncated, Int32(exactly: truncated) != nil else {
            throw .location(31109, "Can't coerce out of range value to int")
        }
        return truncated
    }

    /// A whole number within int32 of any numeric type; `notNumeric` and `notWhole` are the errors.
    static func wholeInt32(
        _ value: ValueRef, _ what: String, notNumeric: Int32, notWhole: Int32
    ) throws(DBError) -> Int {
        guard let number = Number(value) else {
            throw .location(notNumeric, "\(what) must be a number, but is \(value.typeName)")
        }
        guard let whole = number.exactInt64, let small = Int32(exactly: whole) else {
            throw .location(notWhole, "\(what) must be representable as a 32-bit integer")
        }
        return Int(small)
    }
}
