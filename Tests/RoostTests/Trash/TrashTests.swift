import BSON
import Query
import Storage
import Testing

@testable import Roost

/// Where deleted documents go, and what ends them.
@Suite struct TrashTests {
    private static let names = Namespace("test", "kept")
    private static let day: Int64 = 86_400_000

    private static func fixture(_ option: Document = [:]) async throws -> ReadFixture {
        let fixture = try ReadFixture { $0.tidiesUp = false }
        try await fixture.create(names, ["softDelete": .document(option)])
        return fixture
    }

    private static func totals(_ fixture: ReadFixture) throws -> TrashTotals {
        try fixture.engine.trashTotals(fixture.reader)
    }

    // MARK: The option

    @Test(arguments: [
        ("1s", 1), ("90s", 90), ("15m", 900), ("12h", 43_200), ("30d", 2_592_000),
        ("4w", 2_419_200),
    ])
    func durationsAreRead(_ text: String, _ seconds: Int64) throws {
        let options: Document = ["softDelete": ["retention": .string(text)]]
        #expect(try CollectionTraits(options).softDelete?.retentionSeconds == seconds)
    }

    @Test(arguments: ["", "30", "d", "0d", "-1d", "1.5h", "1 d", "30D", "99999999999w", "+5s"])
    func badDurationsAreRefused(_ text: String) throws {
        let options: Document = ["softDelete": ["retention": .string(text)]]
        #expect(throws: DBError.self) { try CollectionTraits(options) }
    }

    @Test(
        arguments: [
            (["capped": true, "size": 4_096], 72), (["timeseries": ["timeField": "t"]], 72),
            (["softDelete": ["keep": 1]], 40_415), (["softDelete": "30d"], 14),
            (["softDelete": ["retention": 30]], 14),
        ] as [(Document, Int32)])
    func optionsThatMakeNoSense(_ options: Document, _ code: Int32) throws {
        let all = Document { writer in
            writer.appendFields(of: options.view)
            if options["softDelete"] == nil { writer.append("softDelete", Document()) }
        }
        let error = #expect(throws: DBError.self) { try CollectionTraits(all) }
        #expect(error?.code.rawValue == code)
    }

    // MARK: One document

