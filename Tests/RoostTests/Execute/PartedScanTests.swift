import BSON
import Glibc
import Query
import Synchronization
import TestSupport
import Testing

@testable import Roost

/// Scans that several threads work on give what one thread gives.
@Suite struct PartedScanTests {
    private static let names = Namespace("test", "parts")

    /// Three threads, and parts of a page.
    private static func fixture(scanThreads: Int = 3) throws -> ReadFixture {
        try ReadFixture { options in
            options.readerThreads = 3
            options.scanThreads = scanThreads
            options.scanPartBytes = 4_096
        }
    }

    /// The kinds of `_id` that a collection has.
    enum Identifiers: CaseIterable, Sendable {
        case integers, strings, objectIDs, documents, mixed

        func value(_ number: Int, _ random: inout RandomSource) -> Value {
            switch self {
            case .integers: .int32(Int32(number))
            case .strings: .string("\(random.next() % 1_000)-\(number)")
            case .objectIDs: .objectID(ObjectID(head: random.next(), tail: UInt32(number)))
            case .documents:
                .document(["k": .int32(Int32(number % 7)), "n": .int64(Int64(number))])
            case .mixed:
                [Identifiers.integers, .strings, .objectIDs, .documents][number % 4]
                    .value(number, &random)
            }
        }
    }

    /// A value to group by or to add up: few and many different, of types that compare equal.
    private static func value(_ random: inout RandomSource) -> Value {
        switch random.below(12) {
        case 0: .null
        case 1: .int32(Int32(random.below(5)))
        case 2: .double(Double(random.below(5)))
        case 3: .int64(Int64(random.below(5)))
        case 4: .double(Double(random.below(2_000_000) - 1_000_000) / 10)
        case 5: .double(Double(random.below(2_000) - 1_000) * 1e12)
        case 6: .double(-0.0)
        case 7: .string("s\(random.below(30))")
        case 8: .array([.int32(Int32(random.below(3))), .string("x")])
        case 9: .document(["a": .int32(Int32(random.below(3)))])
        case 10: decimal(random.below(1_000))
        default: .int64(Int64.max - Int64(random.below(3)))
        }
    }

    private static func decimal(_ cents: Int) -> Value {
        let decimal = Decimal128(Int32(cents)).divide(Decimal128(Int32(100)))
        return .decimal128(low: decimal.low, high: decimal.high)
    }

    private static func document(_ id: Value, _ random: inout RandomSource) -> Document {
        let k = value(&random)
        let n = value(&random)
        let amount: Value? =
            random.oneIn(2) ? .double(Double(random.below(1_000_000)) * 0.1) : nil
        let object: Value? =
            random.oneIn(3) ? .document(["p": value(&random), "q": .int32(1)]) : nil
        let list: Value? =
            random.oneIn(4) ? .array((0..<random.below(4)).map { .int32(Int32($0)) }) : nil
        let padding = String(repeating: "x", count: random.below(300))
        return Document { writer in
            writer.append("_id", id)
            writer.append("k", k)
            writer.append("n", n)
            if let amount { writer.append("d", amount) }
            if let object { writer.append("o", object) }
            if let list { writer.append("a", list) }
            writer.append("pad", padding)
        }
    }

