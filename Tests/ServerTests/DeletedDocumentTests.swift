// Every way of reading against live, deleted, restored and purged documents.

import BSON
import Testing

@testable import Server

@Suite struct DeletedDocumentTests {
    /// What a read shows of the collection `kept`: `_id`s, sorted.
    struct ReadPath: Sendable, CustomTestStringConvertible {
        let name: String
        /// Which deleted documents it shows beside, or in place of, live ones.
        let scope: Scope
        let read: @Sendable (WireClient) throws -> [Int64]
        var testDescription: String { name }
    }

    enum Scope: Sendable {
        case live, withDeleted, onlyDeleted
    }

    private static func ids(_ documents: [Document], _ field: String = "_id") -> [Int64] {
        documents.compactMap { $0.integer(field) }.sorted()
    }

    private static func rows(_ reply: Document) throws -> [Document] {
        guard reply["ok"] == 1.0 else { throw ClientError(description: "\(reply)") }
        return reply.nested("cursor").documents("firstBatch")
    }

    private static func command(
        _ name: String, _ scope: Scope = .live, _ command: Document,
        _ ids: @escaping @Sendable (Document) throws -> [Int64]
    ) -> ReadPath {
        let whole = Document { writer in
            writer.appendFields(of: command.view)
            switch scope {
            case .live: break
            case .withDeleted: writer.append("withDeleted", true)
            case .onlyDeleted: writer.append("onlyDeleted", true)
            }
        }
        return ReadPath(name: "\(name), \(scope)", scope: scope) { client in
            try ids(try client.run(whole))
        }
    }

    private static func aggregate(
        _ name: String, _ scope: Scope = .live, on collection: String = "kept",
        _ stages: [Value], _ field: String = "_id"
    ) -> ReadPath {
        command(
            name, scope,
            ["aggregate": .string(collection), "pipeline": .array(stages), "cursor": [:]]
        ) { ids(try rows($0), field) }
    }

    private static func text(_ query: String, _ scope: Scope) -> ReadPath {
        ReadPath(name: query, scope: scope) { client in
            ids(try rows(try client.run(["query": .string(query)])))
        }
    }

    static let paths: [ReadPath] =
        [Scope.live, .withDeleted, .onlyDeleted].flatMap { scope in
            [
                command("find", scope, ["find": "kept"]) { ids(try rows($0)) },
                command(
                    "find by _id", scope,
                    ["find": "kept", "filter": ["_id": ["$in": [1, 2, 3, 4, 5]]]]
                ) { ids(try rows($0)) },
                command("find by index", scope, ["find": "kept", "filter": ["v": 1]]) {
                    ids(try rows($0))
                },
                command("find sorted", scope, ["find": "kept", "sort": ["v": -1, "_id": 1]]) {
                    ids(try rows($0))
                },
                command("distinct", scope, ["distinct": "kept", "key": "_id"]) { reply in
                    guard case .array(let values)? = reply["values"] else { return [] }
                    return values.compactMap { (["v": $0] as Document).integer("v") }.sorted()
                },
                aggregate("$match", scope, [["$match": ["v": 1]]]),
                aggregate("$group", scope, [["$group": ["_id": "$_id"]]]),
                aggregate(
                    "$facet", scope,
                    [["$facet": ["a": [["$sort": ["_id": 1]]]]], ["$unwind": "$a"]] + [
                        ["$replaceWith": "$a"]
                    ]),
            ]
        } + [
            aggregate(
                "$lookup", on: "other",
                [
                    [
                        "$lookup": [
                            "from": "kept", "localField": "v", "foreignField": "v", "as": "k",
                        ]
                    ],
                    ["$unwind": "$k"], ["$replaceWith": "$k"],
                ]),
            aggregate(
                "$lookup pipeline in a read of deleted ones", .live, on: "other",
                [
                    ["$lookup": ["from": "kept", "pipeline": [["$match": ["v": 1]]], "as": "k"]],
                    ["$unwind": "$k"], ["$replaceWith": "$k"],
                ]),
            aggregate(
                "$graphLookup", on: "other",
                [
                    [
                        "$graphLookup": [
                            "from": "kept", "startWith": "$v", "connectFromField": "none",
                            "connectToField": "v", "as": "k",
                        ]
                    ], ["$unwind": "$k"], ["$replaceWith": "$k"],
                ]),
            aggregate(
                "$unionWith", on: "other",
                [["$match": ["v": 99]], ["$unionWith": "kept"]]),
            command("a view", .live, ["find": "seen"]) { ids(try rows($0)) },
            text("from kept", .live), text("from kept withDeleted", .withDeleted),
            text("from kept onlyDeleted | where v == 1 && deletedAt() <= now()", .onlyDeleted),
            text("from other | join kept on v == v as k | unwind k | select { _id: k._id }", .live),
        ]

