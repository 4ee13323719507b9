// What commands refuse, and with which of MongoDB's codes.

import BSON
import Testing

@testable import Server
@testable import Wire

@Suite struct ArgumentCheckTests {
    struct Case: Sendable, CustomStringConvertible {
        let command: Document
        let code: Int32

        init(_ command: Document, _ code: Int32) {
            self.command = command
            self.code = code
        }

        var description: String { "\(command)" }
    }

    private static let id: Value = ["_id": 1]

    private static func create(idIndex: Value) -> Document {
        ["create": "new", "idIndex": idIndex]
    }

    private static func create(engine: Value) -> Document {
        ["create": "new", "storageEngine": ["wiredTiger": engine]]
    }

    private static let creation: [Case] = [
        Case(create(idIndex: .document(Document())), 9), Case(create(idIndex: ["key": id]), 9),
        Case(create(idIndex: ["name": "_id_"]), 9),
        Case(create(idIndex: ["key": ["x": 1], "name": "_id_"]), 2),
        Case(create(idIndex: ["key": ["_id": -1], "name": "_id_"]), 2),
        Case(create(idIndex: ["key": nil, "name": "_id_"]), 14),
        Case(create(idIndex: ["key": id, "name": 1]), 14),
        Case(create(idIndex: ["key": id, "name": ""]), 67),
        Case(create(idIndex: ["key": id, "name": "_id_", "v": 3]), 67),
        Case(create(idIndex: ["key": id, "name": "_id_", "v": 2.5]), 2),
        Case(create(idIndex: ["key": id, "name": "_id_", "v": "2"]), 14),
        Case(create(idIndex: ["key": id, "name": "_id_", "unique": true]), 197),
        Case(create(idIndex: ["key": id, "name": "_id_", "collation": ["locale": "en"]]), 2),
        Case(create(engine: "x"), 2), Case(create(engine: ["badKey": 1]), 72),
        Case(create(engine: ["configString": "invalid=bad"]), 2),
        Case(create(engine: ["configString": "a\0b"]), 9),
        Case(["create": "new", "storageEngine": ["other": ["x": 1]]], 72),
        Case(["create": "new", "indexOptionDefaults": ["x": 1]], 40_415),
        Case(["create": "new", "changeStreamPreAndPostImages": ["enabled": 1]], 14),
        Case(["create": "new", "changeStreamPreAndPostImages": ["enabled": nil]], 40_414),
        Case(["create": "new", "changeStreamPreAndPostImages": ["enabled": true]], 0),
        Case(["create": "new", "pipeline": []], 72), Case(["create": "system.x"], 73),
        Case(["create": "new", "readConcern": ["level": "majority"]], 72),
        Case(["create": "new", "readConcern": ["level": "local"]], 0),
    ]

    private static func update(_ pipeline: Value) -> Document {
        ["update": "c", "updates": [["q": [:], "u": pipeline]]]
    }

    private static let others: [Case] = [
        // A stage that nobody knows fails the command; one out of place only its statement.
        Case(update([["$unknown": true]]), 40_324), Case(update([["$match": [:]]]), 0),
        Case(["convertToCapped": "$x", "size": 4_096], 26),
        Case(["planCacheClear": "c", "query": ["a": 1], "sort": 3], 0),
        Case(["planCacheClear": "c", "sort": ["a": 1]], 2),
        Case(["dataSize": "test.c"], 0), Case(["dataSize": "c"], 73),
        Case(["dataSize": "test.c", "min": ["_id": 0], "max": ["_id": 1]], 96),
        Case(["dataSize": "test.c", "keyPattern": ["_id": 1], "min": ["_id": 0]], 2),
        Case(["dataSize": "test.none"], 0), Case(["testVersion2": 1], 59),
    ]

    private static func index(_ specification: Document) -> Document {
        ["createIndexes": "c", "indexes": .array([.document(specification)])]
    }

    private static let lists: [Case] = [
        Case(index(["key": ["a": 1], "name": "x", "hidden": 1]), 14),
        Case(index(["key": ["a": 1], "name": "x", "unique": 1]), 0),
        Case(["listCollections": 1, "authorizedCollections": 1], 14),
        Case(["dropIndexes": "none", "index": "x"], 26), Case(["dropDatabase": 2], 5_255_100),
        Case(["drop": "c", "collectionUUID": .binary(subtype: 3, [1])], 207),
        Case(["drop": "c", "collectionUUID": uuid], 361),
    ]

