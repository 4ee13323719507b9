import BSON
import Query
import Testing

@testable import Roost

/// Writes outside of transactions that meet what an open transaction means to change: they wait for
/// its end and make it fail never.
@Suite struct WaitingWriteTests {
    private static let namespace = Namespace("test", "waiting")

    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        /// What the transaction writes.
        let inside: Document
        /// What is written beside it.
        let outside: Document
        /// The error of that where the transaction commits, and where it aborts.
        var afterCommit: DBError.Code?
        var afterAbort: DBError.Code?
        /// The documents in the end.
        let committed: [Document]
        let aborted: [Document]
    }

    private static let base: [Document] = [
        ["_id": 1, "n": 0, "u": 1], ["_id": 2, "n": 0, "u": 2],
    ]

    static let cases: [Case] = [
        Case(
            testDescription: "update by _id", inside: ["q": ["_id": 1], "u": ["$inc": ["n": 1]]],
            outside: ["q": ["_id": 1], "u": ["$inc": ["n": 10]]],
            committed: [["_id": 1, "n": 11, "u": 1], base[1]],
            aborted: [["_id": 1, "n": 10, "u": 1], base[1]]),
        Case(
            testDescription: "update that no longer matches",
            inside: ["q": ["_id": 1], "u": ["$set": ["n": 5]]],
            outside: ["q": ["n": 0], "u": ["$set": ["n": 7]], "multi": true],
            committed: [["_id": 1, "n": 5, "u": 1], ["_id": 2, "n": 7, "u": 2]],
            aborted: [["_id": 1, "n": 7, "u": 1], ["_id": 2, "n": 7, "u": 2]]),
        Case(
            testDescription: "delete", inside: ["q": ["_id": 2], "u": ["$set": ["n": 9]]],
            outside: ["delete": ["_id": 2]], committed: [base[0]], aborted: [base[0]]),
        Case(
            testDescription: "update of what is deleted", inside: ["delete": ["_id": 2]],
            outside: ["q": ["_id": 2], "u": ["$set": ["n": 3]]], committed: [base[0]],
            aborted: [base[0], ["_id": 2, "n": 3, "u": 2]]),
        Case(
            testDescription: "insert of the same _id", inside: ["insert": ["_id": 3, "n": 1]],
            outside: ["insert": ["_id": 3, "n": 2]], afterCommit: .duplicateKey,
            committed: base + [["_id": 3, "n": 1]], aborted: base + [["_id": 3, "n": 2]]),
        Case(
            testDescription: "insert of a unique key",
            inside: ["insert": ["_id": 3, "n": 1, "u": 5]],
            outside: ["insert": ["_id": 4, "n": 2, "u": 5]], afterCommit: .duplicateKey,
            committed: base + [["_id": 3, "n": 1, "u": 5]],
            aborted: base + [["_id": 4, "n": 2, "u": 5]]),
        Case(
            testDescription: "a unique key that is given up",
            inside: ["q": ["_id": 1], "u": ["$set": ["u": 8]]],
            outside: ["insert": ["_id": 4, "n": 2, "u": 1]], afterAbort: .duplicateKey,
            committed: [["_id": 1, "n": 0, "u": 8], base[1], ["_id": 4, "n": 2, "u": 1]],
            aborted: base),
        Case(
            testDescription: "an update that changes nothing",
            inside: ["q": ["_id": 1], "u": ["$set": ["n": 0]]],
            outside: ["q": ["_id": 1], "u": ["$inc": ["n": 4]]],
            committed: [["_id": 1, "n": 4, "u": 1], base[1]],
            aborted: [["_id": 1, "n": 4, "u": 1], base[1]]),
    ]

    @Test(arguments: cases, [true, false])
    func goesOnWhenTheTransactionEnds(_ test: Case, commits: Bool) async throws {
        let fixture = try await Self.fixture()
        let transaction = try fixture.engine.beginTransaction()
        #expect(
            try await fixture.write(Self.namespace, [test.inside], in: transaction) == nil)
        let outside = try fixture.begin(Self.namespace, [test.outside])
        while fixture.engine.intents.waitingCount == 0 { await Task.yield() }
        if commits {
            #expect(await fixture.commit(transaction) == nil)
        } else {
            transaction.abort()
        }
        #expect(await outside.value == (commits ? test.afterCommit : test.afterAbort))
        let documents = try fixture.find(Self.namespace, in: nil)
        #expect(documents == (commits ? test.committed : test.aborted))
        #expect(try fixture.engine.verify().faults.isEmpty)
    }

    @Test func statementsBeforeTheBlockedOneStand() async throws {
        let fixture = try await Self.fixture()
        let transaction = try fixture.engine.beginTransaction()
        try await fixture.write(
            Self.namespace, [["q": ["_id": 2], "u": ["$inc": ["n": 1]]]], in: transaction)
        let outside = try fixture.begin(
            Self.namespace,
            [
                ["insert": ["_id": 10]], ["q": ["_id": 2], "u": ["$inc": ["n": 10]]],
                ["insert": ["_id": 11]],
            ])
        while fixture.engine.intents.waitingCount == 0 { await Task.yield() }
        #expect(try fixture.count(Self.namespace, ["_id": ["$gte": 10]]) == 1)
        #expect(await fixture.commit(transaction) == nil)
        #expect(await outside.value == nil)
        #expect(try fixture.count(Self.namespace, ["_id": ["$gte": 10]]) == 2)
        #expect(try fixture.count(Self.namespace, ["n": 11]) == 1)
    }

    @Test(arguments: [["_id": 1], ["n": 0]] as [Document])
    func waitsNoLongerThanItsTimeLimit(_ filter: Document) async throws {
        let fixture = try await Self.fixture()
        let transaction = try fixture.engine.beginTransaction()
        try await fixture.write(
            Self.namespace, [["q": ["_id": 1], "u": ["$inc": ["n": 1]]]], in: transaction)
        let code = try await fixture.write(
            Self.namespace, [["q": .document(filter), "u": ["$inc": ["n": 10]]]], seconds: 0.05)
        #expect(code == .maxTimeMSExpired)
        #expect(await fixture.commit(transaction) == nil)
        #expect(try fixture.count(Self.namespace, ["n": 1]) == 1)
    }

    private static func fixture() async throws -> ReadFixture {
        let fixture = try ReadFixture()
        try await fixture.create(namespace, [:])
        try await fixture.createIndex(
            namespace, ["key": ["u": 1], "name": "u", "unique": true, "sparse": true])
        #expect(try await fixture.insert(namespace, base) == base.count)
        return fixture
    }
}
