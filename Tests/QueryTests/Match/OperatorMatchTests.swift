import BSON
import Testing

@testable import Query

private let missing: Document = [:]
private func object(_ fields: Document) -> Value { .document(fields) }
private func regex(_ pattern: String, _ options: String = "") -> Value {
    .regex(pattern: pattern, options: options)
}

@Suite struct OperatorMatchTests {
    @Test(arguments: [
        MatchRow(["a": ["$in": []]], ["a": 1], false),
        MatchRow(["a": ["$in": [1, "x"]]], ["a": 1.0], true),
        MatchRow(["a": ["$in": [1, "x"]]], ["a": ["y", "x"]], true),
        MatchRow(["a": ["$in": [[1, 2]]]], ["a": [[1, 2]]], true),
        MatchRow(["a": ["$in": [[1]]]], ["a": [[1], 2]], true),
        MatchRow(["a": ["$in": [[1]]]], ["a": [1]], true),
        MatchRow(["a": ["$in": [nil, 3]]], missing, true),
        MatchRow(["a": ["$in": [.double(.nan), 3]]], ["a": decimal("NaN")], true),
        MatchRow(["a": ["$in": [regex("^b"), "x"]]], ["a": "bc"], true),
        MatchRow(["a": ["$in": [regex("^b"), "x"]]], ["a": "cb"], false),
        MatchRow(["a": ["$nin": [regex("^b"), "x"]]], ["a": ["c", "x"]], false),
        MatchRow(["k.a.b": ["$in": [nil, 1]]], ["k": [["a": nil]]], true),
        MatchRow(["k.a.b": ["$in": [nil, 1]]], ["k": [["a": ["b": nil]]]], true),
        MatchRow(["k.a.b": ["$in": [nil, 1]]], ["k": [["a": ["b": 1]]]], true),
        MatchRow(["k.a.b": ["$in": [nil, 1]]], ["k": [["a": "s"]]], true),
    ])
    func membership(_ row: MatchRow) throws {
        #expect(try matches(row.filter, row.document) == row.expected)
    }

    @Test(arguments: [
        MatchRow(["a": ["$all": []]], ["a": []], false),
        MatchRow(["a": ["$all": ["x"]]], ["a": "x"], true),
        MatchRow(["a": ["$all": [1, 2]]], ["a": [2, 3, 1]], true),
        MatchRow(["a": ["$all": [1, 2]]], ["a": [1]], false),
        MatchRow(["a": ["$all": [nil]]], missing, true),
        MatchRow(["a": ["$all": [[1, 2]]]], ["a": [1, 2]], true),
        MatchRow(["a": ["$all": [[1, 2]]]], ["a": [[1, 2], 3]], true),
        MatchRow(["a": ["$all": [regex("^x")]]], ["a": ["xy"]], true),
        MatchRow(["t": ["$all": [["$elemMatch": ["a": 1]]]]], ["t": [["a": 1], ["b": 1]]], true),
        MatchRow(
            ["t": ["$all": [["$elemMatch": ["a": 1]], ["$elemMatch": ["b": 1]]]]],
            ["t": [["a": 1], ["b": 1]]], true),
        MatchRow(["a": ["$elemMatch": ["x": 1]]], ["a": ["x": 1]], false),
        MatchRow(["a": ["$elemMatch": ["x": 1, "y": 2]]], ["a": [["x": 1], ["y": 2]]], false),
        MatchRow(["a": ["$elemMatch": ["$gt": 3, "$lt": 5]]], ["a": [1, 9]], false),
        MatchRow(["a": ["$elemMatch": ["$gt": 3, "$lt": 5]]], ["a": [4, 9]], true),
        MatchRow(["a": ["$elemMatch": ["$ne": 1]]], ["a": [1, 2]], true),
        MatchRow(["a": ["$elemMatch": ["$ne": 1]]], ["a": [1]], false),
        MatchRow(["a": ["$elemMatch": ["$gt": 1]]], ["a": [[2]]], false),
        MatchRow(["a": ["$elemMatch": ["$elemMatch": ["$gt": 1]]]], ["a": [[2]]], true),
        MatchRow(["a": ["$elemMatch": object([:])]], ["a": [1]], false),
        MatchRow(["a": ["$elemMatch": object([:])]], ["a": [object([:])]], true),
        MatchRow(["a": ["$elemMatch": object([:])]], ["a": [[]]], true),
        MatchRow(["a": ["$elemMatch": ["0": 5]]], ["a": [[5]]], true),
        MatchRow(
            ["a": ["$elemMatch": ["$or": [["x": 1], ["y": 1]]]]], ["a": [["y": 1]]], true),
        MatchRow(["v.foo": ["$elemMatch": ["$gt": 1]]], ["v": [["foo": [0]], ["foo": [2]]]], true),
        MatchRow(["a": ["$size": 2]], ["a": [1, 2]], true),
        MatchRow(["a": ["$size": 2.0]], ["a": [1, 2]], true),
        MatchRow(["a": ["$size": 0]], ["a": []], true),
        MatchRow(["a": ["$size": 0]], missing, false),
        MatchRow(["a": ["$size": 1]], ["a": [[1, 2]]], true),
        MatchRow(["a": ["$size": 2]], ["a": [[1, 2]]], false),
        MatchRow(["a.b": ["$size": 1]], ["a": [["b": [1]]]], true),
    ])
    func arrays(_ row: MatchRow) throws {
        #expect(try matches(row.filter, row.document) == row.expected)
    }

