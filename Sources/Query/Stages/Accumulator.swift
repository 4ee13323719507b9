// The accumulators of $group, $bucketAuto and $setWindowFields: what they are called and how their
// arguments are read. Their states are columns (Accumulators.swift, RankedColumn.swift …).

import BSON

/// The kinds of accumulators.
enum AccumulatorKind: String, Sendable, CaseIterable {
    case sum = "$sum"
    case average = "$avg"
    case min = "$min"
    case max = "$max"
    case first = "$first"
    case last = "$last"
    case push = "$push"
    case addToSet = "$addToSet"
    case setUnion = "$setUnion"
    case concatArrays = "$concatArrays"
    case count = "$count"
    case mergeObjects = "$mergeObjects"
    case populationDeviation = "$stdDevPop"
    case sampleDeviation = "$stdDevSamp"
    case firstN = "$firstN"
    case lastN = "$lastN"
    case minN = "$minN"
    case maxN = "$maxN"
    case top = "$top"
    case topN = "$topN"
    case bottom = "$bottom"
    case bottomN = "$bottomN"
    case median = "$median"
    case percentile = "$percentile"

    /// Whether the state grows with every document.
    var grows: Bool {
        switch self {
        case .push, .addToSet, .setUnion, .concatArrays, .median, .percentile: true
        default: false
        }
    }

    /// Whether the states of parts of the input, put together in order, give what the whole does,
    /// to the last bit: deviations round with each number.
    var takesParts: Bool {
        switch self {
        case .populationDeviation, .sampleDeviation: false
        default: true
        }
    }

    /// Whether the result may be another where the same documents come in another order.
    var dependsOnOrder: Bool {
        switch self {
        case .first, .last, .push, .addToSet, .setUnion, .concatArrays, .mergeObjects, .firstN,
            .lastN, .top, .topN, .bottom, .bottomN:
            true
        case .sum, .average, .min, .max, .count, .populationDeviation, .sampleDeviation, .minN,
            .maxN, .median, .percentile:
            false
        }
    }
}

/// A compiled accumulator.
struct Accumulator: Sendable {
    let kind: AccumulatorKind
    /// What is accumulated.
    let argument: Expression
    /// How many values the N kinds keep; may read the group's key.
    var count: Expression?
    /// The order of $top, $bottom and their kin.
    var order: SortPattern?
    /// What $median and $percentile ask for.
    var percentiles: [Double] = []
    /// The order of strings in extremes and sets.
    let collation: Collation?

    /// What it reads of its input; nil for all of it.
    var requiredPaths: [FieldPath]? {
        guard let paths = argument.requiredPaths else { return nil }
        return paths + (order?.parts.map(\.path) ?? [])
    }

    /// Compiles `{$name: argument}`.
    ///
    /// Throws 15952 for an unknown name, 40237 for a list of arguments, 115 for `$accumulator`, and
    /// each kind's codes for its argument. `takesList`: a list of arguments is an array, as windows
    /// have it.
    static func parse(
        _ call: ElementView, _ scope: ExpressionScope, takesList: Bool = false
    ) throws(DBError) -> Accumulator {
        let name = call.nameString
        guard let kind = AccumulatorKind(rawValue: name) else {
            if name == "$accumulator" {
                throw DBError(
                    .commandNotSupported,
                    "Roost runs no JavaScript; use the other accumulators in place of "
                        + "$accumulator")
            }
            throw .location(15952, "unknown group operator '\(name)'")
        }
        switch kind {
        case .count:
            guard let object = call.value.document, object.isEmpty else {
                throw DBError(
                    .typeMismatch, "$count takes no arguments, i.e. $count:{}")
            }
            return Accumulator(
                kind: kind, argument: try Expression.parse(ValueView.null, scope),
                collation: scope.collation)
        case .firstN, .lastN, .minN, .maxN: return try parseN(kind, call.value, scope)
        case .top, .topN, .bottom, .bottomN: return try parseTop(kind, call.value, scope)
        case .median, .percentile: return try PercentileArgument.parse(kind, call.value, scope)
        default: break
        }
        if call.value.type == .array, !takesList {
            throw .location(40237, "The \(name) accumulator is a unary operator")
        }
        return Accumulator(
            kind: kind, argument: try Expression.parse(call.value, scope),
            collation: scope.collation)
    }

