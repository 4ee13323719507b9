// $rand.

import BSON

enum RandomOperators {
    static let rows: [OperatorRow] = [
        .custom("$rand") { argument, program throws(DBError) in
            guard argument.document?.isEmpty ?? argument.array?.isEmpty ?? false else {
                throw .location(3_040_501, "$rand does not currently accept arguments")
            }
            return try program.strict(rand, [], isConstant: false)
        }
    ]

    /// A double from 0 up to, but not including, 1.
    private static let rand = StrictOperator(nullRule: .passed) { _, context in
        context.make(Double.random(in: 0..<1))
    }
}
