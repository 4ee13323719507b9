// Each way of noticing a document, against one in each place that it can be in: live, deleted,
// restored, purged, and deleted with another inserted under its `_id`.

import BSON
import Testing

@testable import Server

@Suite struct DeletedMatrixTests {
    /// Where a document is, by what was done to it; the number is its `_id`.
    enum Place: Int32, CaseIterable, Sendable {
        case live = 1
        case deleted = 2
        case restored = 3
        case purged = 4
        case replaced = 5

        var isSeen: Bool { self != .deleted && self != .purged }
        var id: Value { .int32(rawValue) }
        /// The value of a field that is unique.
        var unique: Value { .int32(rawValue * 10) }
    }

    /// A way of noticing a document: whether it acts as if one were there.
    struct Probe: Sendable, CustomTestStringConvertible {
        let name: String
        let sees: @Sendable (WireClient, _ collection: Value, Place) throws -> Bool
        var testDescription: String { name }
    }

    // MARK: Reads

    private static func rows(_ reply: Document) throws -> [Document] {
        guard reply["ok"] == 1.0 else { throw ClientError(description: "\(reply)") }
        return reply.nested("cursor").documents("firstBatch")
    }

    private static func has(_ documents: [Document], _ place: Place) -> Bool {
        documents.contains { $0["_id"] == place.id }
    }

    private static func find(_ name: String, _ fields: @escaping @Sendable (Place) -> Document)
        -> Probe
    {
        Probe(name: name) { client, collection, place in
            let command = Document { writer in
                writer.append("find", collection)
                writer.appendFields(of: fields(place).view)
            }
            return has(try rows(try client.run(command)), place)
        }
    }

    private static func aggregate(_ name: String, _ stages: @escaping @Sendable (Place) -> [Value])
        -> Probe
    {
        Probe(name: name) { client, collection, place in
            let found = try rows(
                try client.run([
                    "aggregate": collection, "pipeline": .array(stages(place)), "cursor": [:],
                ]))
            return has(found, place)
        }
    }

    private static func number(
        _ name: String, _ field: String = "n",
        _ command: @escaping @Sendable (Value, Place) -> Document
    ) -> Probe {
        Probe(name: name) { client, collection, place in
            let reply = try client.run(command(collection, place))
            guard reply["ok"] == 1.0, let found = reply.integer(field) else {
                throw ClientError(description: "\(reply)")
            }
            return found > 0
        }
    }

