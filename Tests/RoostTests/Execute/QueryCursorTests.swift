import BSON
import Query
import Synchronization
import Testing

@testable import Roost

/// Batches, budgets, ends and deaths of cursors.
@Suite struct QueryCursorTests {
    private static let names = Namespace("test", "cursors")

    private func fixture(count: Int = 300) async throws -> ReadFixture {
        let fixture = try ReadFixture()
        try await fixture.insert(
            Self.names,
            (0..<count).map { ["_id": .int32(Int32($0)), "n": .int32(Int32($0 % 7))] })
        return fixture
    }

    @Test func batchesHoldWhatTheyMay() async throws {
        let fixture = try await fixture()
        let cursor = try fixture.engine.openCursor(fixture.request(Self.names))
        var sizes: [Int] = []
        while true {
            var sink = DocumentCollector()
            let status = try cursor.advance(
                fixture.reader, BatchLimits(documentsMax: 101), .slice, into: &sink)
            sizes.append(sink.documents.count)
            if status == .exhausted { break }
        }
        #expect(sizes == [101, 101, 98])
    }

    @Test func bytesBoundABatch() async throws {
        let fixture = try await fixture(count: 10)
        let size = try fixture.find(fixture.request(Self.names))[0].bytes.count
        let cursor = try fixture.engine.openCursor(fixture.request(Self.names))
        var sizes: [Int] = []
        while true {
            var sink = DocumentCollector()
            let status = try cursor.advance(
                fixture.reader, BatchLimits(bytesMax: 3 * size + 31), .slice, into: &sink)
            sizes.append(sink.documents.count)
            if status == .exhausted { break }
        }
        #expect(sizes == [3, 3, 3, 1])
        // A document larger than the bound comes alone.
        let small = try fixture.engine.openCursor(fixture.request(Self.names, limit: 2))
        var sink = DocumentCollector()
        let status = try small.advance(
            fixture.reader, BatchLimits(bytesMax: 1), .slice, into: &sink)
        #expect(status == .batchFull && sink.documents.count == 1)
    }

    @Test func anEmptyFirstBatchReadsNothing() async throws {
        let fixture = try await fixture(count: 5)
        let cursor = try fixture.engine.openCursor(fixture.request(Self.names))
        var sink = DocumentCollector()
        let status = try cursor.advance(
            fixture.reader, BatchLimits(documentsMax: 0), .slice, into: &sink)
        #expect(status == .batchFull && sink.documents.isEmpty)
        #expect(try fixture.run(cursor).count == 5)
    }

    @Test func aSpentBudgetContinuesTheBatch() async throws {
        let fixture = try await fixture()
        let cursor = try fixture.engine.openCursor(
            fixture.request(Self.names, ["n": 3], sort: ["n": 1, "_id": -1]))
        var sink = DocumentCollector()
        var slices = 0
        let budget = ReadBudget(examinedMax: 50, nanosecondsMax: 1_000_000_000)
        while try cursor.advance(fixture.reader, BatchLimits(), budget, into: &sink)
            == .budgetSpent
        { slices += 1 }
        #expect(slices >= 5)
        #expect(sink.documents.count == 43)
        #expect(sink.documents.first?["_id"] == .int32(297))
    }

    /// The condition that an empty $elemMatch leaves is not lost on the way to the scan.
    @Test func anEmptyElementMatchWantsAnObject() async throws {
        let fixture = try ReadFixture()
        let documents: [Document] = [
            ["_id": 1, "a": [1, 2]], ["_id": 2, "a": []], ["_id": 3, "a": [["x": 1]]], ["_id": 4],
        ]
        try await fixture.insert(Self.names, documents)
        let empty = Value.document(Document())
        for _ in 0..<2 {
            let request = try fixture.request(Self.names, ["a": ["$elemMatch": empty]])
            #expect(try fixture.find(request) == [documents[2]])
            try await fixture.createIndex(Self.names, ["key": ["a": 1], "name": "a_1"])
        }
    }

    @Test func skipAndLimit() async throws {
        let fixture = try await fixture()
        for sort: Document? in [nil, ["_id": -1], ["n": 1]] {
            let all = try fixture.find(fixture.request(Self.names, sort: sort))
            let some = try fixture.find(
                fixture.request(Self.names, sort: sort, skip: 40, limit: 25), batch: 10, slice: 7)
            #expect(some == Array(all[40..<65]))
        }
        #expect(try fixture.find(fixture.request(Self.names, skip: 500)).isEmpty)
        // A limit that ends with the batch ends the cursor.
        let cursor = try fixture.engine.openCursor(fixture.request(Self.names, limit: 5))
        var sink = DocumentCollector()
        let status = try cursor.advance(
            fixture.reader, BatchLimits(documentsMax: 5), .slice, into: &sink)
        #expect(status == .exhausted && sink.documents.count == 5)
    }

    @Test func keysAndRecordIDsAreShown() async throws {
        let fixture = try await fixture(count: 10)
        try await fixture.createIndex(Self.names, ["key": ["n": 1, "x.y": 1], "name": "nx"])
        var request = try fixture.request(Self.names, ["n": 3], hint: "nx")
        request.returnsKey = true
        #expect(try fixture.find(request) == [["n": 3, "x.y": .null]])
        var scan = try fixture.request(Self.names, ["n": 3], hint: ["$natural": 1])
        scan.returnsKey = true
        #expect(try fixture.find(scan) == [[:]])
        var shown = try fixture.request(Self.names)
        shown.showsRecordID = true
        let numbers = try fixture.find(shown).compactMap { $0["$recordId"] }
        #expect(Set(numbers).count == 10)
    }

