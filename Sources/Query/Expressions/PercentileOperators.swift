// $median and $percentile as expressions: over the numbers of an array, or over one number.

import BSON

enum PercentileOperators {
    static let rows: [OperatorRow] = [row(.median), row(.percentile)]

    private static func row(_ kind: AccumulatorKind) -> OperatorRow {
        .custom(kind.rawValue) { value, program throws(DBError) in
            let percentiles = try PercentileArgument(kind, value, program.scope).percentiles
            let input = try program.parse(PercentileArgument.input(of: value))
            let called = StrictOperator(nullRule: .passed) { arguments, context in
                let numbers = sortedNumbers(arguments(0, context))
                if kind == .median { return median(numbers, &context) }
                let start = context.stack.count
                for percentile in percentiles {
                    let value = PercentileColumn.value(percentile, numbers)
                    if let value {
                        context.stack.append(context.make(value))
                    } else {
                        context.stack.append(.null)
                    }
                }
                return context.makeArray(fromStack: start)
            }
            return try program.strict(called, [input])
        }
    }

    private static func median(
        _ numbers: [Double], _ context: inout EvaluationContext
    ) -> ValueRef {
        guard let value = PercentileColumn.value(0.5, numbers) else { return .null }
        return context.make(value)
    }

    /// The numbers of an array, or the number itself; others don't count.
    private static func sortedNumbers(_ input: ValueRef) -> [Double] {
        var numbers: [Double] = []
        func offer(_ value: ValueRef) {
            if let number = Number(value)?.double, !number.isNaN { numbers.append(number) }
        }
        if input.isType(.array) {
            var elements = input.nested.makeIterator()
            while let element = elements.next() { offer(ValueRef(element.value)) }
        } else {
            offer(input)
        }
        return numbers.sorted()
    }
}
