import BSON
import Query
import Testing

@testable import Roost

/// What explain shows of reads that are no plain find, of special indexes and of writes: their
/// stages by name, and what they look at.
@Suite struct ExplainTests {
    private static let names = Namespace("test", "explained")

    struct Row: Sendable, CustomStringConvertible {
        let name: String
        let read: ExplainedRead
        /// Names of the nested stages, and of a pipeline's stages behind them.
        let stages: String
        var index: String?
        let keys: Int
        let documents: Int

        var description: String { name }
    }

    private static let point: Value = ["type": "Point", "coordinates": [5.0, 5.0]]

    static let rows: [Row] = [
        Row(
            name: "count by index", read: .count(["kind": 3]), stages: "COUNT COUNT_SCAN",
            index: "kind", keys: 100, documents: 0),
        Row(
            name: "count everything", read: .count([:]), stages: "COUNT RECORD_STORE_FAST_COUNT",
            keys: 0, documents: 0),
        Row(
            name: "distinct by index", read: .distinct("kind"), stages: "DISTINCT_SCAN",
            index: "kind", keys: 5, documents: 0),
        Row(
            name: "distinct within bounds", read: .distinct("kind", ["kind": ["$gte": 3]]),
            stages: "DISTINCT_SCAN", index: "kind", keys: 2, documents: 0),
        Row(
            name: "distinct of another path", read: .distinct("other", ["kind": 3]),
            stages: "FETCH IXSCAN", index: "kind", keys: 100, documents: 100),
        Row(
            name: "partial index", read: .find(["rare": ["$gte": 490]]), stages: "FETCH IXSCAN",
            index: "rare", keys: 10, documents: 10),
        Row(
            name: "partial index that doesn't hold all", read: .find(["rare": ["$gte": 1]]),
            stages: "COLLSCAN", keys: 0, documents: 500),
        Row(
            name: "sparse index", read: .find(["seldom": 7]), stages: "FETCH IXSCAN",
            index: "seldom", keys: 1, documents: 1),
        Row(
            name: "array's elements", read: .find(["tags": "t7"]), stages: "FETCH IXSCAN",
            index: "tags", keys: 1, documents: 1),
        Row(
            name: "wildcard", read: .find(["sub.deep": 9]), stages: "FETCH IXSCAN", index: "wild",
            keys: 1, documents: 1),
        Row(
            name: "hash", read: .find(["hashed": "h5"]), stages: "FETCH IXSCAN", index: "hashed",
            keys: 1, documents: 1),
        Row(
            name: "words", read: .find(["$text": ["$search": "word7"]]),
            stages: "TEXT_MATCH FETCH IXSCAN", index: "words", keys: 1, documents: 1),
        Row(
            name: "places within",
            read: .find([
                "place": ["$geoWithin": ["$centerSphere": [[5.0, 5.0], 0.0001]]]
            ]), stages: "FETCH IXSCAN", index: "place", keys: 1, documents: 1),
        Row(
            name: "places near",
            read: .find([
                "place": ["$near": ["$geometry": point, "$maxDistance": 100.0]]
            ]), stages: "GEO_NEAR_2DSPHERE FETCH IXSCAN", index: "place", keys: 1, documents: 1),
        Row(
            name: "filter and group",
            read: .aggregate([
                ["$match": ["kind": 3]], ["$group": ["_id": "$at", "n": ["$sum": 1]]],
            ]), stages: "FETCH IXSCAN $group", index: "kind", keys: 100, documents: 100),
        Row(
            name: "group of what a key says",
            read: .aggregate([
                ["$match": ["kind": ["$lte": 1]]],
                ["$group": ["_id": "$kind", "n": ["$sum": 1]]],
            ]), stages: "IXSCAN $group", index: "kind", keys: 200, documents: 0),
        Row(
            name: "order and limit of a pipeline",
            read: .aggregate([
                ["$sort": ["at": -1]], ["$limit": 3], ["$set": ["x": 1]],
            ]), stages: "LIMIT FETCH IXSCAN $set", index: "at", keys: 3, documents: 3),
        Row(
            name: "filter behind an order",
            read: .aggregate([
                ["$sort": ["at": 1]], ["$match": ["kind": 3]],
            ]), stages: "SORT FETCH IXSCAN", index: "kind", keys: 100, documents: 100),
        Row(
            name: "update", read: .write(["at": ["$lte": 5]], .update(isUpsert: false)),
            stages: "UPDATE FETCH IXSCAN", index: "at", keys: 5, documents: 5),
        Row(
            name: "delete", read: .write(["_id": 7], .delete), stages: "DELETE EXPRESS_IXSCAN",
            index: "_id_", keys: 1, documents: 1),
    ]

