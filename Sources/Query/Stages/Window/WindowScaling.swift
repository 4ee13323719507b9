// $minMaxScaler: where a number lies between the least and the greatest of its window.

import BSON

/// The argument of $minMaxScaler.
struct WindowScaling: Sendable {
    let least: Accumulator
    let greatest: Accumulator
    /// What the least and the greatest become.
    let low: Double
    let high: Double

    /// Compiles `{input, min, max}`; the results lie in 0...1 unless it says otherwise.
    ///
    /// Throws 9 for another type, an unknown name, a missing input and for ends that are no
    /// constant numbers in order.
    init(_ value: ValueView, _ scope: ExpressionScope) throws(DBError) {
        guard let object = value.document else {
            throw DBError(
                .failedToParse,
                "Argument to $minMaxScaler must be an object, found: \(value.type.alias)")
        }
        var elements = object.makeIterator()
        while let element = elements.next() {
            guard ["input", "min", "max"].contains(element.nameString) else {
                throw DBError(
                    .failedToParse,
                    "$minMaxScaler got unexpected argument: \(element.nameString)")
            }
        }
        guard let input = object.value("input") else {
            throw DBError(.failedToParse, "$minMaxScaler requires an 'input' expression")
        }
        let argument = try Expression.parse(input, scope)
        least = Accumulator(kind: .min, argument: argument, collation: scope.collation)
        greatest = Accumulator(kind: .max, argument: argument, collation: scope.collation)
        low = try Self.end(object.value("min"), 0, scope)
        high = try Self.end(object.value("max"), 1, scope)
        guard low < high else {
            throw DBError(.failedToParse, "$minMaxScaler: 'min' must be less than 'max'")
        }
    }

    private static func end(
        _ value: ValueView?, _ fallback: Double, _ scope: ExpressionScope
    ) throws(DBError) -> Double {
        guard let value else { return fallback }
        guard let constant = try Expression.parse(value, scope).constant,
            let number = Number(ValueRef(constant.view))?.double, number.isFinite
        else {
            throw DBError(
                .failedToParse, "$minMaxScaler: 'min' and 'max' must be constant numbers")
        }
        return number
    }

    /// The place of `number` between two others.
    func place(_ number: Double, between least: Double, _ greatest: Double) -> Double {
        guard greatest > least else { return low }
        return low + (number - least) / (greatest - least) * (high - low)
    }
}
