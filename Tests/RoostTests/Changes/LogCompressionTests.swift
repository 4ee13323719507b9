import BSON
import Query
import Storage
import TestSupport
import Testing

@testable import Roost

/// Compressed parts of the log read as the records that went in.
@Suite struct LogCompressionTests {
    private static let names = ["a", "b"].map { Namespace("test", $0) }

    /// The places and bytes of all records.
    private static func records(_ fixture: ReadFixture) throws -> [LogPosition: [UInt8]] {
        try fixture.reader.read { transaction in
            var records: [LogPosition: [UInt8]] = [:]
            var last = LogPosition.start
            var log = LogCursor(transaction)
            while try log.next() {
                #expect(last < log.place)
                last = log.place
                records[last] = [UInt8](copying: try log.value())
            }
            return records
        }
    }

    private static func entryCount(_ fixture: ReadFixture) throws -> UInt64 {
        try fixture.reader.read { transaction in try transaction.entryCount(.changeLog) }
    }

    private static func fill(_ fixture: ReadFixture, _ random: inout RandomSource) async throws {
        for _ in 0..<60 {
            let namespace = names[random.below(2)]
            let id = Int32(random.below(40))
            let filler = String(repeating: "text ", count: random.below(300))
            try await fixture.update(
                namespace, ["_id": .int32(id)], ["$set": ["filler": .string(filler)]],
                isUpsert: true)
            if random.oneIn(5) { try await fixture.delete(namespace, ["_id": .int32(id)]) }
        }
    }

    private static var later: Int64 { LogicalClock.wallMillis + RoostEngine.plainMillis + 2_000 }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func nothingIsLost(seed: UInt64) async throws {
        var random = RandomSource(seed: seed)
        let fixture = try ReadFixture()
        var places: [LogPosition] = []
        for round in 1...3 {
            try await Self.fill(fixture, &random)
            let before = try Self.records(fixture)
            let entries = try Self.entryCount(fixture)
            #expect(fixture.engine.compressLog(at: Self.later, bytesMin: 1_000) == 1)
            #expect(try Self.records(fixture) == before, "seed \(seed), round \(round)")
            #expect(try Self.entryCount(fixture) + 50 < entries)
            places = before.keys.sorted()
        }
        #expect(try fixture.engine.verify().faults.isEmpty)
        // From every place on, whether it is in a segment or behind.
        try fixture.reader.read { transaction in
            var log = LogCursor(transaction)
            for (index, place) in places.enumerated() {
                let isFound = try log.seek(behind: place)
                #expect(isFound == (index + 1 < places.count))
                if isFound { #expect(log.place == places[index + 1]) }
                #expect(try log.seek(behind: place.with(part: 1)))
                #expect(log.place == place)
            }
        }
    }

    @Test func whatIsRecentStays() async throws {
        let fixture = try ReadFixture()
        var random = RandomSource(seed: 9)
        // All tests run at once: filling may take longer than what is recent.
        let start = LogicalClock.wallMillis
        try await Self.fill(fixture, &random)
        #expect(fixture.engine.compressLog(at: start, bytesMin: 1) == 0)
        let transaction = try fixture.engine.beginTransaction()
        try await Self.fill(fixture, &random)
        #expect(fixture.engine.compressLog(at: Self.later, bytesMin: 1) == 1)
        // What came since the transaction began is plain, whatever its age.
        #expect(fixture.engine.compressLog(at: Self.later, bytesMin: 1) == 0)
        transaction.abort()
        #expect(fixture.engine.compressLog(at: Self.later, bytesMin: 1) == 1)
    }

    /// Segments are trimmed whole; what they held of each collection is known.
    @Test func segmentsAreTrimmed() async throws {
        let fixture = try ReadFixture()
        var random = RandomSource(seed: 4)
        try await Self.fill(fixture, &random)
        #expect(fixture.engine.compressLog(at: Self.later, bytesMin: 1) == 1)
        let compressed = try Self.records(fixture)
        try await Self.fill(fixture, &random)
        fixture.engine.retention.current.ageSecondsMax = 0
        fixture.engine.retention.current.bytesMax = .max
        fixture.engine.trimLog(at: Self.later)
        // The newest command stays.
        let left = try Self.records(fixture)
        #expect(Set(left.keys.map(\.sequence)).count == 1)
        #expect(Set(left.keys).isDisjoint(with: compressed.keys.sorted().dropLast(1)))
        for namespace in Self.names {
            let trimmed = try fixture.reader.read { transaction in
                try TrimmedNames.last(in: .collection(namespace), transaction)
            }
            #expect(trimmed > .start)
        }
        #expect(try fixture.engine.verify().faults.isEmpty)
    }

    @Test func damageIsToldAndNotFollowed() throws {
        for length in [0, 5, 21, 22, 40] {
            let bytes = [UInt8](repeating: 0xFF, count: length)
            #expect(throws: DBError.self) {
                _ = try LogSegmentView(bytes.span.bytes).inflate()
            }
        }
        var bytes = [UInt8](repeating: 0, count: 60)
        bytes[16] = 9
        #expect(throws: DBError.self) { _ = try LogSegmentView(bytes.span.bytes).inflate() }
        bytes[20] = 200
        #expect(throws: DBError.self) { _ = try LogSegmentView(bytes.span.bytes).names() }
    }
}