    @Test(arguments: [
        MatchRow(["a": ["$exists": true]], ["a": nil], true),
        MatchRow(["a": ["$exists": true]], ["a": []], true),
        MatchRow(["a": ["$exists": ""]], missing, false),
        MatchRow(["a": ["$exists": decimal("0.00")]], missing, true),
        MatchRow(["a.b": ["$exists": true]], ["a": [1, [["b": 1]]]], false),
        MatchRow(["a.b": ["$exists": true]], ["a": [1, ["b": 1]]], true),
        MatchRow(["a": ["$type": 10]], ["a": nil], true),
        MatchRow(["a": ["$type": "null"]], missing, false),
        MatchRow(["a": ["$type": "number"]], ["a": decimal("1")], true),
        MatchRow(["a": ["$type": "array"]], ["a": []], true),
        MatchRow(["a": ["$type": "string"]], ["a": [1, "x"]], true),
        MatchRow(["a": ["$type": [-1, 127]]], ["a": .maxKey], true),
        MatchRow(["a": ["$type": ["int", "long"]]], ["a": 1.0], false),
        MatchRow(["a": ["$mod": [4, 0]]], ["a": 8.5], true),
        MatchRow(["a": ["$mod": [4.9, 1.9]]], ["a": 5], true),
        MatchRow(["a": ["$mod": [4, -1]]], ["a": -5], true),
        MatchRow(["a": ["$mod": [4, 0]]], ["a": .double(.nan)], false),
        MatchRow(["a": ["$mod": [4, 0]]], ["a": 1e300], false),
        MatchRow(["a": ["$mod": [-1, 0]]], ["a": .int64(.min)], true),
        MatchRow(["a": ["$mod": [2, 1]]], ["a": ["x", 3]], true),
        MatchRow(["a": ["$bitsAllSet": 3]], ["a": 7], true),
        MatchRow(["a": ["$bitsAllSet": 3]], ["a": 5], false),
        MatchRow(["a": ["$bitsAnySet": [0, 1]]], ["a": 2], true),
        MatchRow(["a": ["$bitsAllClear": [0]]], ["a": 2.0], true),
        MatchRow(["a": ["$bitsAllClear": [0]]], ["a": 2.5], false),
        MatchRow(["a": ["$bitsAllSet": [100]]], ["a": -1], true),
        MatchRow(["a": ["$bitsAnyClear": [100]]], ["a": 1], true),
        MatchRow(["a": ["$bitsAllSet": 0]], ["a": 1], true),
        MatchRow(["a": ["$bitsAnySet": 0]], ["a": 1], false),
        MatchRow(
            ["a": ["$bitsAllSet": [9]]], ["a": .binary(subtype: 0, [0, 2])], true),
        MatchRow(
            ["a": ["$bitsAllClear": [99]]], ["a": .binary(subtype: 5, [255])], true),
    ])
    func types(_ row: MatchRow) throws {
        #expect(try matches(row.filter, row.document) == row.expected)
    }

    @Test(arguments: [
        MatchRow(["a": regex("b")], ["a": "abc"], true),
        MatchRow(["a": regex("^b")], ["a": "a\nb"], false),
        MatchRow(["a": regex("^b", "m")], ["a": "a\nb"], true),
        MatchRow(["a": ["$regex": "B", "$options": "i"]], ["a": "abc"], true),
        MatchRow(["a": ["$options": "i", "$regex": "B"]], ["a": "abc"], true),
        MatchRow(["a": ["$regex": "^abc.*"]], ["a": regex("^abc.*")], true),
        MatchRow(["a": ["$regex": "^abc.*"]], ["a": regex("^abc")], false),
        MatchRow(["a": ["$regex": "a.c"]], ["a": "a\nc"], false),
        MatchRow(["a": ["$regex": "a.c", "$options": "s"]], ["a": "a\nc"], true),
        MatchRow(["a": ["$regex": "a b", "$options": "x"]], ["a": "ab"], true),
        MatchRow(["a": ["$regex": "^ab*"]], ["a": "ac"], true),
        MatchRow(["a": ["$regex": "^é?x"]], ["a": "x"], true),
        MatchRow(["a": ["$regex": "^a|b"]], ["a": "cb"], true),
        MatchRow(["a": ["$regex": "^a\\.b"]], ["a": "a.b"], true),
        MatchRow(["a": ["$regex": "^a\\.b"]], ["a": "axb"], false),
        MatchRow(["a": ["$regex": "^\\w+$"]], ["a": "é"], false),
        MatchRow(["a": ["$regex": "(*UCP)^\\w+$"]], ["a": "é"], true),
        MatchRow(["a": ["$regex": "ПРИВЕТ", "$options": "i"]], ["a": "привет"], true),
        MatchRow(["a": ["$regex": "x"]], ["a": ["y", "x"]], true),
        MatchRow(["a": ["$regex": "1"]], ["a": 1], false),
        MatchRow(["a": ["$regex": "x"]], ["a": .symbol("x")], true),
        MatchRow(["a": ["$regex": "a\\x00b"]], ["a": "a\0b"], true),
    ])
    func patterns(_ row: MatchRow) throws {
        #expect(try matches(row.filter, row.document) == row.expected)
    }

