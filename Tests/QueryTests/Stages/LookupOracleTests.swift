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
        let local = documents(40, "l")
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

    /// Many documents are joined by few reads, whatever their results' size; few are wanted of them,
    /// few are joined.
    @Test func manyAreJoinedAtOnce() throws {
        let local: [Document] = (0..<3_000).map { ["_id": .int32($0), "l": .int32($0 % 700)] }
        let text = String(repeating: "x", count: 500)
        let foreign: [Document] = (0..<1_400).map {
            ["_id": .int32($0), "f": .int32($0 % 700), "t": .string(text)]
        }
        func run(_ stages: Value) throws -> (results: [Document], reads: Int) {
            let list = OwnedValue(stages)
            let pipeline = try Pipeline.parse(DocumentView(list.view.bytes), ExpressionScope())
            let others = OtherCollections(["f": foreign])
            var resources = ExecutionResources()
            resources.foreign = others
            return (try QueryTests.run(pipeline, over: local, resources), others.openedCount)
        }
        let lookup: Value = [
            "$lookup": ["from": "f", "localField": "l", "foreignField": "f", "as": "j"]
        ]
        let all = try run([lookup, ["$project": ["ids": "$j._id"]]])
        #expect(all.reads <= 14)
        #expect(all.results.count == 3_000)
        for (number, result) in all.results.enumerated() {
            let first = Int32(number % 700)
            try #require(result["ids"] == [.int32(first), .int32(first + 700)])
        }
        let few = try run([lookup, ["$limit": 2], ["$project": ["_id": 1]]])
        #expect(few.results == [["_id": 0], ["_id": 1]] && few.reads <= 2)
    }

    /// What stands behind a $lookup that need not keep whole documents.
    static let readers: [[Value]] = [
        [["$unwind": "$j"], ["$group": ["_id": "$a.b", "n": ["$push": "$j.x"]]]],
        [["$unwind": "$j"], ["$group": ["_id": "$j", "n": ["$sum": 1]]]],
        [["$unwind": "$c"], ["$group": ["_id": "$c", "n": ["$sum": ["$size": "$j"]]]]],
        [
            ["$unwind": ["path": "$j", "includeArrayIndex": "c"]],
            ["$project": ["c": 1, "x": "$j.x"]],
        ],
        [["$unwind": ["path": "$j", "preserveNullAndEmptyArrays": true]], ["$count": "n"]],
        [["$match": ["j.x": 3]], ["$group": ["_id": nil, "n": ["$last": "$_id"]]]],
        [["$match": ["j": ["$elemMatch": ["x": 3, "y": 1]]]], ["$project": ["l": 1]]],
        [["$match": ["j.1.x": ["$exists": true]]], ["$count": "n"]],
        [["$group": ["_id": "$j.x", "f": ["$first": "$j.y"], "a": ["$addToSet": "$a"]]]],
        [["$group": ["_id": "$j.0.x", "r": ["$first": "$$ROOT"]]]],
        [["$project": ["d": ["$arrayElemAt": ["$j", 0]], "b": "$a.b"]]],
        [["$sort": ["j.y": 1, "_id": -1]], ["$project": ["j.f": 1]]],
        [["$project": ["a": 0, "j.x": 0]]], [["$replaceWith": ["j": "$j.y", "k": "$c"]]],
    ]

    /// Fields that nothing reads are left out of joined documents, and nothing else is.
    @Test(arguments: readers.indices, [700, 40])
    func keepsWhatIsRead(_ index: Int, _ width: Int) throws {
        let local: [Document] = (0..<80).map {
            [
                "_id": .int32($0), "l": .int32($0 % 7), "a": ["b": .int32($0 % 3)],
                "c": [.int32($0 % 2), 5], "j": "gone",
            ]
        }
        let foreign: [Document] = (0..<12).map {
            [
                "_id": .int32($0), "f": .int32($0 % 5), "x": .int32($0 % 4), "y": .int32($0 % 2),
                "t": .string(String(repeating: "x", count: width)),
            ]
        }
        let lookup: Value = [
            "$lookup": ["from": "f", "localField": "l", "foreignField": "f", "as": "j"]
        ]
        let stages = Self.readers[index]
        // A stage that is taken to read everything.
        let whole: Value = .array([lookup, ["$redact": "$$KEEP"]] + stages)
        let expected = try aggregate(whole, over: local, others: ["f": foreign]).get()
        let found = aggregate(.array([lookup] + stages), over: local, others: ["f": foreign])
        #expect(try found.get() == expected, "\(stages)")
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
