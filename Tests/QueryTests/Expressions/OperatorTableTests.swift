import BSON
import Testing

@testable import Query

/// One line of the table: an expression over `document` and what it gives.
struct ExpressionRow: Sendable, CustomTestStringConvertible {
    let expression: Value
    let outcome: ExpressionOutcome
    var testDescription: String { "\(expression)" }

    init(_ expression: Value, _ value: Value) {
        self.expression = expression
        outcome = .value(value)
    }

    init(_ expression: Value, code: Int32) {
        self.expression = expression
        outcome = .error(code)
    }

    init(missing expression: Value) {
        self.expression = expression
        outcome = .missing
    }
}

@Suite struct OperatorTableTests {
    static let document: Document = [
        "a": 5, "s": "Héllo", "n": nil, "list": [1, 2, 3], "o": ["x": 1, "y": ["z": 2]],
        "items": [["b": 1], [:], ["b": [2]], 7], "nested": [[["b": 1]]], "f": 2.5,
        "date": .date(1_700_000_000_000),
    ]

    static let paths: [ExpressionRow] = [
        .init("$a", 5), .init(missing: "$zz"), .init(missing: "$a.b"), .init("$o.y.z", 2),
        .init("$items.b", [1, [2]]), .init("$nested.b", []), .init("$list.0", []),
        .init("$$ROOT.a", 5), .init("$$CURRENT.a", 5), .init(missing: "$$REMOVE"),
        .init("$", code: 16872), .init("$$", code: 9), .init("$a.", code: 40353),
        .init("$a..b", code: 15998), .init("$$nope", code: 17276),
        .init("$$CLUSTER_TIME", code: 10_071_200), .init("plain", "plain"),
        .init(["$literal": "$a"], "$a"), .init(["x": "$a", "y": "$zz"], ["x": 5]),
        .init(["$a", "$zz"], [5, nil]), .init(["x": ["y": "$a"]], ["x": ["y": 5]]),
        .init(["$nope": 1], code: 168), .init(["$function": [:]], code: 115),
        .init(["$add": [1], "$abs": 1], code: 15983), .init(["a": 1, "$b": 1], code: 16410),
    ]

    static let arithmetic: [ExpressionRow] = [
        .init(["$add": []], 0), .init(["$add": [1, 2, 3.5]], 6.5),
        .init(["$add": [0.1, 0.2, 0.3]], 0.6),
        .init(["$add": [.int32(.max), 1]], .int64(2_147_483_648)),
        .init(["$add": [.int64(.max), 1]], 9.223372036854775807e18),
        .init(["$add": ["$date", 1.5]], .date(1_700_000_000_002)),
        .init(["$add": ["$date", "$date"]], code: 16612), .init(["$add": ["x"]], code: 14),
        .init(["$subtract": ["$date", "$date"]], .int64(0)),
        .init(["$subtract": [1, "$date"]], code: 14),
        .init(["$multiply": [.int32(.max), 2]], .int64(4_294_967_294)),
        .init(["$divide": [1, 2]], 0.5), .init(["$divide": [1, 0]], code: 2),
        .init(["$mod": [-7, 3]], -1), .init(["$mod": [.int64(.min), -1]], .int64(0)),
        .init(["$mod": [1, 0]], code: 16610),
        .init(["$abs": .int32(.min)], .int64(2_147_483_648)),
        .init(["$abs": .int64(.min)], code: 28680), .init(["$abs": [-1]], 1),
        .init(["$abs": "x"], code: 28765), .init(["$abs": [1, 2]], code: 16020),
        .init(["$ceil": 1.2], 2.0), .init(["$floor": -1.2], -2.0), .init(["$ceil": 3], 3),
        .init(["$round": [2.5]], 2.0), .init(["$round": [12345, -2]], 12300),
        .init(["$round": [12350, -2]], 12400), .init(["$round": [1.005, 2]], 1.0),
        .init(["$round": [1, 101]], code: 51083), .init(["$trunc": [-1.99, 1]], -1.9),
        .init(["$sqrt": 16], 4.0), .init(["$sqrt": -1], code: 28714),
        .init(["$pow": [2, 10]], 1024), .init(["$pow": [2, 40]], .int64(1 << 40)),
        .init(["$pow": [2, 64]], 18_446_744_073_709_551_616.0), .init(["$pow": [2, -1]], 0.5),
        .init(["$pow": [0, -1]], code: 28764), .init(["$exp": 0], 1.0), .init(["$ln": 1], 0.0),
        .init(["$ln": 0], code: 28766), .init(["$log10": 1000], 3.0),
        .init(["$log": [8, 2]], 3.0), .init(["$log": [8, 1]], code: 28759),
    ]

