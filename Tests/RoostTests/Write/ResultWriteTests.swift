import BSON
import Query
import Synchronization
import Testing

@testable import Roost

/// $out and $merge at work.
@Suite(.serialized) struct ResultWriteTests {
    private static let source = Namespace("test", "source")
    private static let target = Namespace("test", "target")

    /// Runs a pipeline that writes; nil where it succeeded.
    private func write(
        _ fixture: ReadFixture, _ stages: Value
    ) async throws -> DBError? {
        let list = OwnedValue(stages)
        let pipeline = try Pipeline.parse(DocumentView(list.view.bytes), ExpressionScope())
        let request = AggregateRequest(Self.source, pipeline: pipeline)
        let destination = try #require(pipeline.destination)
        return await withCheckedContinuation { continuation in
            fixture.engine.write(resultsOf: request, to: destination, Interrupt()) { outcome in
                switch outcome {
                case .success: continuation.resume(returning: nil)
                case .failure(let error): continuation.resume(returning: error)
                }
            }
        }
    }

    struct Row: Sendable {
        let stages: Value
        var index: Document?
        let result: [Document]
        var code: Int32?
    }

    /// The source holds `{_id: 1, k: 1, v: 1}`, `{_id: 2, k: 2, v: 2}` and `{_id: 3, k: 3, v: 3}`,
    /// the target `{_id: 2, k: 2, old: 1}` and `{_id: 9, k: 9}`.
    static let rows: [Row] = [
        Row(
            stages: [["$match": ["v": ["$lte": 2]]], ["$out": "target"]],
            result: [["_id": 1, "k": 1, "v": 1], ["_id": 2, "k": 2, "v": 2]]),
        Row(stages: [["$match": ["v": 77]], ["$out": "target"]], result: []),
        Row(
            stages: [["$set": ["k": 7]], ["$out": "target"]],
            index: ["key": ["k": 1], "unique": true],
            result: [["_id": 2, "k": 2, "old": 1], ["_id": 9, "k": 9]], code: 11000),
        Row(
            stages: [["$match": ["v": 2]], ["$merge": "target"]],
            result: [["_id": 2, "k": 2, "old": 1, "v": 2], ["_id": 9, "k": 9]]),
        Row(
            stages: [
                ["$match": ["v": ["$gte": 2]]],
                ["$merge": ["into": "target", "whenMatched": "replace"]],
            ],
            result: [
                ["_id": 2, "k": 2, "v": 2], ["_id": 3, "k": 3, "v": 3], ["_id": 9, "k": 9],
            ]),
        Row(
            stages: [
                [
                    "$merge": [
                        "into": "target", "whenMatched": "replace", "whenNotMatched": "discard",
                    ]
                ]
            ],
            result: [["_id": 2, "k": 2, "v": 2], ["_id": 9, "k": 9]]),
        Row(
            stages: [
                ["$match": ["v": 3]], ["$merge": ["into": "target", "whenNotMatched": "fail"]],
            ],
            result: [["_id": 2, "k": 2, "old": 1], ["_id": 9, "k": 9]], code: 13113),
        // The rest of the results is merged all the same.
        Row(
            stages: [["$merge": ["into": "target", "whenMatched": "fail"]]],
            result: [
                ["_id": 1, "k": 1, "v": 1], ["_id": 2, "k": 2, "old": 1],
                ["_id": 3, "k": 3, "v": 3], ["_id": 9, "k": 9],
            ], code: 11000),
        Row(
            stages: [
                ["$match": ["v": ["$ne": 1]]],
                [
                    "$merge": [
                        "into": "target",
                        "whenMatched": [["$set": ["sum": ["$add": ["$old", "$$new.v"]]]]],
                    ]
                ],
            ],
            result: [
                ["_id": 2, "k": 2, "old": 1, "sum": 3], ["_id": 3, "k": 3, "v": 3],
                ["_id": 9, "k": 9],
            ]),
        Row(
            stages: [
                ["$match": ["v": 2]], ["$unset": "_id"],
                ["$merge": ["into": "target", "on": "k"]],
            ], index: ["key": ["k": 1], "unique": true],
            result: [["_id": 2, "k": 2, "old": 1, "v": 2], ["_id": 9, "k": 9]]),
        Row(
            stages: [
                ["$match": ["v": 2]], ["$set": ["_id": 5]],
                ["$merge": ["into": "target", "on": "k", "whenMatched": "replace"]],
            ], index: ["key": ["k": 1], "unique": true],
            result: [["_id": 2, "k": 2, "old": 1], ["_id": 9, "k": 9]], code: 66),
        Row(
            stages: [["$merge": ["into": "target", "on": "k"]]], index: ["key": ["k": 1]],
            result: [["_id": 2, "k": 2, "old": 1], ["_id": 9, "k": 9]], code: 51183),
        Row(
            stages: [["$merge": ["into": "target", "on": "k"]]],
            index: [
                "key": ["k": 1], "unique": true, "partialFilterExpression": ["k": ["$gt": 0]],
            ],
            result: [["_id": 2, "k": 2, "old": 1], ["_id": 9, "k": 9]], code: 51183),
        Row(
            stages: [["$out": "system.x"]],
            result: [["_id": 2, "k": 2, "old": 1], ["_id": 9, "k": 9]], code: 17385),
        Row(
            stages: [["$merge": ["into": ["db": "admin", "coll": "x"]]]],
            result: [["_id": 2, "k": 2, "old": 1], ["_id": 9, "k": 9]], code: 31320),
    ]

