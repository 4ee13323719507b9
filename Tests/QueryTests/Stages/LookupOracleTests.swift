// $lookup against a naive model with random values: every pair of documents is compared by the
// rules of equality as written.

import BSON
import TestSupport
import Testing

@testable import Query

@Suite struct LookupOracleTests {
    /// Values at a field; nil for none.
    static let values: [Value?] = [
        nil, .null, 1, 1.0, 2, "a", "b", [], [1], [1, 2], ["a", nil], [[1, 2]], ["x": 1],
        .regex(pattern: "a", options: ""), true, [.regex(pattern: "a", options: "")],
    ]

    @Test(arguments: 0..<60)
    func agreesWithANaiveModel(_ seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        func documents(_ count: Int, _ field: String) -> [Document] {
            (0..<count).map { index in
                Document { writer in
                    writer.append("_id", Int32(index))
                    if let value = Self.values.randomElement(using: &random) ?? nil {
                        writer.append(field, value)
                    }
                }
            }
        }
        let local = documents(8, "l")
        let foreign = documents(12, "f")
        let stages: Value = [
            ["$lookup": ["from": "f", "localField": "l", "foreignField": "f", "as": "j"]],
            ["$project": ["ids": "$j._id"]],
        ]
        let results = try aggregate(stages, over: local, others: ["f": foreign]).get()
        for (document, result) in zip(local, results) {
            let expected = foreign.filter { Self.joins(document["l"], $0["f"]) }
            #expect(
                result["ids"] == .array(expected.map { $0["_id"] ?? .null }),
                "seed \(seed): \(document)")
        }
    }

    /// Whether a local value finds a foreign one.
    private static func joins(_ local: Value?, _ foreign: Value?) -> Bool {
        guard case .array(let elements)? = local, !elements.isEmpty else {
            let wanted: Value = if case .array? = local { .null } else { local ?? .null }
            return matches(wanted, foreign)
        }
        return elements.contains { matches($0, foreign) }
    }

    /// Whether a foreign field is a value, or an array that has it as an element.
    private static func matches(_ wanted: Value, _ foreign: Value?) -> Bool {
        let found = foreign ?? .null
        if equals(wanted, found) { return true }
        guard case .array(let elements) = found else { return false }
        return elements.contains { equals(wanted, $0) }
    }

    private static func equals(_ left: Value, _ right: Value) -> Bool {
        let (left, right) = (OwnedValue(left), OwnedValue(right))
        return left.view.compare(right.view) == 0
    }

    // MARK: $expr

    static let expressions: [(Value, String?)] = [
        (["$expr": ["$eq": ["$a", 5]]], "a"), (["$expr": ["$eq": [5, "$a.b"]]], "a.b"),
        (["$and": [["x": 1], ["$expr": ["$and": [["$eq": ["$a", nil]]]]]]], "a"),
        (["$expr": ["$eq": ["$a", [1]]]], nil), (["$expr": ["$eq": ["$a", "$b"]]], nil),
        (["$expr": ["$or": [["$eq": ["$a", 1]]]]], nil), (["$expr": ["$gt": ["$a", 1]]], nil),
    ]

    /// What an index can use of `$expr`, in a filter that finds the same as before.
    @Test(arguments: expressions.indices)
    func impliedEqualities(_ index: Int) throws {
        let (condition, path) = Self.expressions[index]
        let list = OwnedValue([["$match": condition]] as Value)
        let pipeline = try Pipeline.parse(DocumentView(list.view.bytes), ExpressionScope())
        let filter = try #require(pipeline.leading.filter)
        var found: String?
        if case .and(let nodes) = filter.root {
            for case .compare(let place, .equal, _) in nodes where place.dotted != "x" {
                found = place.dotted
            }
        }
        #expect(found == path, "\(condition)")
    }

    @Test func expressionsStayStrict() throws {
        let documents: [Document] = [["a": 5], ["a": [5]], ["a": 5.0], ["b": 1], ["a": nil]]
        let five = aggregate([["$match": ["$expr": ["$eq": ["$a", 5]]]]], over: documents)
        #expect(try five.get() == [["a": 5], ["a": 5.0]])
        let null = aggregate([["$match": ["$expr": ["$eq": ["$a", nil]]]]], over: documents)
        #expect(try null.get() == [["a": nil]])
    }
}