    static let logic: [ExpressionRow] = [
        .init(["$eq": [1, 1.0]], true), .init(["$lt": [5, "a"]], true),
        .init(["$eq": ["$zz", nil]], false), .init(["$lt": ["$zz", nil]], true),
        .init(["$cmp": [2, 1]], 1), .init(["$and": []], true), .init(["$or": []], false),
        .init(["$and": ["", [], .double(.nan)]], true), .init(["$and": [1, -0.0]], false),
        .init(["$not": ["$zz"]], true), .init(["$cond": [true, 1, 2]], 1),
        .init(["$cond": ["if": false, "then": 1, "else": 2]], 2),
        .init(["$cond": ["if": true, "then": 1]], code: 17082),
        .init(["$cond": ["if": 1, "then": 1, "else": 2, "x": 1]], code: 17083),
        .init(["$ifNull": ["$zz", nil, 3]], 3), .init(["$ifNull": [1]], code: 1_257_300),
        .init(["$switch": ["branches": [["case": "$a", "then": "yes"]], "default": 0]], "yes"),
        .init(["$switch": ["branches": [["case": "$zz", "then": 1]]]], code: 40066),
        .init(["$switch": ["branches": [["case": false, "then": 1]]]], code: 40069),
        .init(["$switch": ["branches": []]], code: 40068),
        .init(
            ["$let": ["vars": ["v": ["$add": ["$a", 1]]], "in": ["$multiply": ["$$v", 2]]]], 12),
        .init(["$let": ["vars": ["V": 1], "in": 1]], code: 9),
        .init(["$let": ["vars": ["CURRENT": "$o"], "in": "$x"]], 1),
    ]

    static let strings: [ExpressionRow] = [
        .init(["$concat": ["a", "b"]], "ab"), .init(["$concat": []], ""),
        .init(["$concat": ["a", 1]], code: 16702), .init(["$toUpper": "$s"], "HéLLO"),
        .init(["$toLower": 12], "12"), .init(["$toUpper": true], code: 16007),
        .init(["$substrCP": ["$s", 1, 2]], "él"), .init(["$substrBytes": ["$s", 0, 1]], "H"),
        .init(["$substrBytes": ["$s", 2, 1]], code: 28656),
        .init(["$substrBytes": ["$s", 0, 2]], code: 28657),
        .init(["$substrCP": ["$s", -1, 2]], code: 34455),
        .init(["$strLenCP": "$s"], 5), .init(["$strLenBytes": "$s"], 6),
        .init(["$split": ["a,b,,", ","]], ["a", "b", "", ""]),
        .init(["$split": ["a", ""]], code: 40087),
        .init(["$trim": ["input": " \u{0}a b\n"]], "a b"),
        .init(["$ltrim": ["input": "xxaxx", "chars": "x"]], "axx"),
        .init(["$rtrim": ["input": "xxéé", "chars": "é"]], "xx"),
        .init(["$indexOfCP": ["$s", "l"]], 2), .init(["$indexOfBytes": ["$s", "l"]], 3),
        .init(["$indexOfCP": ["$s", "l", -1]], code: 40097),
        .init(["$indexOfCP": ["$s", "z"]], -1), .init(["$strcasecmp": ["ab", "AB"]], 0),
        .init(["$replaceOne": ["input": "aba", "find": "a", "replacement": "xx"]], "xxba"),
        .init(["$replaceAll": ["input": "aba", "find": "a", "replacement": ""]], "b"),
        .init(["$replaceAll": ["input": "aba", "find": 1, "replacement": ""]], code: 10_503_901),
    ]

