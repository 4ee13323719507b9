// $firstN $lastN $minN $maxN as expressions: a few elements of an array.

import BSON

enum RankedOperators {
    static let rows: [OperatorRow] = [
        row("$firstN") { run, _, count in run.removeSubrange(min(count, run.count)...) },
        row("$lastN") { run, _, count in run.removeFirst(max(0, run.count - count)) },
        row("$minN") { run, collation, count in
            keepLeast(&run, count) { $0.compare($1, collation) }
        },
        row("$maxN") { run, collation, count in
            keepLeast(&run, count) { $1.compare($0, collation) }
        },
    ]

    /// Null and missing elements have no rank.
    private static func keepLeast(
        _ run: inout [ValueRef], _ count: Int, _ order: (ValueRef, ValueRef) -> Int
    ) {
        run.removeAll { $0.isNullish }
        run.sort { order($0, $1) < 0 }
        run.removeSubrange(min(count, run.count)...)
    }

    private static func row(
        _ name: String, _ cut: @escaping @Sendable (inout [ValueRef], Collation?, Int) -> Void
    ) -> OperatorRow {
        .named(
            name, [.required("n", 5_787_906), .required("input", 5_787_907)],
            notObject: 5_787_900, unknown: 5_787_901
        ) { arguments, context throws(DBError) in
            guard let count = Number(arguments(0, context))?.exactInt64 else {
                throw .location(
                    5_787_902,
                    "Value for 'n' must be of integral type, but found "
                        + arguments(0, context).typeName)
            }
            guard count > 0 else {
                throw .location(5_787_908, "'n' must be greater than 0, found \(count)")
            }
            let input = arguments(1, context)
            guard input.isType(.array) else {
                throw .location(
                    5_788_200, "\(name)'s input must be an array, but is \(input.typeName)")
            }
            let start = context.stack.count
            ArrayOperators.pushElements(of: input, &context)
            var run = Array(context.stack[start...])
            cut(&run, context.collation, Int(min(count, Int64(Int32.max))))
            context.stack.replaceSubrange(start..., with: run)
            return context.makeArray(fromStack: start)
        }
    }
}
