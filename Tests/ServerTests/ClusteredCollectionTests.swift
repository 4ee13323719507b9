// Clustered collections, indexes that become unique, and views, through commands.

import BSON
import Testing

@testable import Server
@testable import Wire

@Suite struct ClusteredCollectionTests {
    private static let index: Value = ["key": ["_id": 1], "unique": true]

    private static func create(_ index: Value) -> Document {
        ["create": "new", "clusteredIndex": index]
    }

    private static func create(expireAfterSeconds seconds: Value) -> Document {
        ["create": "new", "clusteredIndex": index, "expireAfterSeconds": seconds]
    }

    private static let refusals: [(Document, Int32)] = [
        (create(true), 5_979_703), (create(2.5), 5_979_703), (create(.null), 14),
        (create("x"), 14), (create(["unique": true]), 40_414),
        (create(["key": ["_id": 1]]), 40_414), (create(["key": 1, "unique": true]), 14),
        (create(["key": ["_id": 1], "unique": false]), 5_979_700),
        (create(["key": ["_id": 1], "unique": "yes"]), 14),
        (create(["key": ["_id": -1], "unique": true]), 197),
        (create(["key": ["x": 1], "unique": true]), 197),
        (create(["key": ["_id": 1], "unique": true, "v": 1]), 5_979_704),
        (create(["key": ["_id": 1], "unique": true, "more": 1]), 40_415),
        (["create": "new", "clusteredIndex": false, "capped": true, "size": 4_096], 6_049_200),
        (["create": "new", "clusteredIndex": index, "max": 10], 6_049_204),
        (["create": "new", "clusteredIndex": index, "viewOn": "c"], 6_026_500),
        (["create": "new", "clusteredIndex": index, "timeseries": ["timeField": "t"]], 72),
        (create(expireAfterSeconds: "off"), 14), (create(expireAfterSeconds: -1), 72),
        (create(expireAfterSeconds: .int64(9_999_999_999)), 72),
        (["create": "new", "expireAfterSeconds": 60], 72),
        (["create": "new", "viewOn": "c", "expireAfterSeconds": 60], 72),
        (create(expireAfterSeconds: .null), 0),
        (["create": "other", "clusteredIndex": 0], 0),
    ]

