// $add $subtract $multiply $divide $mod $abs $exp $ln $log $log10 $pow $sqrt.
//
// The result is decimal if any argument is, else double if any is, else the narrowest integer that
// holds it (never narrower than the widest argument); int64 overflow gives a double.

import BSON
import Glibc

enum ArithmeticOperators {
    static let rows: [OperatorRow] = [
        .list("$add", OperatorTable.any, .passed, add),
        .list("$subtract", 2...2, .nullIfAny, subtract),
        .list("$multiply", OperatorTable.any, .passed, multiply),
        .list("$divide", 2...2, .nullIfAny, divide),
        .list("$mod", 2...2, .nullIfAny, mod),
        .unary("$abs", absolute),
        .unary("$exp", exponential),
        .unary("$sqrt", squareRoot),
        .unary("$ln", naturalLogarithm),
        .unary("$log10", commonLogarithm),
        .list("$log", 2...2, .nullIfAny, logarithm),
        .list("$pow", 2...2, .nullIfAny, power),
    ]

    /// The number of a one-argument function; 28765 for other types.
    static func number(
        _ value: ValueRef, _ name: String, _ code: Int32 = 28765
    ) throws(DBError) -> Number {
        guard let number = Number(value) else {
            throw .location(code, "\(name) only supports numeric types, not \(value.typeName)")
        }
        return number
    }

    // MARK: Sums and products

    @Sendable
    static func add(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        var sum = NumberSum()
        var date: Int64?
        for index in 0..<arguments.count {
            let value = arguments(index, context)
            if let number = Number(value) {
                sum.add(number)
            } else if value.isNullish {
                return .null
            } else if value.isType(.date) {
                if date != nil {
                    throw .location(16612, "only one date allowed in an $add expression")
                }
                date = value.view.dateMillis
            } else {
                throw DBError(
                    .typeMismatch,
                    "$add only supports numeric or date types, not \(value.typeName)")
            }
        }
        guard let date else { return context.make(sum.total) }
        let shift = try milliseconds(sum.total, "$add")
        let (moved, overflow) = date.addingReportingOverflow(shift)
        if overflow { throw DBError(.overflow, "date overflow in $add") }
        return context.make(moved, .date)
    }

    /// A number of milliseconds to move a date by: halves away from zero.
    private static func milliseconds(_ number: Number, _ name: String) throws(DBError) -> Int64 {
        let millis: Int64? =
            switch number {
            case .int32(let value): Int64(value)
            case .int64(let value): value
            case .double(let value): Int64(exactly: value.rounded(.toNearestOrAwayFromZero))
            case .decimal(let value):
                value.rounded(.toNearestOrAwayFromZero).exactInt64
            }
        guard let millis else { throw DBError(.overflow, "date overflow in \(name)") }
        return millis
    }

    @Sendable
    static func subtract(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let left = arguments(0, context)
        let right = arguments(1, context)
        if let minuend = Number(left), let subtrahend = Number(right) {
            return context.make(difference(minuend, subtrahend))
        }
        if left.isType(.date) {
            let date = left.view.dateMillis ?? 0
            if right.isType(.date) {
                let (millis, overflow) = date.subtractingReportingOverflow(
                    right.view.dateMillis ?? 0)
                if overflow { throw DBError(.overflow, "date overflow in $subtract") }
                return context.make(millis)
            }
            if let number = Number(right) {
                let shift = try milliseconds(number, "$subtract")
                let (millis, overflow) = date.subtractingReportingOverflow(shift)
                if overflow { throw DBError(.overflow, "date overflow in $subtract") }
                return context.make(millis, .date)
            }
        }
        throw DBError(
            .typeMismatch, "can't $subtract \(right.typeName) from \(left.typeName)")
    }

    private static func difference(_ left: Number, _ right: Number) -> Number {
        if left.isDecimal || right.isDecimal {
            return .decimal(left.decimal.subtract(right.decimal))
        }
        guard let first = left.integer, let second = right.integer else {
            return .double(left.double - right.double)
        }
        let (result, overflow) = first.subtractingReportingOverflow(second)
        if overflow { return .double(Double(first) - Double(second)) }
        return .integer(result, narrow: left.isInt32 && right.isInt32)
    }

