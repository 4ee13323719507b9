import BSON
import TestSupport
import Testing

@testable import Query

/// The operators that are neither arithmetic nor dates: MongoDB's documented examples, restated,
/// and the edges of each.
@Suite struct OperatorExampleTests {
    static let document: Document = [
        "fruit": ["apple", "orange", "apple"], "other": ["orange", "apple"], "n": nil, "a": 5,
        "team": [
            ["name": "pat", "age": 30], ["name": "dallas", "age": 36],
            ["name": "charlie", "age": 42],
        ],
        "comment": "phone: 222-555-0101, mail: mrs@xyz.com",
        "data": .binary(subtype: 0, [1, 2, 3]),
    ]

    static let sets: [ExpressionRow] = [
        .init(["$setEquals": ["$fruit", "$other"]], true),
        .init(["$setEquals": [[1, 2], [2, 1.0], [1]]], false),
        .init(["$setEquals": [[1]]], code: 17045), .init(["$setEquals": [[1], nil]], code: 17044),
        .init(["$setUnion": ["$other", ["plum"]]], ["apple", "orange", "plum"]),
        .init(["$setUnion": []], []), .init(["$setUnion": [[1], nil]], nil),
        .init(["$setUnion": [[1], 2]], code: 17043),
        .init(["$setUnion": [[1.0, 1], [.int64(1)]]], [1.0]),
        .init(["$setIntersection": ["$fruit", ["apple", "fig"]]], ["apple"]),
        .init(["$setIntersection": [[1, 2], [2, 3], [2]]], [2]),
        .init(["$setIntersection": []], []), .init(["$setIntersection": [1, [1]]], code: 17047),
        .init(["$setDifference": [["b", "a", "b", "c", "a"], ["c"]]], ["b", "a"]),
        .init(["$setDifference": [[1, [1], [[1]]], [[1]]]], [1, [[1]]]),
        .init(["$setDifference": [1, [1]]], code: 17048),
        .init(["$setDifference": [[1], 1]], code: 17049),
        .init(["$setIsSubset": [["apple"], "$fruit"]], true),
        .init(["$setIsSubset": [["plum"], "$fruit"]], false),
        .init(["$setIsSubset": [nil, [1]]], code: 17046),
        .init(["$setIsSubset": [[1], nil]], code: 17042),
        .init(["$allElementsTrue": [[true, 1, "some"]]], true),
        .init(["$allElementsTrue": [[[]]]], true), .init(["$allElementsTrue": [[nil]]], false),
        .init(["$allElementsTrue": [nil]], code: 17040),
        .init(["$anyElementTrue": [[nil, false, 0]]], false),
        .init(["$anyElementTrue": [[0, .double(.nan)]]], true),
        .init(["$anyElementTrue": ["$a"]], code: 17041),
    ]