    private static let stages: Value = [["$match": ["x": 1]]]

    private static let aggregation: [Case] = [
        Case(["aggregate": 1, "pipeline": [], "cursor": [:]], 73),
        Case(["aggregate": 1, "pipeline": stages, "cursor": [:]], 73),
        Case(["aggregate": 1, "pipeline": [["$documents": []]], "cursor": [:]], 0),
        Case(["aggregate": "c", "pipeline": nil, "cursor": [:]], 14),
        Case(["aggregate": "c", "pipeline": [], "cursor": nil], 14),
        Case(["aggregate": "c", "pipeline": [], "cursor": ["batchSize": nil]], 0),
        Case(["aggregate": "c", "pipeline": [], "cursor": ["batchSize": -1], "explain": true], 2),
        Case(["aggregate": "c", "pipeline": [], "cursor": [:], "explain": 1], 14),
        Case(["aggregate": "c", "pipeline": [], "explain": true, "writeConcern": ["w": 1]], 9),
        Case(["aggregate": "c", "pipeline": [], "cursor": [:], "hint": 1], 9),
        Case(["aggregate": "c", "pipeline": [], "cursor": [:], "hint": ["$natural": 2]], 2),
        Case(["find": "c", "hint": ["$natural": 0]], 2),
        Case(["find": "c", "sort": ["$natural": 1, "x": 1]], 2),
        Case(["find": "c", "sort": ["$natural": .double(-1)]], 0),
    ]

