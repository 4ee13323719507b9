// Views, the server's own first stages, and pipelines that write, over the wire.

import BSON
import Testing

@Suite struct ViewAndStageTests {
    private static func batch(_ reply: Document) -> [Document] {
        reply.nested("cursor").documents("firstBatch")
    }

    private static func fill(_ client: WireClient) throws {
        let documents: [Value] = (1...5).map { ["_id": .int32($0), "v": .int32($0 % 2)] }
        _ = try client.run(["insert": "c", "documents": .array(documents)])
        let odd: Value = [["$match": ["v": 1]], ["$set": ["w": "$_id"]]]
        let made = try client.run(["create": "odd", "viewOn": "c", "pipeline": odd])
        try #require(made.errorCode == 0)
        let high: Value = [["$match": ["_id": ["$gt": 1]]]]
        _ = try client.run(["create": "high", "viewOn": "odd", "pipeline": high])
    }

    /// What is asked of the views over `{_id: 1…5, v: _id mod 2}`, and what comes.
    static let reads: [(command: Document, result: [Document])] = [
        (["find": "odd", "filter": ["_id": 3]], [["_id": 3, "v": 1, "w": 3]]),
        (["find": "odd", "filter": ["_id": 2]], []),
        (
            ["find": "high", "sort": ["_id": -1], "projection": ["w": 1, "_id": 0]],
            [["w": 5], ["w": 3]]
        ),
        (
            ["find": "odd", "sort": ["_id": 1], "skip": 1, "limit": 1],
            [["_id": 3, "v": 1, "w": 3]]
        ),
        (
            ["aggregate": "high", "pipeline": [["$count": "n"]], "cursor": [:]],
            [["n": 2]]
        ),
    ]

