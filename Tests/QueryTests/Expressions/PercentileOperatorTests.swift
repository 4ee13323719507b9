import BSON
import Testing

@testable import Query

/// $median and $percentile as expressions, text that becomes decimals, and `CURRENT` of a command.
@Suite struct PercentileOperatorTests {
    private static func median(_ input: Value) -> Value {
        ["$median": ["input": input, "method": "approximate"]]
    }
    private static func percentile(_ input: Value, _ p: Value) -> Value {
        ["$percentile": ["input": input, "p": p, "method": "approximate"]]
    }

    static let rows: [ExpressionRow] = [
        .init(median([3, 1, 2]), 2.0), .init(median([4, 1, 2, 3]), 2.0), .init(median(5), 5.0),
        .init(median("x"), nil), .init(median(["x", nil, true]), nil), .init(median([]), nil),
        .init(median(["x", 7]), 7.0), .init(median("$zz"), nil),
        .init(median("$list"), 2.0), .init(percentile("$list", [0, 0.5, 1]), [1.0, 2.0, 3.0]),
        .init(percentile("x", [0.5, 1]), [nil, nil]), .init(percentile([9, 8], [0.01]), [8.0]),
        .init(percentile([1], []), code: 7_750_301), .init(percentile([1], ["x"]), code: 7_750_302),
        .init(percentile([1], [1.5]), code: 7_750_303), .init(["$median": 1], code: 7_436_100),
        .init(["$percentile": 1], code: 7_429_703),
        .init(["$median": ["input": [1]]], code: 40414),
        .init(["$median": ["input": [1], "method": "exact"]], code: 2),
        .init(["$median": ["input": [1], "p": [1], "method": "approximate"]], code: 40415),
        // A decimal's digits beyond the 34th are cut, not rounded.
        .init(
            ["$toDecimal": "1.00000000000000000000000000000000099999"],
            Decimal128.value("1.000000000000000000000000000000000")),
        // Functions of windows and groups are no expressions.
        .init(["$rank": [:]], code: 168), .init(["$top": [:]], code: 168),
        .init(["$locf": "$a"], code: 168),
    ]

    @Test(arguments: rows)
    func gives(_ row: ExpressionRow) {
        #expect(evaluate(row.expression, OperatorTableTests.document) == row.outcome)
    }

    @Test func currentOfTheCommand() throws {
        var scope = ExpressionScope()
        let variables: Document = ["CURRENT": ["x": 1]]
        try scope.bind(variables: variables.view)
        #expect(
            evaluate(["$$CURRENT", "$x", "$$ROOT"], ["y": 2], scope: scope)
                == .value([["x": 1], 1, ["y": 2]]))
    }
}
