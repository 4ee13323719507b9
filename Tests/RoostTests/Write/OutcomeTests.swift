import BSON
import Query
import Storage
import Testing

@testable import Roost

/// Retryable writes: what was done once is answered again, statement by statement.
@Suite struct OutcomeTests {
    private static let namespace = Namespace("test", "retries")

    /// Runs inserts of these `_id`s under one number; whether each was a repetition.
    private static func insert(
        _ ids: [Int32], number: Int64, statements: [Int]? = nil, first: Int = 0,
        _ fixture: ReadFixture
    ) async throws -> [Bool] {
        var request = WriteRequest(namespace, time: fixture.engine.writeTime)
        for id in ids { try request.insert((["_id": .int32(id)] as Document).view) }
        var retry = RetryIdentity(session: [UInt8](repeating: 7, count: 16), number: number)
        retry.statements = statements
        retry.firstStatement = first
        request.retry = retry
        let begun = request
        let outcome = try await withCheckedThrowingContinuation { continuation in
            fixture.engine.write(begun) { continuation.resume(with: $0) }
        }
        #expect(outcome.results.allSatisfy { $0.error == nil && $0.n == 1 })
        return outcome.results.map(\.isReplayed)
    }

    @Test func statementsAreKnownByTheirNumbers() async throws {
        let fixture = try ReadFixture()
        #expect(
            try await Self.insert([1, 2, 3], number: 1, statements: [0, 4, 5], fixture)
                == [false, false, false])
        // What a router sends again: some of them, in another order, with one that is new.
        #expect(
            try await Self.insert([3, 9, 1], number: 1, statements: [5, 7, 0], fixture)
                == [true, false, true])
        #expect(try await Self.insert([9], number: 1, first: 7, fixture) == [true])
        #expect(try await Self.insert([2, 3], number: 1, first: 4, fixture) == [true, true])
        // A new number begins anew, and forgets.
        #expect(try await Self.insert([4], number: 2, first: 4, fixture) == [false])
        let kept = try fixture.reader.read { transaction in
            try transaction.entryCount(.outcomes)
        }
        #expect(kept == 1)
        #expect(try fixture.count(Self.namespace) == 5)
    }

    /// A statement that a transaction blocks splits the operation; a repetition must know both parts.
    @Test func blockedStatementsAreKnownToo() async throws {
        let fixture = try ReadFixture()
        try await fixture.create(Self.namespace, [:])
        let transaction = try fixture.engine.beginTransaction()
        try await fixture.write(Self.namespace, [["insert": ["_id": 2]]], in: transaction)
        let engine = fixture.engine
        let abort = Task {
            while engine.intents.waitingCount == 0 { await Task.yield() }
            transaction.abort()
        }
        #expect(
            try await Self.insert([1, 2, 3], number: 1, fixture) == [false, false, false])
        await abort.value
        #expect(try await Self.insert([1, 2, 3], number: 1, fixture) == [true, true, true])
    }
}
