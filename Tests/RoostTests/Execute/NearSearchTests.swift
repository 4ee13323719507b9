import BSON
import Query
import TestSupport
import Testing

@testable import Roost

/// $near searches in rings where all are wanted and in caps where some are: the same documents in
/// the same order as one sort of all by distance, and the first of them soon.
@Suite struct NearSearchTests {
    private static let names = Namespace("test", "near")
    private static let count = 2_000

    private static func position(_ random: inout RandomSource) -> Value {
        // Most around few towns, some anywhere.
        let spread = random.oneIn(10) ? 60.0 : 0.3
        let town = Double(random.below(4)) * 20 - 40
        func around(_ center: Double) -> Value {
            .double(center + (Double(random.below(20_000)) / 10_000 - 1) * spread)
        }
        return [around(town), around(town / 2)]
    }

    private static func fixture(_ random: inout RandomSource) async throws -> ReadFixture {
        let fixture = try ReadFixture()
        try await fixture.createIndex(names, ["key": ["spots.loc": "2dsphere"], "name": "x"])
        var documents: [Document] = []
        for id in 0..<count {
            // A document is where its nearest place is.
            let places = (0..<(random.oneIn(3) ? 3 : 1)).map { _ -> Value in
                ["loc": ["type": "Point", "coordinates": position(&random)]]
            }
            documents.append([
                "_id": .int32(Int32(id)), "kind": .int32(Int32(random.below(3))),
                "spots": places.count == 1 ? places[0] : .array(places),
            ])
        }
        #expect(try await fixture.insert(names, documents) == count)
        return fixture
    }

    private static func cursor(
        _ fixture: ReadFixture, _ stages: [Value]
    ) throws -> QueryCursor {
        let list = OwnedValue(.array(stages))
        let pipeline = try Pipeline.parse(DocumentView(list.view.bytes), ExpressionScope())
        return try fixture.engine.openCursor(AggregateRequest(names, pipeline: pipeline))
    }

    @Test func ringsAndCapsGiveTheOrderOfOneSort() async throws {
        var random = RandomSource(seed: 12)
        let fixture = try await Self.fixture(&random)
        for step in 0..<24 {
            let point: Value = ["type": "Point", "coordinates": Self.position(&random)]
            var bounds: [(String, Value)] = []
            if step % 4 == 1 { bounds.append(("maxDistance", 2_000_000.0)) }
            if step % 3 == 1 { bounds.append(("minDistance", 30_000.0)) }
            let query: Document = step % 2 == 0 ? [:] : ["kind": 1]
            let sorted = Document { writer in
                let stage = writer.openDocument("$geoNear")
                writer.append("near", point)
                writer.append("distanceField", "far")
                writer.append("query", query)
                for (name, value) in bounds { writer.append(name, value) }
                writer.close(stage)
            }
            let filter = Document { writer in
                let path = writer.openDocument("spots.loc")
                let near = writer.openDocument("$near")
                writer.append("$geometry", point)
                for (name, value) in bounds { writer.append("$" + name, value) }
                writer.close(near)
                writer.close(path)
                writer.appendFields(of: query.view)
            }
            let expected = try fixture.run(Self.cursor(fixture, [.document(sorted)]))
            let ids = expected.map { $0["_id"] }
            let request = try fixture.request(Self.names, filter)
            let found = try fixture.find(request, batch: 1 + random.below(200), slice: 40)
            try #require(found.map { $0["_id"] } == ids, "\(filter)")
            let limited = try fixture.run(
                Self.cursor(fixture, [.document(sorted), ["$limit": 9]]), batch: 4)
            try #require(limited == Array(expected.prefix(9)))
        }
    }

    @Test func theFirstComeSoon() async throws {
        var random = RandomSource(seed: 13)
        let fixture = try await Self.fixture(&random)
        let point: Value = ["type": "Point", "coordinates": [20.0, 10.0]]
        let near: Document = ["spots.loc": ["$nearSphere": ["$geometry": point]]]
        let rings = try fixture.engine.openCursor(fixture.request(Self.names, near))
        let limited = try Self.cursor(
            fixture, [["$geoNear": ["near": point, "distanceField": "far"]], ["$limit": 5]])
        for cursor in [rings, limited] {
            var sink = DocumentCollector()
            let status = try cursor.advanceFully(fixture.reader, documentsMax: 5, into: &sink)
            #expect(sink.documents.count == 5)
            #expect((status == .batchFull) == (cursor === rings))
            #expect(cursor.counters.documentsExamined < Self.count / 2)
        }
    }
}
