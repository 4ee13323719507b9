// Commands end to end over a socket: shapes of replies, cursors, write errors, fail points.

import BSON
import NIOCore
import Testing

@testable import Server
@testable import Wire

@Suite struct CommandTests {
    static func documents(_ range: Range<Int>) -> [Document] {
        range.map { ["_id": .int32(Int32($0)), "v": .int32(Int32($0 % 10))] }
    }

    @Test func insertFindUpdateDelete() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let inserted = try client.run(
                ["insert": "c"], sequences: [("documents", Self.documents(0..<100))])
            #expect(inserted == ["n": 100, "ok": 1.0])
            let found = try client.run(["find": "c", "filter": ["_id": 7]])
            #expect(
                found == [
                    "cursor": [
                        "firstBatch": [["_id": 7, "v": 7]], "id": .int64(0), "ns": "test.c",
                    ], "ok": 1.0,
                ])
            let updated = try client.run([
                "update": "c",
                "updates": [
                    ["q": ["v": 3], "u": ["$set": ["w": 1]], "multi": true],
                    ["q": ["_id": 1_000], "u": ["$set": ["w": 1]], "upsert": true],
                ],
            ])
            #expect(updated.integer("n") == 11)
            #expect(updated.integer("nModified") == 10)
            #expect(updated.documents("upserted") == [["index": 1, "_id": 1_000]])
            let deleted = try client.run(["delete": "c", "deletes": [["q": ["v": 3], "limit": 0]]])
            #expect(deleted == ["n": 10, "ok": 1.0])
            #expect(try client.run(["count": "c"]).integer("n") == 91)
            let distinct = try client.run(["distinct": "c", "key": "v", "query": ["v": ["$lt": 3]]])
            #expect(distinct["values"] == [0, 1, 2])
        }
    }

    @Test func writeErrorsKeepTheirPlaces() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(["insert": "c", "documents": [["_id": 2]]])
            let unordered = try client.run([
                "insert": "c", "documents": [["_id": 1], ["_id": 2], ["_id": 3]],
                "ordered": false,
            ])
            #expect(unordered.integer("n") == 2)
            let errors = unordered.documents("writeErrors")
            #expect(errors.count == 1)
            #expect(errors.first?.integer("index") == 1)
            #expect(errors.first?.integer("code") == 11_000)
            #expect(errors.first?["keyPattern"] == ["_id": 1])
            #expect(errors.first?["keyValue"] == ["_id": 2])
            let ordered = try client.run([
                "insert": "c", "documents": [["_id": 4], ["_id": 2], ["_id": 5]],
            ])
            #expect(ordered.integer("n") == 1)
            #expect(try client.run(["count": "c"]).integer("n") == 4)
        }
    }

    @Test func batchesAndTheirEnd() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(["insert": "c"], sequences: [("documents", Self.documents(0..<50))])
            var reply = try client.run(["find": "c", "batchSize": 20]).nested("cursor")
            #expect(reply.documents("firstBatch").count == 20)
            var seen = 20
            let id = try #require(reply.integer("id"))
            #expect(id > 0)
            while let next = reply.integer("id"), next != 0 {
                reply = try client.run([
                    "getMore": .int64(next), "collection": "c", "batchSize": 20,
                ]).nested("cursor")
                seen += reply.documents("nextBatch").count
            }
            #expect(seen == 50)
            #expect(
                try client.run(["getMore": .int64(id), "collection": "c"]).errorCode == 43)
            #expect(
                try client.run(["find": "c", "batchSize": -1]).errorCode == 2)
            let single = try client.run(["find": "c", "batchSize": 5, "singleBatch": true])
            #expect(single.nested("cursor").integer("id") == 0)
            let limited = try client.run(["find": "c", "limit": 3]).nested("cursor")
            #expect(limited.integer("id") == 0)
            #expect(limited.documents("firstBatch").count == 3)
        }
    }

    @Test func cursorsBelongToTheirNamespaceSessionAndConnection() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(["insert": "c"], sequences: [("documents", Self.documents(0..<50))])
            let lsid: Value = ["id": .binary(subtype: 4, [UInt8](repeating: 3, count: 16))]
            func open(_ session: Value?, on client: WireClient) throws -> Int64 {
                let command = Document { writer in
                    writer.append("find", "c")
                    writer.append("batchSize", Int32(2))
                    if let session { writer.append("lsid", session) }
                }
                return try #require(try client.run(command).nested("cursor").integer("id"))
            }
            let owned = try open(lsid, on: client)
            #expect(try client.run(["getMore": .int64(owned), "collection": "d"]).errorCode == 13)
            #expect(
                try client.run(["getMore": .int64(owned), "collection": "c"]).errorCode == 50_737)
            let end = Document { $0.append("endSessions", .array([lsid])) }
            #expect(try client.run(end).errorCode == 0)
            let more = Document { writer in
                writer.append("getMore", owned)
                writer.append("collection", "c")
                writer.append("lsid", lsid)
            }
            #expect(try client.run(more).errorCode == 43)

            let killed = try open(nil, on: client)
            let answer = try client.run([
                "killCursors": "c", "cursors": [.int64(killed), .int64(5)],
            ])
            #expect(answer["cursorsKilled"] == [.int64(killed)])
            #expect(answer["cursorsNotFound"] == [.int64(5)])

            var other: WireClient? = try WireClient(port: port)
            let lost = try open(nil, on: try #require(other))
            other = nil
            var code: Int32 = 0
            for _ in 0..<100 where code != 43 {
                code = try client.run(["getMore": .int64(lost), "collection": "c", "batchSize": 1])
                    .errorCode
                try await Task.sleep(for: .milliseconds(10))
            }
            #expect(code == 43)
        }
    }

    @Test func exhaustCursors() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(["insert": "c"], sequences: [("documents", Self.documents(0..<50))])
            let first = try client.run(["find": "c", "batchSize": 10]).nested("cursor")
            let id = try #require(first.integer("id"))
            client.post(
                ["getMore": .int64(id), "collection": "c", "batchSize": 10], flags: 1 << 16)
            var seen = 10
            while true {
                let reply = try #require(try client.receive())
                let cursor = reply.document.nested("cursor")
                seen += cursor.documents("nextBatch").count
                #expect(reply.flags.contains(.moreToCome) == (cursor.integer("id") != 0))
                if !reply.flags.contains(.moreToCome) { break }
            }
            #expect(seen == 50)
            #expect(try client.run(["ping": 1]).errorCode == 0)
        }
    }

    @Test func unacknowledgedWritesGetNoReply() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            client.post(
                ["insert": "c", "documents": [["_id": 1]], "writeConcern": ["w": 0]], flags: 2)
            #expect(try client.run(["count": "c"]).integer("n") == 1)
        }
    }

    @Test func collectionsAndIndexes() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            #expect(try client.run(["create": "a"]).errorCode == 0)
            let created = try client.run([
                "createIndexes": "b", "indexes": [["key": ["v": 1], "name": "v_1"]],
            ])
            #expect(created.integer("numIndexesBefore") == 1)
            #expect(created.integer("numIndexesAfter") == 2)
            #expect(created["createdCollectionAutomatically"] == true)
            let collections = try client.run(["listCollections": 1, "nameOnly": true])
            #expect(
                collections.nested("cursor").documents("firstBatch") == [
                    ["name": "a", "type": "collection"], ["name": "b", "type": "collection"],
                ])
            #expect(
                try client.run(["listCollections": 1, "filter": ["name": "b"]])
                    .nested("cursor").documents("firstBatch").count == 1)
            let indexes = try client.run(["listIndexes": "b", "cursor": ["batchSize": 1]])
                .nested("cursor")
            #expect(indexes.documents("firstBatch").map { $0["name"] } == ["_id_"])
            let rest = try client.run([
                "getMore": .int64(try #require(indexes.integer("id"))), "collection": "b",
            ]).nested("cursor")
            #expect(rest.documents("nextBatch").map { $0["name"] } == ["v_1"])
            #expect(rest.integer("id") == 0)
            #expect(try client.run(["listIndexes": "none"]).errorCode == 26)
            #expect(try client.run(["dropIndexes": "b", "index": "x"]).errorCode == 27)
            #expect(
                try client.run(["dropIndexes": "b", "index": "*"]).integer("nIndexesWas") == 2)
            #expect(
                try client.run(
                    ["renameCollection": "test.a", "to": "test.z"], database: "admin"
                ).errorCode == 0)
            let databases = try client.run(
                ["listDatabases": 1, "nameOnly": true], database: "admin")
            #expect(databases.documents("databases") == [["name": "admin"], ["name": "test"]])
            #expect(try client.run(["drop": "z"]).integer("nIndexesWas") == 1)
            #expect(try client.run(["drop": "z"]) == ["ok": 1.0])
            #expect(try client.run(["dropDatabase": 1])["ok"] == 1.0)
        }
    }

    @Test func findAndModifyAndBulkWrite() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(["insert": "c", "documents": [["_id": 1, "v": 1, "w": 2]]])
            let before = try client.run([
                "findAndModify": "c", "query": ["_id": 1], "update": ["$inc": ["v": 1]],
                "fields": ["v": 1],
            ])
            #expect(before["value"] == ["_id": 1, "v": 1])
            #expect(before["lastErrorObject"] == ["n": 1, "updatedExisting": true])
            let none = try client.run(["findandmodify": "c", "query": ["_id": 9], "remove": true])
            #expect(none["value"] == .null)
            let bulk = try client.run(
                [
                    "bulkWrite": 1, "nsInfo": [["ns": "test.c"], ["ns": "test.d"]],
                    "ops": [
                        ["insert": 1, "document": ["_id": 5]],
                        ["update": 0, "filter": ["_id": 1], "updateMods": ["$set": ["z": 1]]],
                        ["insert": 1, "document": ["_id": 5]],
                        ["delete": 1, "filter": [:], "multi": true],
                    ], "ordered": false,
                ], database: "admin")
            #expect(bulk.integer("nInserted") == 1)
            #expect(bulk.integer("nMatched") == 1)
            #expect(bulk.integer("nDeleted") == 1)
            #expect(bulk.integer("nErrors") == 1)
            let results = bulk.nested("cursor").documents("firstBatch")
            #expect(results.count == 4)
            #expect(results[2].integer("code") == 11_000)
        }
    }

    @Test func aggregateAndExplain() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(["insert": "c"], sequences: [("documents", Self.documents(0..<100))])
            let counted = try client.run([
                "aggregate": "c", "pipeline": [["$match": ["v": 3]], ["$count": "n"]],
                "cursor": [:],
            ])
            #expect(counted.nested("cursor").documents("firstBatch") == [["n": 10]])
            #expect(try client.run(["aggregate": "c", "pipeline": []]).errorCode == 9)
            #expect(
                try client.run(["aggregate": "c", "pipeline": [["$no": 1]], "cursor": [:]])
                    .errorCode == 40_324)
            let explained = try client.run([
                "explain": ["find": "c", "filter": ["v": 3]], "verbosity": "executionStats",
            ])
            #expect(explained.nested("executionStats").integer("nReturned") == 10)
            #expect(!explained.nested("queryPlanner").nested("winningPlan").isEmpty)
        }
    }

    @Test func injectedFailures() async throws {
        try await RunningServer.with {
            $0.offersTestCommands = true
        } _: { port in
            let client = try WireClient(port: port)
            func configure(_ data: Document) throws {
                let command = Document { writer in
                    writer.append("configureFailPoint", "failCommand")
                    writer.append("mode", ["times": 1] as Value)
                    writer.append("data", data)
                }
                #expect(try client.run(command, database: "admin").errorCode == 0)
            }
            try configure(["failCommands": ["find"], "errorCode": 91])
            #expect(try client.run(["ping": 1]).errorCode == 0)
            #expect(try client.run(["find": "c"]).errorCode == 91)
            #expect(try client.run(["find": "c"]).errorCode == 0)
            try configure([
                "failCommands": ["insert"],
                "writeConcernError": ["code": 64, "errmsg": "waiting timed out"],
            ])
            let written = try client.run(["insert": "c", "documents": [["_id": 1]]])
            #expect(written.integer("n") == 1)
            #expect(written.nested("writeConcernError").integer("code") == 64)
            try configure(["failCommands": ["find"], "closeConnection": true])
            client.post(["find": "c"])
            #expect(try client.receive() == nil)
        }
    }
}
