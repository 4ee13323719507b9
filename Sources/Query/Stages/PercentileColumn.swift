// $median and $percentile: the numbers of a group are kept and sorted in the end, so the answer is
// exact: the smallest number that at least the asked part of all is not above. MongoDB's
// "approximate" may differ from it for large groups.

import BSON

/// The argument of $median and $percentile.
struct PercentileArgument {
    /// What is asked for, in 0...1; 0.5 alone for $median.
    let percentiles: [Double]

    /// Compiles `{input, p, method}` as an accumulator's; $median has no `p`.
    ///
    /// Throws what `init` throws, and what `input` throws as an expression.
    static func parse(
        _ kind: AccumulatorKind, _ value: ValueView, _ scope: ExpressionScope
    ) throws(DBError) -> Accumulator {
        let argument = try PercentileArgument(kind, value, scope)
        return Accumulator(
            kind: kind, argument: try Expression.parse(input(of: value), scope),
            percentiles: argument.percentiles, collation: scope.collation)
    }

    /// The expression that gives the numbers.
    @_lifetime(copy value)
    static func input(of value: ValueView) -> ValueView {
        guard let input = value.document?.value("input") else { return .null }
        return input
    }

    /// Reads all but the input, which is checked to be there.
    ///
    /// Throws 7429703 and 7436100 for another type than an object, 40414 and 40415 for the fields,
    /// 2 for another method than "approximate", 7750301 to 7750303 for `p`.
    init(
        _ kind: AccumulatorKind, _ value: ValueView, _ scope: ExpressionScope
    ) throws(DBError) {
        let name = kind.rawValue
        guard let object = value.document else {
            throw .location(
                kind == .median ? 7_436_100 : 7_429_703,
                "specification must be an object; found \(name): \(value.type.alias)")
        }
        var fields = StageFields(name)
        var elements = object.makeIterator()
        while let element = elements.next() {
            try fields.take(
                element,
                known: kind == .median ? ["input", "method"] : ["input", "p", "method"])
        }
        guard object.value("input") != nil else { throw Self.missing(name, "input") }
        if kind == .percentile {
            guard let list = object.value("p") else { throw Self.missing(name, "p") }
            percentiles = try Self.parsePercentiles(list, scope)
        } else {
            percentiles = [0.5]
        }
        guard let method = object.value("method") else { throw Self.missing(name, "method") }
        guard let text = method.string else {
            throw DBError(
                .typeMismatch,
                "BSON field '\(name).method' is the wrong type '\(method.type.alias)', expected "
                    + "type 'string'")
        }
        guard text == "approximate" else {
            throw DBError(
                .badValue, "'\(text)' is no method of \(name); use \"approximate\"")
        }
    }

    private static func missing(_ operator: String, _ field: String) -> DBError {
        .location(
            40414, "BSON field '\(`operator`).\(field)' is missing but a required field")
    }

    private static func parsePercentiles(
        _ value: ValueView, _ scope: ExpressionScope
    ) throws(DBError) -> [Double] {
        let constant = try Expression.parse(value, scope).constant
        guard let list = constant?.view.array, !list.isEmpty else {
            throw .location(
                7_750_301,
                "The $percentile 'p' field must be a non-empty array of numbers from 0 to 1")
        }
        var percentiles: [Double] = []
        var elements = list.makeIterator()
        while let element = elements.next() {
            guard let number = Number(ValueRef(element.value))?.double else {
                throw .location(
                    7_750_302,
                    "The $percentile 'p' field must be an array of numbers, found: "
                        + element.value.type.alias)
            }
            guard (0...1).contains(number) else {
                throw .location(
                    7_750_303,
                    "The $percentile 'p' field must be an array of numbers from 0 to 1, found: "
                        + "\(number)")
            }
            percentiles.append(number)
        }
        return percentiles
    }
}

/// $median, $percentile.
final class PercentileColumn: AccumulatorColumn {
    private let percentiles: [Double]
    private let isMedian: Bool
    private var groups: [[Double]] = []
    private var numberCount = 0

    init(_ accumulator: Accumulator) {
        percentiles = accumulator.percentiles
        isMedian = accumulator.kind == .median
    }

    override func addGroup(_ key: ValueRef) throws(DBError) { groups.append([]) }

    override func add(
        _ value: ValueRef, to group: Int, of document: DocumentView
    ) throws(DBError) {
        guard let number = Number(value)?.double, !number.isNaN else { return }
        groups[group].append(number)
        numberCount += 1
    }

    override func write(_ name: String, _ group: Int, _ writer: inout DocumentWriter) {
        let numbers = groups[group].sorted()
        if isMedian {
            guard let median = Self.value(0.5, numbers) else { return writer.appendNull(name) }
            return writer.append(name, median)
        }
        let start = writer.openArray(name)
        for (index, percentile) in percentiles.enumerated() {
            let value = Self.value(percentile, numbers).map { Value.double($0) } ?? .null
            writer.append(index: index, value)
        }
        writer.close(start)
    }

    /// The smallest of the sorted numbers that at least that part of all is not above.
    static func value(_ percentile: Double, _ sorted: [Double]) -> Double? {
        guard !sorted.isEmpty else { return nil }
        let rank = Int((percentile * Double(sorted.count)).rounded(.up))
        return sorted[min(max(rank - 1, 0), sorted.count - 1)]
    }

    override func writeState(_ group: Int, index: Int, _ writer: inout DocumentWriter) {
        writer.append(index: index, .array(groups[group].map { .double($0) }))
    }

    override func absorb(_ state: ValueRef, into group: Int) throws(DBError) {
        var elements = state.nested.makeIterator()
        while let element = elements.next() {
            guard let number = element.value.double else { continue }
            groups[group].append(number)
            numberCount += 1
        }
    }

    override func removeAll() {
        groups.removeAll(keepingCapacity: true)
        numberCount = 0
    }

    override var byteCount: Int { numberCount * MemoryLayout<Double>.stride + groups.count * 8 }
}
