import BSON
import Query
import Storage
import Testing

@testable import Roost

/// What the log says of changes that are made in more than one step.
@Suite struct ChangeKindTests {
    private static let namespace = Namespace("test", "kinds")

    private static func kinds(_ fixture: ReadFixture) throws -> [ChangeKind] {
        try fixture.reader.read { transaction in
            var kinds: [ChangeKind] = []
            var log = transaction.cursor(.changeLog)
            while try log.next() {
                guard let place = LogPosition(key: log.key) else { continue }
                kinds.append(try ChangeRecordView(place, try log.value()).kind)
            }
            return kinds
        }
    }

    @Test func aReplacementInATransactionIsOne() async throws {
        let fixture = try ReadFixture()
        try await fixture.insert(Self.namespace, [["_id": 1, "a": 1], ["_id": 2, "a": 1]])
        let transaction = try fixture.engine.beginTransaction()
        try await fixture.write(
            Self.namespace,
            [
                ["q": ["_id": 1], "u": ["a": 2]], ["q": ["a": 1], "u": ["$set": ["a": 3]]],
                ["q": ["_id": 1], "u": ["$set": ["a": 2]]], ["q": ["a": 3], "u": ["b": 3]],
            ], in: transaction)
        #expect(await fixture.commit(transaction) == nil)
        // The third changes nothing.
        #expect(
            try Self.kinds(fixture) == [.create, .insert, .insert, .replace, .update, .replace])
    }

    @Test func indexesAreSaidWhenTheyAreBuilt() async throws {
        let fixture = try ReadFixture()
        try await fixture.insert(Self.namespace, [["_id": 1, "a": 1], ["_id": 2, "a": 1]])
        await #expect(throws: DBError.self) {
            try await fixture.createIndex(
                Self.namespace, ["key": ["a": 1], "name": "unique", "unique": true])
        }
        #expect(try Self.kinds(fixture) == [.create, .insert, .insert])
        try await fixture.createIndex(Self.namespace, ["key": ["a": 1], "name": "a"])
        #expect(try Self.kinds(fixture) == [.create, .insert, .insert, .createIndexes])
    }

    @Test func whatOutFillsIsHidden() throws {
        for scope in [ChangeScope.server, .database("test")] {
            let isShown = scope.contains(
                database: RawSpan("test"), collection: RawSpan("tmp.agg_out.1"))
            #expect(!isShown)
            let isOtherShown = scope.contains(
                database: RawSpan("test"), collection: RawSpan("tmp"))
            #expect(isOtherShown)
        }
    }

    /// A new history begins where the machine has started anew while commits could be lost.
    @Test func theEpochChangesAfterALoss() throws {
        let path = "/tmp/roost-loss-\(UInt64.random(in: 0 ... .max))"
        let store = try Store.open(path: path, options: Store.Options())
        defer { store.close() }
        func open(mayLose: Bool, _ start: [UInt8]) throws -> UInt64 {
            try RoostEngine.openLog(store, mayLose: mayLose, machineStart: start).header.epoch
        }
        let first = try open(mayLose: false, [1])
        #expect(try open(mayLose: false, [2]) == first)
        #expect(try open(mayLose: true, [2]) == first)
        // The process was killed, the machine went on.
        #expect(try open(mayLose: true, [2]) == first)
        let second = try open(mayLose: true, [3])
        #expect(second != first)
        let third = try open(mayLose: false, [4])
        #expect(third != second)
        #expect(try open(mayLose: false, [5]) == third)
    }
}
