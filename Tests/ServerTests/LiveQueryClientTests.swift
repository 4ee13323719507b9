// The Swift client's live queries against a real server: results of every kind, over dropped
// connections and resumed by tokens.

import BSON
import TestSupport
import Testing

@testable import Client

@Suite struct LiveQueryClientTests {
    private static func with(
        _ body: (RemoteCollection, inout LiveQueryOptions) async throws -> Void
    ) async throws {
        try await RunningServer.with { port in
            let client = try Client("127.0.0.1:\(port)/shop")
            var options = LiveQueryOptions()
            options.following.awaitMillis = 50
            try await body(client.database().collection("orders"), &options)
            client.close()
        }
    }

    private static func insert(_ collection: RemoteCollection, _ documents: Document...)
        async throws
    {
        let command: Document = [
            "insert": .string(collection.name),
            "documents": .array(documents.map { .document($0) }),
        ]
        _ = try await collection.database.run(command)
    }

    private static func set(_ collection: RemoteCollection, _ id: Int32, _ change: Document)
        async throws
    {
        let command: Document = [
            "update": .string(collection.name),
            "updates": [["q": ["_id": .int32(id)], "u": ["$set": .document(change)]]],
        ]
        _ = try await collection.database.run(command)
    }

    private static func delete(_ collection: RemoteCollection, _ id: Int32) async throws {
        let command: Document = [
            "delete": .string(collection.name),
            "deletes": [["q": ["_id": .int32(id)], "limit": 1]],
        ]
        _ = try await collection.database.run(command)
    }

    @Test func tellsWhatBecomesOfAResult() async throws {
        try await Self.with { orders, options in
            try await Self.insert(orders, ["_id": 1, "open": true], ["_id": 2, "open": false])
            var events = orders.live(["open": true], options).makeAsyncIterator()
            let first = try await events.next()
            #expect(first?.kind == .added)
            #expect(first?.id == 1)
            #expect(first?.document == ["_id": 1, "open": true])
            #expect(try await events.next()?.kind == .ready)
            // One at a time: what a slow reader hasn't taken yet may be merged.
            let steps: [(Int32, Document, LiveEvent.Kind, Document?)] = [
                (2, ["open": true], .added, ["_id": 2, "open": true]),
                (1, ["n": 5], .changed, ["_id": 1, "open": true, "n": 5]),
                (1, ["open": false], .removed, nil),
            ]
            for (id, change, kind, document) in steps {
                try await Self.set(orders, id, change)
                let event = try await events.next()
                #expect(event?.kind == kind)
                #expect(event?.id == .int32(id))
                #expect(event?.document == document)
                #expect(event?.token != nil)
            }
        }
    }