    private static func fixture() async throws -> ReadFixture {
        let fixture = try ReadFixture()
        let specifications: [Document] = [
            ["key": ["kind": 1], "name": "kind"], ["key": ["at": 1], "name": "at"],
            ["key": ["tags": 1], "name": "tags"],
            ["key": ["seldom": 1], "name": "seldom", "sparse": true],
            [
                "key": ["rare": 1], "name": "rare",
                "partialFilterExpression": ["rare": ["$gte": 450]],
            ],
            ["key": ["sub.$**": 1], "name": "wild"],
            ["key": ["hashed": "hashed"], "name": "hashed"],
            ["key": ["words": "text"], "name": "words"],
            ["key": ["place": "2dsphere"], "name": "place"],
        ]
        for specification in specifications {
            try await fixture.createIndex(names, specification)
        }
        try await fixture.insert(
            names,
            (0..<500).map { number in
                let id = Value.int32(Int32(number))
                let place: Value = [
                    "type": "Point",
                    "coordinates": [.double(Double(number % 25)), .double(Double(number / 25))],
                ]
                var fields: [(String, Value)] = [
                    ("_id", id), ("kind", .int32(Int32(number % 5))),
                    ("at", .int32(Int32(number + 1))), ("rare", id), ("place", place),
                    ("tags", ["t", .string("t\(number)")]), ("hashed", .string("h\(number)")),
                    ("words", .string("some word\(number)")), ("sub", ["deep": id]),
                ]
                if number % 50 == 7 { fields.append(("seldom", id)) }
                return fields.asDocument
            })
        return fixture
    }

    @Test(arguments: rows)
    func stagesAndCounts(_ row: Row) async throws {
        let fixture = try await Self.fixture()
        for verbosity in [ExplainVerbosity.queryPlanner, .executionStats, .allPlansExecution] {
            let explanation = try row.read.explain(Self.names, fixture, verbosity)
            var names: [String] = []
            var read = Value.document(explanation)
            if case .array(let stages)? = explanation["stages"], let first = stages.first {
                read = try #require(first.field("$cursor"))
                names = stages.dropFirst().compactMap { stage in
                    if case .document(let document) = stage { document.keys.first } else { nil }
                }
            }
            var nested: [String] = []
            var index: String?
            let planner = try #require(read.field("queryPlanner"))
            #expect(planner.field("parsedQuery") != nil)
            var stage = planner.field("winningPlan")
            while let current = stage {
                if case .string(let name)? = current.field("stage") { nested.append(name) }
                if case .string(let name)? = current.field("indexName") { index = name }
                stage = current.field("inputStage")
            }
            #expect((nested + names).joined(separator: " ") == row.stages)
            #expect(index == row.index)
            let statistics = read.field("executionStats")
            guard verbosity != .queryPlanner else {
                #expect(statistics == nil)
                continue
            }
            #expect(statistics?.field("totalKeysExamined") == .int32(Int32(row.keys)))
            #expect(statistics?.field("totalDocsExamined") == .int32(Int32(row.documents)))
            #expect(
                (statistics?.field("allPlansExecution") != nil) == (verbosity == .allPlansExecution)
            )
        }
    }

    /// A distinct gives the same by leaps as by looking at everything, whatever values there are.
    @Test(arguments: [1, -1] as [Int32])
    func distinctByLeaps(_ direction: Int32) async throws {
        let fixture = try await Self.fixture()
        try await fixture.insert(
            Self.names,
            [nil, 1.5, "x", "x", true, ["a": 1], .double(.nan), .int64(3)].enumerated().map {
                ["_id": .int32(Int32(1_000 + $0.offset)), "kind": $0.element]
            } + [["_id": 2_000]])
        func values(_ filter: Document, hint: Value?) throws -> [Value] {
            var request = DistinctRequest(
                Self.names, path: FieldPath("kind"), filter: try ReadFixture.filter(filter))
            request.hint = hint
            let read = fixture.engine.distinct(request)
            // Slices of one entry: leaps go on where the last one ended.
            let budget = ReadBudget(examinedMax: 1, nanosecondsMax: 10_000_000)
            while try !read.advance(fixture.reader, budget) {}
            var writer = DocumentWriter()
            let start = writer.openDocument()
            read.write(into: &writer)
            writer.close(start)
            var elements = DocumentView(writer.bytes.span.bytes).makeIterator()
            var values: [Value] = []
            while let element = elements.next() { values.append(Value(element.value)) }
            return values
        }
        let specification: Document = [
            "key": ["kind": .int32(direction), "at": 1], "name": "both",
        ]
        try await fixture.createIndex(Self.names, specification)
        for filter: Document in [[:], ["kind": ["$gt": 2]], ["kind": ["$in": [1, "x", nil]]]] {
            // Of equal numbers any type may stand for all: the first that is met.
            let expected = try values(filter, hint: ["$natural": 1]).map { OwnedValue($0) }
            for hint: Value? in [nil, "both"] {
                let found = try values(filter, hint: hint).map { OwnedValue($0) }
                #expect(found.count == expected.count)
                for (left, right) in zip(found, expected) {
                    let order = left.view.compare(right.view)
                    #expect(order == 0, "\(filter)")
                }
            }
        }
    }
}
