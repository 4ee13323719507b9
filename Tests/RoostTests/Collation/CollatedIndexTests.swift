import BSON
import Query
import TestSupport
import Testing

@testable import Roost

/// Indexes with and without a collation give queries with and without one the scan's answers.
@Suite(.serialized) struct CollatedIndexTests {
    private static let names = Namespace("test", "texts")
    private static let collations: [Document?] = [
        nil, ["locale": "en", "strength": 1], ["locale": "en", "strength": 2], ["locale": "sv"],
        ["locale": "en", "numericOrdering": true],
    ]
    private static let texts = [
        "", "a", "A", "á", "b", "B", "ab", "aB", "ö", "z", "a1", "a10", "a2", "-a",
    ]

    private static func collation(_ document: Document?) throws -> Collation? {
        guard let document else { return nil }
        return try Collation.parse(document.view)
    }

    private static func value(_ random: inout RandomSource, nesting: Int = 1) -> Value {
        switch random.below(nesting > 0 ? 10 : 8) {
        case 0: return .int32(Int32(random.below(3)))
        case 1: return .null
        case 8: return .array([value(&random, nesting: 0), value(&random, nesting: 0)])
        case 9: return .document(["k": value(&random, nesting: 0)])
        default: return .string(texts[random.below(texts.count)])
        }
    }

    private static func condition(_ random: inout RandomSource) -> Value {
        let operand = value(&random)
        switch random.below(9) {
        case 0: return .document(["$gt": operand])
        case 1: return .document(["$gte": operand])
        case 2: return .document(["$lt": operand])
        case 3: return .document(["$lte": operand])
        case 4: return .document(["$ne": operand])
        case 5: return .document(["$in": .array([operand, value(&random), value(&random)])])
        case 6: return .document(["$regex": .string("^" + texts[random.below(5)])])
        case 7: return .document(["$elemMatch": ["$gte": operand]])
        default: return .document(["$eq": operand])
        }
    }

    private static func ids(_ documents: [Document]) -> [Int32] {
        documents.compactMap { document in
            guard case .int32(let id)? = document["_id"] else { return nil }
            return id
        }
    }

    @Test(arguments: 0..<4, [false, true])
    func answersAreThoseOfTheScan(_ shape: Int, hasArrays: Bool) async throws {
        let fixture = try ReadFixture()
        let seed = Differential.seed + UInt64(shape * 2 + (hasArrays ? 1 : 0))
        var random = RandomSource(seed: seed)
        for round in 0..<Self.collations.count * Differential.scale {
            let given = Self.collations[round % Self.collations.count]
            var documents: [Document] = []
            for id in 0..<80 {
                let first = Self.value(&random, nesting: hasArrays ? 1 : 0)
                let second = Self.value(&random, nesting: 0)
                documents.append(["_id": .int32(Int32(id)), "a": first, "b": second])
            }
            try await fixture.insert(Self.names, documents)
            let keys: [Document] = [["a": 1], ["a": -1], ["a": 1, "b": -1], ["a": 1]]
            let key = keys[shape]
            let index = Document { writer in
                writer.append("key", key)
                writer.append("name", "x")
                if let given { writer.append("collation", given) }
                if shape == 3 {
                    writer.append("partialFilterExpression", ["a": ["$gte": "a"]] as Document)
                }
            }
            try await fixture.createIndex(Self.names, index)
            for _ in 0..<40 {
                let wanted = try Self.collation(
                    random.oneIn(2) ? given : Self.collations[random.below(5)])
                try compare(fixture, &random, wanted, isComplete: shape < 3)
            }
            try await fixture.drop(Self.names)
        }
    }

    private func compare(
        _ fixture: ReadFixture, _ random: inout RandomSource, _ collation: Collation?,
        isComplete: Bool
    ) throws {
        let filter: Document =
            random.oneIn(3)
            ? ["a": Self.condition(&random), "b": Self.condition(&random)]
            : ["a": Self.condition(&random)]
        let sort: Document? = random.oneIn(2) ? ["a": random.oneIn(2) ? 1 : -1, "b": -1] : nil
        let compiled = try Filter.parse(filter.view, FilterOptions(collation: collation))
        var request = FindRequest(Self.names, filter: compiled)
        request.hint = ["$natural": 1]
        let expected = Self.ids(try fixture.find(request))
        request.sort = sort
        for hint: Value? in isComplete ? [nil, "x"] : [nil] {
            request.hint = hint
            let found = try fixture.find(request)
            Differential.count()
            try #require(Self.ids(found).sorted() == expected, "\(filter) \(hint as Any)")
            guard let sort else { continue }
            let pattern = try SortPattern.parse(sort.view, collation: collation)
            var before: [UInt8] = []
            for document in found {
                var encoder = KeyEncoder()
                try pattern.appendKey(of: document.view, to: &encoder)
                try #require(!KeyBytes.isLess(encoder.bytes, before), "\(filter) \(sort)")
                before = encoder.bytes
            }
        }
    }

