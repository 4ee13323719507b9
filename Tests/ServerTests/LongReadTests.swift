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

    /// Thousands of millions of documents out of one.
    static let endless: Document = [
        "aggregate": "c",
        "pipeline": [
            ["$project": ["a": 1, "b": "$a", "c": "$a"]], ["$unwind": "$a"], ["$unwind": "$b"],
            ["$unwind": "$c"], ["$count": "n"],
        ], "cursor": Value.document([:]),
    ]

    static func fill(_ client: WireClient) throws {
        let numbers = Value.array((0..<6_000).map { .int32($0) })
        _ = try client.run(["insert": "c", "documents": [["_id": 1, "a": numbers]]])
    }

    /// The time limit holds inside one document, and other connections are served meanwhile.
    @Test func oneDocumentKeepsTheTimeLimit() async throws {
        try await RunningServer.with({ $0.eventLoops = 1 }) { port in
            let client = try WireClient(port: port)
            try Self.fill(client)
            let limited = Document { writer in
                writer.appendFields(of: Self.endless.view)
                writer.append("maxTimeMS", Int32(300))
            }
            client.post(limited)
            let other = try WireClient(port: port)
            #expect(try other.run(["ping": 1]) == ["ok": 1.0])
            #expect(try client.receive()?.document.errorCode == 50)
            let wanted = Value.array((6_000..<30_000).map { .int32($0) })
            let all = try client.run([
                "count": "c",
                "query": ["a": ["$in": [1], "$not": ["$elemMatch": ["$all": wanted]]]],
                "maxTimeMS": 1,
            ])
            #expect(all.errorCode == 50)
        }
    }

    @Test func readsEndWhenTheServerStops() async throws {
        var client: WireClient?
        try await RunningServer.with { port in
            let connected = try WireClient(port: port)
            try Self.fill(connected)
            connected.post(Self.endless)
            // The read runs by the time that a second connection is answered, or is not begun.
            #expect(try WireClient(port: port).run(["ping": 1]) == ["ok": 1.0])
            client = connected
        }
        let reply = try client?.receive()
        #expect(reply == nil || reply?.document.errorCode == 11_600)
    }

    @Test func readsEndWithTheirConnection() async throws {
        try await RunningServer.with { port in
            try Self.fill(try WireClient(port: port))
            for _ in 0..<8 {
                let client = try WireClient(port: port)
                client.post(Self.endless)
            }
            // The pool's threads are free again, or this one would wait for ever.
            let client = try WireClient(port: port)
            let counted = try client.run([
                "aggregate": "c", "pipeline": [["$unwind": "$a"], ["$count": "n"]],
                "cursor": Value.document([:]),
            ])
            #expect(counted.nested("cursor").documents("firstBatch") == [["n": 6_000]])
        }
    }

    /// Who awaits what is still to come is told when the server stops, and doesn't keep it.
    @Test func awaitingClientsAreToldOfTheStop() async throws {
        let client = try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(["create": "c", "capped": true, "size": 10_000])
            _ = try client.run(["insert": "c", "documents": [["_id": 1]]])
            let first = try client.run(["find": "c", "tailable": true, "awaitData": true])
            let id = try #require(first.nested("cursor").integer("id"))
            client.post(["getMore": .int64(id), "collection": "c", "maxTimeMS": 600_000])
            // The server has it when what another connection sends after it is answered twice.
            let other = try WireClient(port: port)
            for _ in 0..<20 { _ = try other.run(["ping": 1]) }
            return client
        }
        let reply = try client.receive()
        #expect(reply?.document.errorCode == 11600)
    }

    /// What waits for more ends when it is killed: capped collections' cursors and live queries.
    @Test(arguments: ["find", "live"])
    func waitingIsEndedByKillOp(command: String) async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(["create": "c", "capped": true, "size": 10_000])
            _ = try client.run(["insert": "c", "documents": [["_id": 1]]])
            let opening: Document =
                command == "find"
                ? ["find": "c", "tailable": true, "awaitData": true]
                : ["live": "c", "filter": ["a": 99]]
            let first = try client.run(opening)
            let id = try #require(first.nested("cursor").integer("id"))
            client.post(["getMore": .int64(id), "collection": "c", "maxTimeMS": 600_000])
            let other = try WireClient(port: port)
            var killed = 0
            while killed == 0 {
                let running = try other.run(["currentOp": 1], database: "admin")
                for operation in running.documents("inprog")
                where operation.nested("command")["getMore"] != nil {
                    let number = try #require(operation["opid"])
                    _ = try other.run(["killOp": 1, "op": number], database: "admin")
                    killed += 1
                }
            }
            #expect(try client.receive()?.document.errorCode == 11601)
        }
    }
}
