import BSON
import Testing

@testable import Server
@testable import Wire

/// The command `live` over the wire: its events, its tokens, its refusals.
@Suite struct LiveCommandTests {
    private static func names(_ events: [Document]) -> [Value?] { events.map { $0["op"] } }

    /// The events of a getMore, waiting for some.
    private static func more(
        _ client: WireClient, _ id: Value?, _ collection: String = "o"
    ) throws -> [Document] {
        for _ in 0..<20 {
            let reply = try client.run([
                "getMore": id ?? .int64(0), "collection": .string(collection), "maxTimeMS": 500,
            ])
            #expect(reply.errorCode == 0, "\(reply)")
            let events = reply.nested("cursor").documents("nextBatch")
            if !events.isEmpty { return events }
        }
        return []
    }

    @Test func eventsFollowTheResult() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(["insert": "o", "documents": [["_id": 1, "s": "a"], ["_id": 2]]])
            let reply = try client.run(["live": "o", "filter": ["s": "a"]])
            let cursor = reply.nested("cursor")
            let first = cursor.documents("firstBatch")
            #expect(Self.names(first) == ["added", "ready"])
            #expect(first[0] == ["op": "added", "id": 1, "doc": ["_id": 1, "s": "a"]])
            let id = cursor["id"]
            _ = try client.run([
                "update": "o",
                "updates": [["q": [:], "u": ["$set": ["s": "a"]], "multi": true]],
            ])
            let added = try Self.more(client, id)
            #expect(Self.names(added) == ["added"])
            #expect(added[0]["id"] == 2)
            _ = try client.run(["delete": "o", "deletes": [["q": ["_id": 1], "limit": 1]]])
            #expect(Self.names(try Self.more(client, id)) == ["removed"])
            let token = added[0]["token"] ?? .null
            let resumed = try client.run([
                "live": "o", "filter": ["s": "a"], "resumeAfter": token,
            ])
            let events = resumed.nested("cursor").documents("firstBatch")
            #expect(Self.names(events) == ["removed", "ready"])
            #expect(events[0]["id"] == 1)
            let status = try client.run(["serverStatus": 1])
            #expect(status.nested("live")["subscriptions"] == .int64(2))
        }
    }

    @Test func theTextLanguageAsksLiveToo() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run([
                "insert": "o", "documents": [["_id": 1, "t": 5], ["_id": 2, "t": 9]],
            ])
            let reply = try client.run(["query": "live from o | where t > 1 | sort -t | limit 1"])
            let cursor = reply.nested("cursor")
            #expect(
                cursor.documents("firstBatch").first
                    == ["op": "added", "id": 2, "doc": ["_id": 2, "t": 9], "index": 0])
            _ = try client.run(["insert": "o", "documents": [["_id": 3, "t": 12]]])
            let events = try Self.more(client, cursor["id"])
            #expect(Self.names(events) == ["removed", "added"])
        }
    }

    @Test func explainTellsTheAnchor() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let good = try client.run([
                "explain": ["live": "o", "filter": ["a": 1, "b": ["$ne": 2]]]
            ])
            #expect(good.nested("live")["anchor"] == "a: one value")
            let bad = try client.run(["explain": ["live": "o", "filter": ["b": ["$ne": 2]]]])
            #expect(bad.nested("live")["anchor"] == .null)
        }
    }

    @Test(
        arguments: [
            (["live": "o", "filter": ["$expr": ["$gt": ["$t", "$$NOW"]]]], "$$NOW"),
            (["live": "o", "sort": ["a": 1]], "needs a limit"),
            (["live": "o", "sort": ["a": 1], "limit": 1_001], "at most 1000"),
            (["live": "o", "pipeline": [["$sample": ["size": 1]]]], "$sample"),
            (["live": "o", "pipeline": [["$out": "p"]]], "$out"),
            (["live": "o", "pipeline": [], "filter": [:]], "not both"),
            (["live": "o", "resumeAfter": "abc"], "token"),
        ] as [(Document, String)])
    func whatCantBeLiveIsRefused(command: Document, says: String) async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let reply = try client.run(command)
            #expect(reply.errorCode != 0)
            #expect(reply.description.contains(says), "\(reply)")
        }
    }
}
