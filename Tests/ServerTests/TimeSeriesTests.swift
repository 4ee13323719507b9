// Time-series collections through commands: what create and collMod take, what is listed, how
// measurements are found, changed and removed.

import BSON
import Testing

@testable import Server
@testable import Wire

@Suite struct TimeSeriesTests {
    private static func create(_ timeSeries: Value, _ more: Document = [:]) -> Document {
        Document { writer in
            writer.append("create", "s")
            writer.append("timeseries", timeSeries)
            writer.appendFields(of: more.view)
        }
    }

    private static let plain: Value = ["timeField": "t", "metaField": "m"]

    private static let creations: [(Document, Int32)] = [
        (create(["timeField": "t"]), 0), (create(plain), 0), (create(.null), 0),
        (create(["timeField": "t", "metaField": .null, "granularity": .null]), 0),
        (create(["timeField": "t", "granularity": "hours"]), 0),
        (create(["timeField": "t", "granularity": "seconds", "bucketMaxSpanSeconds": 3_600]), 0),
        (create(["timeField": "t", "granularity": "seconds", "bucketMaxSpanSeconds": 60]), 72),
        (create(["timeField": "t", "granularity": "days"]), 2),
        (create(["timeField": "t", "bucketMaxSpanSeconds": 60, "bucketRoundingSeconds": 60]), 0),
        (create(["timeField": "t", "bucketMaxSpanSeconds": 60, "bucketRoundingSeconds": 30]), 72),
        (create(["timeField": "t", "bucketMaxSpanSeconds": 60]), 72),
        (create(["timeField": "t", "bucketRoundingSeconds": 60]), 72),
        (create(["timeField": "t", "bucketMaxSpanSeconds": 0, "bucketRoundingSeconds": 0]), 2),
        (
            create([
                "timeField": "t", "bucketMaxSpanSeconds": .int64(31_536_001),
                "bucketRoundingSeconds": 60,
            ]), 2
        ),
        (create([:]), 40_414), (create(["timeField": 1]), 14),
        (create(["timeField": "t", "metaField": 1]), 14),
        (create(["timeField": "t", "more": 1]), 40_415), (create("t"), 14),
        (create(["timeField": "a.b"]), 72), (create(["timeField": "t", "metaField": "a.b"]), 72),
        (create(["timeField": "t", "metaField": "_id"]), 72),
        (create(["timeField": "t", "metaField": "t"]), 72),
        (create(plain, ["expireAfterSeconds": 60]), 0),
        (create(plain, ["expireAfterSeconds": -1]), 72),
        (create(plain, ["capped": true, "size": 4_096]), 72),
        (create(plain, ["validator": ["a": 1]]), 72), (create(plain, ["viewOn": "c"]), 72),
        (create(plain, ["collation": ["locale": "en"]]), 0),
        (create(plain, ["changeStreamPreAndPostImages": ["enabled": false]]), 72),
        (["create": "system.buckets.s", "timeseries": plain], 20),
    ]

