import BSON
import Testing

@testable import Query

private let nan: Value = .double(.nan)
private let none: Document = [:]

@Suite struct ComparisonMatchTests {
    @Test(arguments: [
        // Equality and numeric types.
        MatchRow(["a": 1], ["a": 1.0], true),
        MatchRow(["a": 1], ["a": .int64(1)], true),
        MatchRow(
            ["a": .int64(9_007_199_254_740_993)], ["a": .double(9_007_199_254_740_992)], false),
        MatchRow(["a": 0], ["a": .double(-0.0)], true),
        MatchRow(["a": 1], ["a": true], false),
        MatchRow(["a": "x"], ["a": "x"], true),
        MatchRow(["a": "x"], ["a": .symbol("x")], true),
        MatchRow(["a": "x\0y"], ["a": "x"], false),
        MatchRow(["a": ["x": 1]], ["a": ["x": 1]], true),
        MatchRow(["a": ["x": 1, "y": 2]], ["a": ["y": 2, "x": 1]], false),
        MatchRow(["a": ["$eq": .regex(pattern: "x", options: "")]], ["a": "x"], false),
        MatchRow(
            ["a": ["$eq": .regex(pattern: "x", options: "")]],
            ["a": .regex(pattern: "x", options: "")], true),
        MatchRow(["a": ["$ref": "c", "$id": 1]], ["a": ["$ref": "c", "$id": 1]], true),
        MatchRow(["a.$id": 1], ["a": ["$ref": "c", "$id": 1]], true),
        // Arrays.
        MatchRow(["a": 1], ["a": [1, 2]], true),
        MatchRow(["a": 1], ["a": [[1]]], false),
        MatchRow(["a": [1]], ["a": [1]], true),
        MatchRow(["a": [1]], ["a": [[1], 2]], true),
        MatchRow(["a": [1]], ["a": [1, 2]], false),
        MatchRow(["a": ["$gt": 3, "$lt": 5]], ["a": [1, 9]], true),
        MatchRow(["a": ["$gt": [1]]], ["a": [2]], true),
        // NaN.
        MatchRow(["a": nan], ["a": nan], true),
        MatchRow(["a": ["$lte": nan]], ["a": nan], true),
        MatchRow(["a": ["$lt": nan]], ["a": nan], false),
        MatchRow(["a": ["$lte": nan]], ["a": 1], false),
        MatchRow(["a": ["$lt": 1]], ["a": nan], false),
        MatchRow(["a": ["$lt": .int64(9_007_199_254_740_993)]], ["a": nan], false),
        // Brackets.
        MatchRow(["a": ["$gt": 5]], ["a": "x"], false),
        MatchRow(["a": ["$gt": ""]], ["a": "x"], true),
        MatchRow(["a": ["$gte": .minKey]], ["a": 1], true),
        MatchRow(["a": ["$gte": .minKey]], none, true),
        MatchRow(["a": ["$lt": .maxKey]], ["a": "x"], true),
        MatchRow(["a": ["$lt": .maxKey]], ["a": .maxKey], false),
        MatchRow(["a": ["$lt": .minKey]], ["a": 1], false),
        MatchRow(["a": ["$gt": .date(0)]], ["a": .timestamp(Timestamp(rawValue: 1))], false),
        // Null and missing.
        MatchRow(["a": nil], none, true),
        MatchRow(["a": nil], ["a": nil], true),
        MatchRow(["a": nil], ["a": .undefined], false),
        MatchRow(["a": nil], ["a": []], false),
        MatchRow(["a": nil], ["a": [nil]], true),
        MatchRow(["a": ["$gte": nil]], none, true),
        MatchRow(["a": ["$lte": nil]], ["a": nil], true),
        MatchRow(["a": ["$gt": nil]], none, false),
        MatchRow(["a": ["$gt": nil]], ["a": nil], false),
        MatchRow(["a.b": nil], none, true),
        MatchRow(["a.b": nil], ["a": nil], true),
        MatchRow(["a.b": nil], ["a": .document([:])], true),
        MatchRow(["a.b": nil], ["a": ["b": nil]], true),
        MatchRow(["a.b": nil], ["a": 4], true),
        MatchRow(["a.b": nil], ["a": []], false),
        MatchRow(["a.b": nil], ["a": [1, 2]], false),
        MatchRow(["a.b": nil], ["a": [[]]], false),
        MatchRow(["a.b": nil], ["a": [.document([:])]], true),
        MatchRow(["a.b": nil], ["a": [["b": 1], .document([:])]], true),
        MatchRow(["a.b": nil], ["a": [["b": 1]]], false),
        MatchRow(["a.b": ["$ne": nil]], ["a": [1]], true),
    ])
    func comparison(_ row: MatchRow) throws {
        #expect(try matches(row.filter, row.document) == row.expected)
    }

