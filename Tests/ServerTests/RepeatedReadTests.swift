// Finds by `_id` that repeat each other: the same answers as for the first, whatever has changed
// in between.

import BSON
import NIOCore
import Testing

@testable import Server
@testable import Wire

@Suite struct RepeatedReadTests {
    static func find(_ id: Value) -> Document {
        ["find": "c", "filter": ["_id": id], "limit": 1, "singleBatch": true]
    }

    @Test func seesWhatChangedInBetween() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let other = try WireClient(port: port)
            func expect(
                _ id: Value, _ documents: [Document],
                sourceLocation: SourceLocation = #_sourceLocation
            ) throws {
                let reply = try client.run(Self.find(id))
                #expect(
                    reply == [
                        "cursor": [
                            "firstBatch": .array(documents.map(Value.document)), "id": .int64(0),
                            "ns": "test.c",
                        ], "ok": 1.0,
                    ], sourceLocation: sourceLocation)
            }
            // Not there yet, made, dropped, made again, a view, renamed away.
            try expect(1, [])
            try expect(1, [])
            _ = try other.run(["insert": "c", "documents": [["_id": 1, "a": 1], ["_id": 2]]])
            try expect(1, [["_id": 1, "a": 1]])
            try expect(2, [["_id": 2]])
            _ = try other.run(["drop": "c"])
            try expect(1, [])
            _ = try other.run(["insert": "d", "documents": [["_id": 1, "a": 2]]])
            _ = try other.run(["create": "c", "viewOn": "d", "pipeline": []])
            try expect(1, [["_id": 1, "a": 2]])
            _ = try other.run(["drop": "c"])
            _ = try other.run([
                "create": "c", "collation": ["locale": "en", "strength": 2],
            ])
            _ = try other.run(["insert": "c", "documents": [["_id": "abc"]]])
            try expect("ABC", [["_id": "abc"]])
            try expect("aBC", [["_id": "abc"]])
            try expect("xyz", [])
        }
    }

    @Test func profilerAndCountersKnowOfThem() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(["insert": "c", "documents": [["_id": 1]]])
            func queries() throws -> Int64? {
                try client.run(["serverStatus": 1]).nested("opcounters").integer("query")
            }
            let before = try queries()
            for _ in 0..<3 { _ = try client.run(Self.find(1)) }
            let after = try queries()
            #expect(after == before.map { $0 + 3 })
            _ = try client.run(["profile": 2])
            for _ in 0..<3 { _ = try client.run(Self.find(1)) }
            _ = try client.run(["profile": 0])
            let profiled = try client.run(["count": "system.profile", "query": ["op": "query"]])
            #expect(profiled.integer("n") == 3)
        }
    }
}