    @Test(
        "A pattern's literal prefix",
        arguments: [
            ("^abc", "", "abc", true), ("^abc.*", "", "abc", true), ("^abc+", "", "abc", false),
            ("^abc*", "", "ab", false), ("^a\\.b", "", "a.b", true), ("^ab(c|d)", "", nil, false),
            ("abc", "", nil, false), ("^abc", "i", nil, false), ("^abc", "m", nil, false),
            ("\\Aabc", "m", "abc", true), ("^é?", "", nil, false), ("^xé*", "", "x", false),
            ("^a\\d", "", "a", false), ("^a$", "", "a", false), ("^a{0}b", "", nil, false),
        ] as [(String, String, String?, Bool)])
    func prefix(_ pattern: String, _ options: String, _ prefix: String?, _ isAll: Bool) throws {
        let predicate = try RegexPredicate(
            pattern: Array(pattern.utf8), options: Array(options.utf8))
        #expect(predicate.literalPrefix.map { String(decoding: $0, as: UTF8.self) } == prefix)
        #expect(predicate.isPrefixOnly == isAll)
    }

    @Test("A long text is searched to its end", arguments: ["[ab][cd]", "(a|b)[cd]", "\\w{2}[cd]"])
    func longText(_ pattern: String) throws {
        let document: Document = ["a": .string(String(repeating: "a", count: 3_000_000))]
        #expect(try !matches(["a": ["$regex": .string(pattern)]], document))
    }

    @Test("A runaway pattern is an error, not a hang")
    func runaway() {
        let document: Document = ["a": .string(String(repeating: "a", count: 60) + "!")]
        #expect(throws: DBError.self) {
            _ = try matches(["a": ["$regex": "^(a+)+(a+)+(a+)+$"]], document)
        }
    }

    @Test(
        "Array positions",
        arguments: [
            (["g": ["$gte": 85]], ["g": [70, 87, 90]], 1),
            (["a.x": 4], ["a": [["x": 2], ["x": 4]]], 1),
            (["$or": [["a.x": 4]]], ["a": [["x": 2], ["x": 4]]], 1),
            (["a": ["$elemMatch": ["x": 4]]], ["a": [["x": 2], ["x": 4]]], 1),
            (["a.b.1": 1], ["a": [["b": [0]], ["b": [0, 1]]]], 1),
            (["a.0": 0], ["a": [0]], nil),
            (["a": [1, 2]], ["a": [1, 2]], nil),
            (["a": ["$size": 1]], ["a": [1]], nil),
            (["a": ["$ne": 5]], ["a": [1]], nil),
            (["$nor": [["a": 5]]], ["a": [1]], nil),
            (["a": 2, "b": 1], ["a": [1, 2], "b": 1], 1),
        ] as [(Document, Document, Int?)])
    func positions(_ filter: Document, _ document: Document, _ expected: Int?) throws {
        var scratch = MatchScratch()
        let isMatch = try Filter.parse(filter.view).matches(document.view, &scratch)
        #expect(isMatch)
        let position = scratch.arrayPosition
        #expect(position == expected)
    }

    @Test("Conditions on values and placeholders")
    func values() throws {
        var scratch = MatchScratch()
        let condition = OwnedValue(.document(["$gte": 3]))
        let filter = try Filter.parse(condition: condition.view)
        let five = OwnedValue(5)
        let nested = OwnedValue([5])
        let text = OwnedValue("x")
        let results = (
            try filter.matches(value: five.view, &scratch),
            try filter.matches(value: nested.view, &scratch),
            try filter.matches(value: text.view, &scratch)
        )
        #expect(results == (true, true, false))
        let named: Document = ["$and": [["e.a": ["$exists": true]], ["e.a": ["$gte": 5]]]]
        let options = FilterOptions(context: .arrayFilter, placeholder: "e")
        let onElement = try Filter.parse(named.view, options)
        let element = OwnedValue(.document(["a": 7]))
        let isElement = try onElement.matches(value: element.view, &scratch)
        #expect(isElement)
        #expect(parseError(["f": 1], options) == 9)
    }
}