    private static func parseN(
        _ kind: AccumulatorKind, _ value: ValueView, _ scope: ExpressionScope
    ) throws(DBError) -> Accumulator {
        guard let object = value.document else {
            throw .location(
                5_787_900,
                "specification must be an object; found \(kind.rawValue): \(value.type.alias)")
        }
        var elements = object.makeIterator()
        while let element = elements.next() {
            guard element.name.equals("n") || element.name.equals("input") else {
                throw .location(
                    5_787_901,
                    "Unknown argument for '\(kind.rawValue)' operator: \(element.nameString)")
            }
        }
        guard let count = object.value("n") else {
            throw .location(5_787_906, "Missing value for 'n' of \(kind.rawValue)")
        }
        guard let input = object.value("input") else {
            throw .location(5_787_907, "Missing value for 'input' of \(kind.rawValue)")
        }
        return Accumulator(
            kind: kind, argument: try Expression.parse(input, scope),
            count: try parseCount(count, kind, scope), collation: scope.collation)
    }

    private static func parseTop(
        _ kind: AccumulatorKind, _ value: ValueView, _ scope: ExpressionScope
    ) throws(DBError) -> Accumulator {
        let name = kind.rawValue
        guard let object = value.document else {
            throw .location(
                5_788_001, "specification must be an object; found \(name): \(value.type.alias)")
        }
        let isMany = kind == .topN || kind == .bottomN
        var elements = object.makeIterator()
        while let element = elements.next() {
            let isKnown =
                element.name.equals("sortBy") || element.name.equals("output")
                || (isMany && element.name.equals("n"))
            guard isKnown else {
                throw .location(
                    5_788_002, "Unknown argument to \(name) '\(element.nameString)'")
            }
        }
        var count: Expression?
        if isMany {
            guard let value = object.value("n") else {
                throw .location(5_788_003, "Missing value for 'n' of \(name)")
            }
            count = try parseCount(value, kind, scope)
        }
        guard let output = object.value("output") else {
            throw .location(5_788_004, "Missing value for 'output' of \(name)")
        }
        guard let sortBy = object.value("sortBy") else {
            throw .location(5_788_005, "Missing value for 'sortBy' of \(name)")
        }
        guard let order = sortBy.document else {
            throw .location(
                5_788_604,
                "expected 'sortBy' of \(name) to be an object, found: \(sortBy.type.alias)")
        }
        return Accumulator(
            kind: kind, argument: try Expression.parse(output, scope), count: count,
            order: try SortPattern.parse(order, collation: scope.collation),
            collation: scope.collation)
    }

    /// Compiles `n`; one that reads nothing is checked at once.
    private static func parseCount(
        _ value: ValueView, _ kind: AccumulatorKind, _ scope: ExpressionScope
    ) throws(DBError) -> Expression {
        let expression = try Expression.parse(value, scope)
        if expression.requiredPaths?.isEmpty == true, scope.slots.isEmpty {
            var context = EvaluationContext.forConstants()
            let empty = Document()
            _ = try count(try expression.evaluate(empty.view, &context), kind)
        }
        return expression
    }

    /// The value of `n`. Throws 7548606 unless it is a positive whole number.
    static func count(
        _ value: ValueRef, _ kind: AccumulatorKind
    ) throws(DBError) -> Int {
        guard let number = Number(value)?.exactInt64, number > 0 else {
            throw .location(
                7_548_606,
                "'n' of \(kind.rawValue) must be a positive whole number, found "
                    + value.typeName)
        }
        return Int(number)
    }
}