    private static let pipelines: [[Document]] = [
        [
            [
                "$group": [
                    "_id": "$k", "n": ["$sum": "$n"], "a": ["$avg": "$d"], "c": ["$count": [:]],
                ]
            ]
        ],
        [["$group": ["_id": "$k", "l": ["$min": "$n"], "h": ["$max": "$n"], "s": ["$sum": 1]]]],
        [["$group": ["_id": "$n", "f": ["$first": "$_id"], "l": ["$last": "$k"]]]],
        [["$group": ["_id": .null, "p": ["$push": "$n"], "s": ["$addToSet": "$k"]]]],
        [["$group": ["_id": .null, "n": ["$sum": 1]]]],
        [["$group": ["_id": ["k": "$k", "o": "$o.p"], "d": ["$sum": "$d"]]]],
        [["$group": ["_id": "$o.q", "m": ["$mergeObjects": "$o"]]]],
        [
            [
                "$group": [
                    "_id": "$o.q", "f": ["$firstN": ["n": 3, "input": "$n"]],
                    "l": ["$lastN": ["n": 3, "input": "$n"]],
                    "i": ["$minN": ["n": 2, "input": "$d"]],
                    "t": ["$top": ["sortBy": ["n": -1], "output": "$_id"]],
                    "b": ["$bottomN": ["n": 2, "sortBy": ["k": 1], "output": "$_id"]],
                    "m": ["$median": ["input": "$d", "method": "approximate"]],
                ]
            ]
        ],
        [["$group": ["_id": "$k", "v": ["$stdDevPop": "$d"]]]],
        [["$match": ["d": ["$gt": 20_000]]], ["$group": ["_id": "$k", "d": ["$sum": "$d"]]]],
        [["$match": ["d": ["$exists": true]]], ["$count": "n"]],
        [
            ["$unwind": "$a"],
            ["$group": ["_id": "$a", "s": ["$sum": "$d"], "i": ["$first": "$_id"]]],
        ],
        [
            ["$addFields": ["e": ["$add": ["$d", 1]]]],
            ["$group": ["_id": ["$type": "$n"], "e": ["$max": "$e"]]],
            ["$sort": ["e": -1, "_id": 1]],
            ["$limit": 3],
        ],
        [
            ["$group": ["_id": "$_id", "c": ["$sum": "$d"]]], ["$sort": ["c": 1, "_id": 1]],
            ["$limit": 5],
        ],
        [["$match": ["k": ["$exists": false]]], ["$group": ["_id": "$k", "n": ["$sum": 1]]]],
        [
            lookup, ["$unwind": "$j"],
            ["$group": ["_id": "$k", "t": ["$push": "$j.t"], "n": ["$sum": "$j._id"]]],
        ],
        [lookup, ["$group": ["_id": ["$size": "$j"], "f": ["$last": "$j"], "n": ["$sum": "$d"]]]],
        [lookup, ["$match": ["j.t": "t1"]], ["$unwind": "$a"], ["$count": "n"]],
        [lookup, ["$group": ["_id": "$j.0", "n": ["$addToSet": "$o.p"]]]],
    ]

    /// Each document with those of another collection that have its `n`.
    private static let lookup: Document = [
        "$lookup": ["from": "others", "localField": "n", "foreignField": "v", "as": "j"]
    ]
    private static let others = Namespace("test", "others")

    private static func pipeline(
        _ stages: [Document], _ fixture: ReadFixture
    ) throws -> Pipeline {
        let list = OwnedValue(.array(stages.map { .document($0) }))
        var scope = ExpressionScope()
        scope.collections = EngineCollections(fixture.engine, database: names.database)
        return try Pipeline.parse(DocumentView(list.view.bytes), scope)
    }

    private static func cursor(
        _ fixture: ReadFixture, _ stages: [Document], inParts: Bool
    ) throws -> QueryCursor {
        let request = AggregateRequest(names, pipeline: try pipeline(stages, fixture))
        let cursor = try fixture.engine.openCursor(request)
        cursor.mayPart = inParts
        return cursor
    }

