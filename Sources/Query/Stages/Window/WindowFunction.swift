// What $setWindowFields can compute, and how the argument of each function is read.

import BSON

/// A compiled function over a window.
enum WindowFunction: Sendable {
    case accumulate(Accumulator, WindowBounds)
    /// The expression gives arrays of two.
    case covariance(isSample: Bool, Expression, WindowBounds)
    case documentNumber
    case rank(isDense: Bool)
    /// The value of the document `by` places behind; `fallback` beyond the partition.
    case shift(Expression, by: Int, fallback: OwnedValue)
    case derivative(Expression, DateStep?, WindowBounds)
    case integral(Expression, DateStep?, WindowBounds)
    case expMovingAverage(Expression, alpha: Number)
    case linearFill(Expression)
    case scale(WindowScaling, WindowBounds)
    /// The last value that is not null.
    case lastObserved(Expression)

    /// Whether documents that sort equal are told apart by their order.
    var dependsOnOrder: Bool {
        switch self {
        case .rank: false
        case .accumulate(let accumulator, let bounds):
            accumulator.kind.dependsOnOrder || !bounds.isWhole
        case .covariance(_, _, let bounds), .scale(_, let bounds): !bounds.isWhole
        case .documentNumber, .shift, .derivative, .integral, .expMovingAverage, .linearFill,
            .lastObserved:
            true
        }
    }

    private static let ranks: Set<String> = ["$rank", "$denseRank", "$documentNumber"]

    /// Compiles `{$name: argument, window: …}`.
    ///
    /// Throws 9 for an unknown function and most mistakes, 5371601 to 5371603 for the ranks, and
    /// what accumulators and expressions throw.
    static func parse(
        _ call: ElementView, window: ValueView?, _ sortBy: SortPattern?, _ scope: ExpressionScope
    ) throws(DBError) -> WindowFunction {
        let name = call.nameString
        if ranks.contains(name) {
            return try parseRank(name, call.value, hasWindow: window != nil, sortBy)
        }
        switch name {
        case "$shift", "$expMovingAvg", "$linearFill", "$locf":
            guard window == nil else {
                throw DBError(.failedToParse, "'\(name)' does not accept a 'window' field")
            }
        default: break
        }
        switch name {
        case "$shift": return try parseShift(call.value, sortBy, scope)
        case "$expMovingAvg": return try parseMovingAverage(call.value, sortBy, scope)
        case "$linearFill":
            try checkSortedByOne(sortBy, name, code: 605_001)
            return .linearFill(try Expression.parse(call.value, scope))
        case "$locf": return .lastObserved(try Expression.parse(call.value, scope))
        case "$derivative", "$integral":
            return try parseRate(name, call.value, window, sortBy, scope)
        case "$minMaxScaler":
            return .scale(
                try WindowScaling(call.value, scope), try bounds(window, sortBy, scope))
        case "$covariancePop", "$covarianceSamp":
            return .covariance(
                isSample: name == "$covarianceSamp", try Expression.parse(call.value, scope),
                try bounds(window, sortBy, scope))
        default: break
        }
        guard let kind = AccumulatorKind(rawValue: name), kind != .mergeObjects else {
            throw DBError(.failedToParse, "Unrecognized window function, \(name)")
        }
        return .accumulate(
            try Accumulator.parse(call, scope, takesList: true),
            try bounds(window, sortBy, scope))
    }

    private static func bounds(
        _ window: ValueView?, _ sortBy: SortPattern?, _ scope: ExpressionScope
    ) throws(DBError) -> WindowBounds {
        guard let window else { return .whole }
        return try WindowBounds.parse(window, sortBy, scope)
    }

    private static func parseRank(
        _ name: String, _ value: ValueView, hasWindow: Bool, _ sortBy: SortPattern?
    ) throws(DBError) -> WindowFunction {
        guard !hasWindow else {
            throw .location(
                5_371_601, "Rank style window functions take no other arguments")
        }
        guard let sortBy, name == "$documentNumber" || sortBy.parts.count == 1 else {
            throw .location(
                5_371_602, "\(name) must be specified with a sortBy expression, of one field")
        }
        guard let object = value.document, object.isEmpty else {
            throw .location(5_371_603, "\(name) takes no arguments, i.e. {\(name): {}}")
        }
        return name == "$documentNumber" ? .documentNumber : .rank(isDense: name == "$denseRank")
    }

