// $stdDevPop $stdDevSamp as expressions: over one array, its elements; over a list, its values.

import BSON

enum DeviationOperators {
    static let rows: [OperatorRow] = [
        .list("$stdDevPop", OperatorTable.any, .passed) { arguments, context in
            deviation(arguments, isSample: false, &context)
        },
        .list("$stdDevSamp", OperatorTable.any, .passed) { arguments, context in
            deviation(arguments, isSample: true, &context)
        },
    ]

    /// Welford's running mean and sum of squares; what is no number doesn't count.
    private static func deviation(
        _ arguments: Arguments, isSample: Bool, _ context: inout EvaluationContext
    ) -> ValueRef {
        var count = 0.0
        var mean = 0.0
        var squares = 0.0
        func add(_ value: ValueRef) {
            guard let number = Number(value)?.double else { return }
            count += 1
            let distance = number - mean
            mean += distance / count
            squares += distance * (number - mean)
        }
        if arguments.count == 1, arguments(0, context).isType(.array) {
            var elements = arguments(0, context).nested.makeIterator()
            while let element = elements.next() { add(ValueRef(element.value)) }
        } else {
            for index in 0..<arguments.count { add(arguments(index, context)) }
        }
        let divisor = isSample ? count - 1 : count
        return divisor > 0 ? context.make((squares / divisor).squareRoot()) : .null
    }
}