    @Test(arguments: Identifiers.allCases, [1, 2] as [UInt64])
    func partsGiveWhatTheWholeGives(_ identifiers: Identifiers, _ seed: UInt64) async throws {
        var random = RandomSource(seed: seed)
        let fixture = try Self.fixture()
        let count = 400 + random.below(600)
        var documents: [Document] = []
        for number in 0..<count {
            documents.append(Self.document(identifiers.value(number, &random), &random))
        }
        try await fixture.insert(Self.names, documents)
        try await fixture.insert(
            Self.others,
            (0..<40).map { number in
                ["_id": .int32(number), "v": Self.value(&random), "t": .string("t\(number % 3)")]
            })
        try await fixture.createIndex(Self.others, ["key": ["v": 1], "name": "v_1"])
        // Holes, also such that leave pages nearly empty.
        try await fixture.delete(Self.names, ["k": ["$in": [.null, 1]]])
        if identifiers == .integers {
            try await fixture.delete(Self.names, ["_id": ["$gt": 100, "$lt": 250]])
        }
        var parted = 0
        for stages in Self.pipelines {
            for slice in [Int.max, 7] {
                let alone = try Self.cursor(fixture, stages, inParts: false)
                let expected = try fixture.run(alone)
                let cursor = try Self.cursor(fixture, stages, inParts: true)
                let found = try fixture.run(cursor, slice: slice)
                #expect(found == expected, "seed \(seed), slices of \(slice), \(stages)")
                #expect(cursor.counters.documentsExamined == alone.counters.documentsExamined)
                #expect(cursor.counters.matched == alone.counters.matched)
                if cursor.counters.parts > 1 { parted += 1 }
            }
        }
        #expect(parted >= Self.pipelines.count)
        for filter in [["n": ["$gte": 0]], ["d": ["$lt": 5_000]], ["_id": ["$gt": 50]]]
            as [Document]
        {
            let request = CountRequest(Self.names, filter: try ReadFixture.filter(filter))
            let alone = fixture.engine.count(request)
            alone.cursor.mayPart = false
            while try !alone.advance(fixture.reader, .slice) {}
            let read = fixture.engine.count(request)
            // As commands begin: on an event loop.
            var isDone = try read.advance(fixture.reader, .inPlace)
            while !isDone {
                isDone = try read.advance(
                    fixture.reader, ReadBudget(examinedMax: 50, nanosecondsMax: 10_000_000))
            }
            #expect(read.count == alone.count)
            #expect(
                read.cursor.counters.documentsExamined == alone.cursor.counters.documentsExamined)
            #expect(read.cursor.counters.parts > 1 || filter["_id"] != nil)
        }
    }

    @Test func smallCollectionsAndOneThreadStaySerial() async throws {
        let group: [Document] = [["$group": ["_id": "$k", "n": ["$sum": 1]]]]
        let documents: [Document] = (0..<500).map {
            [
                "_id": .int32($0), "k": .int32($0 % 5),
                "pad": .string(String(repeating: "x", count: 90)),
            ]
        }
        let few = try Self.fixture()
        try await few.insert(Self.names, Array(documents.prefix(20)))
        let small = try Self.cursor(few, group, inParts: true)
        #expect(try few.run(small).count == 5 && small.counters.parts == 0)

        let alone = try Self.fixture(scanThreads: 1)
        try await alone.insert(Self.names, documents)
        let single = try Self.cursor(alone, group, inParts: true)
        #expect(try alone.run(single).count == 5 && single.counters.parts == 0)

        let usual = try ReadFixture { $0.scanThreads = 3 }
        try await usual.insert(Self.names, documents)
        let unparted = try Self.cursor(usual, group, inParts: true)
        #expect(try usual.run(unparted).count == 5 && unparted.counters.parts == 0)
    }

    private static func largeFixture() async throws -> ReadFixture {
        let fixture = try fixture()
        try await fixture.insert(
            names,
            (0..<2_000).map { ["_id": .int32($0), "k": .int32($0 % 5), "s": .string("v\($0)")] })
        return fixture
    }

    @Test func explainTellsParts() async throws {
        let fixture = try await Self.largeFixture()
        let filter: Document = ["k": 3]
        let request = CountRequest(Self.names, filter: try ReadFixture.filter(filter))
        let read = fixture.engine.explain(request, filter: filter, .executionStats)
        while try !read.advance(fixture.reader, .slice) {}
        let answer = Document { read.write(into: &$0) }
        guard case .document(let stats)? = answer["executionStats"],
            case .document(let count)? = stats["executionStages"],
            case .document(let scan)? = count["inputStage"], case .int32(let parts)? = scan["parts"]
        else {
            Issue.record("\(answer)")
            return
        }
        #expect(parts > 1)
        #expect(scan["docsExamined"] == .int32(2_000) && count["nCounted"] == .int32(400))
    }

    /// A failure in a later part is the one that a scan in order meets first.
    @Test func failuresAreThoseOfTheWhole() async throws {
        let fixture = try await Self.largeFixture()
        try await fixture.update(Self.names, ["_id": 900], ["$set": ["s": 1]])
        try await fixture.update(Self.names, ["_id": 1_500], ["$set": ["s": 2.5]])
        let stages: [Document] = [["$group": ["_id": ["$strLenBytes": "$s"]]]]
        let alone = #expect(throws: DBError.self) {
            try fixture.run(try Self.cursor(fixture, stages, inParts: false))
        }
        let parted = #expect(throws: DBError.self) {
            try fixture.run(try Self.cursor(fixture, stages, inParts: true))
        }
        #expect(alone?.code == parted?.code && alone?.message == parted?.message)
    }

    @Test func interruptsReachEveryPart() async throws {
        let fixture = try await Self.largeFixture()
        let stages: [Document] = [["$group": ["_id": "$s", "n": ["$sum": 1]]]]
        let budget = ReadBudget(examinedMax: 10, nanosecondsMax: 10_000_000)
        let cursor = try Self.cursor(fixture, stages, inParts: true)
        var sink = DocumentCollector()
        _ = try cursor.advance(fixture.reader, BatchLimits(), budget, into: &sink)
        #expect(cursor.parts != nil)
        cursor.interrupt.kill(.interrupted)
        let killed = #expect(throws: DBError.self) {
            try cursor.advance(fixture.reader, BatchLimits(), budget, into: &sink)
        }
        #expect(killed?.code == .interrupted && cursor.parts == nil)

        var request = AggregateRequest(Self.names, pipeline: try Self.pipeline(stages, fixture))
        request.deadline = .now - .seconds(1)
        let late = try fixture.engine.openCursor(request)
        let expired = #expect(throws: DBError.self) { try fixture.run(late) }
        #expect(expired?.code == .maxTimeMSExpired)
    }

    /// What holds more than parts may is done in one piece, to the same end.
    @Test func manyGroupsAreDoneInOnePiece() async throws {
        let fixture = try await Self.largeFixture()
        let text = String(repeating: "y", count: 20_000)
        let stages: [Document] = [
            ["$group": ["_id": "$_id", "t": ["$first": ["$concat": ["$s", .string(text)]]]]],
            ["$project": ["n": ["$strLenBytes": "$t"]]],
        ]
        let cursor = try Self.cursor(fixture, stages, inParts: true)
        let found = try fixture.run(cursor)
        #expect(found.count == 2_000 && cursor.counters.parts == 0)
        #expect(found == (try fixture.run(try Self.cursor(fixture, stages, inParts: false))))
    }

    /// Sums whose order shows, whatever is done to hide it.
    @Test(arguments: ["1E308", "1234567890123456789012345678901234"])
    func sumsThatDependOnOrderAreDoneInOnePiece(_ text: String) async throws {
        let fixture = try Self.fixture()
        let large: Value
        let small: Value
        if let double = Double(text), double > 1e300 {
            (large, small) = (.double(double), .double(-double))
        } else {
            let decimal = try #require(Decimal128(text))
            large = .decimal128(low: decimal.low, high: decimal.high)
            let tenth = Decimal128(Int32(1)).divide(Decimal128(Int32(10)))
            small = .decimal128(low: tenth.low, high: tenth.high)
        }
        let padding = Value.string(String(repeating: "x", count: 100))
        try await fixture.insert(
            Self.names,
            (0..<600).map {
                ["_id": .int32($0), "v": $0 / 100 % 2 == 0 ? large : small, "p": padding]
            })
        let stages: [Document] = [["$group": ["_id": .null, "v": ["$sum": "$v"]]]]
        let cursor = try Self.cursor(fixture, stages, inParts: true)
        let found = try fixture.run(cursor)
        #expect(found == (try fixture.run(try Self.cursor(fixture, stages, inParts: false))))
        #expect(cursor.counters.parts == 0)
    }

    private final class End: Sendable {
        let isReached = Atomic<Bool>(false)
    }

    /// While documents are written, each slice still counts every document that doesn't change.
    @Test func writesBesideTheScanLoseNothing() async throws {
        let fixture = try await Self.largeFixture()
        let engine = fixture.engine
        let end = End()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                var number: Int32 = 10_000
                while !end.isReached.load(ordering: .relaxed) {
                    var request = WriteRequest(Self.names, time: engine.writeTime)
                    try request.insert((["_id": .int32(number), "k": 9] as Document).view)
                    _ = try await withCheckedThrowingContinuation { continuation in
                        engine.write(request) { continuation.resume(with: $0) }
                    }
                    number += 1
                }
            }
            for _ in 0..<30 {
                let request = CountRequest(
                    Self.names, filter: try ReadFixture.filter(["k": ["$lt": 9]]))
                let read = fixture.engine.count(request)
                while try !read.advance(
                    fixture.reader, ReadBudget(examinedMax: 200, nanosecondsMax: 10_000_000))
                {}
                #expect(read.count == 2_000)
            }
            end.isReached.store(true, ordering: .relaxed)
            try await group.waitForAll()
        }
    }

    /// A read of a held snapshot is done in one piece, in that snapshot.
    @Test func heldSnapshotsStayRight() async throws {
        let fixture = try await Self.largeFixture()
        let view = try fixture.engine.snapshot(at: nil)
        try await fixture.delete(Self.names, ["k": 1])
        var request = AggregateRequest(
            Self.names,
            pipeline: try Self.pipeline(
                [["$group": ["_id": .null, "n": ["$sum": 1]]]], fixture))
        request.view = view
        let cursor = try fixture.engine.openCursor(request)
        #expect(try fixture.run(cursor) == [["_id": .null, "n": 2_000]])
        #expect(cursor.counters.parts == 0)
    }
}