    private static let reads: [Probe] = [
        find("find by _id") { ["filter": ["_id": $0.id]] },
        find("find by a unique key") { ["filter": ["u": $0.unique]] },
        find("find by a unique key, covered") {
            ["filter": ["u": $0.unique, "_id": $0.id], "projection": ["_id": 1], "hint": "cover"]
        },
        find("find, hint") { _ in ["hint": "v"] },
        find("find, natural order") { _ in ["hint": ["$natural": -1]] },
        find("find, min and max") { ["hint": "u", "min": ["u": $0.unique], "limit": 1] },
        find("find, $expr") { ["filter": ["$expr": ["$eq": ["$_id", $0.id]]]] },
        find("find, $or over two indexes") {
            ["filter": ["$or": [["u": $0.unique], ["_id": $0.id]]]]
        },
        find("find, multikey") { ["filter": ["many": $0.unique]] },
        find("find, text") { _ in ["filter": ["$text": ["$search": "word"]]] },
        find("find, near") { _ in
            ["filter": ["at": ["$near": ["$geometry": ["type": "Point", "coordinates": [1, 1]]]]]]
        },
        find("find, skip and sort") { _ in ["sort": ["u": 1], "skip": 0] },
        number("count by _id") { ["count": $0, "query": ["_id": $1.id]] },
        number("count by index") { ["count": $0, "query": ["u": $1.unique]] },
        number("count by scan") { ["count": $0, "query": ["s": $1.unique]] },
        Probe(name: "distinct by index") { client, collection, place in
            let reply = try client.run(["distinct": collection, "key": "u"])
            guard case .array(let values)? = reply["values"] else { return false }
            return values.contains(place.unique)
        },
        Probe(name: "distinct by scan") { client, collection, place in
            let reply = try client.run(["distinct": collection, "key": "s"])
            guard case .array(let values)? = reply["values"] else { return false }
            return values.contains(place.unique)
        },
        aggregate("$match") { [["$match": ["_id": $0.id]]] },
        aggregate("$sort and $limit") { _ in [["$sort": ["u": -1]], ["$limit": 10]] },
        aggregate("$group") { _ in [["$group": ["_id": "$_id"]]] },
        aggregate("$sample") { _ in [["$sample": ["size": 10]]] },
        aggregate("$geoNear") { _ in
            [
                [
                    "$geoNear": [
                        "near": ["type": "Point", "coordinates": [1, 1]], "distanceField": "d",
                    ]
                ]
            ]
        },
        aggregate("$lookup by index") { place in
            lookup(["from": "kept", "localField": "u", "foreignField": "u"], place)
        },
        aggregate("$lookup by _id") { place in
            lookup(["from": "kept", "localField": "_id", "foreignField": "_id"], place)
        },
        aggregate("$lookup by scan") { place in
            lookup(["from": "kept", "localField": "s", "foreignField": "s"], place)
        },
        aggregate("$unionWith") { _ in
            [["$match": ["_id": -1]], ["$unionWith": "kept"]]
        },
        aggregate("$graphLookup") { place in
            [
                ["$limit": 1],
                [
                    "$graphLookup": [
                        "from": "kept", "startWith": place.unique, "connectFromField": "none",
                        "connectToField": "u", "as": "found",
                    ]
                ], ["$unwind": "$found"], ["$replaceWith": "$found"],
            ]
        },
        Probe(name: "the text language") { client, collection, place in
            guard case .string(let name) = collection else { return false }
            return has(
                try rows(
                    try client.run([
                        "query": .string("from \(name) | where _id == \(place.rawValue)")
                    ])
                ), place)
        },
        Probe(name: "a live query's first result") { client, collection, place in
            let reply = try client.run(["live": collection, "filter": ["_id": place.id]])
            guard let cursor = reply.nested("cursor").integer("id") else {
                throw ClientError(description: "\(reply)")
            }
            let batch = reply.nested("cursor").documents("firstBatch")
            _ = try client.run(["killCursors": collection, "cursors": [.int64(cursor)]])
            return batch.contains { $0["id"] == place.id }
        },
        Probe(name: "a snapshot transaction") { client, collection, place in
            try transact(client, ["find": collection, "filter": ["u": place.unique]]) {
                has(try rows($0), place)
            }
        },
    ]

    private static func lookup(_ from: Document, _ place: Place) -> [Value] {
        let whole = Document { writer in
            writer.appendFields(of: from.view)
            writer.append("as", "found")
        }
        return [
            ["$limit": 1],
            ["$set": ["_id": place.id, "u": place.unique, "s": place.unique]],
            ["$lookup": .document(whole)], ["$unwind": "$found"], ["$replaceWith": "$found"],
        ]
    }

    private static func transact<R>(
        _ client: WireClient, _ command: Document, _ read: (Document) throws -> R
    ) throws -> R {
        let session: Document = [
            "id": .binary(subtype: 4, (0..<16).map { _ in UInt8.random(in: 0...255) })
        ]
        func run(_ command: Document, _ more: Document) throws -> Document {
            try client.run(
                Document { writer in
                    writer.appendFields(of: command.view)
                    writer.append("lsid", session)
                    writer.append("txnNumber", Int64(1))
                    writer.append("autocommit", false)
                    writer.appendFields(of: more.view)
                }, database: command["abortTransaction"] == nil ? "test" : "admin")
        }
        let reply = try run(
            command, ["startTransaction": true, "readConcern": ["level": "snapshot"]])
        let result = try read(reply)
        _ = try run(["abortTransaction": 1], [:])
        return result
    }

    // MARK: Writes that look

