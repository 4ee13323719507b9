import BSON
import Query
import Testing

@testable import Roost

/// Twenty shapes of queries by name: their stages, and what they look at. None that an index fits
/// examines more documents than it returns.
@Suite struct QueryShapeTests {
    private static let names = Namespace("test", "shapes")

    struct Shape: Sendable, CustomStringConvertible {
        let name: String
        var filter: Document = [:]
        var sort: Document?
        var limit = 0
        var fields: Document?
        let stages: String
        let keys: Int
        let documents: Int
        /// What of the advice must be there.
        var advice: String?

        var description: String { name }
    }

    static let shapes: [Shape] = [
        Shape(
            name: "point by _id", filter: ["_id": 7], stages: "EXPRESS_IXSCAN", keys: 1,
            documents: 1),
        Shape(
            name: "range of _id", filter: ["_id": ["$gte": 490]], stages: "FETCH IXSCAN", keys: 10,
            documents: 10),
        Shape(name: "equality", filter: ["at": 7], stages: "FETCH IXSCAN", keys: 1, documents: 1),
        Shape(
            name: "range", filter: ["at": ["$gt": 3, "$lt": 9]], stages: "FETCH IXSCAN", keys: 5,
            documents: 5),
        Shape(
            name: "values in a list", filter: ["at": ["$in": [3, 5, 8]]], stages: "FETCH IXSCAN",
            keys: 3, documents: 3),
        Shape(
            name: "equality and range", filter: ["kind": 3, "at": ["$lt": 20]],
            stages: "FETCH IXSCAN", keys: 4, documents: 4),
        Shape(
            name: "equality and order", filter: ["kind": 3], sort: ["at": -1], limit: 4,
            stages: "LIMIT FETCH IXSCAN", keys: 4, documents: 4),
        Shape(
            name: "equality and order reversed", filter: ["kind": 3], sort: ["at": 1], limit: 4,
            stages: "LIMIT FETCH IXSCAN", keys: 4, documents: 4),
        Shape(
            name: "order alone", sort: ["at": 1], limit: 3, stages: "LIMIT FETCH IXSCAN", keys: 3,
            documents: 3),
        Shape(
            name: "order by _id", sort: ["_id": -1], limit: 3, stages: "LIMIT COLLSCAN", keys: 0,
            documents: 3),
        Shape(
            name: "list and order", filter: ["kind": ["$in": [1, 3]]], sort: ["at": 1], limit: 4,
            stages: "LIMIT FETCH SORT_MERGE", keys: 5, documents: 4),
        Shape(
            name: "either of two paths", filter: ["$or": [["at": 7], ["name": "n3"]]],
            stages: "SUBPLAN FETCH OR", keys: 2, documents: 2),
        Shape(
            name: "either, in order", filter: ["$or": [["kind": 1], ["kind": 2]]], sort: ["at": 1],
            limit: 4, stages: "SUBPLAN LIMIT FETCH SORT_MERGE", keys: 5, documents: 4),
        Shape(
            name: "either and both", filter: ["kind": 3, "$or": [["at": 7], ["name": "n3"]]],
            stages: "FETCH OR", keys: 2, documents: 2),
        Shape(
            name: "prefix of a string", filter: ["name": ["$regex": "^n49"]],
            stages: "FETCH IXSCAN", keys: 11, documents: 11),
        Shape(
            name: "covered", filter: ["kind": 3], fields: ["at": 1, "_id": 0],
            stages: "PROJECTION_COVERED IXSCAN", keys: 100, documents: 0),
        Shape(
            name: "covered with a string", filter: ["name": "n9"], fields: ["name": 1, "_id": 0],
            stages: "PROJECTION_COVERED IXSCAN", keys: 1, documents: 0),
        Shape(
            name: "nothing can match", filter: ["at": ["$gt": 5, "$lt": 5]], stages: "EOF", keys: 0,
            documents: 0),
        Shape(
            name: "no index", filter: ["other": 1], stages: "COLLSCAN", keys: 0, documents: 500,
            advice: "{ other: 1 }"),
        Shape(
            name: "no index for the order", filter: ["other": 1, "size": ["$gt": 3]],
            sort: ["when": -1], stages: "SORT COLLSCAN", keys: 0, documents: 500,
            advice: "{ other: 1, when: -1, size: 1 }"),
    ]

    private static func fixture() async throws -> ReadFixture {
        let fixture = try ReadFixture()
        for key: Document in [["at": 1], ["kind": 1, "at": -1], ["name": 1]] {
            try await fixture.createIndex(
                names, ["key": .document(key), "name": .string("\(key)")])
        }
        try await fixture.insert(
            names,
            (0..<500).map { number in
                [
                    "_id": .int32(Int32(number)), "kind": .int32(Int32(number % 5)),
                    "at": .int32(Int32(500 - number)), "name": .string("n\(number)"),
                ]
            })
        return fixture
    }

    @Test(arguments: shapes)
    func planOf(shape: Shape) async throws {
        let fixture = try await Self.fixture()
        var request = try fixture.request(
            Self.names, shape.filter, sort: shape.sort, limit: shape.limit)
        if let fields = shape.fields {
            request.projection = try Projection.parse(
                fields.view, for: .find, ExpressionScope(nowMillis: 0))
        }
        let read = fixture.engine.explain(
            request, filter: shape.filter, projection: shape.fields, .allPlansExecution)
        while try !read.advance(fixture.reader, .slice) {}
        let explanation = Document { read.write(into: &$0) }
        var stages: [String] = []
        var stage = explanation["queryPlanner"]?.field("winningPlan")
        while let current = stage {
            if case .string(let name)? = current.field("stage") { stages.append(name) }
            stage = current.field("inputStage")
        }
        #expect(stages.joined(separator: " ") == shape.stages)
        let statistics = explanation["executionStats"]
        #expect(statistics?.field("totalKeysExamined") == .int32(Int32(shape.keys)))
        #expect(statistics?.field("totalDocsExamined") == .int32(Int32(shape.documents)))
        guard case .array(let plans)? = statistics?.field("allPlansExecution") else {
            Issue.record("no allPlansExecution")
            return
        }
        #expect(!plans.isEmpty)
        let advice = explanation["queryPlanner"]?.field("advice")
        if let wanted = shape.advice {
            guard case .string(let text)? = advice else {
                Issue.record("no advice")
                return
            }
            #expect(text.contains(wanted))
        } else {
            #expect(advice == nil)
        }
    }

    /// A choice is kept for its shape, until the indexes change or it turns out wrong.
    @Test func choicesAreKept() async throws {
        let fixture = try await Self.fixture()
        func find(_ kind: Int32) throws {
            let filter: Document = ["kind": .int32(kind), "at": ["$lt": 100]]
            _ = try fixture.find(fixture.request(Self.names, filter))
        }
        try find(1)
        try find(2)
        let entry = try #require(fixture.engine.collection(Self.names))
        let kept = fixture.engine.plans.entries(of: entry)
        #expect(kept.map(\.hits) == [1])
        // Ten times the work and more drops it.
        let shape = try #require(kept.first?.shape)
        fixture.engine.plans.check(entry, shape, examined: 100_000)
        #expect(fixture.engine.plans.entries(of: entry).isEmpty)
        try find(3)
        try await fixture.createIndex(Self.names, ["key": ["x": 1], "name": "x"])
        let changed = try #require(fixture.engine.collection(Self.names))
        #expect(fixture.engine.plans.entries(of: changed).isEmpty)
        try find(3)
        fixture.engine.plans.clear(changed)
        #expect(fixture.engine.plans.entries(of: changed).isEmpty)
    }
}