    static let arrays: [ExpressionRow] = [
        .init(["$arrayElemAt": ["$list", -1]], 3), .init(missing: ["$arrayElemAt": ["$list", 9]]),
        .init(["$arrayElemAt": [1, 0]], code: 28689), .init(["$first": "$list"], 1),
        .init(["$last": "$list"], 3), .init(missing: ["$first": [[]]]),
        .init(["$size": "$list"], 3), .init(["$size": "$a"], code: 17124),
        .init(["$in": [2.0, "$list"]], true), .init(["$in": [1, 1]], code: 40081),
        .init(["$concatArrays": ["$list", [4]]], [1, 2, 3, 4]),
        .init(["$slice": ["$list", 2]], [1, 2]), .init(["$slice": ["$list", -2]], [2, 3]),
        .init(["$slice": ["$list", 1, 5]], [2, 3]),
        .init(["$slice": ["$list", 1, 0]], code: 28729),
        .init(["$range": [0, 5, 2]], [0, 2, 4]), .init(["$range": [3, 0, -1]], [3, 2, 1]),
        .init(["$range": [0, 5, 0]], code: 34449),
        .init(["$reverseArray": "$list"], [3, 2, 1]), .init(["$isArray": "$list"], true),
        .init(["$indexOfArray": ["$list", 3]], 2),
        .init(["$indexOfArray": ["$list", 3, 0, 2]], -1),
        .init(["$map": ["input": "$list", "in": ["$add": ["$$this", "$a"]]]], [6, 7, 8]),
        .init(
            ["$map": ["input": "$list", "as": "x", "in": ["$map": ["input": [1], "in": "$$x"]]]],
            [[1], [2], [3]]),
        .init(["$filter": ["input": "$list", "cond": ["$gt": ["$$this", 1]]]], [2, 3]),
        .init(["$filter": ["input": "$list", "cond": true, "limit": 2]], [1, 2]),
        .init(["$filter": ["input": "$list", "cond": true, "limit": 0]], code: 327_392),
        .init(
            [
                "$reduce": [
                    "input": "$list", "initialValue": 0, "in": ["$add": ["$$value", "$$this"]],
                ]
            ], 6),
        .init(
            ["$objectToArray": ["$o"]],
            [["k": "x", "v": 1], ["k": "y", "v": ["z": 2]]]),
        .init(["$arrayToObject": [[["a", 1], ["b", 2], ["a", 3]]]], ["a": 3, "b": 2]),
        .init(["$arrayToObject": [[["k": "a", "v": 1], ["b", 1]]]], code: 40391),
        .init(["$mergeObjects": [["a": 1, "b": 2], nil, ["a": 3]]], ["a": 3, "b": 2]),
        .init(["$mergeObjects": []], [:]), .init(["$mergeObjects": [1]], code: 40400),
        .init(["$sum": "$list"], 6), .init(["$sum": [1, [2], "x", 2.5]], 3.5),
        .init(["$avg": "$list"], 2.0), .init(["$avg": ["x"]], nil), .init(["$min": "$list"], 1),
        .init(["$max": [nil, 3, "a"]], "a"), .init(["$max": "$zz"], nil),
    ]

    static let types: [ExpressionRow] = [
        .init(["$type": "$zz"], "missing"), .init(["$type": "$n"], "null"),
        .init(["$isNumber": 1], true), .init(["$toString": 1.0], "1"),
        .init(["$toString": 1e16], "1e+16"), .init(["$toString": 0.00009], "9e-05"),
        .init(["$toString": -0.0], "-0"), .init(["$toString": 1234.5], "1234.5"),
        .init(["$toString": "$date"], "2023-11-14T22:13:20.000Z"),
        .init(["$toInt": "12"], 12), .init(["$toInt": "1.5"], code: 241),
        .init(["$toInt": 2.9], 2), .init(["$toLong": "$date"], .int64(1_700_000_000_000)),
        .init(["$toInt": 3e9], code: 241), .init(["$toBool": "false"], true),
        .init(["$toDouble": "1e3"], 1000.0), .init(["$toDate": 5], code: 241),
        .init(["$toDate": "2024-02-29T10:00Z"], .date(1_709_200_800_000)),
        .init(["$toDate": "2023-02-29"], code: 241),
        .init(["$convert": ["input": ["a": 1], "to": "string", "onError": ""]], ""),
        .init(["$convert": ["input": nil, "to": "int", "onNull": 7]], 7),
        .init(["$convert": ["input": 1, "to": "nope"]], code: 2),
        .init(["$toInt": [1, 2]], code: 50723),
    ]

    @Test(arguments: paths + arithmetic + logic + strings + arrays + types)
    func row(_ row: ExpressionRow) {
        #expect(evaluate(row.expression, Self.document) == row.outcome)
    }

    @Test func commandVariables() throws {
        var scope = ExpressionScope(nowMillis: 42)
        let variables: Document = ["v": ["$add": [1, 2]], "w": ["$literal": "$a"]]
        try scope.bind(variables: variables.view)
        #expect(evaluate("$$v", scope: scope) == .value(3))
        #expect(evaluate("$$w", scope: scope) == .value("$a"))
        #expect(evaluate("$$NOW", scope: scope) == .value(.date(42)))
        let reading: Document = ["v": "$a"]
        #expect(throws: DBError.self) { try scope.bind(variables: reading.view) }
    }

    @Test func requiredPaths() throws {
        let some = OwnedValue(["$add": ["$a.b", "$c", "$a.b"]] as Value)
        let paths = try Expression.parse(some.view, ExpressionScope()).requiredPaths
        #expect(paths?.map { $0.dotted } == ["a.b", "c"])
        let whole = OwnedValue("$$ROOT" as Value)
        #expect(try Expression.parse(whole.view, ExpressionScope()).requiredPaths == nil)
    }
}