    private static func checkSortedByOne(
        _ sortBy: SortPattern?, _ name: String, code: Int32
    ) throws(DBError) {
        guard sortBy?.parts.count == 1 else {
            throw .location(code, "\(name) requires a sortBy of one field")
        }
    }

    private static func argument(
        _ value: ValueView, _ name: String, known: Set<String>
    ) throws(DBError) {
        guard let object = value.document else {
            throw DBError(
                .failedToParse, "Argument to \(name) must be an object, found: \(value.type.alias)")
        }
        var elements = object.makeIterator()
        while let element = elements.next() {
            guard known.contains(element.nameString) else {
                throw DBError(
                    .failedToParse, "\(name) got unexpected argument: \(element.nameString)")
            }
        }
    }

    private static func parseShift(
        _ value: ValueView, _ sortBy: SortPattern?, _ scope: ExpressionScope
    ) throws(DBError) -> WindowFunction {
        try argument(value, "$shift", known: ["output", "by", "default"])
        guard sortBy != nil else {
            throw DBError(.failedToParse, "'$shift' requires a sortBy")
        }
        let object = DocumentView(value.bytes)
        guard let output = object.value("output"), let by = object.value("by") else {
            throw DBError(.failedToParse, "$shift requires an 'output' expression and 'by'")
        }
        guard let number = Number(ValueRef(by))?.exactInt64, let offset = Int32(exactly: number)
        else {
            throw DBError(
                .failedToParse,
                "'$shift:by' field must be a whole number, found: "
                    + by.type.alias)
        }
        var fallback = OwnedValue(.null)
        if let given = object.value("default") {
            guard let constant = try Expression.parse(given, scope).constant else {
                throw DBError(
                    .failedToParse, "'$shift:default' expression must yield a constant value")
            }
            fallback = constant
        }
        return .shift(
            try Expression.parse(output, scope), by: Int(offset), fallback: fallback)
    }

    private static func parseMovingAverage(
        _ value: ValueView, _ sortBy: SortPattern?, _ scope: ExpressionScope
    ) throws(DBError) -> WindowFunction {
        try argument(value, "$expMovingAvg", known: ["input", "N", "alpha"])
        let object = DocumentView(value.bytes)
        guard sortBy != nil else {
            throw DBError(.failedToParse, "$expMovingAvg requires an explicit 'sortBy'")
        }
        let count = object.value("N")
        let weight = object.value("alpha")
        guard let input = object.value("input"), (count == nil) != (weight == nil) else {
            throw DBError(
                .failedToParse,
                "$expMovingAvg requires an 'input' and either 'N' or 'alpha', not both")
        }
        let expression = try Expression.parse(input, scope)
        if let count {
            guard let number = Number(ValueRef(count))?.exactInt64, number > 0,
                count.type != .double || number > 0
            else {
                throw DBError(
                    .failedToParse, "'N' field of $expMovingAvg must be a positive whole number")
            }
            return .expMovingAverage(expression, alpha: .double(2.0 / (Double(number) + 1)))
        }
        guard let weight, let number = Number(ValueRef(weight)), number.double > 0,
            number.double < 1
        else {
            throw DBError(
                .failedToParse,
                "'alpha' of $expMovingAvg must be between 0 and 1 (exclusive)")
        }
        return .expMovingAverage(expression, alpha: number)
    }

    private static func parseRate(
        _ name: String, _ value: ValueView, _ window: ValueView?, _ sortBy: SortPattern?,
        _ scope: ExpressionScope
    ) throws(DBError) -> WindowFunction {
        try argument(value, name, known: ["input", "unit"])
        let object = DocumentView(value.bytes)
        guard let input = object.value("input") else {
            throw DBError(.failedToParse, "\(name) requires an 'input' expression")
        }
        guard sortBy?.parts.count == 1 else {
            throw DBError(.failedToParse, "\(name) requires a sortBy of one field")
        }
        var unit: DateStep?
        if let given = object.value("unit") {
            let step = try DateStep.parse(given, "unit")
            guard step.millis != nil else {
                throw .location(
                    5_490_710, "unit must be 'week' or smaller, found '\(step.rawValue)'")
            }
            unit = step
        }
        let expression = try Expression.parse(input, scope)
        if name == "$integral" {
            return .integral(expression, unit, try bounds(window, sortBy, scope))
        }
        guard window != nil else {
            throw DBError(.failedToParse, "$derivative requires explicit window bounds")
        }
        return .derivative(expression, unit, try bounds(window, sortBy, scope))
    }
}
