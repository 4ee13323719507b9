import BSON
import Query
import Testing

@testable import Roost

/// `{$meta: "sortKey"}`: the values that a document was sorted by, wherever the order comes from.
@Suite struct SortKeyTests {
    private static let names = Namespace("test", "keys")
    private static let documents: [Document] = [
        ["_id": 1, "a": 2, "b": "x"], ["_id": 2, "a": [3, 1, 5]], ["_id": 3, "b": "y"],
        ["_id": 4, "a": 2.5, "c": ["d": "z"]],
    ]

    struct Row: Sendable {
        let sort: Document
        /// The keys in the order of the results.
        let keys: [Value]
    }

    static let rows: [Row] = [
        Row(sort: ["a": 1], keys: [[nil], [1], [2], [2.5]]),
        Row(sort: ["a": -1], keys: [[5], [2.5], [2], [nil]]),
        Row(sort: ["a": 1, "_id": -1], keys: [[nil, 3], [1, 2], [2, 1], [2.5, 4]]),
        Row(sort: ["c.d": -1, "_id": 1], keys: [["z", 4], [nil, 1], [nil, 2], [nil, 3]]),
        Row(sort: ["_id": -1], keys: [[4], [3], [2], [1]]),
    ]

    @Test(arguments: rows, [false, true])
    func find(_ row: Row, hasIndex: Bool) async throws {
        let fixture = try ReadFixture()
        try await fixture.insert(Self.names, Self.documents)
        if hasIndex {
            try await fixture.createIndex(
                Self.names, ["key": .document(row.sort), "name": "x"])
        }
        for limit in [0, 3] {
            for fields: Document in [
                ["k": ["$meta": "sortKey"]], ["_id": 1, "k": ["$meta": "sortKey"]],
                ["a": 0, "k": ["$meta": "sortKey"]],
            ] {
                var request = try fixture.request(
                    Self.names, sort: row.sort, limit: limit)
                request.projection = try Projection.parse(
                    fields.view, for: .find, Self.scope)
                let found = try fixture.find(request, batch: 2)
                #expect(found.map { $0["k"] } == row.keys.prefix(limit == 0 ? 9 : limit).map { $0 })
                #expect(found.allSatisfy { !$0.keys.contains { $0.hasPrefix("$") } })
                #expect(found.allSatisfy { $0["_id"] != nil })
                if fields["a"] != nil {
                    #expect(found.allSatisfy { $0["a"] == nil })
                    #expect(found.contains { $0["b"] != nil || $0["c"] != nil })
                }
            }
        }
    }

    private static var scope: ExpressionScope {
        var scope = ExpressionScope()
        scope.metadata = [.sortKey]
        return scope
    }

    private func aggregate(_ fixture: ReadFixture, _ stages: [Value]) throws -> [Document] {
        let list = OwnedValue(.array(stages))
        let pipeline = try Pipeline.parse(DocumentView(list.view.bytes), ExpressionScope())
        return try fixture.run(
            fixture.engine.openCursor(AggregateRequest(Self.names, pipeline: pipeline)))
    }

    @Test(arguments: rows)
    func pipeline(_ row: Row) async throws {
        let fixture = try ReadFixture()
        try await fixture.insert(Self.names, Self.documents)
        for name in ["$project", "$set"] {
            let found = try aggregate(
                fixture,
                [
                    // The last sort counts.
                    ["$sort": ["b": 1]], ["$sort": .document(row.sort)],
                    [name: ["k": ["$meta": "sortKey"]]] as Document,
                ].map { Value.document($0) })
            #expect(found.map { $0["k"] } == row.keys)
            #expect(found.allSatisfy { !$0.keys.contains { $0.hasPrefix("$") } })
        }
        let limited = try aggregate(
            fixture,
            [
                ["$sort": .document(row.sort)], ["$limit": 2],
                ["$group": ["_id": nil, "k": ["$push": ["$meta": "sortKey"]]]],
            ])
        #expect(limited.first?["k"] == .array(Array(row.keys.prefix(2))))
    }

    @Test func withoutSort() throws {
        let wanted: Document = ["k": ["$meta": "sortKey"]]
        #expect {
            try Projection.parse(wanted.view, for: .find, ExpressionScope())
        } throws: { error in
            (error as? DBError)?.code == .badValue
        }
        #expect(throws: DBError.self) {
            try SortPattern.parse(wanted.view, metadata: [.sortKey])
        }
    }
}