    @Test func aWindowKeepsItsOrder() async throws {
        try await Self.with { orders, options in
            let query = orders.live(sort: ["n": -1], limit: 2, options)
            var results = query.results.makeAsyncIterator()
            #expect(try await results.next()?.rows.isEmpty == true)
            try await Self.insert(orders, ["_id": 1, "n": 10])
            #expect(try await results.next()?.documents == [["_id": 1, "n": 10]])
            try await Self.insert(orders, ["_id": 2, "n": 20], ["_id": 3, "n": 15])
            #expect(
                try await results.next()?.documents == [["_id": 2, "n": 20], ["_id": 3, "n": 15]])
            try await Self.set(orders, 1, ["n": 17])
            #expect(
                try await results.next()?.documents == [["_id": 2, "n": 20], ["_id": 1, "n": 17]])
            try await Self.set(orders, 1, ["n": 30])
            #expect(
                try await results.next()?.documents == [["_id": 1, "n": 30], ["_id": 2, "n": 20]])
            try await Self.set(orders, 1, ["n": 17])
            #expect(
                try await results.next()?.documents == [["_id": 2, "n": 20], ["_id": 1, "n": 17]])
            try await Self.delete(orders, 2)
            #expect(
                try await results.next()?.documents == [["_id": 1, "n": 17], ["_id": 3, "n": 15]])
        }
    }

    @Test func groupsAndTheTextLanguage() async throws {
        try await Self.with { orders, options in
            let database = orders.database
            let text = database.live(
                "from orders | where n > $low | group kind { n: count(), total: sum(n) }",
                parameters: ["low": 5], options)
            var results = text.results.makeAsyncIterator()
            #expect(try await results.next()?.rows.isEmpty == true)
            try await Self.insert(
                orders, ["_id": 1, "kind": "a", "n": 10], ["_id": 2, "kind": "b", "n": 20],
                ["_id": 3, "kind": "a", "n": 1])
            var rows = try await results.next()?.rows ?? []
            rows.sort { "\($0.id)" < "\($1.id)" }
            #expect(rows.map { $0.document["total"] } == [10, 20])
            try await Self.set(orders, 3, ["n": 100])
            let row = try await results.next()?.rows.first { $0.document["total"] == 110 }
            #expect(row?.document["n"] == 2)
        }
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func resultsSurviveDroppedConnections(_ seed: UInt64) async throws {
        try await Self.with { orders, options in
            let count = Int32(150)
            options.following.batchSize = 7
            var batches = orders.live(["n": ["$lt": 1_000]], options).batches.makeAsyncIterator()
            async let written: Void = {
                for number in 0..<count {
                    try await Self.insert(orders, ["_id": .int32(number), "n": .int32(number)])
                    if number.isMultiple(of: 5) { try await Self.set(orders, number, ["n": 2_000]) }
                }
            }()
            var random = RandomSource(seed: seed)
            var result = LiveResult()
            let wanted = (0..<count).count { !$0.isMultiple(of: 5) }
            while result.rows.count < wanted
                || result.rows.contains(where: { $0.document["n"] == 2_000 })
            {
                for event in try #require(try await batches.next()) { try result.apply(event) }
                if random.oneIn(8) { await batches.cursor.drop() }
            }
            try await written
            #expect(result.rows.count == wanted)
        }
    }

    @Test func goesOnFromAToken() async throws {
        try await Self.with { orders, options in
            try await Self.insert(orders, ["_id": 1], ["_id": 2])
            var result = LiveResult()
            var token: Value?
            for try await batch in orders.live([:], options).batches {
                for event in batch {
                    try result.apply(event)
                    token = event.token ?? token
                }
                if result.isReady { break }
            }
            try await Self.delete(orders, 1)
            try await Self.insert(orders, ["_id": 3])
            let held: Value = try #require(token)
            options.resumeAfter = held
            for try await batch in orders.live([:], options).batches {
                for event in batch { try result.apply(event) }
                if result.isReady { break }
            }
            #expect(Set(result.rows.map(\.id)) == [2, 3])
        }
    }

    @Test func refusalsAreThrown() async throws {
        try await Self.with { orders, options in
            var query = orders.live(["$where": "true"], options).makeAsyncIterator()
            do throws(DBError) {
                _ = try await query.next()
                Issue.record("$where was taken")
            } catch {
                #expect(error.code != .hostUnreachable)
            }
        }
    }

    @Test func eventsThatDontFitAreRefused() throws {
        func apply(_ events: Document...) throws {
            var result = LiveResult()
            for event in events { try result.apply(try LiveEvent(event)) }
        }
        #expect(throws: DBError.self) { try apply(["op": "what"]) }
        #expect(throws: DBError.self) { try apply(["op": "removed", "id": 1]) }
        #expect(throws: DBError.self) {
            try apply(["op": "added", "id": 1, "doc": [:], "index": 1])
        }
        #expect(throws: DBError.self) {
            try apply(["op": "added", "id": 1, "doc": [:]], ["op": "added", "id": 1, "doc": [:]])
        }
        #expect(throws: DBError.self) {
            try apply(
                ["op": "added", "id": 1, "doc": [:], "index": 0],
                ["op": "moved", "id": 1, "doc": [:], "from": 1, "index": 0])
        }
    }
}