    /// Each is given a collection of its own.
    private static let writes: [Probe] = [
        number("update by _id") {
            ["update": $0, "updates": [["q": ["_id": $1.id], "u": ["$set": ["x": 1]]]]]
        },
        number("update by index") {
            ["update": $0, "updates": [["q": ["u": $1.unique], "u": ["$set": ["x": 1]]]]]
        },
        number("update of many by scan") {
            [
                "update": $0,
                "updates": [["q": ["s": $1.unique], "u": ["$set": ["x": 1]], "multi": true]],
            ]
        },
        number("delete by _id") {
            ["delete": $0, "deletes": [["q": ["_id": $1.id], "limit": 1]]]
        },
        number("delete by scan") {
            ["delete": $0, "deletes": [["q": ["s": $1.unique], "limit": 0]]]
        },
        Probe(name: "findAndModify") { client, collection, place in
            let reply = try client.run([
                "findAndModify": collection, "query": ["u": place.unique],
                "update": ["$set": ["x": 1]],
            ])
            return reply["value"] != .null && reply["value"] != nil
        },
        Probe(name: "upsert: whether it finds one") { client, collection, place in
            let reply = try client.run([
                "update": collection,
                "updates": [["q": ["s": place.unique], "u": ["$set": ["x": 1]], "upsert": true]],
            ])
            return reply["upserted"] == nil
        },
        Probe(name: "insert: whether its _id is taken") { client, collection, place in
            let reply = try client.run([
                "insert": collection, "documents": [["_id": place.id, "u": -1]],
            ])
            return reply["n"] == 0
        },
        Probe(name: "insert: whether a unique key is taken") { client, collection, place in
            let reply = try client.run([
                "insert": collection, "documents": [["_id": 99, "u": place.unique]],
            ])
            return reply["n"] == 0
        },
        Probe(name: "update: whether a unique key is taken") { client, collection, place in
            _ = try client.run(["insert": collection, "documents": [["_id": 99, "u": -1]]])
            let reply = try client.run([
                "update": collection,
                "updates": [["q": ["_id": 99], "u": ["$set": ["u": place.unique]]]],
            ])
            return reply["nModified"] == 0
        },
        Probe(name: "a unique index being built") { client, collection, place in
            _ = try client.run([
                "insert": collection, "documents": [["_id": 99, "u": -1, "s": place.unique]],
            ])
            let reply = try client.run([
                "createIndexes": collection,
                "indexes": [["key": ["s": 1], "name": "s", "unique": true]],
            ])
            return reply.errorCode == 11_000
        },
        Probe(name: "$merge: whether it matches") { client, collection, place in
            let reply = try client.run([
                "aggregate": "one",
                "pipeline": [
                    ["$set": ["_id": place.id, "u": place.unique]],
                    ["$merge": ["into": collection, "whenMatched": "fail"]],
                ], "cursor": [:],
            ])
            return reply["ok"] != 1.0
        },
    ]

    // MARK: The matrix

    private static func fill(_ client: WireClient, _ name: Value) throws {
        let collection = name
        func document(_ place: Place, _ tag: Int32 = 0) -> Value {
            [
                "_id": place.id, "v": 1, "u": place.unique, "s": place.unique, "text": "a word",
                "many": [place.unique, .int32(-place.rawValue)], "tag": .int32(tag),
                "at": ["type": "Point", "coordinates": [1, 1]],
            ]
        }
        let indexes: [Value] = [
            ["key": ["v": 1], "name": "v"], ["key": ["u": 1], "name": "u", "unique": true],
            ["key": ["u": 1, "_id": 1], "name": "cover"], ["key": ["many": 1], "name": "many"],
            ["key": ["text": "text"], "name": "text"], ["key": ["at": "2dsphere"], "name": "at"],
        ]
        for command: Document in [
            ["create": collection, "softDelete": ["retention": "30d"]],
            ["createIndexes": collection, "indexes": .array(indexes)],
            ["insert": collection, "documents": .array(Place.allCases.map { document($0) })],
            ["delete": collection, "deletes": [["q": ["_id": ["$gte": 2]], "limit": 0]]],
            ["restore": collection, "filter": ["_id": Place.restored.id]],
            ["purge": collection, "filter": ["_id": Place.purged.id]],
            ["insert": collection, "documents": [document(.replaced, 2)]],
        ] {
            let reply = try client.run(command)
            guard reply["ok"] == 1.0, reply["writeErrors"] == nil else {
                throw ClientError(description: "\(command): \(reply)")
            }
        }
    }