    @Test(arguments: refusals)
    func createChecksTheOption(_ command: Document, _ code: Int32) async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            #expect(try client.run(command).errorCode == code)
        }
    }

    @Test func commandsTellOfTheIndex() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run([
                "create": "c",
                "clusteredIndex": ["key": ["_id": 1], "unique": true, "name": "own"],
                "expireAfterSeconds": 60,
            ])
            let listed = try client.run(["listCollections": 1]).nested("cursor")
                .documents("firstBatch")
            #expect(listed.first?["idIndex"] == nil)
            #expect(
                listed.first?.nested("options") == [
                    "clusteredIndex": ["v": 2, "key": ["_id": 1], "name": "own", "unique": true],
                    "expireAfterSeconds": .int64(60),
                ])
            let indexes = try client.run(["listIndexes": "c"]).nested("cursor")
            #expect(
                indexes.documents("firstBatch") == [
                    [
                        "v": 2, "key": ["_id": 1], "name": "own", "unique": true,
                        "clustered": true, "expireAfterSeconds": .int64(60),
                    ]
                ])
            let made = try client.run([
                "createIndexes": "c", "indexes": [["key": ["a": 1], "name": "a"]],
            ])
            #expect(made.integer("numIndexesBefore") == 0)
            #expect(made.integer("numIndexesAfter") == 1)
            for index in ["own", "_id_", ["_id": 1]] as [Value] {
                #expect(
                    try client.run(["dropIndexes": "c", "index": index]).errorCode == 5_979_800)
            }
            for name in ["own", "_id_"] as [Value] {
                let hidden = try client.run([
                    "collMod": "c", "index": ["name": name, "hidden": true],
                ])
                #expect(hidden.errorCode == 6_011_800)
            }
            _ = try client.run(["insert": "c", "documents": [["_id": 2], ["_id": 1]]])
            let found = try client.run(["find": "c", "hint": "own"]).nested("cursor")
            #expect(found.documents("firstBatch") == [["_id": 1], ["_id": 2]])
            #expect(try client.run(["collMod": "c", "expireAfterSeconds": "off"]).errorCode == 0)
            let after = try client.run(["listCollections": 1]).nested("cursor")
                .documents("firstBatch")
            #expect(after.first?.nested("options")["expireAfterSeconds"] == nil)
            #expect(try client.run(["drop": "c"]).integer("nIndexesWas") == 1)
        }
    }

    // MARK: Indexes that become unique

    private static func modify(_ index: Document) -> Document {
        ["collMod": "c", "index": .document(index)]
    }

    @Test func preparedIndexRefusesNewDuplicatesOnly() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run([
                "insert": "c", "documents": [["_id": 1, "a": 1], ["_id": 2, "a": 1]],
            ])
            _ = try client.run([
                "createIndexes": "c", "indexes": [["key": ["a": 1], "name": "a"]],
            ])
            #expect(try client.run(Self.modify(["name": "a", "unique": true])).errorCode == 72)
            #expect(try client.run(Self.modify(["name": "a", "unique": false])).errorCode == 2)
            #expect(
                try client.run(Self.modify(["name": "a", "prepareUnique": true]))
                    == ["prepareUnique_old": false, "prepareUnique_new": true, "ok": 1.0])
            let third = try client.run(["insert": "c", "documents": [["_id": 3, "a": 1]]])
            #expect(third.documents("writeErrors").first?.integer("code") == 11_000)
            // Documents that share a key already may change otherwise.
            let touched = try client.run([
                "update": "c", "updates": [["q": ["_id": 2], "u": ["$set": ["b": 1]]]],
            ])
            #expect(touched.integer("nModified") == 1)
            let refused = try client.run(Self.modify(["name": "a", "unique": true]))
            #expect(refused.errorCode == 359)
            #expect(refused.documents("violations") == [["ids": [1, 2]]])
            _ = try client.run(["delete": "c", "deletes": [["q": ["_id": 1], "limit": 1]]])
            let tried = try client.run([
                "collMod": "c", "index": ["name": "a", "unique": true], "dryRun": true,
            ])
            #expect(tried == ["ok": 1.0])
            #expect(
                try client.run(Self.modify(["name": "a", "unique": true]))
                    == ["unique_new": true, "ok": 1.0])
            let listed = try client.run(["listIndexes": "c"]).nested("cursor")
                .documents("firstBatch")
            #expect(
                listed.last == ["v": 2, "key": ["a": 1], "name": "a", "unique": true])
            #expect(try client.run(Self.modify(["name": "a", "unique": true])) == ["ok": 1.0])
        }
    }

    @Test func duplicatesAreFoundAcrossSnapshots() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run([
                "createIndexes": "c", "indexes": [["key": ["a": 1], "name": "a"]],
            ])
            // More entries than one snapshot looks at; one key is shared around its end.
            for start in stride(from: 0, to: 10_500, by: 3_500) {
                let documents = (start..<start + 3_500).map { number -> Value in
                    [
                        "_id": .int32(Int32(number)),
                        "a": .int32(Int32(number == 10_000 ? 9_999 : number)),
                    ]
                }
                _ = try client.run(
                    Document { writer in
                        writer.append("insert", "c")
                        writer.append("documents", .array(documents))
                    })
            }
            _ = try client.run(Self.modify(["name": "a", "prepareUnique": true]))
            let refused = try client.run(Self.modify(["name": "a", "unique": true]))
            #expect(refused.documents("violations") == [["ids": [9_999, 10_000]]])
        }
    }

    // MARK: Views

    private static let view: Document = ["create": "v", "viewOn": "c", "pipeline": []]

    private static func view(_ stages: Value) -> Document {
        ["create": "other", "viewOn": "c", "pipeline": stages]
    }

    private static let viewCases: [(Document, Int32)] = [
        (["collMod": "v", "viewOn": "d"], 0), (["collMod": "v", "pipeline": [["$limit": 1]]], 0),
        (["collMod": "v", "viewOn": ""], 2), (["collMod": "v", "viewOn": "$d"], 73),
        (["collMod": "v", "viewOn": "v"], 5), (["collMod": "c", "viewOn": "d"], 72),
        (["collMod": "system.views", "validator": [:]], 72),
        (view([.null, ["$match": ["x": 1]]]), 0), (view([["$collStats": ["count": [:]]]]), 0),
        (view([["$documents": []]]), 73), (view([["$currentOp": [:]]]), 73),
        (["create": "other", "viewOn": ""], 2),
        (["create": "other", "viewOn": "c", "validationLevel": "some"], 2),
        (["create": "other", "viewOn": "c", "idIndex": ["key": ["_id": 1], "name": "_id_"]], 72),
    ]

    @Test(arguments: viewCases)
    func viewsAreMadeAndChanged(_ command: Document, _ code: Int32) async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(["insert": "c", "documents": [["_id": 1]]])
            _ = try client.run(Self.view)
            #expect(try client.run(command).errorCode == code)
        }
    }

    @Test func viewsThatTellOfTheirCollection() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(["insert": "c", "documents": [["_id": 1], ["_id": 2]]])
            _ = try client.run([
                "create": "v", "viewOn": "c", "pipeline": [["$collStats": ["count": [:]]]],
            ])
            let found = try client.run(["find": "v"]).nested("cursor").documents("firstBatch")
            #expect(found.first?.integer("count") == 2)
            #expect(try client.run(["drop": "v"]) == ["ns": "test.v", "ok": 1.0])
        }
    }

    @Test func bulkWriteRefusesViewsByStatement() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(Self.view)
            let outcome = try client.run(
                [
                    "bulkWrite": 1, "ordered": false,
                    "nsInfo": [["ns": "test.v"], ["ns": "test.c"]],
                    "ops": [
                        ["insert": 0, "document": ["_id": 1]],
                        ["insert": 1, "document": ["_id": 1]],
                    ],
                ], database: "admin")
            #expect(outcome.integer("nErrors") == 1)
            #expect(outcome.integer("nInserted") == 1)
            let first = outcome.nested("cursor").documents("firstBatch").first
            #expect(first?.integer("code") == 166)
        }
    }
}
