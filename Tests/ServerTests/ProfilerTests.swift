// The profiler, currentOp and killOp, over the wire.

import BSON
import Testing

@Suite struct ProfilerTests {
    private static func profile(_ client: WireClient, _ filter: Value) throws -> [Document] {
        let reply = try client.run([
            "find": "system.profile", "filter": filter, "sort": ["$natural": 1],
        ])
        return reply.nested("cursor").documents("firstBatch")
    }

    /// Commands at level 2, and what their entries say.
    static let profiled: [(command: Document, op: String, keys: Int64?, plan: String?)] = [
        (["insert": "c", "documents": [["_id": 7]]], "insert", nil, nil),
        (["find": "c", "filter": ["_id": 7]], "query", nil, nil),
        (["find": "c", "filter": ["v": 3]], "query", 0, "COLLSCAN"),
        (["find": "c", "filter": ["w": 3]], "query", 1, "IXSCAN {\"w\":1}"),
        (["count": "c", "query": ["w": 3]], "command", 1, "IXSCAN {\"w\":1}"),
        (["distinct": "c", "key": "v", "query": ["w": 3]], "command", 1, "IXSCAN {\"w\":1}"),
        (
            ["update": "c", "updates": [["q": ["_id": 7], "u": ["$set": ["v": 1]]]]], "update", nil,
            nil
        ),
        (["delete": "c", "deletes": [["q": ["_id": 7], "limit": 1]]], "remove", nil, nil),
        (["ping": 1], "command", nil, nil),
    ]

    @Test func allCommandsAreProfiled() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let documents: [Value] = (1...5).map { ["_id": .int32($0), "v": 3, "w": .int32($0)] }
            _ = try client.run(["insert": "c", "documents": .array(documents)])
            _ = try client.run(["createIndexes": "c", "indexes": [["key": ["w": 1], "name": "w"]]])
            #expect(
                try client.run(["profile": 2])
                    == ["was": 0, "slowms": 100, "sampleRate": 1.0, "ok": 1.0])
            for command in Self.profiled.map(\.command) {
                #expect(try client.run(command).errorCode == 0)
            }
            #expect(try client.run(["profile": 0]).integer("was") == 2)
            let entries = try Self.profile(client, [:])
            try #require(entries.count == Self.profiled.count)
            for (entry, wanted) in zip(entries, Self.profiled) {
                #expect(entry["op"] == .string(wanted.op), "\(entry)")
                #expect(entry.integer("keysExamined") == wanted.keys, "\(entry)")
                #expect(entry["planSummary"] == wanted.plan.map { .string($0) }, "\(entry)")
            }
        }
    }

    @Test func textsAreProfiledUnderTheirCollection() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(["profile": 2])
            for text in ["insert into shop.orders { a: 1 }", "from shop.orders | where a == 1"] {
                #expect(try client.run(["query": .string(text)]).errorCode == 0)
            }
            _ = try client.run(["profile": 0])
            let entries = try Self.profile(client, ["ns": ["$regex": "orders$"]])
            #expect(entries.map { $0.string("ns") } == ["test.shop.orders", "test.shop.orders"])
        }
    }

    @Test func settingsHoldForTheirDatabase() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            #expect(try client.run(["profile": 0, "sampleRate": 2.0]).errorCode == 2)
            #expect(try client.run(["profile": 1, "slowms": 5_000]).errorCode == 0)
            _ = try client.run(["insert": "c", "documents": [["_id": 1]]])
            #expect(try Self.profile(client, [:]).isEmpty)
            // The collection can't go while it is in use.
            #expect(try client.run(["drop": "system.profile"]).errorCode == 20)
            #expect(try client.run(["profile": 1, "filter": ["op": "query"]]).errorCode == 0)
            _ = try client.run(["find": "c"])
            _ = try client.run(["count": "c"])
            #expect(try Self.profile(client, ["ns": ["$not": ["$regex": "profile"]]]).count == 1)
            #expect(try client.run(["profile": -1])["filter"] == ["op": "query"])
            #expect(try client.run(["profile": 0, "filter": "unset"]).integer("was") == 1)
            #expect(try client.run(["profile": -1])["filter"] == nil)
            #expect(try client.run(["drop": "system.profile"]).errorCode == 0)
        }
    }

    @Test func readsAreListedAndKilled() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            try LongReadTests.fill(client)
            client.post(LongReadTests.endless)
            let other = try WireClient(port: port)
            let list: Document = ["currentOp": 1, "command.aggregate": "c"]
            var running: [Document] = []
            for _ in 0..<10_000 where running.isEmpty {
                running = try other.run(list, database: "admin").documents("inprog")
            }
            try #require(!running.isEmpty)
            let number = try #require(running[0].integer("opid"))
            let kill: Document = ["killOp": 1, "op": .int64(number)]
            #expect(try other.run(kill, database: "admin").errorCode == 0)
            #expect(try client.receive()?.document.errorCode == 11601)
        }
    }
}
