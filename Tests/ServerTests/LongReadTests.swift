// Reads that give much or take long: each is answered once, within its time limit.

import BSON
import Testing

@testable import Server

@Suite struct LongReadTests {
    /// A reply above the size at which a channel stops being writable, written on the event loop:
    /// becoming writable again happens inside the write.
    @Test(arguments: [1_150, 1_500, 3_000])
    func largeReplyOfASortComesOnce(count: Int) async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let text = String(repeating: "x", count: 1_000)
            let documents: [Document] = (0..<count).map {
                ["_id": .int32(Int32($0)), "a": .int32(Int32($0 % 9)), "p": .string(text)]
            }
            _ = try client.run(["insert": "c"], sequences: [("documents", documents)])
            let first = try client.run(["find": "c", "sort": ["a": 1]]).nested("cursor")
            let id = try #require(first.integer("id"))
            let rest = try client.run(["getMore": .int64(id), "collection": "c"]).nested("cursor")
            #expect(first.documents("firstBatch").count == 101)
            #expect(rest.documents("nextBatch").count == count - 101)
            // `run` refuses an answer to another request than its own.
            for _ in 0..<3 { #expect(try client.run(["ping": 1]) == ["ok": 1.0]) }
        }
    }
}
