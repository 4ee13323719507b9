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

    @Test func statementsChangeCollections() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try Self.rows(
                client,
                "insert into o { _id: 1, name: \"a\", t: \"5\" }, { _id: 2, t: \"x\", title: \"k\" }"
            )
            #expect(
                try Self.rows(
                    client, "update o where true rename name to title, convert t to int else 0")
                    == [["n": 2, "nModified": 2, "upserted": []]])
            for text in [
                "rename collection o to q", "create collection v validator where t >= 0",
                "alter collection q validator jsonSchema { required: [\"t\"] } level moderate",
                "alter collection q softDelete \"30d\"", "alter collection q softDelete off",
            ] {
                #expect(try Self.rows(client, text) == [["ok": 1]], "\(text)")
            }
            #expect(try Self.rows(client, "insert into v from q | where t > 1") == [])
            #expect(
                try Self.rows(client, "from v") == [["_id": 1, "t": 5, "title": "a"]])
            #expect(
                try Self.rows(client, "from q | where _id == 2")
                    == [["_id": 2, "t": 0, "title": "k"]])
            for (text, code) in [
                ("insert into v { t: -1 }", 121), ("insert into q { x: 1 }", 121),
                ("rename collection none to r", 26), ("convert", 9),
                ("update q where true convert title to int", 241),
                ("deploy rules \"nonsense\"", 9), ("deploy rules file \"a\"", 20),
            ] {
                let reply = try client.run(["query": .string(text)])
                #expect(reply.errorCode == Int32(code), "\(text): \(reply.description)")
            }
            #expect(try Self.rows(client, "alter collection q validator none") == [["ok": 1]])
            _ = try Self.rows(client, "insert into q { x: 1 }")
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
        ("from o | where s == \"a\"", "COLLSCAN"), ("from o | where t == null", "IXSCAN"),
        ("from o | where t is missing", "IXSCAN"), ("from o | where t in [null, 7]", "IXSCAN"),
        ("from o | where t is string", "IXSCAN"), ("from o | where t > now()", "IXSCAN"),
        ("from o | where t > 5 * 20", "IXSCAN"), ("from o | where c.d > 5", "IXSCAN"),
        ("from o | where c.d < 5", "IXSCAN"), ("from o | where c.d == null", "IXSCAN"),
        ("from o | where c.d.startsWith(\"x\")", "IXSCAN"),
        // Where arrays lie along the path, none of the keys is the whole value.
        ("from o | where l.d > 5", "COLLSCAN"), ("from o | where l.d == 5", "IXSCAN"),
    ])
    func indexesServeConditions(_ text: String, _ stage: String) async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try Self.rows(
                client, "insert into o { _id: 1, t: 5, l: [] }, { _id: 2, t: 500, c: { d: 1 } }")
            for path in ["t", "c.d", "l.d"] {
                _ = try Self.rows(client, "create index on o (\(path))")
            }
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
            let duplicate = try client.run(["query": "insert into o {_id: 1}, {_id: 1}, {_id: 2}"])
            #expect(duplicate.errorCode == 11_000 && duplicate["n"] == 1)
            #expect(duplicate["column"] == 25, "\(duplicate)")
            #expect(
                duplicate.string("errmsg")?.contains("1 of 3 documents were inserted") == true)
        }
    }

    /// What goes wrong while a statement runs, where, and in which words.
    static let failures: [(text: String, column: Int32, part: String)] = [
        ("from o | where s * 2 == 1", 18, "'*'"),
        ("from o | select { x: 1, y: n / 0 }", 30, "divide"),
        ("from o | select { x: -s }", 22, "'-'"), ("from o | select { x: s + n }", 24, "'+'"),
        ("from o | set x = date(s)", 18, "date"), ("from o | where length(n) == 1", 16, "length()"),
        ("from o | group { x: sum(size(n)) }", 25, "size()"),
        ("update o where true set x = s * n", 31, "'*'"),
        ("insert into o { a: 1 / 0 }", 22, "divide"), ("from o | select { x: 5 % 0 }", 24, "mod"),
        ("from o | where any(i in l: i * 2 == 1)", 30, "'*'"), ("drop index nope on o", 12, "nope"),
        ("insert into system.x.y { a: 1 }", 13, "system"),
        ("create index on o (s, `$x`)", 23, "name"), ("from `o$` | limit 1", 6, ""),
    ]

    @Test(arguments: failures.indices)
    func failuresHaveTheirPlace(_ index: Int) async throws {
        let (text, column, part) = Self.failures[index]
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try Self.rows(client, "insert into o { _id: 1, s: \"x\", n: 5, l: [\"b\"] }")
            let reply = try client.run(["query": .string(text)])
            if reply.errorCode == 0, part.isEmpty { return }
            let message = reply.string("errmsg") ?? ""
            #expect(reply["column"] == .int32(column), "\(text): \(reply)")
            #expect(message.contains(part), "\(text): \(message)")
            let first = message.split(separator: "\n").first ?? ""
            #expect(!first.contains("$") || text.contains("$"), "\(text): \(message)")
            #expect(message.hasSuffix("^"), "\(message)")
        }
    }

    /// The conditions with indexes and without answer the same, arrays along the paths included.
    @Test func indexesChangeNoAnswer() async throws {
        let documents: [Value] = [
            [:], ["a": 1], ["a": nil], ["a": []], ["a": [:]], ["a": ["b": 1]], ["a": ["b": 9]],
            ["a": ["b": nil]], ["a": ["b": "x"]], ["a": ["b": [1, 9]]], ["a": ["b": []]],
            ["a": [["b": 1], ["b": 9]]], ["a": [["b": [1]], 5]], ["a": ["b": .undefined]],
            ["a": ["b": true]], ["a": ["b": .double(.nan)]], ["a": ["b": ["c": 1]]],
        ]
        let conditions = [
            "a.b > 5", "a.b >= 9", "a.b < 5", "a.b == 1", "a.b == null", "a.b != null",
            "a.b in [null, 9]", "a.b is missing", "a.b is null", "a.b is array", "a.b is number",
            "a.b < true", "a.b > \"a\"", "a.b > 1 && a.b < 10", "a > 1", "a == null", "a < 2",
        ]
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            for round in 0..<3 {
                // Without arrays, with them, and with nothing along the path but empty ones.
                let kept = documents.filter { value in
                    guard case .document(let document) = value else { return false }
                    let isList = if case .array? = document["a"] { true } else { false }
                    return round == 1 || !isList || (round == 2 && document["a"] == [])
                }
                for name in ["plain", "indexed"] {
                    _ = try client.run(["drop": .string(name)])
                    _ = try Self.rows(client, "create collection \(name)")
                    if name == "indexed" {
                        _ = try Self.rows(client, "create index on indexed (a.b)")
                        _ = try Self.rows(client, "create index on indexed (a)")
                    }
                    for (id, document) in kept.enumerated() {
                        _ = try Self.rows(
                            client, "insert into \(name) merge($d, { _id: $id })",
                            ["d": document, "id": .int32(Int32(id))])
                    }
                }
                for condition in conditions {
                    let plain = try Self.rows(
                        client, "from plain | where \(condition) | sort _id")
                    let indexed = try Self.rows(
                        client, "from indexed | where \(condition) | sort _id")
                    #expect(plain == indexed, "round \(round): \(condition)")
                }
            }
        }
    }

    @Test func statementsRunInTransactions() async throws {
        try await RunningServer.with({ $0.replicaSet = "rs0" }) { port in
            let client = try WireClient(port: port)
            let session: Value = ["id": .binary(subtype: 4, [UInt8](repeating: 7, count: 16))]
            func run(_ text: String, number: Int64, isFirst: Bool = false) throws -> Document {
                try client.run(
                    Document { writer in
                        writer.append("query", text)
                        writer.append("lsid", session)
                        writer.append("txnNumber", number)
                        writer.append("autocommit", false)
                        if isFirst { writer.append("startTransaction", true) }
                    })
            }
            func end(_ name: String, number: Int64) throws -> Document {
                try client.run(
                    Document { writer in
                        writer.append(name, Int32(1))
                        writer.append("lsid", session)
                        writer.append("txnNumber", number)
                        writer.append("autocommit", false)
                    }, database: "admin")
            }
            _ = try Self.rows(client, "insert into o { _id: 1, n: 1 }")
            #expect(
                try run("update o where _id == 1 set n = n + 1", number: 1, isFirst: true).errorCode
                    == 0)
            #expect(try run("insert into o { _id: 2, n: 5 }", number: 1).errorCode == 0)
            let inside = try run("from o | group { n: sum(n) }", number: 1)
            #expect(inside.nested("cursor").documents("firstBatch") == [["_id": nil, "n": 7]])
            #expect(try Self.rows(client, "from o | count") == [["count": 1]])
            #expect(try end("commitTransaction", number: 1).errorCode == 0)
            #expect(try Self.rows(client, "from o | count") == [["count": 2]])
            #expect(try run("delete from o where true", number: 2, isFirst: true).errorCode == 0)
            #expect(try run("drop collection o", number: 2).errorCode == 263)
            #expect(try Self.rows(client, "from o | count") == [["count": 2]])
            // A retried insert is done once.
            for _ in 0..<2 {
                let reply = try client.run(
                    Document { writer in
                        writer.append("query", "insert into o { n: 1 }")
                        writer.append("lsid", session)
                        writer.append("txnNumber", Int64(3))
                    })
                #expect(reply.nested("cursor").documents("firstBatch").first?["n"] == 1)
            }
            #expect(try Self.rows(client, "from o | count") == [["count": 3]])
        }
    }

    @Test func explainTakesTexts() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try Self.rows(client, "insert into o { _id: 1, t: 5 }")
            for text in [
                "from o | where _id == 1", "update o where _id == 1 set t = 1",
                "delete from o where _id == 1",
            ] {
                let reply = try client.run([
                    "explain": ["query": .string(text)], "verbosity": "executionStats",
                ])
                #expect("\(reply.nested("queryPlanner"))".contains("IXSCAN"), "\(reply)")
            }
            #expect(
                try client.run(["explain": ["query": "drop collection o"]]).errorCode == 115)
            #expect(try Self.rows(client, "from o | where t == 5").count == 1)
        }
    }

    @Test func parametersStandForLiterals() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let parameters: Document = [
                "n": 2, "list": [1, 3], "d": ["x": 1], "zero": 0, "s": "b", "secs": 60,
                "size": 4_096,
            ]
            for (text, rows) in [
                ("insert into o { _id: 1, d: $d }, { _id: 2, d: [$n, $s] }, { _id: 3 }", 1),
                ("from o | limit $n", 2), ("from o | skip $n", 1), ("from o | skip $zero", 3),
                ("from o | where _id in $list", 2), ("from o | where _id in [$n, 3]", 2),
                ("from o | where d == $d", 1), ("from o | where d[1] == $s && d[$zero] == $n", 0),
                ("from o | where d is array | where d[1] == $s", 1),
                ("from o | select { v: $d, w: { x: $s } }", 3),
                ("from o | group $s { n: sum($n) }", 1),
                ("create index on o (at) expire after $secs seconds", 1),
                ("create index on o (k) where v > $n", 1),
                ("create collection capped1 capped $size max $n", 1),
                ("update o where _id == $n set a = $s, b = [$n]", 1),
                ("delete from o where a == $s", 1), ("from o | count", 1),
            ] as [(String, Int)] {
                let reply = try client.run([
                    "query": .string(text), "params": .document(parameters),
                ])
                if text.contains("$zero] == $n") {
                    // An index into what is no list is an error, with its place.
                    #expect(reply["column"] != nil || reply.errorCode == 0, "\(reply)")
                    continue
                }
                #expect(
                    reply.nested("cursor").documents("firstBatch").count == rows,
                    "\(text): \(reply)")
            }
        }
    }
}