    @Test func killedAndLateCursorsSayWhy() async throws {
        let fixture = try await fixture()
        let cursor = try fixture.engine.openCursor(fixture.request(Self.names))
        var sink = DocumentCollector()
        _ = try cursor.advance(
            fixture.reader, BatchLimits(documentsMax: 1), .slice, into: &sink)
        cursor.kill()
        let killed = #expect(throws: DBError.self) { try fixture.run(cursor) }
        #expect(killed?.code == .cursorKilled)
        var late = try fixture.request(Self.names)
        late.deadline = .now - .seconds(1)
        let expired = #expect(throws: DBError.self) { try fixture.find(late) }
        #expect(expired?.code == .maxTimeMSExpired)
    }

    @Test func aDroppedCollectionEndsItsCursors() async throws {
        let fixture = try await fixture()
        let cursor = try fixture.engine.openCursor(fixture.request(Self.names))
        var sink = DocumentCollector()
        _ = try cursor.advance(
            fixture.reader, BatchLimits(documentsMax: 1), .slice, into: &sink)
        try await fixture.drop(Self.names)
        let gone = #expect(throws: DBError.self) { try fixture.run(cursor) }
        #expect(gone?.code == .queryPlanKilled)
        #expect(try fixture.find(fixture.request(Self.names)).isEmpty)
    }

    @Test func writesBetweenSlicesAreSeenOrNot() async throws {
        let fixture = try await fixture(count: 20)
        let cursor = try fixture.engine.openCursor(fixture.request(Self.names))
        var sink = DocumentCollector()
        _ = try cursor.advance(
            fixture.reader, BatchLimits(documentsMax: 5), .slice, into: &sink)
        try await fixture.insert(Self.names, [["_id": -1], ["_id": 100]])
        let rest = try fixture.run(cursor)
        #expect(rest.count == 16)
        #expect(rest.last?["_id"] == .int32(100))
    }

    @Test func pointReads() async throws {
        let fixture = try await fixture()
        let long = String(repeating: "k", count: 300)
        try await fixture.insert(Self.names, [["_id": .string(long)], ["_id": ["a": 1]]])
        let entry = try #require(fixture.engine.collection(Self.names))
        var point = PointRead()
        for (id, isThere): (Value, Bool) in [
            (5, true), (5.0, true), (1_000, false), (.string(long), true),
            (.string(long + "x"), false), (["a": 1], true), (["a": 2], false),
        ] {
            let filter: Document = ["_id": id]
            var sink = DocumentCollector()
            guard let value = PointRead.id(in: filter.view) else {
                Issue.record("\(filter.keys) is a point read")
                continue
            }
            let outcome = try point.read(value, of: entry, fixture.reader, into: &sink)
            #expect(outcome == (isThere ? .found : .absent))
            #expect(sink.documents.count == (isThere ? 1 : 0))
        }
        let others: [Document] = [
            [:], ["a": 1], ["_id": 1, "a": 1], ["_id": ["$gt": 1]], ["_id": .null],
            ["_id": .regex(pattern: "a", options: "")], ["_id": [1]],
        ]
        for filter in others {
            if PointRead.id(in: filter.view) != nil { Issue.record("\(filter.keys) needs a plan") }
        }
    }

    @Test func longIdsKeepTheirAnswers() async throws {
        let fixture = try ReadFixture()
        let stem = String(repeating: "k", count: 150)
        let ids = (0..<40).map { "\(stem)\($0)" }
        try await fixture.insert(Self.names, ids.map { ["_id": .string($0)] })
        for id in ids {
            #expect(try fixture.find(fixture.request(Self.names, ["_id": .string(id)])).count == 1)
        }
        let above = try fixture.find(
            fixture.request(Self.names, ["_id": ["$gte": .string(ids[3])]], sort: ["_id": -1]))
        let expected = ids.filter { $0 >= ids[3] }.sorted(by: >)
        #expect(above.map { $0["_id"] } == expected.map { .string($0) })
    }

    @Test func distinctValues() async throws {
        let fixture = try await fixture(count: 30)
        try await fixture.insert(Self.names, [["_id": 1_000, "n": [6, 6.0, "x", .null]]])
        let read = fixture.engine.distinct(
            DistinctRequest(Self.names, path: FieldPath("n"), filter: .everything))
        let budget = ReadBudget(examinedMax: 4, nanosecondsMax: 1_000_000_000)
        while try !read.advance(fixture.reader, budget) {}
        let result = Document { writer in
            let list = writer.openArray("values")
            read.write(into: &writer)
            writer.close(list)
        }
        #expect(result["values"] == [.null, 0, 1, 2, 3, 4, 5, 6, "x"])
    }

    @Test func poolJobsTakeTurns() async throws {
        let fixture = try ReadFixture()
        let turns = Turns(jobs: 4, each: 5)
        await withCheckedContinuation { continuation in
            for job in 0..<4 {
                do throws(DBError) {
                    try fixture.engine.readerPool.submitSlices { _ in
                        let (isLast, isEnd) = turns.take(job)
                        if isEnd { continuation.resume() }
                        return isLast ? .done : .again
                    }
                } catch {
                    Issue.record(error)
                }
            }
        }
        #expect(turns.counts == [5, 5, 5, 5])
    }
}

/// Counts the slices that jobs got.
private final class Turns: Sendable {
    private let left: Mutex<[Int]>
    private let each: Int

    init(jobs: Int, each: Int) {
        left = Mutex([Int](repeating: each, count: jobs))
        self.each = each
    }

    /// Whether this was the job's last slice, and the last of all.
    func take(_ job: Int) -> (isLast: Bool, isEnd: Bool) {
        left.withLock { left in
            left[job] -= 1
            return (left[job] == 0, left.allSatisfy { $0 == 0 })
        }
    }

    var counts: [Int] { left.withLock { left in left.map { each - $0 } } }
}
