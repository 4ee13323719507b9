// $sum $avg $min $max as expressions: over one array, its elements; over a list, its values.

import BSON

enum SumOperators {
    static let rows: [OperatorRow] = [
        .list("$sum", OperatorTable.any, .passed) { arguments, context in
            let sum = sum(arguments, context)
            return context.make(sum.total)
        },
        .list("$avg", OperatorTable.any, .passed) { arguments, context in
            guard let average = sum(arguments, context).average else { return .null }
            return context.make(average)
        },
        .list("$min", OperatorTable.any, .passed) { arguments, context in
            extreme(arguments, -1, context)
        },
        .list("$max", OperatorTable.any, .passed) { arguments, context in
            extreme(arguments, 1, context)
        },
    ]

    private static func sum(
        _ arguments: Arguments, _ context: borrowing EvaluationContext
    ) -> NumberSum {
        var sum = NumberSum()
        if arguments.count == 1, arguments(0, context).isType(.array) {
            var elements = arguments(0, context).nested.makeIterator()
            while let element = elements.next() {
                if let number = Number(ValueRef(element.value)) { sum.add(number) }
            }
        } else {
            for index in 0..<arguments.count {
                if let number = Number(arguments(index, context)) { sum.add(number) }
            }
        }
        return sum
    }

    /// The least (`sign` -1) or greatest value; null and missing don't count, none gives null.
    private static func extreme(
        _ arguments: Arguments, _ sign: Int, _ context: borrowing EvaluationContext
    ) -> ValueRef {
        var best = ValueRef.null
        func offer(_ value: ValueRef) {
            if value.isNullish { return }
            if best.isNullish || value.compare(best, context.collation) * sign > 0 { best = value }
        }
        if arguments.count == 1, arguments(0, context).isType(.array) {
            var elements = arguments(0, context).nested.makeIterator()
            while let element = elements.next() { offer(ValueRef(element.value)) }
        } else {
            for index in 0..<arguments.count { offer(arguments(index, context)) }
        }
        return best
    }
}
