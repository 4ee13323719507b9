import BSON
import Testing

@testable import Query

/// An operator, arguments that are fine, and what null gives in each place.
struct NullRow: Sendable, CustomTestStringConvertible {
    let name: String
    let arguments: [Value]
    let outcomes: [ExpressionOutcome]
    var testDescription: String { name }

    init(_ name: String, _ arguments: [Value], _ outcomes: ExpressionOutcome...) {
        self.name = name
        self.arguments = arguments
        self.outcomes = outcomes
    }
}

@Suite struct NullPropagationTests {
    static let null = ExpressionOutcome.value(.null)

    static let rows: [NullRow] = [
        .init("$add", [1, 2], null, null), .init("$subtract", [1, 2], null, null),
        .init("$multiply", [1, 2], null, null), .init("$divide", [1, 2], null, null),
        .init("$mod", [1, 2], null, null), .init("$abs", [1], null), .init("$ceil", [1], null),
        .init("$floor", [1], null), .init("$round", [1, 1], null, null),
        .init("$trunc", [1, 1], null, null), .init("$sqrt", [1], null), .init("$exp", [1], null),
        .init("$ln", [1], null), .init("$log10", [1], null), .init("$log", [8, 2], null, null),
        .init("$pow", [1, 2], null, null), .init("$concat", ["a", "b"], null, null),
        .init("$toLower", ["a"], .value("")), .init("$toUpper", ["a"], .value("")),
        .init("$substrCP", ["abc", 0, 1], .value(""), .error(34450), .error(34452)),
        .init("$substrBytes", ["abc", 0, 1], .value(""), .error(16034), .error(16035)),
        .init("$strLenCP", ["a"], .error(34471)), .init("$strLenBytes", ["a"], .error(34473)),
        .init("$split", ["a", "b"], null, null),
        .init("$strcasecmp", ["a", "a"], .value(-1), .value(1)),
        .init("$indexOfCP", ["a", "a"], null, .error(40094)),
        .init("$indexOfBytes", ["a", "a"], null, .error(40092)),
        .init("$arrayElemAt", [[1], 0], null, null), .init("$first", [[1]], null),
        .init("$last", [[1]], null), .init("$size", [[1]], .error(17124)),
        .init("$in", [1, [1]], .value(false), .error(40081)),
        .init("$concatArrays", [[1], [2]], null, null),
        .init("$slice", [[1], 1, 1], null, null, null),
        .init("$range", [0, 2, 1], .error(34443), .error(34445), .error(34447)),
        .init("$reverseArray", [[1]], null), .init("$isArray", [[1]], .value(false)),
        .init("$indexOfArray", [[1], 1, 0], null, .value(-1), .error(9_711_600)),
        .init("$objectToArray", [["a": 1]], null),
        .init("$arrayToObject", [[["a", 1]]], null),
        .init("$mergeObjects", [["a": 1], ["b": 2]], .value(["b": 2]), .value(["a": 1])),
        .init("$isNumber", [1], .value(false)), .init("$toString", [1], null),
        .init("$toInt", [1], null), .init("$toLong", [1], null), .init("$toDouble", [1], null),
        .init("$toDecimal", [1], null), .init("$toBool", [1], null), .init("$toDate", [1], null),
        .init("$toObjectId", ["a"], null), .init("$and", [1, 1], .value(false), .value(false)),
        .init("$or", [0, 1], .value(true), .value(false)), .init("$not", [1], .value(true)),
        .init("$sum", [1, 2], .value(2), .value(1)), .init("$max", [1, 2], .value(2), .value(1)),
    ]

    /// Null as a constant, a stored null and a missing field do the same in every place.
    @Test(arguments: rows)
    func everyPosition(_ row: NullRow) {
        for (position, expected) in row.outcomes.enumerated() {
            for stand in ["literal", "stored", "missing"] {
                var arguments = row.arguments.map { ["$literal": $0] as Value }
                arguments[position] =
                    stand == "literal" ? .null : stand == "stored" ? "$n" : "$zz"
                let call: Value = .document(Document { $0.append(row.name, .array(arguments)) })
                #expect(
                    evaluate(call, ["n": nil]) == expected, "\(stand) at \(position)")
            }
        }
    }
}
