import BSON
import Query
import Storage
import TestSupport
import Testing

@testable import Roost

/// Live queries against running the query again, over random writes; also resumed, and by clients
/// that don't read.
@Suite struct LiveCursorTests {
    private static let names = LiveAsk.names

    private static func requests() throws -> [LiveRequest] {
        [
            try LiveAsk.find(["a": 3]),
            try LiveAsk.find(["a": ["$gte": 2, "$lt": 6]], projection: ["b": 1]),
            try LiveAsk.find([:]), try LiveAsk.find([:], sort: ["b": -1], limit: 4),
            try LiveAsk.find(["a": ["$lt": 7]], sort: ["b": 1, "a": -1], skip: 2, limit: 5),
            try LiveAsk.find([:], limit: 3),
            try LiveAsk.aggregate([
                "$group": [
                    "_id": "$a", "n": ["$sum": 1], "t": ["$sum": "$b"], "m": ["$avg": "$b"],
                    "lo": ["$min": "$b"], "hi": ["$max": "$b"],
                ]
            ]),
            try LiveAsk.aggregate(["$match": ["a": ["$gt": 4]]], ["$count": "n"]),
            try LiveAsk.aggregate(
                ["$group": ["_id": "$a", "t": ["$sum": "$b"]]], ["$sort": ["t": -1, "_id": 1]],
                ["$limit": 3]),
            try LiveAsk.aggregate(
                ["$group": ["_id": "$a", "all": ["$addToSet": "$b"]]],
                [
                    "$project": ["n": ["$size": "$all"]]
                ]),
        ]
    }

    private static func write(_ fixture: ReadFixture, _ random: inout RandomSource) async throws {
        let id = Int32(random.below(30))
        let document: Document = [
            "_id": .int32(id), "a": .int32(Int32(random.below(9))),
            "b": .double(Double(random.below(1_000)) / 100),
        ]
        switch random.below(6) {
        case 0, 1, 2:
            try await fixture.update(names, ["_id": .int32(id)], document, isUpsert: true)
        case 3:
            try await fixture.update(
                names, ["_id": .int32(id)], ["$set": ["a": .int32(Int32(random.below(9)))]])
        case 4: try await fixture.update(names, ["_id": .int32(id)], ["$inc": ["b": 1]])
        default: try await fixture.delete(names, ["_id": .int32(id)])
        }
    }

    @Test(arguments: [1, 2] as [UInt64])
    func liveIsTheQueryRunAgain(seed: UInt64) async throws {
        let fixture = try ReadFixture()
        var random = RandomSource(seed: seed)
        for _ in 0..<20 { try await Self.write(fixture, &random) }
        let clients = try Self.requests().map { LiveClient(fixture.engine, $0) }
        for round in 0..<40 {
            for _ in 0...random.below(4) { try await Self.write(fixture, &random) }
            if let client = clients.randomElement(using: &random), client.cursor.token != nil {
                client.resume(fixture.engine)
            }
            for client in clients {
                let settles = try await client.settles(fixture)
                #expect(settles, "seed \(seed) round \(round): \(client.request.shape)")
                if !settles { return }
            }
        }
        #expect(clients.allSatisfy { $0.rows.resets == 0 || !$0.request.isRepeatable })
        for client in clients { client.cursor.kill() }
    }

    /// Of rows that are equal in a pipeline's order, running it again may show another than the
    /// client holds: a difference to that would name rows that it never had.
    @Test func tiesOfAPipelineComeWhole() async throws {
        let fixture = try ReadFixture()
        try await fixture.insert(Self.names, [["_id": 0, "v": "a"], ["_id": 1, "v": "b"]])
        let request = try LiveAsk.aggregate(
            ["$group": ["_id": "$v", "n": ["$sum": 1]]], ["$sort": ["n": -1]], ["$limit": 1])
        let client = LiveClient(fixture.engine, request)
        #expect(try await client.settles(fixture))
        try await fixture.update(Self.names, ["_id": 0], ["$set": ["v": "c"]])
        try client.read(fixture.reader)
        try await fixture.insert(Self.names, [["_id": 2, "v": "b"]])
        client.resume(fixture.engine)
        #expect(try await client.settles(fixture))
        #expect(client.rows.resets == 1)
        client.cursor.kill()
    }