    static let patterns: [ExpressionRow] = [
        .init(
            ["$regexFind": ["input": "$comment", "regex": "([0-9]+)-([0-9]+)(x)?"]],
            ["match": "222-555", "idx": 7, "captures": ["222", "555", nil]]),
        .init(
            ["$regexFindAll": ["input": "Éa Éb", "regex": "é(.)", "options": "i"]],
            [
                ["match": "Éa", "idx": 0, "captures": ["a"]],
                ["match": "Éb", "idx": 3, "captures": ["b"]],
            ]),
        .init(
            ["$regexFindAll": ["input": "ab", "regex": ""]],
            [["match": "", "idx": 0, "captures": []], ["match": "", "idx": 1, "captures": []]]),
        .init(
            ["$regexMatch": ["input": "$comment", "regex": .regex(pattern: "XYZ", options: "i")]],
            true),
        .init(["$regexMatch": ["input": "$zz", "regex": "a"]], false),
        .init(["$regexFind": ["input": nil, "regex": "a"]], nil),
        .init(["$regexFindAll": ["input": "a", "regex": nil]], []),
        .init(["$regexMatch": ["input": 1, "regex": "a"]], code: 51104),
        .init(["$regexMatch": ["input": "a", "regex": 1]], code: 51105),
        .init(["$regexMatch": ["input": "a", "regex": "a", "options": 1]], code: 51106),
        .init(
            [
                "$regexMatch": [
                    "input": "a", "regex": .regex(pattern: "a", options: "i"), "options": "",
                ]
            ],
            code: 51107),
        .init(["$regexMatch": ["input": "a", "regex": "a", "options": "g"]], code: 51108),
        .init(["$regexMatch": ["input": "a", "regex": "a\0"]], code: 51109),
        .init(["$regexMatch": ["input": "a", "regex": "("]], code: 51111),
        .init(["$regexMatch": ["input": "a"]], code: 31023), .init(["$regexMatch": 1], code: 51103),
        .init(
            ["$regexMatch": ["input": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", "regex": "^(a+)+$"]],
            code: 51156),
    ]

    static let arrangements: [ExpressionRow] = [
        .init(["$zip": ["inputs": [[1, 2, 3], ["a", "b"]]]], [[1, "a"], [2, "b"]]),
        .init(
            ["$zip": ["inputs": [[1], [2, 3]], "useLongestLength": true, "defaults": [0, 9]]],
            [[1, 2], [0, 3]]),
        .init(
            ["$zip": ["inputs": [[1], [2, 3]], "useLongestLength": true]], [[1, 2], [nil, 3]]),
        .init(["$zip": ["inputs": [[1], "$n"]]], nil),
        .init(["$zip": ["inputs": [[1], 2]]], code: 34468),
        .init(["$zip": ["inputs": [[1]], "defaults": [1]]], code: 34466),
        .init(
            ["$zip": ["inputs": [[1], [2]], "defaults": [1], "useLongestLength": true]],
            code: 34467),
        .init(["$zip": ["inputs": [[1]], "useLongestLength": 1]], code: 34463),
        .init(
            [
                "$map": [
                    "input": ["$sortArray": ["input": "$team", "sortBy": ["age": -1]]],
                    "in": "$$this.name",
                ]
            ],
            ["charlie", "dallas", "pat"]),
        .init(
            ["$sortArray": ["input": [3, "a", nil, [1], 1.0], "sortBy": -1]],
            [[1], "a", 3, 1.0, nil]),
        .init(["$sortArray": ["input": "$n", "sortBy": 1]], nil),
        .init(["$sortArray": ["input": 1, "sortBy": 1]], code: 2_942_504),
        .init(["$sortArray": ["input": [1], "sortBy": 2]], code: 2),
        .init(["$sortArray": ["input": [1]]], code: 2_942_503),
        .init(["$firstN": ["n": 2, "input": [1, nil, 3]]], [1, nil]),
        .init(["$lastN": ["n": 2, "input": [1, 2, 3]]], [2, 3]),
        .init(["$minN": ["n": 2, "input": [3, nil, 1, 2]]], [1, 2]),
        .init(["$maxN": ["n": 5, "input": [3, nil, 1]]], [3, 1]),
        .init(["$firstN": ["n": 0, "input": [1]]], code: 5_787_908),
        .init(["$firstN": ["n": 1.5, "input": [1]]], code: 5_787_902),
        .init(["$maxN": ["n": 1, "input": 1]], code: 5_788_200),
    ]

    static let numbers: [ExpressionRow] = [
        .init(["$sin": 0], 0.0),
        .init(
            ["$cos": Decimal128.value("0")], Decimal128.value("1.000000000000000000000000000000000")
        ),
        .init(["$atan2": [0, 1]], 0.0),
        .init(["$cos": .double(.infinity)], code: 50989), .init(["$acos": 2], code: 50989),
        .init(["$acosh": 0], code: 50989), .init(["$atanh": 1], .double(.infinity)),
        .init(["$tan": "x"], code: 28765), .init(["$atan2": ["x", 1]], code: 51044),
        .init(["$degreesToRadians": 180], .double(.pi)), .init(["$sinh": 0], 0.0),
        .init(["$radiansToDegrees": .double(.pi)], 180.0), .init(["$sigmoid": 0], 0.5),
        .init(["$sigmoid": "x"], code: 14), .init(["$sin": "$n"], nil),
        .init(["$bitAnd": [5, 3]], 1), .init(["$bitOr": [5, .int64(2)]], .int64(7)),
        .init(["$bitXor": []], 0), .init(["$bitAnd": []], -1), .init(["$bitNot": 5], -6),
        .init(["$bitNot": .int64(5)], .int64(-6)), .init(["$bitAnd": [1, 1.0]], code: 14),
        .init(["$bitNot": 1.0], code: 14), .init(["$bitOr": [1, nil]], nil),
        .init(["$stdDevPop": [[1, 3, "x"]]], 1.0),
        .init(["$stdDevSamp": [1, 3]], .double(2.0.squareRoot())),
        .init(["$stdDevSamp": [1]], nil), .init(["$binarySize": "$data"], 3),
        .init(["$binarySize": "é"], 2), .init(["$binarySize": 1], code: 51276),
        .init(["$bsonSize": ["$literal": [:]]], 5), .init(["$bsonSize": 1], code: 31393),
        .init(["$indexOfCP": ["", ""]], 0),
    ]

    static func convert(_ input: Value, _ to: Value, _ how: String, _ value: Value) -> Value {
        let call = Document { writer in
            writer.append("input", input)
            writer.append("to", to)
            writer.append(how, value)
        }
        return ["$convert": .document(call)]
    }

    static let uuid: [UInt8] = [
        0x12, 0x34, 0x56, 0x78, 0x12, 0x34, 0x12, 0x34, 0x12, 0x34, 0x12, 0x34, 0x56, 0x78, 0x90,
        0x12,
    ]
    static let binData4: Value = ["type": "binData", "subtype": 4]

    static let conversions: [ExpressionRow] = [
        .init(["$toUUID": "12345678-1234-1234-1234-123456789012"], .binary(subtype: 4, uuid)),
        .init(["$toUUID": "12345678"], code: 241),
        .init(["$toString": .binary(subtype: 4, uuid)], "12345678-1234-1234-1234-123456789012"),
        .init(
            convert("aGk=", "binData", "format", "base64"), .binary(subtype: 0, Array("hi".utf8))),
        .init(convert("-_8", "binData", "format", "base64url"), .binary(subtype: 0, [0xFB, 0xFF])),
        .init(convert(.binary(subtype: 0, [0xFB, 0xFF]), "string", "format", "base64url"), "-_8"),
        .init(convert(.binary(subtype: 0, [0xFB]), "string", "format", "hex"), "FB"),
        .init(convert(.binary(subtype: 0, [0xFB]), "string", "format", "utf8"), code: 241),
        .init(convert(.binary(subtype: 0, [0xFB]), "string", "format", "uuid"), code: 241),
        .init(convert("fB0", "binData", "format", "hex"), code: 241),
        .init(convert("é", binData4, "format", "utf8"), code: 241),
        .init(convert("a", "binData", "format", nil), code: 4_341_115),
        .init(convert("a", "binData", "format", "xml"), code: 4_341_125),
        .init(convert("a", "binData", "format", 1), code: 4_341_114),
        .init(convert(258, "binData", "byteOrder", "big"), .binary(subtype: 0, [0, 0, 1, 2])),
        .init(convert(258, "binData", "byteOrder", nil), .binary(subtype: 0, [2, 1, 0, 0])),
        .init(convert(.binary(subtype: 0, [0xFF, 0xFE]), "int", "byteOrder", "big"), -2),
        .init(convert(.binary(subtype: 0, [0x3F, 0xC0, 0, 0]), "double", "byteOrder", "big"), 1.5),
        .init(convert(1, "binData", "byteOrder", "middle"), code: 9_130_002),
        .init(convert(1, "binData", "byteOrder", 1), code: 9_130_001),
        .init(convert("ff", "int", "base", 16), 255),
        .init(convert(255, "string", "base", 2), "11111111"),
        .init(convert("12", "int", "base", 2), code: 241),
        .init(convert("1", "int", "base", 3), code: 3_501_301),
        .init(convert(1, ["type": "int", "subtype": "x"], "format", nil), code: 4_341_106),
        .init(convert(.binary(subtype: 0, [1]), binData4, "onError", "other"), "other"),
    ]

    static let rest: [ExpressionRow] = [
        .init(["$meta": 1], code: 17307), .init(["$meta": "x"], code: 17308),
        .init(["$meta": "textScore"], code: 40218), .init(["$function": [:]], code: 115),
        // Calls of constants are evaluated at once, but for branches that are never taken.
        .init(["$ifNull": ["$a", ["$divide": [1, 0]]]], code: 2),
        .init(["$cond": [true, 1, ["$divide": [1, 0]]]], 1),
        .init(
            [
                "$switch": [
                    "branches": [
                        ["case": true, "then": 1], ["case": ["$divide": [1, 0]], "then": 2],
                    ]
                ]
            ],
            1),
        .init(
            [
                "$switch": [
                    "branches": [["case": false, "then": ["$divide": [1, 0]]]], "default": 3,
                ]
            ], 3),
    ]

    @Test(arguments: sets + patterns + arrangements + numbers + conversions + rest)
    func row(_ row: ExpressionRow) {
        #expect(evaluate(row.expression, Self.document) == row.outcome)
    }

    /// A call of constants gives what the same call of stored values gives.
    @Test(arguments: sets + patterns + arrangements + numbers)
    func constantsAndFields(_ row: ExpressionRow) throws {
        guard case .document(let call) = row.expression, let argument = call.view.first,
            case .array(let list) = Value(argument.value)
        else { return }
        for value in list {
            if case .string = value { return }
        }
        let stored = Document { writer in
            for (index, value) in list.enumerated() { writer.append("stored\(index)", value) }
        }
        let references = list.indices.map { Value.string("$stored\($0)") }
        let name = argument.nameString
        let byField: Value = .document(Document { $0.append(name, .array(references)) })
        if case .error = row.outcome { return }
        #expect(evaluate(byField, stored) == row.outcome)
    }

    /// Sets against the simplest way to say what they are.
    @Test func setsAgreeWithAnOracle() {
        var random = RandomSource(seed: 21)
        let alphabet: [Value] = [
            1, 1.0, .int64(2), 2, nil, "a", "A", [1], [1.0], ["x": 1], [:], [], true,
        ]
        func list() -> [Value] {
            (0..<Int.random(in: 0...12, using: &random)).map { _ in
                alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
            }
        }
        func isEqual(_ left: Value, _ right: Value) -> Bool {
            OwnedValue(left).view.compare(OwnedValue(right).view) == 0
        }
        for _ in 0..<2000 {
            let (left, right) = (list(), list())
            var difference: [Value] = []
            for value in left
            where !right.contains(where: { isEqual($0, value) })
                && !difference.contains(where: { isEqual($0, value) })
            { difference.append(value) }
            let arguments: Value = [.array(left), .array(right)]
            #expect(
                evaluate(
                    ["$setDifference": ["$left", "$right"]],
                    ["left": .array(left), "right": .array(right)])
                    == .value(.array(difference)))
            let isSubset = left.allSatisfy { value in right.contains { isEqual($0, value) } }
            let reverse = right.allSatisfy { value in left.contains { isEqual($0, value) } }
            #expect(evaluate(["$setIsSubset": arguments]) == .value(.bool(isSubset)))
            #expect(evaluate(["$setEquals": arguments]) == .value(.bool(isSubset && reverse)))
        }
    }
}