    /// The collection with documents 1 and 2 live, 3 deleted, 4 deleted and restored, 5 purged.
    private static func fill(_ client: WireClient) throws {
        for command: Document in [
            ["create": "kept", "softDelete": ["retention": "30d"]],
            ["create": "seen", "viewOn": "kept", "pipeline": []],
            [
                "createIndexes": "kept",
                "indexes": [
                    ["key": ["v": 1], "name": "v"], ["key": ["u": 1], "name": "u", "unique": true],
                ],
            ],
            ["insert": "other", "documents": [["_id": 100, "v": 1]]],
            [
                "insert": "kept",
                "documents": .array(
                    (1...5).map { ["_id": .int32($0), "v": 1, "u": .int32($0 * 10)] }),
            ],
            ["delete": "kept", "deletes": [["q": ["_id": ["$gte": 3]], "limit": 0]]],
            ["restore": "kept", "filter": ["_id": 4]], ["purge": "kept", "filter": ["_id": 5]],
        ] {
            let reply = try client.run(command)
            guard reply["ok"] == 1.0 else { throw ClientError(description: "\(reply)") }
        }
    }

    @Test func everyReadShowsWhatItShould() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            try Self.fill(client)
            for path in Self.paths {
                let wanted: [Int64] =
                    switch path.scope {
                    case .live: [1, 2, 4]
                    case .withDeleted: [1, 2, 3, 4]
                    case .onlyDeleted: [3]
                    }
                #expect(try path.read(client) == wanted, "\(path.name)")
            }
        }
    }

    @Test func countsAndStatistics() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            try Self.fill(client)
            #expect(try client.run(["count": "kept"])["n"] == 3)
            #expect(try client.run(["count": "kept", "withDeleted": true])["n"] == 4)
            #expect(try client.run(["count": "kept", "onlyDeleted": true])["n"] == 1)
            #expect(
                try client.run(["count": "kept", "query": ["v": 1], "onlyDeleted": true])["n"] == 1)
            let statistics = try client.run(["collStats": "kept"])
            #expect(statistics["count"] == 3)
            #expect(statistics.nested("trash")["count"] == 1)
            #expect(try client.run(["collStats": "other"])["trash"] == nil)
            let status = try client.run(["serverStatus": 1])
            #expect(status.nested("trash")["documents"] == .int64(1))
            let listed = try client.run(["listCollections": 1, "filter": ["name": "kept"]])
            let options = listed.nested("cursor").documents("firstBatch").first?.nested("options")
            #expect(options?["softDelete"] == ["retention": "30d"])
            // A deleted document's key is free.
            let inserted = try client.run(
                ["insert": "kept", "documents": [["_id": 9, "u": 30], ["_id": 5, "u": 50]]])
            #expect(inserted["n"] == 2)
            let refused = try client.run(["restore": "kept", "filter": [:]])
            #expect(refused.errorCode == 11_000 && refused["n"] == 0)
            #expect(refused["deletedId"] == 3 && refused["liveId"] == 9)
            #expect(refused["keyPattern"] == ["u": 1] && refused["keyValue"] == ["u": 30])
        }
    }

    @Test func whenAndByWhom() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            try Self.fill(client)
            let meta: Document = ["at": ["$meta": "deletedAt"], "by": ["$meta": "deletedBy"]]
            let found = try Self.rows(
                client.run([
                    "find": "kept", "withDeleted": true, "projection": .document(meta),
                    "sort": ["x": ["$meta": "deletedAt"]],
                ]))
            #expect(found.count == 4)
            #expect(found.first?["_id"] == 3 && found.first?["by"] == .null)
            guard case .date? = found.first?["at"] else {
                throw ClientError(description: "\(found)")
            }
            #expect(found.dropFirst().allSatisfy { $0["at"] == nil })
            let later: Document = ["$expr": ["$lt": [["$meta": "deletedAt"], .date(0)]]]
            for name in ["restore", "purge"] {
                #expect(try client.run([name: "kept", "filter": .document(later)])["n"] == 0)
            }
            let plain = try client.run(["find": "kept", "projection": .document(meta)])
            #expect(plain.errorCode == 40_218)
            #expect(plain.string("errmsg")?.contains("withDeleted") == true)
            let text = try client.run(["query": "from kept | where deletedAt() == null"])
            #expect(text.errorCode == 40_218)
        }
    }

    private static let refusals: [(command: Document, code: Int32)] = [
        (["find": "kept", "withDeleted": true, "onlyDeleted": true], 2),
        (["find": "kept", "withDeleted": true, "hint": "v"], 2),
        (["find": "seen", "onlyDeleted": true], 167),
        (["count": "seen", "withDeleted": true], 167),
        (["distinct": "seen", "key": "v", "withDeleted": true], 167),
        (["aggregate": "seen", "pipeline": [], "cursor": [:], "withDeleted": true], 167),
        (
            [
                "aggregate": "kept", "pipeline": [["$collStats": [:]]], "cursor": [:],
                "onlyDeleted": true,
            ], 167
        ),
        (["find": "kept", "filter": ["$text": ["$search": "a"]], "onlyDeleted": true], 2),
        (["restore": "kept"], 40_414), (["purge": "kept", "filter": [:], "limit": -1], 2),
        (["restore": "seen", "filter": [:]], 166), (["purge": "kept", "filter": ["$x": 1]], 2),
        (["create": "bad", "viewOn": "kept", "softDelete": [:]], 72),
        (["collMod": "kept", "softDelete": ["retention": "soon"]], 2),
        (["convertToCapped": "kept", "size": 10_000], 20),
    ]

    @Test func whatMakesNoSenseIsRefused() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            try Self.fill(client)
            for (command, code) in Self.refusals {
                let reply = try client.run(command)
                #expect(reply.errorCode == code, "\(command): \(reply)")
            }
        }
    }

    @Test func explainShowsTheTrash() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            try Self.fill(client)
            func plan(_ read: Document) throws -> String {
                let reply = try client.run(
                    ["explain": .document(read), "verbosity": "executionStats"])
                #expect(reply["ok"] == 1.0, "\(reply)")
                return "\(reply)"
            }
            let only = try plan(["find": "kept", "onlyDeleted": true])
            #expect(only.contains("TRASH_SCAN") && !only.contains("COLLSCAN"))
            let both = try plan(["find": "kept", "filter": ["v": 1], "withDeleted": true])
            #expect(both.contains("TRASH_SCAN") && both.contains("\"indexName\":\"v\""))
            let merged = try plan(["find": "kept", "sort": ["_id": -1], "withDeleted": true])
            #expect(merged.contains("SORT_MERGE"))
            #expect(try plan(["count": "kept", "onlyDeleted": true]).contains("TRASH_SCAN"))
            #expect(
                try plan([
                    "aggregate": "kept", "pipeline": [["$group": ["_id": "$v"]]], "cursor": [:],
                    "onlyDeleted": true,
                ]).contains("TRASH_SCAN"))
            #expect(
                try plan(["distinct": "kept", "key": "v", "withDeleted": true])
                    .contains("TRASH_SCAN"))
        }
    }

    @Test func batchesGoOn() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            _ = try client.run(["create": "kept", "softDelete": [:]])
            _ = try client.run([
                "insert": "kept", "documents": .array((0..<500).map { ["_id": .int32($0)] }),
            ])
            _ = try client.run([
                "delete": "kept", "deletes": [["q": ["_id": ["$gte": 250]], "limit": 0]],
            ])
            for sort: Document in [[:], ["_id": -1], ["x": 1, "_id": 1]] {
                var reply = try client.run([
                    "find": "kept", "withDeleted": true, "batchSize": 7, "sort": .document(sort),
                ])
                var found = reply.nested("cursor").documents("firstBatch")
                while let id = reply.nested("cursor").integer("id"), id != 0 {
                    reply = try client.run([
                        "getMore": .int64(id), "collection": "kept", "batchSize": 60,
                    ])
                    found += reply.nested("cursor").documents("nextBatch")
                }
                #expect(Self.ids(found) == Array(0..<500), "\(sort)")
            }
        }
    }

    @Test func textStatements() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            func run(_ text: String) throws -> Document {
                let reply = try client.run(["query": .string(text)])
                return reply.nested("cursor").documents("firstBatch").first ?? reply
            }
            #expect(try run("create collection notes softDelete \"30d\"")["ok"] == 1)
            #expect(try run("create index on notes (u) unique")["ok"] == 1)
            #expect(try run("insert into notes { _id: 1, u: 1 }, { _id: 2, u: 2 }")["n"] == 2)
            #expect(try run("delete from notes where true")["n"] == 2)
            #expect(try run("insert into notes { _id: 3, u: 2 }")["n"] == 1)
            #expect(try run("restore notes where _id == 1")["n"] == 1)
            let refused = try run("restore from notes where true")
            #expect(refused.errorCode == 11_000 && refused["deletedId"] == 2)
            #expect(refused["column"] == 14, "\(refused)")
            #expect(try run("purge notes where deletedAt() < date(\"2020-01-01\")")["n"] == 0)
            #expect(try run("purge notes where deletedAt() <= now()")["n"] == 1)
            #expect(try run("from notes withDeleted | count")["count"] == 2)
            let bad = try run("create collection more softDelete \"soon\"")
            #expect(bad.errorCode == 2 && bad["line"] == 1, "\(bad)")
        }
    }

    @Test func changesAndLiveQueriesTellOfThem() async throws {
        try await RunningServer.with { port in
            let client = try WireClient(port: port)
            for command: Document in [
                [
                    "create": "kept", "softDelete": [:],
                    "changeStreamPreAndPostImages": ["enabled": true],
                ],
                ["insert": "kept", "documents": [["_id": 1, "v": 1]]],
            ] { _ = try client.run(command) }
            let live = try client.run(["live": "kept", "filter": ["v": 1]])
            let cursor = try #require(live.nested("cursor").integer("id"))
            let stream = try client.run([
                "aggregate": "kept",
                "pipeline": [["$changeStream": ["fullDocumentBeforeChange": "required"]]],
                "cursor": [:],
            ])
            let changes = try #require(stream.nested("cursor").integer("id"))
            _ = try client.run(["delete": "kept", "deletes": [["q": ["_id": 1], "limit": 1]]])
            _ = try client.run(["restore": "kept", "filter": ["_id": 1]])
            var events: [Document] = []
            while events.count < 2 {
                let more = try client.run([
                    "getMore": .int64(changes), "collection": "kept", "maxTimeMS": 500,
                ])
                events += more.nested("cursor").documents("nextBatch")
            }
            #expect(events[0]["operationType"] == "delete" && events[0]["softDeleted"] == true)
            #expect(events[0]["fullDocumentBeforeChange"] == ["_id": 1, "v": 1])
            #expect(events[1]["operationType"] == "insert" && events[1]["restored"] == true)
            #expect(events[1]["fullDocument"] == ["_id": 1, "v": 1])
            func next(_ wanted: String) throws {
                for _ in 0..<20 {
                    let more = try client.run([
                        "getMore": .int64(cursor), "collection": "kept", "maxTimeMS": 500,
                    ])
                    let events = more.nested("cursor").documents("nextBatch")
                    if events.contains(where: { $0["op"] == .string(wanted) }) { return }
                }
                Issue.record("no event '\(wanted)'")
            }
            _ = try client.run(["delete": "kept", "deletes": [["q": ["_id": 1], "limit": 1]]])
            try next("removed")
            _ = try client.run(["restore": "kept", "filter": ["_id": 1]])
            try next("added")
        }
    }
}
