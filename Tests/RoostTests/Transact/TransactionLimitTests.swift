import BSON
import Query
import Storage
import Testing

@testable import Roost

/// What ends transactions, or keeps them from beginning, and what clients are told.
@Suite struct TransactionLimitTests {
    private static let namespace = Namespace("test", "limits")

    @Test func noMoreThanSoManyAreOpen() async throws {
        let fixture = try ReadFixture { $0.transactions.countMax = 2 }
        let first = try fixture.engine.beginTransaction()
        let second = try fixture.engine.beginTransaction()
        let error = #expect(throws: DBError.self) { try fixture.engine.beginTransaction() }
        #expect(error?.code == .temporarilyUnavailable)
        #expect(error?.message.contains("2 transactions are open") == true)
        // Reads go on.
        #expect(try fixture.count(Self.namespace) == 0)
        first.abort()
        let third = try fixture.engine.beginTransaction()
        #expect(await fixture.commit(second) == nil)
        _ = try fixture.engine.beginTransaction()
        third.abort()
        #expect(fixture.engine.transactions.count == 1)
    }

    @Test func endsAfterItsTime() async throws {
        let fixture = try ReadFixture { $0.transactions.secondsMax = 0 }
        try await fixture.insert(Self.namespace, [["_id": 1]])
        let transaction = try fixture.engine.beginTransaction()
        fixture.engine.endExpiredTransactions()
        #expect(transaction.phase == .aborted)
        #expect(transaction.end?.code == .snapshotUnavailable)
        #expect(await fixture.commit(transaction) == .snapshotUnavailable)
        #expect(
            try await fixture.write(Self.namespace, [["insert": ["_id": 2]]], in: transaction)
                == .snapshotUnavailable)
        #expect(fixture.engine.transactions.count == 0)
    }

    /// The oldest snapshot ends when too many pages are kept for it, and no other.
    @Test func endsWhenItsSnapshotCostsTooMuch() async throws {
        let most: UInt64 = 1 << 20
        let fixture = try ReadFixture { $0.transactions.keptBytesMax = most }
        let filler = Value.string(String(repeating: "x", count: 4_000))
        try await fixture.insert(
            Self.namespace, (0..<100).map { ["_id": .int32($0), "filler": filler] })
        let oldest = try fixture.engine.beginTransaction()
        let kept = try fixture.engine.snapshot(at: nil)
        for round in 0..<10 {
            try await fixture.write(
                Self.namespace,
                (0..<100).map { id in
                    ["q": ["_id": .int32(id)], "u": ["$set": ["n": .int32(Int32(round))]]]
                })
        }
        let newest = try fixture.engine.beginTransaction()
        #expect(try fixture.reader.keptBytes(since: newest.view.snapshotID, atMost: .max) == 0)
        fixture.engine.endCostlySnapshots(fixture.reader)
        #expect(oldest.phase == .aborted)
        #expect(oldest.end?.code == .snapshotUnavailable)
        #expect(oldest.end?.message.contains("\(most) bytes") == true)
        #expect(fixture.engine.snapshots.isEmpty)
        #expect(throws: DBError.self) { try kept.use { _, _ in } }
        #expect(newest.phase == .open)
        newest.abort()
    }

    /// A tenth of the quota, at least 1 GiB, but never more than half of the quota: what is kept
    /// must leave room for what is written.
    @Test(
        arguments: [
            (nil, 1 << 30), (64 << 30, (64 << 30) / 10), (10 << 30, 1 << 30), (4 << 30, 1 << 30),
            (2 << 30, 1 << 30), (1 << 30, 1 << 29), (100 << 20, 50 << 20),
        ] as [(UInt64?, UInt64)])
    func keepsNoMoreThanHalfOfTheQuota(quota: UInt64?, most: UInt64) {
        let transactions = OpenTransactions(TransactionLimits(), quotaBytes: quota)
        #expect(transactions.keptBytesMax == most)
    }

    @Test func namesTheSizeThatAWriteSetMayHave() async throws {
        let fixture = try ReadFixture { $0.transactions.bytesMax = 10_000 }
        try await fixture.create(Self.namespace, [:])
        let transaction = try fixture.engine.beginTransaction()
        var request = WriteRequest(Self.namespace, time: fixture.engine.writeTime)
        request.transaction = transaction
        for id in 0..<10 {
            let filler = String(repeating: "x", count: 2_000)
            try request.insert(
                (["_id": .int32(Int32(id)), "filler": .string(filler)] as Document).view)
        }
        let result = await withCheckedContinuation { continuation in
            fixture.engine.write(request) { continuation.resume(returning: $0) }
        }
        guard case .failure(let error) = result else {
            Issue.record("10,000 bytes hold no 20,000")
            return
        }
        #expect(error.code == .transactionTooLarge)
        #expect(error.message.contains("at most 10000 bytes"))
        #expect(transaction.phase == .aborted)
    }

    private static func logEntries(_ fixture: ReadFixture) throws -> UInt64 {
        try fixture.reader.read { transaction in try transaction.entryCount(.changeLog) }
    }

    /// The log keeps what open transactions may have to look at.
    @Test func theLogIsNotTrimmedUnderThem() async throws {
        let fixture = try ReadFixture()
        fixture.engine.retention.current.ageSecondsMax = 0
        try await fixture.insert(Self.namespace, [["_id": 1]])
        try await fixture.insert(Self.namespace, [["_id": 2]])
        let later = LogicalClock.wallMillis + 3_600_000
        fixture.engine.trimLog(at: later)
        let before = try Self.logEntries(fixture)
        let transaction = try fixture.engine.beginTransaction()
        for id in 3..<6 as Range<Int32> {
            try await fixture.insert(Self.namespace, [["_id": .int32(id)]])
        }
        fixture.engine.trimLog(at: later)
        #expect(try Self.logEntries(fixture) == before + 3)
        transaction.abort()
        fixture.engine.trimLog(at: later)
        #expect(try Self.logEntries(fixture) == before)
    }
}