    @Test(arguments: rows.indices)
    func row(_ position: Int) async throws {
        let row = Self.rows[position]
        let fixture = try ReadFixture()
        try await fixture.insert(
            Self.source, (1...3).map { ["_id": .int32($0), "k": .int32($0), "v": .int32($0)] })
        try await fixture.insert(
            Self.target, [["_id": 2, "k": 2, "old": 1], ["_id": 9, "k": 9]])
        if let index = row.index {
            let named = Document { writer in
                writer.appendFields(of: index.view)
                writer.append("name", "i")
            }
            try await fixture.createIndex(Self.target, named)
        }
        let error = try await write(fixture, row.stages)
        #expect(error?.code.rawValue == row.code, "\(error as Any)")
        if error?.code == .duplicateKey { #expect(error?.details["keyPattern"] != nil) }
        let request = try fixture.request(Self.target, sort: ["_id": 1])
        #expect(try fixture.find(request) == row.result)
        // Indexes survive, and nothing temporary stays.
        let entry = try #require(fixture.engine.collection(Self.target))
        #expect(entry.indexes.map(\.name) == (row.index == nil ? [] : ["i"]))
        #expect(fixture.engine.catalog.collections.count == 2)
        #expect(try fixture.engine.verify(Self.target).faults.isEmpty)
    }

    @Test func manyResults() async throws {
        let fixture = try ReadFixture()
        try await fixture.insert(Self.source, (0..<2_500).map { ["_id": .int32($0), "v": 1] })
        #expect(try await write(fixture, [["$out": "target"]]) == nil)
        #expect(try fixture.count(Self.target) == 2_500)
        #expect(try await write(fixture, [["$set": ["v": 2]], ["$merge": "target"]]) == nil)
        #expect(try fixture.count(Self.target, ["v": 2]) == 2_500)
    }

    @Test func namesAreBytes() async throws {
        let fixture = try ReadFixture()
        let names = ["\u{E9}", "e\u{301}"].map { Namespace("test", $0) }
        for (position, name) in names.enumerated() {
            try await fixture.insert(name, [["_id": .int32(Int32(position))]])
        }
        for (position, name) in names.enumerated() {
            let found = try fixture.find(fixture.request(name))
            #expect(found == [["_id": .int32(Int32(position))]])
        }
        #expect(fixture.engine.catalog.collections(of: "test").count == 2)
    }

    private final class Progress: Sendable {
        let isDone = Atomic<Bool>(false)
        let reads = Atomic<Int>(0)
    }

    /// Whoever reads while $out replaces the collection sees the old documents or the new ones.
    @Test func readersBesideReplacement() async throws {
        let fixture = try ReadFixture()
        try await fixture.insert(Self.source, (0..<100).map { ["_id": .int32($0)] })
        #expect(try await write(fixture, [["$out": "target"]]) == nil)
        let (engine, progress) = (fixture.engine, Progress())
        // A thread of its own: tasks that never wait would keep the tests' few threads.
        let threads = BackgroundThreads()
        threads.start {
            do {
                let reader = try engine.makeReader()
                var point = PointRead()
                let id = OwnedValue(.int32(7))
                while !progress.isDone.load(ordering: .relaxed) {
                    let request = CountRequest(Self.target, filter: .everything)
                    #expect(try engine.count(request, reader) == 100)
                    let entry = try #require(engine.collection(Self.target))
                    var sink = DocumentCollector()
                    let outcome = try point.read(id.view, of: entry, reader, into: &sink)
                    #expect(outcome != .absent)
                    progress.reads.wrappingAdd(1, ordering: .relaxed)
                }
            } catch {
                Issue.record(error)
            }
        }
        defer {
            progress.isDone.store(true, ordering: .relaxed)
            threads.join()
        }
        for _ in 0..<150 {
            #expect(try await write(fixture, [["$out": "target"]]) == nil)
        }
        #expect(progress.reads.load(ordering: .relaxed) > 0)
    }
}
