import BSON
import Query
import Testing

@testable import Roost

/// Zero is one value, whatever its type, sign and exponent: in sorts, indexes, joins and groups.
@Suite struct ZeroSignTests {
    private static let names = Namespace("test", "zeros")

    private static func decimal(_ text: String) throws -> Value {
        Value(try #require(Decimal128(text)))
    }

    /// Zeros in the order of `_id`, between -1 and 1.
    private static func documents() throws -> [Document] {
        let zeros: [Value] = [
            0.0, -0.0, 0, .int64(0), try decimal("-0"), try decimal("0E+3"), -0.0, 0.0,
        ]
        return [["_id": 100, "a": -1], ["_id": -1, "a": 1]]
            + zeros.enumerated().map { ["_id": .int32(Int32($0.offset)), "a": $0.element] }
    }

    private static func ids(_ documents: [Document]) -> [Value?] { documents.map { $0["_id"] } }

    /// Ties are in the order of `_id`; an index that is read backward gives them backward.
    @Test(arguments: [nil, 1, -1] as [Int32?], [1, -1] as [Int32])
    func ties(index: Int32?, sort: Int32) async throws {
        let fixture = try ReadFixture()
        try await fixture.insert(Self.names, Self.documents())
        if let index {
            try await fixture.createIndex(
                Self.names, ["key": ["a": .int32(index)], "name": "x"])
        }
        let zeros = (0..<8).map { Value.int32($0) }
        let isBackward = index.map { $0 != sort } ?? false
        let middle = isBackward ? zeros.reversed() : zeros
        let expected: [Value] = sort == 1 ? [100] + middle + [-1] : [-1] + middle + [100]
        let order: Document = ["a": .int32(sort)]
        #expect(
            Self.ids(try fixture.find(fixture.request(Self.names, sort: order), batch: 3))
                == expected)
        let limited = try fixture.find(fixture.request(Self.names, sort: order, limit: 4))
        #expect(Self.ids(limited) == expected.prefix(4).map { $0 })
        for zero in try Self.documents().dropFirst(2).compactMap({ $0["a"] }) {
            for filter: Document in [["a": zero], ["a": ["$gte": zero, "$lte": zero]]] {
                #expect(try fixture.count(Self.names, filter) == 8)
            }
            #expect(try fixture.count(Self.names, ["a": ["$lt": zero]]) == 1)
            #expect(try fixture.count(Self.names, ["a": ["$ne": zero]]) == 2)
        }
    }

    /// Each zero comes out as it was stored, also where an index's keys might stand for documents.
    @Test func comeOutAsStored() async throws {
        let fixture = try ReadFixture()
        try await fixture.insert(Self.names, Self.documents())
        try await fixture.createIndex(Self.names, ["key": ["a": 1], "name": "x"])
        var request = try fixture.request(Self.names, ["a": 0], sort: ["a": 1])
        let fields: Document = ["a": 1, "_id": 0]
        request.projection = try Projection.parse(fields.view, for: .find, ExpressionScope())
        let found = try fixture.find(request).map { OwnedValue(.document($0)) }
        let stored = try Self.documents().dropFirst(2).map { document in
            OwnedValue(.document(["a": document["a"] ?? nil]))
        }
        #expect(
            found.map { [UInt8](copying: $0.view.bytes) }
                == stored.map { [UInt8](copying: $0.view.bytes) })
    }

    @Test func areOneInUniqueIndexesGroupsAndDistinct() async throws {
        let fixture = try ReadFixture()
        try await fixture.insert(Self.names, Self.documents())
        for filter: Document in [[:], ["a": ["$in": [0, -1]]]] {
            let stages: [Value] = [
                ["$match": .document(filter)], ["$group": ["_id": "$a", "n": ["$sum": 1]]],
                ["$match": ["n": 8]],
            ]
            let list = OwnedValue(.array(stages))
            let pipeline = try Pipeline.parse(DocumentView(list.view.bytes), ExpressionScope())
            let groups = try fixture.run(
                fixture.engine.openCursor(AggregateRequest(Self.names, pipeline: pipeline)))
            #expect(groups.count == 1)
        }
        let unique = Namespace("test", "unique")
        try await fixture.createIndex(unique, ["key": ["a": 1], "name": "x", "unique": true])
        #expect(try await fixture.insert(unique, Self.documents()) == 3)
        // As `_id` too.
        let records = Namespace("test", "records")
        #expect(try await fixture.insert(records, [["_id": 0.0], ["_id": -0.0], ["_id": 0]]) == 1)
    }
}
