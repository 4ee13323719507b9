// Commands about collections end to end: validators, capped collections and cursors that follow
// them, collMod, settings.

import BSON
import NIOCore
import Testing

@testable import Server
@testable import Wire

@Suite struct CollectionTests {
    @Test func validatorsRefuseWithReasons() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let made = try client.run(["create": "c", "validator": ["a": ["$type": "int"]]])
            #expect(made == ["ok": 1.0])
            let refused = try client.run(["insert": "c", "documents": [["_id": 1, "a": "x"]]])
            let error = try #require(refused.documents("writeErrors").first)
            #expect(error.integer("code") == 121)
            #expect(error["errmsg"] == "Document failed validation")
            #expect(error.nested("errInfo").integer("failingDocumentId") == 1)
            let bypassed = try client.run([
                "insert": "c", "documents": [["_id": 1, "a": "x"]],
                "bypassDocumentValidation": true,
            ])
            #expect(bypassed.integer("n") == 1)
            let modified = try client.run([
                "findAndModify": "c", "query": ["_id": 1], "update": ["$set": ["b": 1]],
            ])
            #expect(modified.errorCode == 121)
            #expect(modified.nested("errInfo").integer("failingDocumentId") == 1)
            _ = try client.run(["collMod": "c", "validationLevel": "moderate"])
            let moderate = try client.run([
                "findAndModify": "c", "query": ["_id": 1], "update": ["$set": ["b": 1]],
            ])
            #expect(moderate.errorCode == 0)
            let listed = try client.run(["listCollections": 1, "filter": ["name": "c"]])
            let options = try #require(listed.nested("cursor").documents("firstBatch").first)
                .nested("options")
            #expect(
                options == [
                    "validator": ["a": ["$type": "int"]], "validationLevel": "moderate",
                    "validationAction": "error",
                ])
        }
    }

    @Test func createRefusesWhatMakesNoSense() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            for (command, code) in [
                (["create": "c", "capped": true], 72), (["create": "c", "size": 1], 72),
                (["create": "c", "capped": true, "size": 0], 2),
                (["create": "c", "validator": ["$nope": 1]], 2),
                (["create": "c", "validationLevel": "none"], 2),
            ] as [(Document, Int32)] {
                #expect(try client.run(command).errorCode == code, "\(command)")
            }
            _ = try client.run(["create": "c", "capped": true, "size": 1_000])
            #expect(try client.run(["create": "c", "capped": true, "size": 1_024]).errorCode == 0)
            #expect(try client.run(["create": "c"]).errorCode == 48)
        }
    }

    @Test func awaitingCursorIsAnsweredWhenDocumentsCome() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let writer = try WireClient(port: port)
            _ = try client.run(["create": "c", "capped": true, "size": 4_096])
            _ = try client.run(["insert": "c", "documents": [["_id": 1]]])
            let opened = try client.run(["find": "c", "tailable": true, "awaitData": true])
                .nested("cursor")
            #expect(opened.documents("firstBatch") == [["_id": 1]])
            let id = try #require(opened.integer("id"))
            #expect(id != 0)
            let more: Document = ["getMore": .int64(id), "collection": "c", "maxTimeMS": 60_000]
            client.post(more)
            #expect(try writer.run(["insert": "c", "documents": [["_id": 2]]]).integer("n") == 1)
            let next = try #require(try client.receive()).document.nested("cursor")
            #expect(next.documents("nextBatch") == [["_id": 2]])
            let empty = try client.run([
                "getMore": .int64(id), "collection": "c", "maxTimeMS": 1,
            ]).nested("cursor")
            #expect(empty.documents("nextBatch") == [])
            #expect(empty.integer("id") == id)
            client.post(more)
            _ = try writer.run(["drop": "c"])
            let gone = try #require(try client.receive()).document
            #expect(gone.errorCode == 175)
        }
    }

    @Test func tailableNeedsACappedCollection() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(["insert": "plain", "documents": [["_id": 1]]])
            #expect(try client.run(["find": "plain", "tailable": true]).errorCode == 2)
            #expect(try client.run(["find": "plain", "awaitData": true]).errorCode == 9)
            let none = try client.run(["find": "none", "tailable": true]).nested("cursor")
            #expect(none.integer("id") == 0)
        }
    }

    @Test func convertKeepsTheNewest() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let documents = (0..<40).map { number -> Value in
                ["_id": .int32(Int32(number)), "t": "0123456789"]
            }
            _ = try client.run(
                Document { writer in
                    writer.append("insert", "c")
                    writer.append("documents", .array(documents))
                })
            let cloned = try client.run([
                "cloneCollectionAsCapped": "c", "toCollection": "d", "size": 256,
            ])
            #expect(cloned == ["ok": 1.0])
            let kept = try client.run(["find": "d"]).nested("cursor").documents("firstBatch")
            #expect(kept.compactMap { $0.integer("_id") } == Array(32...39))
            #expect(try client.run(["convertToCapped": "c", "size": 100_000]).errorCode == 0)
            #expect(try client.run(["count": "c"]).integer("n") == 40)
            #expect(try client.run(["collStats": "c"])["capped"] == true)
            #expect(try client.run(["convertToCapped": "x", "size": 1]).errorCode == 26)
            #expect(try client.run(["convertToCapped": "c"]).errorCode == 72)
        }
    }

    @Test func expirySettings() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let set = try client.run(
                ["setParameter": 1, "ttlMonitorSleepSecs": 5], database: "admin")
            #expect(set == ["was": 60, "ok": 1.0])
            let get = try client.run(
                ["getParameter": 1, "ttlMonitorSleepSecs": 1], database: "admin")
            #expect(get == ["ttlMonitorSleepSecs": 5, "ok": 1.0])
            let bad = try client.run(
                ["setParameter": 1, "ttlMonitorSleepSecs": 0], database: "admin")
            #expect(bad.errorCode == 2)
        }
    }
}