    @Test(arguments: [(1, 1), (2, 2), (3, 4)])
    func uniqueByCollation(_ strength: Int, _ accepted: Int) async throws {
        let fixture = try ReadFixture()
        try await fixture.createIndex(
            Self.names,
            [
                "key": ["a": 1], "name": "x", "unique": true,
                "collation": ["locale": "en", "strength": .int32(Int32(strength))],
            ])
        let documents: [Document] = ["cafe", "CAFE", "café", "Café"].enumerated().map {
            ["_id": .int32(Int32($0.offset)), "a": .string($0.element)]
        }
        #expect(try await fixture.insert(Self.names, documents) == accepted)
    }

    /// A collection's own collation holds for `_id` too: it is unique by it, look-ups and sorts by
    /// the same collation use the record keys, others don't.
    @Test func recordsByCollation() async throws {
        let fixture = try ReadFixture()
        let english: Document = ["locale": "en", "strength": 2]
        _ = try await withCheckedThrowingContinuation { continuation in
            fixture.engine.createCollection(
                Self.names, options: ["collation": .document(english)]
            ) { continuation.resume(with: $0) }
        }
        let ids: [Value] = ["b", "A", "B", 3, "á", "a", ["k": "X"], ["k": "x"]]
        #expect(try await fixture.insert(Self.names, ids.map { ["_id": $0] }) == 5)
        let entry = try #require(fixture.engine.collection(Self.names))
        var random = RandomSource(seed: 9)
        for given in Self.collations {
            let collation = try Self.collation(given)
            for _ in 0..<100 {
                let filter: Document = ["_id": Self.condition(&random)]
                let compiled = try Filter.parse(filter.view, FilterOptions(collation: collation))
                var request = FindRequest(Self.names, filter: compiled)
                request.sort = random.oneIn(2) ? ["_id": -1] : nil
                let found = try fixture.find(request)
                var scratch = MatchScratch()
                var expected = 0
                for document in try fixture.find(fixture.request(Self.names))
                where try compiled.matches(document.view, &scratch) { expected += 1 }
                try #require(found.count == expected, "\(filter) \(given as Any)")
                let target = WriteTarget(
                    filter: compiled, filterDocument: filter, recordCollation: entry.collation)
                if let point = target.point, expected == 1 {
                    var encoder = KeyEncoder()
                    let id = try #require(found.first?["_id"])
                    _ = RecordKey.encode(OwnedValue(id).view, entry.collation, into: &encoder)
                    #expect(encoder.bytes == point)
                }
            }
        }
        var point = PointRead()
        var sink = DocumentCollector()
        let id = OwnedValue(.string("B"))
        #expect(try point.read(id.view, of: entry, fixture.reader, into: &sink) == .found)
        #expect(sink.documents == [["_id": "b"]])
    }

    @Test func boundsOnlyUnderTheSameCollation() async throws {
        let fixture = try ReadFixture()
        try await fixture.insert(Self.names, [["_id": 1, "a": "x"]])
        let english: Document = ["locale": "en", "strength": 2]
        try await fixture.createIndex(
            Self.names, ["key": ["a": 1], "name": "x", "collation": .document(english)])
        let cases: [(filter: Document, collation: Document?, usesIndex: Bool)] = [
            (["a": "X"], english, true), (["a": "X"], nil, false),
            (["a": "X"], ["locale": "sv"], false), (["a": 1], nil, true),
            (["a": ["$in": [1, "x"]]], nil, false), (["a": ["$gt": 3]], ["locale": "sv"], true),
        ]
        for item in cases {
            let filter = try Filter.parse(
                item.filter.view,
                FilterOptions(collation: try Self.collation(item.collation)))
            let explained = try fixture.explain(
                FindRequest(Self.names, filter: filter), filter: item.filter)
            #expect(explained.description.contains("IXSCAN") == item.usesIndex, "\(item)")
        }
    }

    /// Sort keys of another ICU's data are in another order: such a collection isn't opened.
    @Test func otherKeyVersion() async throws {
        let fixture = try ReadFixture()
        try await fixture.createIndex(
            Self.names, ["key": ["a": 1], "name": "x", "collation": ["locale": "en"]])
        let entry = try #require(fixture.engine.collection(Self.names))
        let record = CatalogRecord.encode(entry)
        let again = try CatalogRecord.decode(Self.names, record.view)
        #expect(again.indexes.first?.pattern.collation === entry.indexes[0].pattern.collation)
        let other = Document { writer in
            var fields = record.view.makeIterator()
            while let field = fields.next() {
                if field.name.equals("collationKeys") {
                    writer.append("collationKeys", Collation.keyVersion + 1)
                } else {
                    writer.append(field)
                }
            }
        }
        #expect(throws: DBError.self) {
            _ = try CatalogRecord.decode(Self.names, other.view)
        }
    }
}
