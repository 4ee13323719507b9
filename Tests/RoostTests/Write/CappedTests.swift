import BSON
import Query
import Storage
import Synchronization
import Testing
import TestSupport

@testable import Roost

/// Capped collections against a model: a list whose oldest elements go.
@Suite struct CappedTests {
    private static let names = Namespace("test", "capped")

    private static func ids(_ documents: [Document]) -> [Value] {
        documents.compactMap { $0["_id"] }
    }

    private static func fixture(_ options: Document) async throws -> ReadFixture {
        let fixture = try ReadFixture()
        try await fixture.create(names, options)
        return fixture
    }

    @Test func naturalOrderIsThatOfInsertion() async throws {
        let fixture = try await Self.fixture(["capped": true, "size": 4_096])
        let order: [Value] = [5, "a", 3, .null, -1, 2.5]
        try await fixture.insert(Self.names, order.map { ["_id": $0, "x": 1] })
        #expect(Self.ids(try fixture.find(fixture.request(Self.names))) == order)
        let backward = try fixture.find(
            fixture.request(Self.names, sort: ["$natural": -1]), slice: 1)
        #expect(Self.ids(backward) == order.reversed())
        let sorted = try fixture.find(
            fixture.request(Self.names, ["_id": ["$type": "number"]], sort: ["_id": 1]))
        #expect(Self.ids(sorted) == [-1, 2.5, 3, 5])
    }

    @Test func idsAreUniqueAndFound() async throws {
        let fixture = try await Self.fixture(["capped": true, "size": 4_096])
        let long = Value.string(String(repeating: "x", count: 300))
        try await fixture.insert(Self.names, [["_id": 2], ["_id": 1], ["_id": long]])
        #expect(try await fixture.insert(Self.names, [["_id": 1], ["_id": 3], ["_id": long]]) == 1)
        let entry = try #require(fixture.engine.collection(Self.names))
        var point = PointRead()
        for (id, isThere) in [(Value.int32(1), true), (long, true), (.int32(9), false)] {
            var sink = DocumentCollector()
            let owned = Document { $0.append("_id", id) }
            guard let value = owned.view.value("_id") else { continue }
            let outcome = try point.read(value, of: entry, fixture.reader, into: &sink)
            #expect(outcome == (isThere ? .found : .absent))
            #expect(sink.documents.count == (isThere ? 1 : 0))
        }
        #expect(try fixture.find(fixture.request(Self.names, ["_id": 1])).count == 1)
        #expect(try fixture.find(fixture.request(Self.names, ["_id": ["$gte": 2]])).count == 2)
        #expect(try fixture.find(fixture.request(Self.names, hint: "_id_")).count == 4)
    }