    /// The same where stages tell documents apart by the order in which groups come: that of their
    /// making, which is another where the query is run again.
    @Test(
        arguments: [
            ["$setWindowFields": ["sortBy": ["n": -1], "output": ["p": ["$documentNumber": [:]]]]],
            ["$facet": ["all": [["$project": ["n": 1]]]]],
            ["$bucketAuto": ["groupBy": "$n", "buckets": 1, "output": ["all": ["$push": "$_id"]]]],
        ] as [Value])
    func stagesThatShowAnOrderComeWhole(stage: Value) async throws {
        let fixture = try ReadFixture()
        try await fixture.insert(Self.names, [["_id": 0, "v": "a"], ["_id": 1, "v": "b"]])
        let request = try LiveAsk.aggregate(
            ["$group": ["_id": "$v", "n": ["$sum": 1]]], stage)
        let client = LiveClient(fixture.engine, request)
        #expect(try await client.settles(fixture))
        try await fixture.update(Self.names, ["_id": 0], ["$set": ["v": "c"]])
        #expect(try await client.comes(to: fixture))
        let token = client.cursor.token
        client.cursor.kill()
        // The result that the client holds is forgotten.
        for _ in 0..<400 where fixture.engine.live.groupCount > 0 {
            try await Task.sleep(for: .milliseconds(5))
        }
        client.goOn(fixture.engine, from: token)
        #expect(try await client.settles(fixture))
        #expect(client.rows.resets == 1)
        client.cursor.kill()
    }

    @Test func whoDoesNotReadEndsAtTheRightState() async throws {
        let fixture = try ReadFixture()
        var random = RandomSource(seed: 5)
        let clients = try Self.requests().map { LiveClient(fixture.engine, $0) }
        for client in clients { try client.read(fixture.reader) }
        for _ in 0..<600 { try await Self.write(fixture, &random) }
        for client in clients {
            #expect(client.cursor.memoryBytes < 1 << 20)
            #expect(try await client.settles(fixture))
            client.cursor.kill()
        }
    }

    @Test func aTokenOfAnotherQueryIsRefused() async throws {
        let fixture = try ReadFixture()
        try await fixture.insert(Self.names, [["_id": 1, "a": 3]])
        let client = LiveClient(fixture.engine, try LiveAsk.find(["a": 3]))
        try client.read(fixture.reader)
        var other = try LiveAsk.find(["a": 4])
        other.resumeAfter = client.cursor.token
        let wrong = LiveClient(fixture.engine, other)
        #expect(throws: DBError.self) { try wrong.read(fixture.reader) }
        #expect(throws: DBError.self) { _ = try LiveToken(OwnedValue(.string("1ab")).view) }
        client.cursor.kill()
        wrong.cursor.kill()
    }

    /// A client that stops in the middle of a result keeps no snapshot at any price: the result
    /// begins anew.
    @Test func aSnapshotThatCostsTooMuchIsGivenUp() async throws {
        let fixture = try ReadFixture { $0.transactions.keptBytesMax = 64 << 10 }
        let filling = Value.string(String(repeating: "x", count: 300))
        try await fixture.insert(
            Self.names, (0..<2_000).map { ["_id": .int32($0 * 2), "f": filling] })
        let client = LiveClient(fixture.engine, try LiveAsk.find([:]))
        var sink = LiveDocuments()
        #expect(
            try client.cursor.advance(fixture.reader, documentsMax: 1, into: &sink) == .filled)
        client.rows.apply(Document(copying: sink.batch[0]))
        #expect(!fixture.engine.snapshots.isEmpty)
        try await fixture.insert(
            Self.names, (0..<2_000).map { ["_id": .int32($0 * 2 + 1), "f": filling] })
        fixture.engine.endCostlySnapshots(fixture.reader)
        #expect(fixture.engine.snapshots.isEmpty)
        #expect(try await client.settles(fixture))
        #expect(client.rows.resets == 1 && client.rows.rows.count == 4_000)
        #expect(fixture.engine.snapshots.isEmpty)
    }
}