    @Test func theNewestDeletionReplacesTheOlder() async throws {
        let fixture = try await Self.fixture()
        for round in 1...3 {
            try await fixture.insert(Self.names, [["_id": 1, "round": .int32(Int32(round))]])
            try await fixture.delete(Self.names, ["_id": 1])
        }
        #expect(try fixture.find(.onlyDeleted, Self.names) == [["_id": 1, "round": 3]])
        #expect(try Self.totals(fixture).count == 1)
        #expect(try fixture.engine.verify().faults.isEmpty)
        #expect(try await fixture.trash(.restore, Self.names, ["_id": 1]).n == 1)
        #expect(try Self.totals(fixture) == TrashTotals())
        #expect(
            try fixture.changes(Self.names)
                == [
                    "insert 1", "delete 1 soft", "insert 1", "delete 1 soft", "insert 1",
                    "delete 1 soft", "insert 1 restored",
                ])
    }

    @Test func conflictsNameBothDocuments() async throws {
        let fixture = try await Self.fixture()
        try await fixture.createIndex(Self.names, ["key": ["e": 1], "name": "e", "unique": true])
        try await fixture.insert(Self.names, [["_id": 1, "e": "a"], ["_id": 2, "e": "b"]])
        try await fixture.delete(Self.names, [:])
        try await fixture.insert(Self.names, [["_id": 3, "e": "b"], ["_id": 4, "e": "x"]])
        let found = try await fixture.trash(.restore, Self.names, [:])
        #expect(found.n == 1)
        let details = try #require(found.error?.details)
        #expect(found.error?.code == .duplicateKey)
        #expect(details["keyPattern"] == ["e": 1] && details["keyValue"] == ["e": "b"])
        #expect(details["deletedId"] == 2 && details["liveId"] == 3)
        try await fixture.insert(Self.names, [["_id": 2, "e": "y"]])
        let same = try await fixture.trash(.restore, Self.names, ["_id": 2])
        #expect(same.error?.details["keyPattern"] == ["_id": 1])
        #expect(same.error?.details["deletedId"] == 2 && same.error?.details["liveId"] == 2)
        #expect(try fixture.engine.verify().faults.isEmpty)
    }

    @Test func validatorsAreAskedAsByInserts() async throws {
        let fixture = try await Self.fixture()
        try await fixture.insert(Self.names, [["_id": 1]])
        try await fixture.delete(Self.names, [:])
        var change = CollectionModification()
        change.validator = ["v": ["$exists": true]]
        try await fixture.modify(Self.names, change)
        let found = try await fixture.trash(.restore, Self.names, [:])
        #expect(found.n == 0 && found.error?.code == .documentValidationFailure)
        #expect(try fixture.count(.onlyDeleted, Self.names) == 1)
    }

    @Test func limitsTakeTheFirstOnes() async throws {
        let fixture = try await Self.fixture()
        try await fixture.insert(Self.names, (0..<10).map { ["_id": .int32($0)] })
        try await fixture.delete(Self.names, [:])
        #expect(try await fixture.trash(.restore, Self.names, [:], limit: 3).n == 3)
        #expect(try await fixture.trash(.purge, Self.names, [:], limit: 1).n == 1)
        let left = try fixture.find(.onlyDeleted, Self.names).compactMap { $0["_id"] }
        #expect(left == [4, 5, 6, 7, 8, 9])
    }

    @Test func chunksGoToTheEnd() async throws {
        let fixture = try await Self.fixture()
        try await fixture.insert(Self.names, (0..<2_500).map { ["_id": .int32($0), "v": 1] })
        try await fixture.delete(Self.names, ["v": 1])
        #expect(try await fixture.trash(.restore, Self.names, ["_id": ["$lt": 1_500]]).n == 1_500)
        #expect(try await fixture.trash(.purge, Self.names, [:]).n == 1_000)
        #expect(try fixture.count(.live, Self.names) == 1_500)
        #expect(try Self.totals(fixture) == TrashTotals())
    }

    // MARK: Time

    @Test func ageEndsThem() async throws {
        let fixture = try await Self.fixture(["retention": "30d"])
        try await fixture.insert(Self.names, (0..<2_100).map { ["_id": .int32($0)] })
        let before = LogicalClock.wallMillis
        try await fixture.delete(Self.names, [:])
        let after = LogicalClock.wallMillis
        #expect(fixture.engine.purgeTrash(at: before + 30 * Self.day - 1) == 0)
        #expect(fixture.engine.purgeTrash(at: after + 30 * Self.day) == 2_100)
        #expect(fixture.engine.expiry.purged == 2_100)
        #expect(try Self.totals(fixture) == TrashTotals())
        #expect(try fixture.engine.verify().faults.isEmpty)
    }

    @Test func withoutRetentionTheyStay() async throws {
        let fixture = try await Self.fixture()
        try await fixture.insert(Self.names, [["_id": 1]])
        try await fixture.delete(Self.names, [:])
        #expect(fixture.engine.purgeTrash(at: .max / 2) == 0)
        var change = CollectionModification()
        change.softDelete = .keep(["retention": "1s"])
        try await fixture.modify(Self.names, change)
        #expect(fixture.engine.purgeTrash(at: LogicalClock.wallMillis + 1_000) == 1)
    }

    @Test func expiredDocumentsGoToTheTrash() async throws {
        let fixture = try await Self.fixture()
        try await fixture.createIndex(
            Self.names, ["key": ["at": 1], "name": "at", "expireAfterSeconds": 10])
        try await fixture.insert(Self.names, [["_id": 1, "at": .date(0)], ["_id": 2]])
        #expect(fixture.engine.deleteExpired(at: 20_000) == 1)
        #expect(try fixture.find(.onlyDeleted, Self.names).compactMap { $0["_id"] } == [1])
    }

    // MARK: The collection

    @Test func whatIsTurnedOffKeepsWhatItHas() async throws {
        let fixture = try await Self.fixture(["retention": "1s"])
        try await fixture.insert(Self.names, [["_id": 1], ["_id": 2]])
        try await fixture.delete(Self.names, ["_id": 1])
        var change = CollectionModification()
        change.softDelete = .final
        let report = try await fixture.modify(Self.names, change)
        #expect(report["softDelete_old"] == ["retention": "1s"])
        #expect(report["softDelete_new"] == false)
        guard case .document(let trash)? = report["trash"] else { throw Missing() }
        #expect(trash["count"] == .int64(1) && trash["note"] != nil)
        try await fixture.delete(Self.names, ["_id": 2])
        #expect(fixture.engine.purgeTrash(at: .max / 2) == 0)
        #expect(try fixture.find(.onlyDeleted, Self.names).compactMap { $0["_id"] } == [1])
        #expect(try await fixture.trash(.restore, Self.names, [:]).n == 1)
        #expect(try fixture.changes(Self.names).suffix(2) == ["delete 2", "insert 1 restored"])
    }

    private struct Missing: Error {}

    @Test func aDropTakesItsTrashAlong() async throws {
        let fixture = try await Self.fixture()
        try await fixture.insert(Self.names, (0..<1_500).map { ["_id": .int32($0)] })
        try await fixture.delete(Self.names, [:])
        try await fixture.drop(Self.names)
        #expect(try Self.totals(fixture) == TrashTotals())
        #expect(try fixture.engine.verify().faults.isEmpty)
        try await fixture.create(Self.names, ["softDelete": [:]])
        #expect(try fixture.count(.onlyDeleted, Self.names) == 0)
        fixture.engine.purgeTrash(at: 0)
        let left = try fixture.reader.read { try $0.entryCount(.trash) }
        #expect(left == 0)
    }

    @Test func aNewNameKeepsIt() async throws {
        let fixture = try await Self.fixture()
        try await fixture.insert(Self.names, [["_id": 1]])
        try await fixture.delete(Self.names, [:])
        let other = Namespace("test", "renamed")
        try await withCheckedThrowingContinuation { continuation in
            fixture.engine.renameCollection(Self.names, to: other, RenameOptions()) {
                continuation.resume(with: $0)
            }
        }
        #expect(try fixture.count(.onlyDeleted, other) == 1)
        #expect(try await fixture.trash(.restore, other, [:]).n == 1)
        #expect(try fixture.engine.verify().faults.isEmpty)
    }

    @Test func outKeepsTheTrashAndRefusesToLoseDocuments() async throws {
        let fixture = try await Self.fixture()
        let source = Namespace("test", "source")
        try await fixture.insert(source, [["_id": 7]])
        try await fixture.insert(Self.names, [["_id": 1]])
        func out() async throws -> DBError.Code? {
            let stages = OwnedValue(.array([["$out": "kept"]]))
            let pipeline = try Pipeline.parse(
                DocumentView(stages.view.bytes), ExpressionScope(nowMillis: 0))
            let request = AggregateRequest(source, pipeline: pipeline)
            let destination = try #require(pipeline.destination)
            let result = await withCheckedContinuation { continuation in
                fixture.engine.write(resultsOf: request, to: destination) {
                    continuation.resume(returning: $0)
                }
            }
            if case .failure(let error) = result { return error.code }
            return nil
        }
        #expect(try await out() == .illegalOperation)
        try await fixture.delete(Self.names, [:])
        #expect(try await out() == nil)
        #expect(try fixture.find(.live, Self.names).compactMap { $0["_id"] } == [7])
        #expect(try fixture.find(.onlyDeleted, Self.names).compactMap { $0["_id"] } == [1])
        #expect(try await fixture.trash(.restore, Self.names, [:]).n == 1)
        #expect(try fixture.engine.verify().faults.isEmpty)
    }

    // MARK: Transactions

    @Test func transactionsDeleteRestoreAndPurge() async throws {
        let fixture = try await Self.fixture()
        try await fixture.insert(Self.names, (0..<6).map { ["_id": .int32($0)] })
        try await fixture.delete(Self.names, ["_id": ["$gte": 3]])
        let transaction = try fixture.engine.beginTransaction()
        #expect(
            try await fixture.write(Self.names, [["delete": ["_id": 0]]], in: transaction) == nil)
        #expect(try await fixture.trash(.restore, Self.names, ["_id": 3], in: transaction).n == 1)
        #expect(try await fixture.trash(.purge, Self.names, ["_id": 4], in: transaction).n == 1)
        func ids(_ scope: ReadScope, _ transaction: Transaction?) throws -> [Value] {
            try fixture.find(scope, Self.names, in: transaction).compactMap { $0["_id"] }
        }
        #expect(try ids(.live, transaction) == [1, 2, 3])
        #expect(try ids(.onlyDeleted, transaction) == [0, 5])
        #expect(try ids(.live, nil) == [0, 1, 2])
        #expect(try ids(.onlyDeleted, nil) == [3, 4, 5])
        #expect(await fixture.commit(transaction) == nil)
        #expect(try ids(.live, nil) == [1, 2, 3])
        #expect(try ids(.onlyDeleted, nil) == [0, 5])
        #expect(
            try fixture.changes(Self.names).suffix(2) == ["delete 0 soft", "insert 3 restored"])
        #expect(try fixture.engine.verify().faults.isEmpty)
    }

    @Test func aPurgeAloneCommits() async throws {
        let fixture = try await Self.fixture()
        try await fixture.insert(Self.names, [["_id": 1]])
        try await fixture.delete(Self.names, [:])
        let transaction = try fixture.engine.beginTransaction()
        #expect(try await fixture.trash(.purge, Self.names, [:], in: transaction).n == 1)
        #expect(await fixture.commit(transaction) == nil)
        #expect(try Self.totals(fixture) == TrashTotals())
    }

    @Test func restoringTwiceConflicts() async throws {
        let fixture = try await Self.fixture()
        try await fixture.insert(Self.names, [["_id": 1]])
        try await fixture.delete(Self.names, [:])
        let transaction = try fixture.engine.beginTransaction()
        #expect(try await fixture.trash(.restore, Self.names, ["_id": 1], in: transaction).n == 1)
        let other = try fixture.engine.beginTransaction()
        await #expect(throws: DBError.self) {
            try await fixture.trash(.purge, Self.names, ["_id": 1], in: other)
        }
        #expect(other.phase == .aborted)
        #expect(await fixture.commit(transaction) == nil)
        #expect(try fixture.count(.live, Self.names) == 1)
    }
}