    @Sendable
    static func multiply(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        var product = Number.int32(1)
        for index in 0..<arguments.count {
            let value = arguments(index, context)
            if value.isNullish { return .null }
            guard let factor = Number(value) else {
                throw DBError(
                    .typeMismatch, "$multiply only supports numeric types, not \(value.typeName)")
            }
            product = multiplied(product, factor)
        }
        return context.make(product)
    }

    private static func multiplied(_ left: Number, _ right: Number) -> Number {
        if left.isDecimal || right.isDecimal {
            return .decimal(left.decimal.multiply(right.decimal))
        }
        guard let first = left.integer, let second = right.integer else {
            return .double(left.double * right.double)
        }
        let (result, overflow) = first.multipliedReportingOverflow(by: second)
        if overflow { return .double(Double(first) * Double(second)) }
        return .integer(result, narrow: left.isInt32 && right.isInt32)
    }

    private static func zeroDivisor(
        _ name: String, _ context: borrowing EvaluationContext
    ) -> DBError {
        let isDivision = name == "$divide"
        let message = "can't \(name) by zero"
        if context.usesCompiledCodes {
            return .location(isDivision ? 4_848_401 : 4_848_403, message)
        }
        return isDivision ? DBError(.badValue, message) : .location(16610, message)
    }

    @Sendable
    static func divide(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        guard let left = Number(arguments(0, context)), let right = Number(arguments(1, context))
        else {
            throw DBError(
                .typeMismatch,
                "$divide only supports numeric types, not \(arguments(0, context).typeName) and "
                    + "\(arguments(1, context).typeName)")
        }
        if left.isDecimal || right.isDecimal {
            let divisor = right.decimal
            if divisor.isZero { throw zeroDivisor("$divide", context) }
            return context.make(left.decimal.divide(divisor))
        }
        let divisor = right.double
        if divisor == 0 { throw zeroDivisor("$divide", context) }
        return context.make(left.double / divisor)
    }

    @Sendable
    static func mod(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        guard let left = Number(arguments(0, context)), let right = Number(arguments(1, context))
        else {
            throw .location(
                16611,
                "$mod only supports numeric types, not \(arguments(0, context).typeName) and "
                    + "\(arguments(1, context).typeName)")
        }
        if left.isDecimal || right.isDecimal {
            let divisor = right.decimal
            if divisor.isZero { throw zeroDivisor("$mod", context) }
            return context.make(left.decimal.mod(divisor))
        }
        guard let dividend = left.integer, let divisor = right.integer else {
            if right.double == 0 { throw zeroDivisor("$mod", context) }
            return context.make(fmod(left.double, right.double))
        }
        if divisor == 0 { throw zeroDivisor("$mod", context) }
        let rest = divisor == -1 ? 0 : dividend % divisor
        return context.make(Number.integer(rest, narrow: left.isInt32 && right.isInt32))
    }

    // MARK: Functions of one number

    @Sendable
    static func absolute(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        switch try number(arguments(0, context), "$abs") {
        case .int32(let value):
            return context.make(Number.integer(abs(Int64(value)), narrow: true))
        case .int64(let value):
            if value == Int64.min {
                throw .location(28680, "can't take $abs of long long min")
            }
            return context.make(abs(value))
        case .double(let value): return context.make(value.magnitude)
        case .decimal(let value): return context.make(value.magnitude)
        }
    }

    @Sendable
    static func exponential(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let number = try number(arguments(0, context), "$exp")
        if case .decimal(let value) = number { return context.make(value.exponential) }
        return context.make(exp(number.double))
    }

    @Sendable
    static func squareRoot(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let number = try number(arguments(0, context), "$sqrt")
        if case .decimal(let value) = number {
            if value.isNegative, !value.isZero, !value.isNaN {
                throw .location(28714, "$sqrt's argument must be greater than or equal to 0")
            }
            return context.make(value.squareRoot)
        }
        if number.double < 0 {
            throw .location(28714, "$sqrt's argument must be greater than or equal to 0")
        }
        return context.make(number.double.squareRoot())
    }