    /// Variables of `let` may use earlier ones; one without a value stays without.
    @Test func variablesUseEarlierOnes() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(["insert": "c", "documents": [["_id": 1]]])
            let reply = try client.run([
                "aggregate": "c", "pipeline": [["$set": ["x": "$$b", "y": "$$none"]]],
                "cursor": [:], "let": ["a": 10, "b": "$$a", "none": "$$REMOVE"],
            ])
            #expect(reply.nested("cursor").documents("firstBatch") == [["_id": 1, "x": 10]])
        }
    }

    private static let uuid = Value.binary(subtype: 4, [UInt8](repeating: 7, count: 16))

    @Test(arguments: creation + lists + aggregation + others)
    func refused(_ item: Case) async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(["insert": "c", "documents": [["_id": 1]]])
            #expect(try client.run(item.command).errorCode == item.code)
        }
    }

    private static let adminOnly: [Case] = [
        Case(["listDatabases": 1, "authorizedDatabases": 1], 14),
        Case(["getParameter": ["setAt": 1, "allParameters": true]], 14),
        Case(["getParameter": ["setAt": "x", "allParameters": true]], 2),
        Case(["getParameter": ["x": true], "logLevel": 1], 40_415),
        Case(["getParameter": ["showDetails": "x"], "logLevel": 1], 14),
        Case(["getLog": nil], 40_414), Case(["lockInfo": 1], 0),
        Case(["listDatabases": 1, "filter": ["name": ["$near": [0, 0]]]], 5_626_500),
        Case(["listDatabases": 1, "filter": ["$text": ["$search": "x"]]], 2),
        Case(["validateDBMetadata": 1, "apiParameters": ["version": "1", "strict": nil]], 14),
        Case(["dropDatabase": 1], 20), Case(["renameCollection": nil, "to": "test.d"], 40_414),
        Case(["renameCollection": "test.c", "to": nil], 40_414),
        Case(["renameCollection": "test.c", "to": "test.system.users"], 20),
        Case(["renameCollection": "test.system.js", "to": "test.d"], 20),
        Case(["renameCollection": "test.c", "to": "local.oplog.rs"], 20),
        Case(["renameCollection": "test.c", "to": "TEST.c"], 13_297),
        Case(["renameCollection": "test.c", "to": "test.d", "dropTarget": uuid], 361),
        Case(["renameCollection": "test.c", "to": "other.d", "dropTarget": uuid], 72),
        Case(["renameCollection": "test.c", "to": "test.d", "collectionUUID": uuid], 361),
    ]

    @Test(arguments: adminOnly)
    func refusedOnAdmin(_ item: Case) async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(["insert": "c", "documents": [["_id": 1]]])
            #expect(try client.run(item.command, database: "admin").errorCode == item.code)
        }
    }

    /// A wrong UUID in bulkWrite spoils only the operations on that collection.
    @Test func bulkWriteChecksUUIDs() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let reply = try client.run(
                [
                    "bulkWrite": 1, "ordered": false,
                    "nsInfo": [["ns": "test.c", "collectionUUID": Self.uuid], ["ns": "test.d"]],
                    "ops": [
                        ["insert": 0, "document": ["_id": 1]],
                        ["insert": 1, "document": ["_id": 1]],
                    ],
                ], database: "admin")
            #expect(reply.integer("nErrors") == 1)
            #expect(reply.integer("nInserted") == 1)
            #expect(reply.nested("cursor").documents("firstBatch")[0].integer("code") == 361)
        }
    }

    /// The order of a partial filter's conditions makes no other index.
    @Test func partialFiltersAreCompared() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let wanted: [Document] = [["b": 2, "a": 1], ["$and": [["a": 1], ["b": 2]]]]
            for filter in wanted {
                let reply = try client.run(
                    Self.index([
                        "key": ["a": 1], "name": "x", "partialFilterExpression": .document(filter),
                    ]))
                #expect(reply.integer("numIndexesAfter") == 2)
            }
            let other = Self.index([
                "key": ["a": 1], "name": "x", "partialFilterExpression": ["a": 1],
            ])
            #expect(try client.run(other).errorCode == 86)
        }
    }

    /// serverStatus leaves out what the client doesn't want.
    @Test func sectionsCanBeLeftOut() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let reply = try client.run(["serverStatus": 1, "metrics": 0, "network": 1])
            #expect(reply["metrics"] == nil)
            #expect(reply["network"] != nil && reply["opcounters"] != nil)
        }
    }

    /// dropIndexes takes the star also alone in a list.
    @Test func aListOfAStarIsAll() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let index: Value = ["key": ["v": 1], "name": "v_1"]
            _ = try client.run(["createIndexes": "c", "indexes": .array([index])])
            #expect(
                try client.run(["dropIndexes": "c", "index": ["*"]]).integer("nIndexesWas") == 2)
        }
    }

    @Test func sizesOfARange() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let documents = (0..<10).map { number -> Value in ["_id": .int32(Int32(number))] }
            _ = try client.run(
                Document { writer in
                    writer.append("insert", "c")
                    writer.append("documents", .array(documents))
                })
            let all = try client.run(["dataSize": "test.c"])
            #expect(all.integer("numObjects") == 10)
            #expect(all.integer("size") == 140)
            let some = try client.run([
                "dataSize": "test.c", "keyPattern": ["_id": 1], "min": ["_id": 3],
                "max": ["_id": 5],
            ])
            #expect(some.integer("numObjects") == 2)
        }
    }

    @Test func aKeyComesAlone() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(["insert": "c", "documents": [["_id": 1, "a": 2]]])
            let found = try client.run([
                "find": "c", "sort": ["_id": 1], "returnKey": true, "showRecordId": true,
            ])
            #expect(found.nested("cursor").documents("firstBatch") == [["_id": 1]])
        }
    }

    /// The results of a bulkWrite in a transaction are a cursor on admin.
    @Test func bulkWriteInATransactionGoesOn() async throws {
        try await RunningServer.with({ $0.replicaSet = "rs0" }) { port in
            let client = try WireClient(port: port)
            _ = try client.run(["create": "c"])
            let session: Value = ["id": .binary(subtype: 4, [UInt8](repeating: 9, count: 16))]
            let begun = try client.run(
                [
                    "bulkWrite": 1, "nsInfo": [["ns": "test.c"]], "cursor": ["batchSize": 1],
                    "ops": [
                        ["insert": 0, "document": ["_id": 1]],
                        ["insert": 0, "document": ["_id": 2]],
                    ],
                    "lsid": session, "txnNumber": .int64(1), "startTransaction": true,
                    "autocommit": false,
                ], database: "admin")
            let id = try #require(begun.nested("cursor").integer("id"))
            let more = try client.run(
                [
                    "getMore": .int64(id), "collection": "$cmd.bulkWrite", "lsid": session,
                    "txnNumber": .int64(1), "autocommit": false,
                ], database: "admin")
            #expect(more.errorCode == 0)
            #expect(more.nested("cursor").documents("nextBatch").count == 1)
        }
    }
}