    @Test(arguments: [
        ["capped": true, "size": 1_048_576, "max": 7] as Document,
        ["capped": true, "size": 512],
        ["capped": true, "size": 1_024, "max": 20],
    ])
    func oldestGiveWay(options: Document) async throws {
        let fixture = try await Self.fixture(options)
        try await fixture.createIndex(Self.names, ["key": ["x": 1], "name": "x"])
        let limits = try #require(try CollectionTraits(options).capped)
        var random = RandomSource(seed: 11)
        var model: [Document] = []
        for round in 0..<60 {
            var batch: [Document] = []
            for item in 0..<random.below(4) {
                let text = String(repeating: "y", count: random.below(60))
                batch.append([
                    "_id": .int32(Int32(round * 10 + item)),
                    "x": .int32(Int32(random.below(5))), "t": .string(text),
                ])
            }
            if !batch.isEmpty { try await fixture.insert(Self.names, batch) }
            for document in batch {
                model.append(document)
                while Self.isOverfull(model, limits) { model.removeFirst() }
            }
            if round % 7 == 3, let victim = model.randomElement(using: &random) {
                try await fixture.delete(Self.names, ["_id": victim["_id"] ?? .null])
                model.removeAll { $0 == victim }
            }
            if round % 5 == 2, let old = model.last, let id = old["_id"] {
                try await fixture.update(
                    Self.names, ["_id": id], ["$set": ["t": "changed", "x": 4]])
                model[model.count - 1] = ["_id": id, "x": 4, "t": "changed"]
            }
            #expect(try fixture.find(fixture.request(Self.names)) == model)
        }
        #expect(try fixture.engine.verify(Self.names).faults.isEmpty)
        for x in 0..<5 {
            let value = Value.int32(Int32(x))
            #expect(
                try fixture.count(Self.names, ["x": value], hint: "x")
                    == model.count { $0["x"] == value })
        }
    }

    private static func isOverfull(_ model: [Document], _ limits: CappedLimits) -> Bool {
        if model.count <= 1 { return false }
        if let most = limits.documentsMax, model.count > Int(most) { return true }
        return model.reduce(0) { $0 + $1.bytes.count } > Int(limits.bytesMax)
    }

    @Test func documentLargerThanTheCollectionIsRefused() async throws {
        let fixture = try await Self.fixture(["capped": true, "size": 256])
        let large = Value.string(String(repeating: "z", count: 300))
        #expect(try await fixture.insert(Self.names, [["_id": 1], ["_id": 2, "t": large]]) == 1)
    }

    // MARK: Tailable

    @Test func tailableReadGoesOnWhereItWas() async throws {
        let fixture = try await Self.fixture(["capped": true, "size": 4_096])
        try await fixture.insert(Self.names, [["_id": 3], ["_id": 1]])
        var request = try fixture.request(Self.names)
        request.isTailable = true
        let cursor = try fixture.engine.openCursor(request)
        func next(_ most: Int = .max) throws -> [Value] {
            var sink = DocumentCollector()
            let status = try cursor.advance(
                fixture.reader, BatchLimits(documentsMax: most), .slice, into: &sink)
            #expect(status == .batchFull)
            return Self.ids(sink.documents)
        }
        #expect(try next(0) == [])
        #expect(try next(1) == [3])
        #expect(try next() == [1])
        #expect(try next() == [])
        try await fixture.insert(Self.names, [["_id": 2], ["_id": 0]])
        #expect(try next() == [2, 0])
        #expect(try next() == [])
    }

    @Test func tailableReadStaysBehindItsLimit() async throws {
        let fixture = try await Self.fixture(["capped": true, "size": 4_096])
        try await fixture.insert(Self.names, [["_id": 0]])
        var request = try fixture.request(Self.names, limit: 2)
        request.isTailable = true
        let cursor = try fixture.engine.openCursor(request)
        var sink = DocumentCollector()
        for id in 1..<4 {
            let status = try cursor.advance(fixture.reader, BatchLimits(), .slice, into: &sink)
            #expect(status == .batchFull)
            try await fixture.insert(Self.names, [["_id": .int32(Int32(id))]])
        }
        #expect(Self.ids(sink.documents) == [0, 1])
    }

    @Test func tailableReadOfNothingEnds() async throws {
        let fixture = try await Self.fixture(["capped": true, "size": 4_096])
        var request = try fixture.request(Self.names)
        request.isTailable = true
        #expect(try fixture.find(request).isEmpty)
    }

    @Test func tailableReadThatWasOvertakenFails() async throws {
        let fixture = try await Self.fixture(["capped": true, "size": 4_096, "max": 2])
        try await fixture.insert(Self.names, [["_id": 0]])
        var request = try fixture.request(Self.names)
        request.isTailable = true
        let cursor = try fixture.engine.openCursor(request)
        var sink = DocumentCollector()
        _ = try cursor.advance(fixture.reader, BatchLimits(), .slice, into: &sink)
        try await fixture.insert(Self.names, [["_id": 1], ["_id": 2]])
        #expect {
            _ = try cursor.advance(fixture.reader, BatchLimits(), .slice, into: &sink)
        } throws: { ($0 as? DBError)?.code.rawValue == 136 }
    }

    @Test func watchersAreWokenByGrowth() async throws {
        let fixture = try await Self.fixture(["capped": true, "size": 4_096])
        let table = try #require(fixture.engine.collection(Self.names)).table
        let tail = TailWatch.Key.table(table)
        let tails = fixture.engine.tails
        let before = tails.generation(tail)
        let wakes = Mutex(0)
        let waiting = tails.wait(tail, since: before) { wakes.withLock { $0 += 1 } }
        #expect(waiting != nil)
        try await fixture.insert(Self.names, [["_id": 1]])
        // The watchers of a commit are called before its writers are answered.
        let count = wakes.withLock { $0 }
        #expect(count == 1)
        #expect(tails.wait(tail, since: before) {} == nil)
        let number = try #require(tails.wait(tail, since: tails.generation(tail)) {})
        #expect(tails.cancel(tail, number))
        #expect(!tails.cancel(tail, number))
    }
}