    @Test func readsSeeLiveOnes() async throws {
        try await RunningServer.with({ $0.replicaSet = "rs0" }) { port in
            let client = try WireClient(port: port)
            try Self.fill(client, "kept")
            #expect(try client.run(["count": "kept"])["n"] == 3)
            #expect(try client.run(["collStats": "kept"])["count"] == 3)
            for probe in Self.reads {
                for place in Place.allCases {
                    let isSeen = try probe.sees(client, "kept", place)
                    #expect(isSeen == place.isSeen, "\(probe.name): \(place)")
                }
            }
        }
    }

    @Test func writesSeeLiveOnes() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(["insert": "one", "documents": [["_id": 1]]])
            for (number, probe) in Self.writes.enumerated() {
                for place in Place.allCases {
                    let name = Value.string("kept\(number)_\(place.rawValue)")
                    try Self.fill(client, name)
                    let isSeen = try probe.sees(client, name, place)
                    #expect(isSeen == place.isSeen, "\(probe.name): \(place)")
                    _ = try client.run(["drop": name])
                }
            }
        }
    }

    private static let restored: [(place: Place, count: Int32, code: Int32?)] = [
        (.live, 0, nil), (.deleted, 1, nil), (.restored, 0, nil), (.purged, 0, nil),
        (.replaced, 0, 11_000),
    ]

    /// What a restore and a purge find: deleted ones, and what is in a restored one's way.
    @Test(arguments: restored)
    func restoresAndPurgesSeeDeletedOnes(_ place: Place, _ count: Int32, _ code: Int32?)
        async throws
    {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            for command in ["restore", "purge"] {
                let name = Value.string(command)
                try Self.fill(client, name)
                let reply = try client.run([command: name, "filter": ["_id": place.id]])
                guard command == "restore", let code else {
                    let isInTrash = place == .deleted || place == .replaced
                    #expect(reply["n"] == .int32(command == "purge" && isInTrash ? 1 : count))
                    continue
                }
                #expect(reply.errorCode == code && reply["n"] == 0, "\(reply)")
                #expect(reply["deletedId"] == place.id && reply["liveId"] == place.id)
                #expect(reply["keyPattern"] == ["_id": 1] && reply["keyValue"] == ["_id": place.id])
            }
        }
    }

    /// A change stream that looks documents up finds live ones.
    @Test func changeStreamsLookUpLiveOnes() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(["create": "before"])
            let stream = try client.run([
                "aggregate": 1,
                "pipeline": [
                    ["$changeStream": ["fullDocument": "updateLookup"]],
                    ["$match": ["operationType": "update"]],
                ], "cursor": [:],
            ])
            let cursor = try #require(stream.nested("cursor").integer("id"))
            _ = try client.run(["create": "kept", "softDelete": [:]])
            let ids = Place.allCases.map(\.id)
            _ = try client.run(["insert": "kept", "documents": .array(ids.map { ["_id": $0] })])
            _ = try client.run([
                "update": "kept", "updates": [["q": [:], "u": ["$set": ["x": 1]], "multi": true]],
            ])
            for command: Document in [
                ["delete": "kept", "deletes": [["q": ["_id": ["$gte": 2]], "limit": 0]]],
                ["restore": "kept", "filter": ["_id": Place.restored.id]],
                ["purge": "kept", "filter": ["_id": Place.purged.id]],
                ["insert": "kept", "documents": [["_id": Place.replaced.id, "x": 2]]],
            ] { #expect(try client.run(command)["ok"] == 1.0) }
            var events: [Document] = []
            while events.count < ids.count {
                let more = try client.run([
                    "getMore": .int64(cursor), "collection": "$cmd.aggregate", "maxTimeMS": 500,
                ])
                guard more["ok"] == 1.0 else { throw ClientError(description: "\(more)") }
                events += more.nested("cursor").documents("nextBatch")
            }
            for (event, place) in zip(events, Place.allCases) {
                #expect(event.nested("documentKey")["_id"] == place.id)
                let found = event["fullDocument"]
                #expect((found != .null) == place.isSeen, "\(place): \(event)")
            }
        }
    }
}
