// The command `query`: statements of the text language over the wire, their answers and plans.

import BSON
import Testing

@testable import Server
@testable import Wire

@Suite struct QueryCommandTests {
    /// The rows that a statement answers.
    private static func rows(
        _ client: WireClient, _ text: String, _ parameters: Document = [:]
    ) throws -> [Document] {
        let reply = try client.run([
            "query": .string(text), "params": .document(parameters),
        ])
        if reply.errorCode != 0 { throw ClientError(description: reply.description) }
        return reply.nested("cursor").documents("firstBatch")
    }

    @Test func statementsAnswerRows() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            #expect(
                try Self.rows(
                    client, "insert into o { _id: 1, s: \"a\", t: 5 }, { _id: 2, t: 150 }, $more",
                    ["more": ["_id": 3, "s": "b", "t": 101]])
                    == [["n": 3, "nModified": 0, "upserted": []]])
            #expect(
                try Self.rows(client, "from o | where t > $least | sort -t", ["least": 100])
                    == [["_id": 2, "t": 150], ["_id": 3, "s": "b", "t": 101]])
            #expect(
                try Self.rows(client, "update o where s is string set t = t + 1, unset s")
                    == [["n": 2, "nModified": 2, "upserted": []]])
            #expect(
                try Self.rows(client, "upsert o where _id == 9 set t = 1")
                    == [["n": 1, "nModified": 0, "upserted": [9]]])
            #expect(
                try Self.rows(client, "delete from o where t == 1 || _id == 2")
                    == [["n": 2, "nModified": 0, "upserted": []]])
            #expect(
                try Self.rows(client, "from o")
                    == [["_id": 1, "t": 6], ["_id": 3, "t": 102]])
            _ = try Self.rows(client, "insert into p { _id: 6, name: \"six\" }")
            #expect(
                try Self.rows(client, "from o | join p on t == _id as who | where _id == 1")
                    == [["_id": 1, "t": 6, "who": [["_id": 6, "name": "six"]]]])
            for text in [
                "create collection log capped 4096 max 2", "create index on o (t) unique",
                "drop index t_1 on o", "drop collection o",
            ] {
                #expect(try Self.rows(client, text) == [["ok": 1]], "\(text)")
            }
            #expect(try Self.rows(client, "from o") == [])
        }
    }

    @Test func longAnswersComeInBatches() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(
                ["insert": "c"], sequences: [("documents", CommandTests.documents(0..<50))])
            let first = try client.run([
                "query": "from c | where _id >= 10 | sort _id", "cursor": ["batchSize": 7],
            ])
            #expect(first.nested("cursor").documents("firstBatch").count == 7)
            let id = try #require(first.nested("cursor").integer("id"))
            let rest = try client.run(["getMore": .int64(id), "collection": "c"])
            #expect(rest.nested("cursor").documents("nextBatch").count == 33)
        }
    }

    @Test(arguments: [
        ("from o | where t > 100", "IXSCAN"), ("from o | where t < 3", "IXSCAN"),
        ("from o | where t == 5 && s == \"a\"", "IXSCAN"),
        ("from o | where t in [1, 2]", "IXSCAN"), ("from o | where 5 == t", "IXSCAN"),
        ("from o | sort -t | limit 3", "IXSCAN"), ("from o | where _id == 1", "EXPRESS_IXSCAN"),
        ("from o | where s == \"a\"", "COLLSCAN"),
    ])
    func indexesServeConditions(_ text: String, _ stage: String) async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try Self.rows(client, "insert into o { _id: 1, t: 5 }, { _id: 2, t: 500 }")
            _ = try Self.rows(client, "create index on o (t)")
            let plan = try Self.rows(client, "explain " + text)
            let winning = plan.first?.nested("queryPlanner").nested("winningPlan")
            #expect(
                "\(winning ?? [:])".contains("\"stage\":\"\(stage)\""), "\(text): \(plan)")
        }
    }

    @Test func errorsCarryTheirPlace() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let reply = try client.run(["query": "from o\n| limit x"])
            #expect(reply.errorCode == 9)
            #expect(reply["line"] == 2 && reply["column"] == 9 && reply["offset"] == 15)
            #expect(try client.run(["query": 5]).errorCode == 14)
            #expect(try client.run(["query": "live from o"]).errorCode == 115)
            let duplicate = try client.run(["query": "insert into o {_id: 1}, {_id: 1}"])
            #expect(duplicate.errorCode == 11_000)
        }
    }
}