    @Test(arguments: creations)
    func createChecksTheOptions(_ command: Document, _ code: Int32) async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            #expect(try client.run(command).errorCode == code)
        }
    }

    @Test func listsShowTheOptions() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(Self.create(Self.plain, ["expireAfterSeconds": 60]))
            let listed = try client.run(["listCollections": 1]).nested("cursor")
                .documents("firstBatch")
            #expect(
                listed == [
                    [
                        "name": "s", "type": "timeseries",
                        "options": [
                            "expireAfterSeconds": .int64(60),
                            "timeseries": [
                                "timeField": "t", "metaField": "m", "granularity": "seconds",
                                "bucketMaxSpanSeconds": 3_600,
                            ],
                        ],
                        "info": ["readOnly": false],
                    ]
                ])
            let indexes = try client.run(["listIndexes": "s"]).nested("cursor")
            #expect(
                indexes.documents("firstBatch") == [
                    ["v": 2, "key": ["m": 1, "t": 1], "name": "m_1_t_1"]
                ])
            // The same options make the same collection.
            let again = Self.create(Self.plain, ["expireAfterSeconds": 60])
            #expect(try client.run(again).errorCode == 0)
            #expect(try client.run(["create": "s"]).errorCode == 48)
        }
    }

    /// Three measurements of one `_id`, two of them of one time, out of order.
    private static let measurements: Value = [
        ["_id": 1, "t": .date(3_000), "m": ["a": 1], "v": 3],
        ["_id": 1, "t": .date(1_000), "m": ["a": 2], "v": 1],
        ["_id": 1, "t": .date(1_000), "m": ["a": 1], "v": 2],
        ["_id": 2, "t": .date(2_000), "m": ["a": 2], "v": 4],
    ]

    private static func fill(_ client: WireClient) throws {
        _ = try client.run(create(plain))
        let inserted = try client.run(["insert": "s", "documents": measurements])
        #expect(inserted.integer("n") == 4)
    }

    private static func values(_ reply: Document) -> [Value] {
        reply.nested("cursor").documents("firstBatch").compactMap { $0["v"] }
    }

    private static let reads: [(Document, [Value])] = [
        (["find": "s"], [1, 2, 4, 3]),
        (["find": "s", "sort": ["t": -1]], [3, 4, 2, 1]),
        (["find": "s", "filter": ["_id": 1]], [1, 2, 3]),
        (["find": "s", "filter": ["_id": 1], "sort": ["_id": 1, "v": -1]], [3, 2, 1]),
        (["find": "s", "filter": ["t": .date(1_000)]], [1, 2]),
        (["find": "s", "filter": ["t": ["$gt": .date(1_000), "$lt": .date(3_000)]]], [4]),
        (["find": "s", "filter": ["t": 5]], []),
        (["find": "s", "filter": ["m.a": 2], "sort": ["v": 1]], [1, 4]),
        (["find": "s", "filter": ["m": ["a": 1]], "sort": ["m": 1, "t": 1]], [2, 3]),
        (["aggregate": "s", "pipeline": [["$match": ["v": ["$gt": 2]]]], "cursor": [:]], [4, 3]),
    ]

    @Test func readsFindMeasurements() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            try Self.fill(client)
            for (command, expected) in Self.reads {
                #expect(Self.values(try client.run(command)) == expected, "\(command)")
            }
            #expect(try client.run(["count": "s"]).integer("n") == 4)
            #expect(try client.run(["count": "s", "query": ["_id": 1]]).integer("n") == 3)
            #expect(
                try client.run(["distinct": "s", "key": "_id"])["values"] == .array([1, 2]))
            #expect(try client.run(["validate": "s"])["valid"] == true)
        }
    }

    @Test func rangesOfTimeReadNothingElse() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            try Self.fill(client)
            let explained = try client.run([
                "explain": ["find": "s", "filter": ["t": ["$gte": .date(2_000)]]],
                "verbosity": "executionStats",
            ])
            let statistics = explained.nested("executionStats")
            #expect(statistics.integer("nReturned") == 2)
            #expect(statistics.integer("totalDocsExamined") == 2)
        }
    }

    private static let inserts: [(Document, Int32)] = [
        (["t": .date(0)], 0), (["_id": 1, "t": .date(-5)], 0), (["v": 1], 2), (["t": 5], 2),
        (["t": .null], 2), (["t": [.date(0)]], 2),
        (["t": .date(0), "v": .string(String(repeating: "x", count: 4 << 20))], 10_334),
    ]

    @Test func insertsNeedADate() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(Self.create(Self.plain))
            for (document, code) in Self.inserts {
                let reply = try client.run(["insert": "s", "documents": [.document(document)]])
                let error = reply.documents("writeErrors").first
                #expect(error?.integer("code") ?? 0 == Int64(code))
            }
        }
    }

    /// Filter, whether all matches go, how many go, what is left.
    private static let deletes: [(Document, Bool, Int64, [Value])] = [
        (["_id": 1], true, 3, [4]), (["_id": 1], false, 1, [2, 4, 3]),
        (["t": .date(1_000)], true, 2, [4, 3]), (["m.a": 1], true, 2, [1, 4]),
        (["v": 2], false, 1, [1, 4, 3]), ([:], true, 4, []), (["_id": 9], true, 0, [1, 2, 4, 3]),
    ]

    @Test(arguments: deletes)
    func deletesRemoveWhatMatches(
        _ filter: Document, _ isMulti: Bool, _ count: Int64, _ left: [Value]
    ) async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            try Self.fill(client)
            let reply = try client.run([
                "delete": "s",
                "deletes": [["q": .document(filter), "limit": .int32(isMulti ? 0 : 1)]],
            ])
            #expect(reply.integer("n") == count)
            #expect(Self.values(try client.run(["find": "s"])) == left)
            #expect(try client.run(["validate": "s"])["valid"] == true)
        }
    }

    private static let updates: [(filter: Document, change: Value, more: Document, code: Int64)] = [
        (["m.a": 1], ["$set": ["m.b": 5]], ["multi": true], 0),
        ([:], ["$set": ["m": 7]], ["multi": true], 0),
        (["m.a": 1], ["$set": ["m.b": 5]], [:], 72),
        (["m.a": 1], ["$set": ["m.b": 5]], ["multi": true, "upsert": true], 72),
        (["v": 1], ["$set": ["m.b": 5]], ["multi": true], 72),
        (["_id": 1], ["$set": ["m.b": 5]], ["multi": true], 72),
        (["m.a": 1], ["$set": ["v": 5]], ["multi": true], 72),
        (["m.a": 1], ["$unset": ["t": 1]], ["multi": true], 72),
        (["m.a": 1], ["$rename": ["m": "n"]], ["multi": true], 72),
        (["m.a": 1], [["$set": ["m": 5]]], ["multi": true], 72),
        (["m.a": 1], ["v": 5], [:], 72),
    ]

    @Test func updatesChangeTheMetaFieldAlone() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            try Self.fill(client)
            for (filter, change, more, code) in Self.updates {
                let statement = Document { writer in
                    writer.append("q", filter)
                    writer.append("u", change)
                    writer.appendFields(of: more.view)
                }
                let reply = try client.run([
                    "update": "s", "updates": [.document(statement)],
                ])
                let error = reply.documents("writeErrors").first
                #expect(error?.integer("code") ?? 0 == code, "\(statement)")
            }
            let same = try client.run(["count": "s", "query": ["m": 7]])
            #expect(same.integer("n") == 4)
            #expect(try client.run(["validate": "s"])["valid"] == true)
        }
    }

    private static let refused: [(Document, Int32)] = [
        (["findAndModify": "s", "query": ["v": 1], "remove": true], 72),
        (["createIndexes": "s", "indexes": [["key": ["v": 1], "name": "v", "unique": true]]], 72),
        (["createIndexes": "s", "indexes": [["key": ["v": 1], "name": "v", "sparse": true]]], 72),
        (["createIndexes": "s", "indexes": [["key": ["v": "text"], "name": "v"]]], 72),
        (
            [
                "createIndexes": "s",
                "indexes": [["key": ["v": 1], "name": "v", "expireAfterSeconds": 1]],
            ], 72
        ),
        (["createIndexes": "s", "indexes": [["key": ["v": 1], "name": "v"]]], 0),
        (["collMod": "s", "validator": ["a": 1]], 72),
        (["collMod": "s", "timeseries": ["granularity": "minutes"]], 0),
        (["collMod": "s", "timeseries": ["granularity": "seconds"]], 72),
        (["collMod": "s", "timeseries": ["granularity": "years"]], 2),
        (["collMod": "s", "timeseries": ["timeField": "x"]], 40_415),
        (["collMod": "s", "expireAfterSeconds": 60], 0),
        (["collMod": "s", "expireAfterSeconds": "off"], 0),
        (["collMod": "c", "timeseries": ["granularity": "minutes"]], 72),
        (["convertToCapped": "s", "size": 4_096], 166),
        (["cloneCollectionAsCapped": "s", "toCollection": "x", "size": 4_096], 166),
        (["find": "s", "tailable": true], 168),
        (["aggregate": "s", "pipeline": [["$changeStream": [:]]], "cursor": [:]], 166),
        (["live": "s", "filter": [:]], 166),
        (["aggregate": "c", "pipeline": [["$merge": "s"]], "cursor": [:]], 72),
    ]

    @Test func whatMongoDBRefusesIsRefused() async throws {
        try await RunningServer.with({ $0.replicaSet = "rs0" }) { port in
            let client = try WireClient(port: port)
            try Self.fill(client)
            _ = try client.run(["insert": "c", "documents": [["_id": 1]]])
            for (command, code) in Self.refused {
                #expect(try client.run(command).errorCode == code, "\(command)")
            }
            let rename: Document = ["renameCollection": "test.s", "to": "test.x"]
            #expect(try client.run(rename, database: "admin").errorCode == 166)
        }
    }

    @Test func outMakesAndFillsTimeSeries() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let documents: Value = [["_id": 1, "t": .date(5), "v": 1], ["_id": 2, "t": .date(4)]]
            _ = try client.run(["insert": "c", "documents": documents])
            func out(_ name: Value, _ series: Value) throws -> Int32 {
                try client.run([
                    "aggregate": "c", "cursor": [:],
                    "pipeline": [["$out": ["db": "test", "coll": name, "timeseries": series]]],
                ]).errorCode
            }
            #expect(try out("s", ["timeField": "t"]) == 0)
            let found = try client.run(["find": "s"]).nested("cursor").documents("firstBatch")
            #expect(found.compactMap { $0["_id"] } == [2, 1])
            #expect(try out("s", ["timeField": "t"]) == 0)
            #expect(try out("s", ["timeField": "x"]) == 7_406_103)
            #expect(try out("s", ["timeField": "t", "granularity": "hours"]) == 7_406_103)
            #expect(try out("c", ["timeField": "t"]) == 7_268_700)
            #expect(try out("n", ["timeField": "v"]) == 2)
            // Without the option a target stays what it is.
            #expect(
                try client.run([
                    "aggregate": "c", "cursor": [:], "pipeline": [["$out": "s"]],
                ]).errorCode == 0)
            #expect(try client.run(["count": "s"]).integer("n") == 2)
            #expect(try client.run(["validate": "s"])["valid"] == true)
        }
    }

    @Test func changeStreamsOfTheDatabaseLeaveMeasurementsOut() async throws {
        try await RunningServer.with({ $0.replicaSet = "rs0" }) { port in
            let client = try WireClient(port: port)
            let opened = try client.run([
                "aggregate": 1, "pipeline": [["$changeStream": [:]]], "cursor": [:],
            ])
            guard case .int64(let id)? = opened.nested("cursor")["id"] else {
                throw ClientError(description: "no cursor")
            }
            try Self.fill(client)
            _ = try client.run(["delete": "s", "deletes": [["q": [:], "limit": 0]]])
            _ = try client.run(["insert": "c", "documents": [["_id": 1]]])
            let batch = try client.run([
                "getMore": .int64(id), "collection": "$cmd.aggregate", "maxTimeMS": 10_000,
            ])
            let events = batch.nested("cursor").documents("nextBatch")
            #expect(events.map { $0.nested("ns")["coll"] } == ["c"])
        }
    }
}
