// $dateAdd $dateSubtract $dateDiff $dateTrunc.

import BSON

enum DateArithmeticOperators {
    private static let addArguments: [NamedArgument] = [
        .required("startDate", 5_166_402), .required("unit", 5_166_402),
        .required("amount", 5_166_402), .optional("timezone"),
    ]
    private static let diffArguments: [NamedArgument] = [
        .required("startDate", 5_166_303), .required("endDate", 5_166_304),
        .required("unit", 5_166_305), .optional("timezone"), .optional("startOfWeek"),
    ]
    private static let truncArguments: [NamedArgument] = [
        .required("date", 5_439_009), .required("unit", 5_439_010), .optional("binSize"),
        .optional("timezone"), .optional("startOfWeek"),
    ]

    static let rows: [OperatorRow] = [
        .named("$dateAdd", addArguments, notObject: 5_166_400, unknown: 5_166_401) {
            arguments, context throws(DBError) in
            try add(arguments, "$dateAdd", isNegative: false, &context)
        },
        .named("$dateSubtract", addArguments, notObject: 5_166_400, unknown: 5_166_401) {
            arguments, context throws(DBError) in
            try add(arguments, "$dateSubtract", isNegative: true, &context)
        },
        .named("$dateDiff", diffArguments, notObject: 5_166_301, unknown: 5_166_302, distance),
        .named("$dateTrunc", truncArguments, notObject: 5_439_007, unknown: 5_439_008, truncate),
    ]

    private static func add(
        _ arguments: Arguments, _ name: String, isNegative: Bool,
        _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        for index in 0..<3 where arguments(index, context).isNullish { return .null }
        let unit = try DateArguments.unit(arguments(1, context), name)
        let start = try DateArguments.millis(
            arguments(0, context), "\(name)'s 'startDate'", 5_166_403)
        guard var amount = Number(arguments(2, context))?.exactInt64 else {
            throw .location(
                5_166_405,
                "\(name) expects integer amount of time units, got "
                    + arguments(2, context).typeName)
        }
        guard let zone = try DateArguments.zone(arguments(3, context), &context) else {
            return .null
        }
        if isNegative {
            guard amount != .min else {
                throw .location(
                    6_045_000, "invalid \(name) 'amount' parameter value: \(amount) \(unit)")
            }
            amount = -amount
        }
        guard amount.magnitude <= UInt64(unit.amountMax) else {
            throw .location(
                5_976_500, "invalid \(name) 'amount' parameter value: \(amount) \(unit)")
        }
        guard let sum = DateArithmetic.add(start, unit, amount, zone) else {
            throw .location(5_166_406, "\(name) overflowed")
        }
        return context.make(sum, .date)
    }

    /// Whether an argument that matters is null; `startOfWeek` matters for weeks alone.
    private static func anyNull(
        _ arguments: Arguments, required: Int, _ context: borrowing EvaluationContext
    ) -> Bool {
        for index in 0..<arguments.count - 1 {
            let value = arguments(index, context)
            if value.isNullish, !value.isAbsent || index < required { return true }
        }
        return false
    }

    @Sendable
    private static func distance(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        if anyNull(arguments, required: 3, context) { return .null }
        let start = try DateArguments.millis(
            arguments(0, context), "$dateDiff's 'startDate'", 5_166_307)
        let end = try DateArguments.millis(
            arguments(1, context), "$dateDiff's 'endDate'", 5_166_307)
        let unit = try DateArguments.unit(arguments(2, context), "$dateDiff")
        let weekStart = arguments(4, context)
        if unit == .week, weekStart.isNullish, !weekStart.isAbsent { return .null }
        let startOfWeek =
            unit == .week ? try DateArguments.startOfWeek(weekStart, "$dateDiff") : 0
        guard let zone = try DateArguments.zone(arguments(3, context), &context) else {
            return .null
        }
        guard
            let distance = DateArithmetic.distance(
                start, end, unit, zone, startOfWeek: startOfWeek)
        else { throw .location(5_166_308, "dateDiff overflowed") }
        return context.make(distance)
    }

    @Sendable
    private static func truncate(
        _ arguments: Arguments, _ context: inout EvaluationContext
    ) throws(DBError) -> ValueRef {
        if anyNull(arguments, required: 2, context) { return .null }
        let date = try DateArguments.millis(
            arguments(0, context), "$dateTrunc's 'date'", 5_166_307)
        let unit = try DateArguments.unit(arguments(1, context), "$dateTrunc")
        let weekStart = arguments(4, context)
        if unit == .week, weekStart.isNullish, !weekStart.isAbsent { return .null }
        var size: Int64 = 1
        let binSize = arguments(2, context)
        if !binSize.isAbsent {
            guard let whole = Number(binSize)?.exactInt64 else {
                throw .location(
                    5_439_017,
                    "$dateTrunc requires 'binSize' to be a 64-bit integer, but got "
                        + binSize.typeName)
            }
            guard whole > 0 else {
                throw .location(
                    5_439_018,
                    "$dateTrunc requires 'binSize' to be greater than 0, but got \(whole)"
                )
            }
            size = whole
        }
        guard let zone = try DateArguments.zone(arguments(3, context), &context) else {
            return .null
        }
        let startOfWeek =
            unit == .week ? try DateArguments.startOfWeek(weekStart, "$dateTrunc") : 0
        guard
            let start = DateArithmetic.truncate(date, unit, size, zone, startOfWeek: startOfWeek)
        else {
            throw DBError(
                .overflow, "$dateTrunc: bins of \(size) \(unit)s leave the range of dates")
        }
        return context.make(start, .date)
    }
}