    @Test func viewsShowTheirSource() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            try Self.fill(client)
            for (command, result) in Self.reads {
                #expect(try Self.batch(client.run(command)) == result, "\(command)")
            }
            #expect(try client.run(["count": "odd"]).integer("n") == 3)
            #expect(try client.run(["count": "odd", "query": ["w": ["$gt": 3]]]).integer("n") == 1)
            #expect(try client.run(["distinct": "high", "key": "w"])["values"] == [3, 5])
            let listed = try Self.batch(
                client.run(["listCollections": 1, "filter": ["type": "view"], "nameOnly": true]))
            #expect(
                listed == [["name": "high", "type": "view"], ["name": "odd", "type": "view"]])
        }
    }

    /// The values that results were sorted by, of a collection and of views, and not without a sort.
    @Test func sortKeysAreShown() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            try Self.fill(client)
            let fields: Value = ["key": ["$meta": "sortKey"], "_id": 1]
            for source in ["c", "odd", "high"] {
                let sorted = try client.run([
                    "find": .string(source), "filter": ["_id": ["$gt": 2], "v": 1],
                    "sort": ["v": 1, "_id": -1], "projection": fields,
                ])
                #expect(
                    Self.batch(sorted) == [
                        ["_id": 5, "key": [1, 5]], ["_id": 3, "key": [1, 3]],
                    ], "\(source)")
                let unsorted = try client.run(["find": .string(source), "projection": fields])
                #expect(unsorted.errorCode == 2, "\(source)")
            }
        }
    }

    static let refused: [(command: Document, code: Int32)] = [
        (["insert": "odd", "documents": [["a": 1]]], 166),
        (["delete": "odd", "deletes": [["q": [:], "limit": 0]]], 166),
        (["update": "odd", "updates": [["q": [:], "u": ["$set": ["a": 1]]]]], 166),
        (["findAndModify": "odd", "query": [:], "remove": true], 166),
        (["createIndexes": "odd", "indexes": [["key": ["a": 1], "name": "a"]]], 166),
        (["listIndexes": "odd"], 166), (["collStats": "odd"], 166),
        (["aggregate": "c", "pipeline": [["$out": "odd"]], "cursor": [:]], 166),
        (["create": "odd", "viewOn": "c", "pipeline": []], 48),
        (["create": "x", "pipeline": []], 72), (["create": "x", "viewOn": "x"], 5),
        (["create": "x", "viewOn": "c", "pipeline": [["$out": "y"]]], 167),
        (["create": "x", "viewOn": "c", "pipeline": [["$nope": 1]]], 40324),
    ]

    @Test func viewsRefuseWrites() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            try Self.fill(client)
            for (command, code) in Self.refused {
                #expect(try client.run(command).errorCode == code, "\(command)")
            }
            #expect(try client.run(["drop": "odd"]).errorCode == 0)
            #expect(try client.run(["count": "c"]).integer("n") == 5)
        }
    }

    static let stages: [(database: Value, stage: Value, code: Int32)] = [
        (1, ["$listLocalSessions": [:]], 0), ("c", ["$listLocalSessions": [:]], 73),
        (1, ["$listLocalSessions": 1], 14), (1, ["$listLocalSessions": ["x": 1]], 40415),
        (1, ["$listLocalSessions": ["users": [["user": "a"]]]], 40414),
        (1, ["$listLocalSessions": ["allUsers": true, "users": [["user": "a", "db": "b"]]]], 12),
        (1, ["$currentOp": [:]], 73), ("c", ["$listSessions": [:]], 73),
        ("c", ["$indexStats": [:]], 0), ("odd", ["$indexStats": [:]], 166),
        ("c", ["$collStats": ["count": [:], "storageStats": ["scale": 2]]], 0),
        ("c", ["$collStats": 1], 5_447_000), ("c", ["$collStats": ["x": [:]]], 40415),
        ("c", ["$collStats": ["count": ["x": 1]]], 31170), ("c", ["$collStats": ["count": 1]], 14),
        ("none", ["$collStats": ["count": [:]]], 26), ("odd", ["$collStats": ["count": [:]]], 166),
        ("odd", ["$collStats": ["latencyStats": [:]]], 0),
    ]

    @Test func serverStages() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            try Self.fill(client)
            for (place, stage, code) in Self.stages {
                let command: Document = ["aggregate": place, "pipeline": [stage], "cursor": [:]]
                #expect(try client.run(command).errorCode == code, "\(command)")
            }
            let counted = try client.run([
                "aggregate": "c", "pipeline": [["$collStats": ["count": [:]]]], "cursor": [:],
            ])
            #expect(Self.batch(counted).first?.integer("count") == 5)
        }
    }

    @Test func resultsAreWritten() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            try Self.fill(client)
            let written = try client.run([
                "aggregate": "odd", "pipeline": [["$out": "copy"]], "cursor": ["batchSize": 0],
            ])
            #expect(Self.batch(written).isEmpty && written.nested("cursor").integer("id") == 0)
            #expect(try client.run(["count": "copy"]).integer("n") == 3)
            let update: Value = [
                ["q": ["_id": 1], "u": [["$set": ["w": "$$k"]]], "c": ["k": "$x"]]
            ]
            #expect(try client.run(["update": "copy", "updates": update]).errorCode == 0)
            let found = try Self.batch(client.run(["find": "copy", "filter": ["w": "$x"]]))
            #expect(found == [["_id": 1, "v": 1, "w": "$x"]])
            let clash = try client.run([
                "aggregate": "c",
                "pipeline": [["$merge": ["into": "copy", "whenMatched": "fail"]]],
                "cursor": [:],
            ])
            #expect(clash.errorCode == 11000 && clash["keyPattern"] == ["_id": 1])
        }
    }

    @Test func backgroundIsShownAndChangesNothing() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let index: Value = [
                "key": ["a": 1], "name": "a", "background": false, "dropDups": true,
            ]
            let plain: Value = ["key": ["a": 1], "name": "a"]
            for specification in [index, plain] {
                let made = try client.run(["createIndexes": "c", "indexes": [specification]])
                #expect(made.errorCode == 0)
            }
            let listed = try Self.batch(client.run(["listIndexes": "c"]))
            #expect(listed.count == 2)
            #expect(listed.last?["background"] == false && listed.last?["dropDups"] == nil)
            let both: Document = ["validate": "c", "full": true, "background": true]
            #expect(try client.run(both).errorCode == 72)
        }
    }
}
