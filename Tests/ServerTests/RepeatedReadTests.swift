// Finds by `_id` that repeat each other: the same answers as for the first, whatever has changed
// in between.

import BSON
import NIOCore
import TestSupport
import Testing

@testable import Server
@testable import Wire

@Suite struct RepeatedReadTests {
    static func find(_ id: Value) -> Document {
        ["find": "c", "filter": ["_id": id], "limit": 1, "singleBatch": true]
    }

    @Test func seesWhatChangedInBetween() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let other = try WireClient(port: port)
            func expect(
                _ id: Value, _ documents: [Document],
                sourceLocation: SourceLocation = #_sourceLocation
            ) throws {
                let reply = try client.run(Self.find(id))
                #expect(
                    reply == [
                        "cursor": [
                            "firstBatch": .array(documents.map(Value.document)), "id": .int64(0),
                            "ns": "test.c",
                        ], "ok": 1.0,
                    ], sourceLocation: sourceLocation)
            }
            // Not there yet, made, dropped, made again, a view, renamed away.
            try expect(1, [])
            try expect(1, [])
            _ = try other.run(["insert": "c", "documents": [["_id": 1, "a": 1], ["_id": 2]]])
            try expect(1, [["_id": 1, "a": 1]])
            try expect(2, [["_id": 2]])
            _ = try other.run(["drop": "c"])
            try expect(1, [])
            _ = try other.run(["insert": "d", "documents": [["_id": 1, "a": 2]]])
            _ = try other.run(["create": "c", "viewOn": "d", "pipeline": []])
            try expect(1, [["_id": 1, "a": 2]])
            _ = try other.run(["drop": "c"])
            _ = try other.run([
                "create": "c", "collation": ["locale": "en", "strength": 2],
            ])
            _ = try other.run(["insert": "c", "documents": [["_id": "abc"]]])
            try expect("ABC", [["_id": "abc"]])
            try expect("aBC", [["_id": "abc"]])
            try expect("xyz", [])
        }
    }

    @Test func profilerAndCountersKnowOfThem() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(["insert": "c", "documents": [["_id": 1]]])
            func queries() throws -> Int64? {
                try client.run(["serverStatus": 1]).nested("opcounters").integer("query")
            }
            let before = try queries()
            for _ in 0..<3 { _ = try client.run(Self.find(1)) }
            let after = try queries()
            #expect(after == before.map { $0 + 3 })
            _ = try client.run(["profile": 2])
            for _ in 0..<3 { _ = try client.run(Self.find(1)) }
            _ = try client.run(["profile": 0])
            let profiled = try client.run(["count": "system.profile", "query": ["op": "query"]])
            #expect(profiled.integer("n") == 3)
        }
    }

    /// A find whose like is answered without a plan, and the same with a field that prevents that.
    static func pair(_ filter: Document, sort: Document, limit: Int32) -> [Document] {
        let find: Document = [
            "find": "c", "filter": .document(filter), "sort": .document(sort),
            "limit": .int32(limit),
        ]
        let planned = Document { writer in
            writer.appendFields(of: find.view)
            writer.append("batchSize", Int32(101))
        }
        return [find, planned]
    }

    @Test(arguments: 1...4 as ClosedRange<UInt64>)
    func rangesAnswerAsPlansDo(seed: UInt64) async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let writer = try WireClient(port: port)
            var random = RandomSource(seed: seed)
            func value(_ kind: Int) -> Value {
                let number = Int.random(in: -20...20, using: &random)
                return switch kind {
                case 0: .int32(Int32(number))
                case 1: .int64(Int64(number))
                case 2: number == 7 ? .double(.nan) : .double(Double(number) / 2)
                case 3: .string(String(repeating: "k", count: 3) + "\(number + 40)")
                case 4: .date(Int64(number) * 1_000)
                default: .objectID(ObjectID(head: UInt64(number + 20), tail: 1))
                }
            }
            let documents: [Document] = (0..<400).map { id in
                [
                    "_id": .int32(Int32(id)), "v": value(Int.random(in: 0...5, using: &random)),
                    "w": .int32(Int32.random(in: 0...9, using: &random)),
                ]
            }
            _ = try writer.run(["insert": "c"], sequences: [("documents", documents)])
            for (number, key) in ([["v": 1], ["v": -1], ["v": 1, "w": -1]] as [Document])
                .enumerated()
            {
                _ = try writer.run(["dropIndexes": "c", "index": "*"])
                _ = try writer.run([
                    "createIndexes": "c",
                    "indexes": [["key": .document(key), "name": .string("i\(number)")]],
                ])
                for round in 0..<60 {
                    let kind = round / 10
                    let filter: Document =
                        switch Int(seed) % 4 {
                        case 0: ["v": value(kind)]
                        case 1: ["v": ["$gte": value(kind), "$lt": value(kind)]]
                        case 2: ["v": ["$gt": value(kind)]]
                        default: ["v": ["$lte": value(kind), "$gt": value(kind)]]
                        }
                    let sort: Document = round % 2 == 0 ? ["v": 1] : ["v": -1]
                    let answers = try Self.pair(filter, sort: sort, limit: round % 3 == 0 ? 0 : 7)
                        .map { try client.run($0).nested("cursor") }
                    #expect(
                        answers[0].documents("firstBatch") == answers[1].documents("firstBatch"),
                        "\(filter) \(sort) \(key)")
                    #expect((answers[0].integer("id") == 0) == (answers[1].integer("id") == 0))
                    // What was prepared must notice an array, and a value that moves.
                    if round % 10 == 5 {
                        let changed: Value = round > 40 ? [value(0), value(1)] : value(kind)
                        _ = try writer.run([
                            "update": "c",
                            "updates": [
                                [
                                    "q": ["_id": .int32(Int32(round))],
                                    "u": ["$set": ["v": changed]],
                                ]
                            ],
                        ])
                    }
                }
            }
        }
    }

    /// Finds whose first values look like another comparison than the second ones.
    @Test(
        arguments: [
            [["$gte": 5, "$lte": 5], ["$gte": 3, "$lte": 8]],
            [["$gte": .double(.nan)], ["$gte": 5.5]],
            [["$lte": .double(-.infinity)], ["$lte": 5.5]],
            [["$gte": .double(.infinity)], ["$gte": 5.5]],
            [["$eq": 5, "$lt": 9], ["$eq": 9, "$lt": 5]],
            [["$gt": 5, "$gte": 7], ["$gt": 7, "$gte": 3]],
            [["$lt": 5, "$lte": 3], ["$lt": 2, "$lte": 6]],
            [["$gt": 3, "$lt": 5], ["$gt": 8, "$lt": 2]],
            [["$lte": ""], ["$lte": "x"]], [["$gte": ""], ["$gte": "x"]],
            [["$lte": ""], ["$lte": ""]],
        ] as [[Document]])
    func firstValuesAtAnEdge(conditions: [Document]) async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            let values: [Value] =
                (0..<12).map { .int32($0) } + (0..<12).map { .double(0.5 + Double($0)) }
            let others: [Value] = ["", "w", "x", "y", .double(.nan), .double(.infinity)]
            let documents: [Document] = (values + others).enumerated().map {
                ["_id": .int32(Int32($0)), "v": $1]
            }
            _ = try client.run(["insert": "c"], sequences: [("documents", documents)])
            _ = try client.run([
                "createIndexes": "c", "indexes": [["key": ["v": 1], "name": "v"]],
            ])
            for condition in conditions + conditions.reversed() {
                let answers = try Self.pair(
                    ["v": .document(condition)], sort: ["v": 1], limit: 0
                ).map { try client.run($0).nested("cursor").documents("firstBatch") }
                #expect(answers[0] == answers[1], "\(condition)")
            }
        }
    }
}