    /// Whether a logarithm of it exists: above zero, or NaN.
    private static func isPositive(_ number: Number) -> Bool {
        switch number {
        case .int32(let value): value > 0
        case .int64(let value): value > 0
        case .double(let value): value > 0 || value.isNaN
        case .decimal(let value): value.isNaN || (!value.isZero && !value.isNegative)
        }
    }

    @Sendable
    static func naturalLogarithm(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let number = try number(arguments(0, context), "$ln")
        guard isPositive(number) else {
            throw .location(28766, "$ln's argument must be a positive number")
        }
        if case .decimal(let value) = number { return context.make(value.naturalLogarithm) }
        return context.make(Glibc.log(number.double))
    }

    @Sendable
    static func commonLogarithm(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let number = try number(arguments(0, context), "$log10")
        guard isPositive(number) else {
            throw .location(28761, "$log10's argument must be a positive number")
        }
        if case .decimal(let value) = number { return context.make(value.commonLogarithm) }
        return context.make(log10(number.double))
    }

    @Sendable
    static func logarithm(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        guard let value = Number(arguments(0, context)) else {
            throw .location(
                28756,
                "$log's argument must be numeric, not "
                    + arguments(0, context).typeName)
        }
        guard let base = Number(arguments(1, context)) else {
            throw .location(
                28757,
                "$log's base must be numeric, not "
                    + arguments(1, context).typeName)
        }
        guard isPositive(value) else {
            throw .location(28758, "$log's argument must be a positive number")
        }
        let isOne =
            switch base {
            case .decimal(let decimal): decimal == Decimal128(Int32(1))
            default: base.double == 1
            }
        guard isPositive(base), !isOne else {
            throw .location(28759, "$log's base must be a positive number not equal to 1")
        }
        if value.isDecimal || base.isDecimal {
            let quotient = value.decimal.naturalLogarithm.divide(base.decimal.naturalLogarithm)
            return context.make(quotient)
        }
        return context.make(Glibc.log(value.double) / Glibc.log(base.double))
    }

    // MARK: Powers

    @Sendable
    static func power(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        guard let base = Number(arguments(0, context)) else {
            throw .location(
                28762, "$pow's base must be numeric, not \(arguments(0, context).typeName)")
        }
        guard let exponent = Number(arguments(1, context)) else {
            throw .location(
                28763, "$pow's exponent must be numeric, not \(arguments(1, context).typeName)")
        }
        let isZeroToNegative =
            switch (base, exponent) {
            case (.decimal(let left), _):
                left.isZero && exponent.decimal.isNegative && !exponent.decimal.isZero
            default: base.double == 0 && exponent.double < 0
            }
        if isZeroToNegative {
            throw .location(28764, "$pow cannot take a base of 0 and a negative exponent")
        }
        if base.isDecimal || exponent.isDecimal {
            // MongoDB adds the smallest zero, which gives the result as many digits as fit.
            let fullest = Decimal128("0E-6176") ?? Decimal128(Int32(0))
            return context.make(base.decimal.power(exponent.decimal).add(fullest))
        }
        guard let left = base.integer, let right = exponent.integer else {
            return context.make(pow(base.double, exponent.double))
        }
        let narrow = base.isInt32 && exponent.isInt32
        guard let result = integerPower(left, right) else {
            return context.make(pow(Double(left), Double(right)))
        }
        return context.make(Number.integer(result, narrow: narrow))
    }

    /// `base` to `exponent`; nil where the result is no int64.
    private static func integerPower(_ base: Int64, _ exponent: Int64) -> Int64? {
        if base == 1 { return 1 }
        if base == -1 { return exponent & 1 == 0 ? 1 : -1 }
        if exponent < 0 { return nil }
        if base == 0 { return exponent == 0 ? 1 : 0 }
        var result: Int64 = 1
        // Every step at least doubles the magnitude, so this ends after 64 at most.
        for _ in 0..<exponent {
            let (product, overflow) = result.multipliedReportingOverflow(by: base)
            if overflow { return nil }
            result = product
        }
        return result
    }
}