    @Test(arguments: [
        MatchRow(["a.0": 1], ["a": [1]], true),
        MatchRow(["a.0": 1], ["a": [["0": 1]]], true),
        MatchRow(["a.0": 1], ["a": ["0": 1]], true),
        MatchRow(["a.1": 1], ["a": [1]], false),
        MatchRow(["a.00": 1], ["a": [1]], false),
        MatchRow(["a.-1": 1], ["a": [1]], false),
        MatchRow(["a.0.b": 1], ["a": [[["b": 1]]]], true),
        MatchRow(["a.0.b": 1], ["a": [["b": 1]]], true),
        MatchRow(["a.0.1": 6], ["a": [[5, 6]]], true),
        MatchRow(["a.b": 1], ["a": [["b": 1]]], true),
        MatchRow(["a.b": 1], ["a": [[["b": 1]]]], false),
        MatchRow(["a.b.c": 1], ["a": [["b": [["c": 2], ["c": 1]]]]], true),
        MatchRow(["a.b": 1], ["a": [5, ["b": 1]]], true),
        MatchRow(["a..b": 1], ["a": ["b": 1]], false),
        MatchRow(["a.b": 1], ["a.b": 1], false),
        MatchRow(
            ["a_rather_long_name": 1], ["a_rather_long_nameX": 2, "a_rather_long_name": 1], true),
        MatchRow(["12345678": 1], ["1234567": 2, "123456789": 3, "12345678": 1], true),
        MatchRow(["1234567": 1], ["12345678": 2, "123456": 3, "1234567": 1], true),
    ])
    func paths(_ row: MatchRow) throws {
        #expect(try matches(row.filter, row.document) == row.expected)
    }

    @Test(arguments: [
        MatchRow(["a": ["$ne": 1]], ["a": [1, 2]], false),
        MatchRow(["a": ["$ne": 1]], none, true),
        MatchRow(["s.st": ["$ne": "p"]], ["s": [["st": "p"], ["st": "d"]]], false),
        MatchRow(["l": ["$ne": []]], ["l": []], false),
        MatchRow(["f": ["$ne": nil]], none, false),
        MatchRow(["a": ["$nin": []]], none, true),
        MatchRow(["a": ["$nin": [1, nil]]], none, false),
        MatchRow(["a": ["$not": ["$gt": 5]]], ["a": "x"], true),
        MatchRow(["a": ["$not": ["$gt": 5]]], none, true),
        MatchRow(["a": ["$not": ["$gt": 5, "$lt": 9]]], ["a": 7], false),
        MatchRow(["a": ["$not": ["$not": ["$gt": 5]]]], ["a": 7], true),
        MatchRow(["a": ["$not": .regex(pattern: "^x", options: "")]], ["a": "y"], true),
        MatchRow(["$nor": [["a": 1], ["b": 1]]], ["a": 2, "b": 1], false),
        MatchRow(["$nor": [["a": 1], ["b": 1]]], ["a": 2, "b": 2], true),
        MatchRow(["$or": [["a": 1], ["b": 1]]], ["b": 1], true),
        MatchRow(["$or": [["a": 1], ["b": 1]]], ["b": 2], false),
        MatchRow(["$and": [["a": 1], ["b": 1]]], ["a": 1, "b": 1], true),
        MatchRow(["$and": [["a": 1], ["b": ["$ne": 1]]]], ["a": 1, "b": 1], false),
        MatchRow(["a": 1, "$comment": "why"], ["a": 1], true),
        MatchRow(["a": 1, "b": 2, "c": ["$exists": false]], ["b": 2, "a": 1], true),
        MatchRow(["a.x": 1, "a.y": 2], ["a": [["x": 1], ["y": 2]]], true),
    ])
    func logic(_ row: MatchRow) throws {
        #expect(try matches(row.filter, row.document) == row.expected)
    }
}
