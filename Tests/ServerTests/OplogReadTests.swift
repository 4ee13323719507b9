// local.oplog.rs: what followers of MongoDB's replication log find there.

import BSON
import Testing

@testable import Server
@testable import Wire

@Suite struct OplogReadTests {
    private static func withReplicaSet(
        _ body: (WireClient) async throws -> Void
    ) async throws {
        try await RunningServer.with({ $0.replicaSet = "rs0" }) { port in
            try await body(try WireClient(port: port))
        }
    }

    private static let newest: Document = [
        "find": "oplog.rs", "sort": ["$natural": -1], "limit": 1, "singleBatch": true,
    ]

    private static func follow(from time: Value) -> Document {
        [
            "find": "oplog.rs", "filter": ["ts": ["$gte": time]], "tailable": true,
            "awaitData": true, "oplogReplay": true,
        ]
    }

    private static func entries(_ reply: Document, _ batch: String) -> [Document] {
        reply.nested("cursor").documents(batch)
    }

    @Test func newestEntryIsTheLastOfItsCommand() async throws {
        try await Self.withReplicaSet { client in
            _ = try client.run(["insert": "c", "documents": [["_id": 1], ["_id": 2, "a": 1]]])
            let found = Self.entries(try client.run(Self.newest, database: "local"), "firstBatch")
            #expect(found.count == 1)
            let entry = try #require(found.first)
            #expect(entry["op"] == "i")
            #expect(entry["ns"] == "test.c")
            #expect(entry.nested("o") == ["_id": 2, "a": 1])
            #expect(entry["o2"] == nil)
        }
    }

    @Test func followersSeeWholeDocuments() async throws {
        try await Self.withReplicaSet { client in
            _ = try client.run(["insert": "c", "documents": [["_id": 1, "a": 1]]])
            let start = try #require(
                Self.entries(try client.run(Self.newest, database: "local"), "firstBatch")
                    .first?["ts"])
            let opened = try client.run(Self.follow(from: start), database: "local")
            // One command made the collection and the document, so both have its time.
            #expect(Self.entries(opened, "firstBatch").map { $0["op"] } == ["c", "i"])
            let id = try #require(opened.nested("cursor").integer("id"))
            _ = try client.run([
                "update": "c", "updates": [["q": ["_id": 1], "u": ["$set": ["b": [1, 2]]]]],
            ])
            _ = try client.run(["delete": "c", "deletes": [["q": ["_id": 1], "limit": 1]]])
            _ = try client.run(["drop": "c"])
            let more = try client.run(
                ["getMore": .int64(id), "collection": "oplog.rs", "maxTimeMS": 1_000],
                database: "local")
            let entries = Self.entries(more, "nextBatch")
            #expect(entries.map { $0["op"] } == ["u", "d", "c"])
            #expect(
                entries.map { $0.nested("o") } == [
                    ["_id": 1, "a": 1, "b": [1, 2]], ["_id": 1], ["drop": "c"],
                ])
            #expect(entries.map { $0["ns"] } == ["test.c", "test.c", "test.$cmd"])
            #expect(entries.first?.nested("o2") == ["_id": 1])
        }
    }

    @Test func otherReadsAreRefused() async throws {
        try await Self.withReplicaSet { client in
            for command in [
                ["find": "oplog.rs"], ["find": "oplog.rs", "tailable": true],
                ["find": "oplog.rs", "sort": ["$natural": 1], "limit": 1],
            ] as [Document] {
                let code = try client.run(command, database: "local").errorCode
                #expect(code == 2, "\(command)")
            }
        }
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let none = try client.run(Self.newest, database: "local")
            #expect(Self.entries(none, "firstBatch") == [])
        }
    }
}
