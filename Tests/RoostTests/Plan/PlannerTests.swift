import BSON
import Query
import Testing

@testable import Roost

/// Which plan is chosen, and what explain counts.
@Suite struct PlannerTests {
    private static let names = Namespace("test", "plans")

    private func fixture(_ indexes: [Document], count: Int = 500) async throws -> ReadFixture {
        let fixture = try ReadFixture()
        for index in indexes { try await fixture.createIndex(Self.names, index) }
        try await fixture.insert(
            Self.names,
            (0..<count).map { number in
                [
                    "_id": .int32(Int32(number)), "kind": .int32(Int32(number % 5)),
                    "at": .int32(Int32(count - number)), "name": .string("n\(number)"),
                ]
            })
        return fixture
    }

    /// The stages' names, outermost first.
    private func stages(_ explanation: Document) -> [String] {
        var names: [String] = []
        var stage = explanation["queryPlanner"]?.field("winningPlan")
        while let current = stage {
            if case .string(let name)? = current.field("stage") { names.append(name) }
            stage = current.field("inputStage")
        }
        return names
    }

    struct Case: Sendable, CustomStringConvertible {
        let filter: Document
        var sort: Document?
        var limit = 0
        let stages: [String]
        var index: String?
        var examined: Int?

        var description: String { BoundsText.describe(OwnedValue(.document(filter)).view) }
    }

    static let cases: [Case] = [
        Case(filter: [:], stages: ["COLLSCAN"], examined: 500),
        Case(filter: ["name": "n7"], stages: ["COLLSCAN"], examined: 500),
        Case(filter: ["_id": 7], stages: ["EXPRESS_IXSCAN"], examined: 1),
        Case(
            filter: ["_id": ["$gte": 490]], stages: ["FETCH", "IXSCAN"], index: "_id_",
            examined: 10),
        Case(filter: ["at": 7], stages: ["FETCH", "IXSCAN"], index: "at_1", examined: 1),
        Case(
            filter: ["kind": 3, "at": ["$lt": 20]], stages: ["FETCH", "IXSCAN"],
            index: "kind_1_at_-1", examined: 4),
        Case(
            filter: ["kind": 3], sort: ["at": -1], limit: 4,
            stages: ["LIMIT", "FETCH", "IXSCAN"], index: "kind_1_at_-1", examined: 4),
        Case(
            filter: ["kind": 3], sort: ["at": 1], limit: 4,
            stages: ["LIMIT", "FETCH", "IXSCAN"], index: "kind_1_at_-1", examined: 4),
        Case(
            filter: [:], sort: ["at": -1, "_id": -1], limit: 3,
            stages: ["LIMIT", "FETCH", "IXSCAN"], index: "at_1", examined: 3),
        Case(filter: [:], sort: ["_id": -1], limit: 3, stages: ["LIMIT", "COLLSCAN"], examined: 3),
        Case(
            filter: [:], sort: ["name": 1], limit: 3, stages: ["SORT", "COLLSCAN"], examined: 500),
        Case(filter: ["_id": ["$in": .array([])]], stages: ["EOF"], examined: 0),
    ]

    @Test(arguments: cases)
    func planOf(item: Case) async throws {
        let fixture = try await fixture([
            ["key": ["at": 1], "name": "at_1"],
            ["key": ["kind": 1, "at": -1], "name": "kind_1_at_-1"],
        ])
        let request = try fixture.request(
            Self.names, item.filter, sort: item.sort, limit: item.limit)
        let explanation = try fixture.explain(request, filter: item.filter)
        #expect(stages(explanation) == item.stages)
        var stage = explanation["queryPlanner"]?.field("winningPlan")
        while let inner = stage?.field("inputStage") { stage = inner }
        if let index = item.index { #expect(stage?.field("indexName") == .string(index)) }
        if let examined = item.examined {
            let stats = explanation["executionStats"]
            #expect(stats?.field("totalDocsExamined") == .int32(Int32(examined)))
        }
    }

    @Test func hints() async throws {
        let fixture = try await fixture([
            ["key": ["at": 1], "name": "at_1"],
            ["key": ["kind": 1], "name": "secret", "hidden": true],
        ])
        for hint: Value in ["at_1", ["at": 1]] {
            let explanation = try fixture.explain(
                fixture.request(Self.names, ["kind": 1], hint: hint))
            #expect(stages(explanation) == ["FETCH", "IXSCAN"])
        }
        for hint: Value in ["nothing", ["at": -1], "secret"] {
            let request = try fixture.request(Self.names, ["kind": 1], hint: hint)
            #expect(throws: DBError.self) { try fixture.find(request) }
        }
        var request = try fixture.request(Self.names)
        request.min = ["at": 10]
        #expect(throws: DBError.self) { try fixture.find(request) }
        request.hint = "at_1"
        request.max = ["at": 13]
        #expect(try fixture.find(request).count == 3)
        request.max = ["kind": 13]
        #expect(throws: DBError.self) { try fixture.find(request) }
    }

    @Test func partialAndSparseIndexesNeedToBeImplied() async throws {
        let fixture = try await fixture([
            [
                "key": ["at": 1], "name": "part",
                "partialFilterExpression": ["kind": ["$gte": 3]],
            ]
        ])
        func uses(_ filter: Document) throws -> Bool {
            try stages(fixture.explain(fixture.request(Self.names, filter))).last == "IXSCAN"
        }
        #expect(try uses(["at": 1, "kind": 4]))
        #expect(try uses(["at": 1, "kind": ["$gt": 3]]))
        #expect(try uses(["at": 1, "kind": ["$in": [3, 4]]]))
        #expect(try !uses(["at": 1, "kind": ["$gte": 2]]))
        #expect(try !uses(["at": 1]))
        #expect(try !uses(["at": 1, "kind": "4"]))
    }

    @Test func countsComeFromIndexesAlone() async throws {
        let fixture = try await fixture([["key": ["kind": 1], "name": "kind_1"]])
        var request = CountRequest(
            Self.names, filter: try ReadFixture.filter(["kind": ["$gte": 3]]))
        let read = fixture.engine.explain(request, filter: [:], .executionStats)
        while try !read.advance(fixture.reader, .slice) {}
        let explanation = Document { read.write(into: &$0) }
        #expect(stages(explanation) == ["COUNT", "COUNT_SCAN"])
        #expect(explanation["executionStats"]?.field("totalDocsExamined") == .int32(0))
        #expect(try fixture.engine.count(request, fixture.reader) == 200)
        request.skip = 50
        request.limit = 100
        #expect(try fixture.engine.count(request, fixture.reader) == 100)
        #expect(try fixture.count(Self.names) == 500)
    }
}

extension Value {
    /// The field of a document.
    func field(_ name: String) -> Value? {
        guard case .document(let document) = self else { return nil }
        return document[name]
    }
}
