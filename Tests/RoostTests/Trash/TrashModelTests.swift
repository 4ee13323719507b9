import BSON
import Query
import TestSupport
import Testing

@testable import Roost

/// Random deletes, restores and purges against two dictionaries, through every way of reading.
@Suite struct TrashModelTests {
    private static let names = Namespace("test", "kept")

    /// What a collection that keeps deleted documents should hold.
    private struct Model {
        var live: [Int32: Document] = [:]
        var deleted: [Int32: Document] = [:]

        func isTaken(_ document: Document) -> Bool {
            live.values.contains { $0["u"] == document["u"] }
        }

        mutating func delete(_ ids: [Int32]) {
            for id in ids {
                if let document = live.removeValue(forKey: id) { deleted[id] = document }
            }
        }

        /// Restores in the order of `_id` up to the first conflict; how many, and that document.
        mutating func restore(_ ids: [Int32]) -> (n: Int, conflict: Int32?) {
            var count = 0
            for id in ids.sorted() {
                guard let document = deleted[id] else { continue }
                if live[id] != nil || isTaken(document) { return (count, id) }
                live[id] = document
                deleted[id] = nil
                count += 1
            }
            return (count, nil)
        }

        mutating func purge(_ ids: [Int32]) -> Int {
            ids.count { deleted.removeValue(forKey: $0) != nil }
        }
    }

    @Test(arguments: 0..<6)
    func agreesWithTwoDictionaries(_ seed: UInt64) async throws {
        var random = RandomSource(seed: seed)
        let fixture = try ReadFixture { $0.tidiesUp = false }
        try await fixture.create(Self.names, ["softDelete": [:]])
        try await fixture.createIndex(Self.names, ["key": ["u": 1], "name": "u", "unique": true])
        try await fixture.createIndex(Self.names, ["key": ["v": 1], "name": "v"])
        var model = Model()
        for step in 0..<160 {
            let id = Int32(random.below(24))
            let v = Int32(random.below(4))
            let byValue = random.oneIn(3)
            let filter: Document = byValue ? ["v": .int32(v)] : ["_id": .int32(id)]
            func among(_ documents: [Int32: Document]) -> [Int32] {
                byValue ? documents.filter { $0.value["v"] == .int32(v) }.map(\.key) : [id]
            }
            switch random.below(10) {
            case 0...3:
                let document: Document = [
                    "_id": .int32(id), "v": .int32(v), "u": .int32(Int32(random.below(30))),
                    "n": .int32(Int32(step)),
                ]
                let isFree = model.live[id] == nil && !model.isTaken(document)
                let count = try await fixture.insert(Self.names, [document])
                #expect(count == (isFree ? 1 : 0), "seed \(seed), step \(step)")
                if isFree { model.live[id] = document }
            case 4...6:
                #expect(try await fixture.delete(Self.names, filter) == nil)
                model.delete(among(model.live))
            case 7, 8:
                let found = try await fixture.trash(.restore, Self.names, filter)
                let wanted = model.restore(among(model.deleted))
                #expect(found.n == wanted.n, "seed \(seed), step \(step)")
                #expect(
                    found.error?.details["deletedId"] == wanted.conflict.map { .int32($0) },
                    "seed \(seed), step \(step)")
            default:
                let found = try await fixture.trash(.purge, Self.names, filter)
                #expect(found.error == nil && found.n == model.purge(among(model.deleted)))
            }
            if step % 4 == 0 { try check(fixture, model, &random, "seed \(seed), step \(step)") }
        }
        try check(fixture, model, &random, "seed \(seed)")
        let report = try fixture.engine.verify()
        #expect(report.faults.isEmpty, "\(report.faults)")
        #expect(report.deletedDocuments == model.deleted.count)
    }

    private func check(
        _ fixture: ReadFixture, _ model: Model, _ random: inout RandomSource, _ place: Comment
    ) throws {
        let v = Int32(random.below(4))
        let low = Int32(random.below(24))
        let filters: [(Document, (Int32, Document) -> Bool)] = [
            ([:], { _, _ in true }), (["v": .int32(v)], { $1["v"] == .int32(v) }),
            (["_id": ["$gte": .int32(low)]], { id, _ in id >= low }),
            (["_id": .int32(low)], { id, _ in id == low }),
            (
                ["$or": [["v": .int32(v)], ["_id": .int32(low)]]],
                { id, document in document["v"] == .int32(v) || id == low }
            ),
        ]
        for (filter, holds) in filters {
            let live = model.live.filter(holds).sorted { $0.key < $1.key }
            let deleted = model.deleted.filter(holds).sorted { $0.key < $1.key }
            let slice = 1 + random.below(9)
            for (scope, wanted) in [
                (ReadScope.live, live), (.onlyDeleted, deleted), (.withDeleted, live + deleted),
            ] {
                let sorted = wanted.sorted { $0.key < $1.key }
                let found = try fixture.find(
                    scope, Self.names, filter, batch: slice, slice: slice)
                #expect(Set(found) == Set(wanted.map(\.value)), place)
                #expect(found.count == wanted.count, place)
                #expect(found.compactMap { $0["_id"] } == sorted.map { .int32($0.key) }, place)
                let backward = try fixture.find(scope, Self.names, filter, sort: ["_id": -1])
                #expect(
                    backward.compactMap { $0["_id"] } == sorted.reversed().map { .int32($0.key) },
                    place)
                let byValue = try fixture.find(
                    scope, Self.names, filter, sort: ["v": 1, "n": 1], slice: slice)
                #expect(Set(byValue) == Set(wanted.map(\.value)), place)
                #expect(try fixture.count(scope, Self.names, filter) == wanted.count, place)
                #expect(
                    Set(try fixture.find(scope, Self.names, filter, sort: nil))
                        == Set(wanted.map(\.value)), place)
            }
        }
    }
}
