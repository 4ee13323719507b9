import BSON
import Query
import Testing

@testable import Roost

@Suite struct ExpiryTests {
    private static let names = Namespace("test", "fleeting")

    private static func date(_ millis: Int64) -> Value { .date(millis) }

    @Test func deletesWhatIsOlder() async throws {
        let fixture = try ReadFixture { $0.tidiesUp = false }
        try await fixture.createIndex(
            Self.names, ["key": ["at": 1], "name": "at", "expireAfterSeconds": 10])
        try await fixture.insert(
            Self.names,
            [
                ["_id": 1, "at": Self.date(0)], ["_id": 2, "at": Self.date(10_000)],
                ["_id": 3, "at": Self.date(10_001)], ["_id": 4], ["_id": 5, "at": 0],
                ["_id": 6, "at": [Self.date(90_000), Self.date(5_000)]],
                ["_id": 7, "at": "1970"], ["_id": 8, "at": .null],
            ])
        #expect(fixture.engine.deleteExpired(at: 20_000) == 3)
        let left = try fixture.find(fixture.request(Self.names, sort: ["_id": 1]))
        #expect(left.compactMap { $0["_id"] } == [3, 4, 5, 7, 8])
        #expect(fixture.engine.deleteExpired(at: 20_001) == 1)
        #expect(fixture.engine.expiry.deleted == 4)
        #expect(try fixture.engine.verify(Self.names).faults.isEmpty)
    }

    @Test func partialAndHiddenIndexesExpireWhatTheyHold() async throws {
        let fixture = try ReadFixture { $0.tidiesUp = false }
        try await fixture.createIndex(
            Self.names,
            [
                "key": ["at": 1], "name": "at", "expireAfterSeconds": 0, "hidden": true,
                "partialFilterExpression": ["old": true],
            ])
        try await fixture.insert(
            Self.names,
            [["_id": 1, "at": Self.date(0), "old": true], ["_id": 2, "at": Self.date(0)]])
        #expect(fixture.engine.deleteExpired(at: 1) == 1)
        #expect(try fixture.count(Self.names) == 1)
    }

    @Test func collModChangesWhen() async throws {
        let fixture = try ReadFixture { $0.tidiesUp = false }
        try await fixture.createIndex(Self.names, ["key": ["at": 1], "name": "at"])
        try await fixture.insert(Self.names, [["_id": 1, "at": Self.date(0)]])
        #expect(fixture.engine.deleteExpired(at: 100_000) == 0)
        var change = CollectionModification()
        var index = IndexModification(.names(["at"]))
        index.expireAfterSeconds = 60
        change.index = index
        #expect(
            try await fixture.modify(Self.names, change)
                == ["expireAfterSeconds_new": .int64(60)])
        #expect(fixture.engine.deleteExpired(at: 59_999) == 0)
        #expect(fixture.engine.deleteExpired(at: 60_000) == 1)
    }

    @Test func clusteredCollectionsExpireByTheirID() async throws {
        let fixture = try ReadFixture { $0.tidiesUp = false }
        try await withCheckedThrowingContinuation { continuation in
            fixture.engine.createCollection(
                Self.names,
                options: [
                    "clusteredIndex": .document(ClusteredIndex.option(name: nil)),
                    "expireAfterSeconds": .int64(10),
                ]
            ) { continuation.resume(with: $0) }
        }
        try await fixture.insert(
            Self.names, [["_id": Self.date(0)], ["_id": Self.date(10_000)], ["_id": 0]])
        #expect(fixture.engine.deleteExpired(at: 10_000) == 1)
        #expect(fixture.engine.deleteExpired(at: 20_000) == 1)
        #expect(try fixture.count(Self.names) == 1)
    }

    @Test func measurementsExpireByTheirTime() async throws {
        let fixture = try ReadFixture { $0.tidiesUp = false }
        try await fixture.create(
            Self.names,
            ["expireAfterSeconds": .int64(10), "timeseries": ["timeField": "t"]])
        try await fixture.insert(
            Self.names,
            [
                ["_id": 1, "t": Self.date(0)], ["_id": 1, "t": Self.date(0)],
                ["_id": 1, "t": Self.date(10_000)], ["_id": 2, "t": Self.date(10_001)],
            ])
        #expect(fixture.engine.deleteExpired(at: 20_000) == 3)
        #expect(try fixture.count(Self.names) == 1)
        #expect(try fixture.engine.verify(Self.names).faults.isEmpty)
    }
}
