import BSON
import Query
import Storage
import TestSupport
import Testing

@testable import Roost

/// The log against what was written: every change once, in order, with both images; and streams
/// over it that resume, wait and lose their history when they should.
@Suite struct ChangeLogTests {
    private static let names = Namespace("test", "changes")
    private static let others = Namespace("test", "others")

    /// A record as the log has it.
    private struct Record: Equatable {
        let kind: ChangeKind
        let namespace: Namespace
        var before: Document?
        var after: Document?
    }

    private static func records(_ fixture: ReadFixture) throws -> [Record] {
        try fixture.reader.read { transaction in
            var records: [Record] = []
            var chain: UInt32?
            var offset: UInt64?
            var places: [LogPosition] = []
            var log = transaction.cursor(.changeLog)
            while try log.next() {
                guard let place = LogPosition(key: log.key) else { continue }
                records.append(try Self.record(place, try log.value(), &chain, &offset))
                places.append(place)
            }
            #expect(places == places.sorted())
            return records
        }
    }

    /// Reads one record and checks that it goes on where the last one ended.
    private static func record(
        _ place: LogPosition, _ bytes: RawSpan, _ chain: inout UInt32?, _ offset: inout UInt64?
    ) throws -> Record {
        let view = try ChangeRecordView(place, bytes)
        if let chain { #expect(view.chain == view.expectedChain(after: chain)) }
        if let offset { #expect(view.offset == offset) }
        chain = view.chain
        offset = view.offset + UInt64(bytes.byteCount)
        var record = Record(kind: view.kind, namespace: view.namespace)
        switch view.kind {
        case .insert: record.after = Document(copying: view.document)
        case .delete: record.before = Document(copying: view.document)
        case .update, .replace:
            let delta = try view.delta()
            guard let lent = view.before(delta) else { return record }
            let before = [UInt8](copying: lent)
            var after: [UInt8] = []
            try view.apply(delta, to: before.span.bytes, into: &after)
            record.before = Document(unchecked: before)
            record.after = Document(unchecked: after)
        default: break
        }
        return record
    }

    @Test func everyChangeIsThereWithWhatItKeeps() async throws {
        let fixture = try ReadFixture()
        var random = RandomSource(seed: 7)
        func value() -> Value {
            random.oneIn(3)
                ? .int32(Int32(random.below(3)))
                : .string(String(repeating: "xy", count: random.below(40)))
        }
        var wanted = [Record(kind: .create, namespace: Self.names)]
        for number in Int32(0)..<100 {
            let first: Document = ["_id": .int32(number), "v": value()]
            try await fixture.insert(Self.names, [first])
            wanted.append(Record(kind: .insert, namespace: Self.names, after: first))
            let second: Document = [
                "_id": .int32(number), "v": value(), "w": 1,
            ]
            try await fixture.update(Self.names, ["_id": .int32(number)], second)
            wanted.append(
                Record(kind: .replace, namespace: Self.names, before: first, after: second))
            if number.isMultiple(of: 3) {
                try await fixture.delete(Self.names, ["_id": .int32(number)])
                // The collection shows no images, so the key is all that is kept.
                wanted.append(
                    Record(
                        kind: .delete, namespace: Self.names,
                        before: ["_id": .int32(number)]))
            }
        }
        let found = try Self.records(fixture)
        #expect(found == wanted)
        let report = try fixture.engine.verify()
        #expect(report.faults.isEmpty && report.changes == wanted.count)
    }

    @Test func refusedWritesLeaveNothing() async throws {
        let fixture = try ReadFixture()
        try await fixture.insert(Self.names, [["_id": 1]])
        try await fixture.insert(Self.names, [["_id": 1], ["_id": 2], ["_id": 1]])
        #expect(try Self.records(fixture).map(\.kind) == [.create, .insert, .insert])
    }

    @Test func aCommandHasOneTimestamp() async throws {
        let fixture = try ReadFixture()
        let stream = try Self.stream(fixture)
        try await fixture.insert(Self.names, (0..<10).map { ["_id": .int32($0)] })
        try await fixture.insert(Self.names, [["_id": 10]])
        let events = try Self.read(stream, fixture)
        #expect(events.count == 11)
        #expect(Set(events.prefix(10).compactMap { $0["clusterTime"] }).count == 1)
        #expect(Set(events.compactMap { $0["clusterTime"] }).count == 2)
    }

    // MARK: Streams

    private static func stream(
        _ fixture: ReadFixture, _ argument: Document = Document(),
        _ scope: ChangeScope = .collection(names)
    ) throws -> QueryCursor {
        let pipeline = try Pipeline.parse(
            Document().view,
            ExpressionScope(nowMillis: 0))
        return fixture.engine.openCursor(
            try ChangeStreamRequest(
                argument.view, names, scope, pipeline: pipeline, splitsLargeEvents: false))
    }

    private static func read(_ stream: QueryCursor, _ fixture: ReadFixture, most: Int = .max)
        throws -> [Document]
    {
        var sink = DocumentCollector()
        _ = try stream.advanceFully(fixture.reader, documentsMax: most, into: &sink)
        return sink.documents
    }

    private static func ids(_ events: [Document]) -> [Value?] {
        events.map { event in
            guard case .document(let key)? = event["documentKey"] else { return nil }
            return key["_id"]
        }
    }

    @Test(arguments: [1, 3, 100]) func resumesBehindEveryEvent(_ most: Int) async throws {
        let fixture = try ReadFixture()
        var stream = try Self.stream(fixture)
        var seen: [Value?] = []
        for round in 0..<10 {
            let first = Int32(round * 5)
            try await fixture.insert(Self.names, (0..<5).map { ["_id": .int32(first + $0)] })
            try await fixture.insert(Self.others, [["_id": .int32(first)]])
            while true {
                let events = try Self.read(stream, fixture, most: most)
                seen += Self.ids(events)
                let token = try #require(stream.postBatchResumeToken)
                stream = try Self.stream(fixture, ["resumeAfter": .document(token)])
                if events.isEmpty { break }
            }
        }
        #expect(seen == (0..<50).map { .int32($0) })
    }

    @Test func idleStreamsTokensAdvance() async throws {
        let fixture = try ReadFixture()
        let stream = try Self.stream(fixture)
        _ = try Self.read(stream, fixture)
        let first = try #require(stream.postBatchResumeToken)
        try await fixture.insert(Self.others, [["_id": 1]])
        #expect(try Self.read(stream, fixture).isEmpty)
        #expect(try #require(stream.postBatchResumeToken) != first)
    }

    @Test func dropsEndACollectionsStream() async throws {
        let fixture = try ReadFixture()
        try await fixture.insert(Self.names, [["_id": 1]])
        let stream = try Self.stream(fixture)
        _ = try await withCheckedThrowingContinuation { continuation in
            fixture.engine.dropCollection(Self.names) { continuation.resume(with: $0) }
        }
        let events = try Self.read(stream, fixture)
        #expect(events.map { $0["operationType"] } == ["drop", "invalidate"])
        let token = try #require(events.last?["_id"])
        #expect(throws: DBError.self) { try Self.stream(fixture, ["resumeAfter": token]) }
        try await fixture.insert(Self.names, [["_id": 2]])
        let next = try Self.stream(fixture, ["startAfter": token])
        #expect(Self.ids(try Self.read(next, fixture)) == [2])
    }

    @Test func historyIsLostOnlyWhereItIsMissed() async throws {
        let fixture = try ReadFixture()
        try await fixture.insert(Self.others, [["_id": 1]])
        let quiet = try Self.stream(fixture, Document(), .collection(Self.others))
        let busy = try Self.stream(fixture)
        for number in Int32(0)..<20 {
            try await fixture.insert(Self.names, [["_id": .int32(number)]])
        }
        let tomorrow = LogicalClock.wallMillis + 48 * 3_600_000
        #expect(fixture.engine.trimLog(at: tomorrow) > 0)
        // All but the newest command is gone; nothing of it was the quiet collection's.
        #expect(try Self.records(fixture).count == 1)
        #expect(try Self.read(quiet, fixture).isEmpty)
        let error = try #require(throws: DBError.self) { try Self.read(busy, fixture) }
        #expect(error.code == .changeStreamHistoryLost)
        #expect(error.details["errorLabels"] == ["NonResumableChangeStreamError"])
    }

    @Test func sizeTrimsOnlyWhatIsOldEnough() async throws {
        let fixture = try ReadFixture()
        var limits = LogLimits()
        limits.bytesMax = 3_000
        fixture.engine.retention.current = limits
        for number in Int32(0)..<50 {
            try await fixture.insert(Self.names, [["_id": .int32(number)]])
        }
        let now = LogicalClock.wallMillis
        #expect(fixture.engine.trimLog(at: now) == 0)
        #expect(fixture.engine.trimLog(at: now + 301_000) > 0)
        let left = try Self.records(fixture).count
        #expect(left > 1 && left < 50)
        // At most twice the size is kept, whatever the age (and whoever trimmed it: a pass begins
        // when the log has grown).
        for number in Int32(50)..<400 {
            try await fixture.insert(Self.names, [["_id": .int32(number)]])
        }
        fixture.engine.trimLog(at: now)
        #expect(try Self.records(fixture).count < 100)
    }
}
