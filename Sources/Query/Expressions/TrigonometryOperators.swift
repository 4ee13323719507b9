// $sin $cos $tan $asin $acos $atan $atan2 $sinh $cosh $tanh $asinh $acosh $atanh
// $degreesToRadians $radiansToDegrees, and $sigmoid: doubles, or decimals for decimals.

import BSON
import Glibc

enum TrigonometryOperators {
    static let rows: [OperatorRow] = [
        row("$sin", finite, sin) { $0.sine }, row("$cos", finite, cos) { $0.cosine },
        row("$tan", finite, tan) { $0.tangent }, row("$asin", unit, asin) { $0.arcsine },
        row("$acos", unit, acos) { $0.arccosine }, row("$atan", all, atan) { $0.arctangent },
        row("$sinh", all, sinh) { $0.hyperbolicSine },
        row("$cosh", all, cosh) { $0.hyperbolicCosine },
        row("$tanh", all, tanh) { $0.hyperbolicTangent },
        row("$asinh", all, asinh) { $0.hyperbolicArcsine },
        row("$acosh", fromOne, acosh) { $0.hyperbolicArccosine },
        row("$atanh", unit, atanh) { $0.hyperbolicArctangent },
        // As MongoDB: one multiplication by the rounded quotient.
        row("$degreesToRadians", all, { $0 * (.pi / 180) }) { $0.multiply(radiansOfDegree) },
        row("$radiansToDegrees", all, { $0 * (180 / .pi) }) { $0.multiply(degreesOfRadian) },
        .list("$atan2", 2...2, .nullIfAny, arctangent),
        .unary("$sigmoid", sigmoid),
    ]

    private static let radiansOfDegree =
        Decimal128("0.01745329251994329576923690768488613") ?? .nan
    private static let degreesOfRadian =
        Decimal128("57.29577951308232087679815481410517") ?? .nan

    /// What a function is defined for, beside NaN, in words and as a test.
    private struct Domain: Sendable {
        let words: String
        let contains: @Sendable (Number) -> Bool
    }
    private static let all = Domain(words: "any number") { _ in true }
    private static let finite = Domain(words: "a finite number") { $0.isFinite }
    private static let unit = Domain(words: "in [-1,1]") { (-1...1).contains($0.double) }
    private static let fromOne = Domain(words: "in [1,inf]") { $0.double >= 1 }

    private static func row(
        _ name: String, _ domain: Domain, _ binary: @escaping @Sendable (Double) -> Double,
        _ decimal: @escaping @Sendable (Decimal128) -> Decimal128
    ) -> OperatorRow {
        .unary(name) { arguments, context throws(DBError) in
            let number = try ArithmeticOperators.number(arguments(0, context), name)
            guard number.isNaN || domain.contains(number) else {
                throw .location(
                    50989, "cannot apply \(name) to \(number.double), value must be \(domain.words)"
                )
            }
            if case .decimal(let value) = number { return context.make(decimal(value)) }
            return context.make(binary(number.double))
        }
    }

    @Sendable
    private static func arctangent(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        let y = try ArithmeticOperators.number(arguments(0, context), "$atan2", 51044)
        let x = try ArithmeticOperators.number(arguments(1, context), "$atan2", 51045)
        guard y.isDecimal || x.isDecimal else { return context.make(atan2(y.double, x.double)) }
        return context.make(y.decimal.arctangent(over: x.decimal))
    }

    /// 1 / (1 + e^-x).
    @Sendable
    private static func sigmoid(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        guard let number = Number(arguments(0, context)) else {
            throw DBError(
                .typeMismatch,
                "$sigmoid only supports numeric types, not \(arguments(0, context).typeName)")
        }
        guard case .decimal(let value) = number else {
            return context.make(1 / (1 + exp(-number.double)))
        }
        let one = Decimal128(Int32(1))
        return context.make(one.divide(one.add(value.negated.exponential)))
    }
}
