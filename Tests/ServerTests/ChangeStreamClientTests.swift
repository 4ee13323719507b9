// The Swift client's change streams against a real server: each change once and in order, over
// dropped connections and a server that goes away and comes back.

import BSON
import TestSupport
import Testing

@testable import Client

@Suite struct ChangeStreamClientTests {
    private static func write(_ collection: RemoteCollection, _ numbers: Range<Int32>) async throws
    {
        for number in numbers {
            let insert: Document = [
                "insert": .string(collection.name), "documents": [["_id": .int32(number)]],
            ]
            _ = try await collection.database.run(insert)
        }
    }

    private static func number(_ event: ChangeEvent?) -> Int32? {
        if case .int32(let number)? = event?.documentKey?["_id"] { number } else { nil }
    }

    @Test func tellsChangesInOrder() async throws {
        try await RunningServer.with { port in
            let client = try Client("127.0.0.1:\(port)/shop")
            let orders = client.database().collection("orders")
            var options = ChangeStreamOptions()
            options.following.awaitMillis = 50
            var stream = orders.watch([], options).makeAsyncIterator()
            #expect(try await stream.fetch(isolation: nil))
            let idle = stream.resumeToken
            #expect(idle != nil)
            try await Self.write(orders, 0..<3)
            let update: Document = [
                "update": "orders", "updates": [["q": ["_id": 1], "u": ["$set": ["a": 5]]]],
            ]
            _ = try await client.database().run(update)
            for expected in Int32(0)..<3 {
                let event = try await stream.next()
                #expect(event?.operation == "insert")
                #expect(event?.fullDocument == ["_id": .int32(expected)])
            }
            let event = try #require(try await stream.next())
            #expect(event.operation == "update")
            #expect(event.documentKey == ["_id": 1])
            #expect(stream.resumeToken != idle)

            // From a token, with a pipeline, over the whole server.
            options.resumeAfter = idle
            options.fullDocument = .updateLookup
            let later = client.watch([["$match": ["operationType": "update"]]], options)
            for try await change in later {
                #expect(change.fullDocument == ["_id": 1, "a": 5])
                break
            }
        }
    }

    @Test func endsBehindInvalidateAndStartsAfterIt() async throws {
        try await RunningServer.with { port in
            let client = try Client("127.0.0.1:\(port)/shop")
            let orders = client.database().collection("orders")
            var options = ChangeStreamOptions()
            options.following.awaitMillis = 50
            var stream = orders.watch([], options).makeAsyncIterator()
            #expect(try await stream.fetch(isolation: nil))
            try await Self.write(orders, 0..<1)
            _ = try await client.database().run(["drop": "orders"])
            var operations: [String] = []
            while let event = try await stream.next() { operations.append(event.operation) }
            #expect(operations == ["insert", "drop", "invalidate"])
            #expect(try await stream.next() == nil)

            options.startAfter = stream.resumeToken
            var second = orders.watch([], options).makeAsyncIterator()
            #expect(try await second.fetch(isolation: nil))
            // A connection lost before the first change must not make it `resumeAfter`.
            await second.cursor.drop()
            try await Self.write(orders, 7..<8)
            #expect(try await Self.number(second.next()) == 7)
        }
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func nothingIsMissedOverDroppedConnections(_ seed: UInt64) async throws {
        try await RunningServer.with { port in
            let client = try Client("127.0.0.1:\(port)/shop")
            let orders = client.database().collection("orders")
            var options = ChangeStreamOptions()
            options.following.awaitMillis = 20
            options.following.batchSize = 3
            var stream = orders.watch([], options).makeAsyncIterator()
            #expect(try await stream.fetch(isolation: nil))
            let count = Int32(200)
            async let written: Void = Self.write(orders, 0..<count)
            var random = RandomSource(seed: seed)
            for expected in 0..<count {
                #expect(try await Self.number(stream.next()) == expected, "seed \(seed)")
                if random.oneIn(5) { await stream.cursor.drop() }
            }
            try await written
        }
    }

    @Test func aCancelledTaskEndsTheLoop() async throws {
        try await RunningServer.with { port in
            let client = try Client("127.0.0.1:\(port)/shop")
            let task = Task {
                var count = 0
                for try await _ in client.database().collection("orders").watch() { count += 1 }
                return count
            }
            try await Task.sleep(for: .milliseconds(100))
            task.cancel()
            #expect(try await task.value == 0)
        }
    }

    @Test func refusalsAndAMissingServerAreThrownAtOnce() async throws {
        try await RunningServer.with { port in
            let client = try Client("127.0.0.1:\(port)/shop")
            var refused = client.database().watch([["$nope": 1]]).makeAsyncIterator()
            do throws(DBError) {
                _ = try await refused.next()
                Issue.record("a stage that isn't there was taken")
            } catch {
                #expect(error.code.rawValue == 40324)
            }
        }
        var lost = try Client("127.0.0.1:1/shop").watch().makeAsyncIterator()
        do throws(DBError) {
            _ = try await lost.next()
            Issue.record("nobody listens there")
        } catch {
            #expect(error.code == .hostUnreachable)
        }
    }
}
