import BSON
import Query
import Testing
import TestSupport

@testable import Roost

/// Every index gives the answers of the full scan, whatever documents, filters and sorts.
@Suite(.serialized) struct IndexAgainstScanTests {
    /// Key and options of an index; complete ones hold every document.
    private static let indexes: [(specification: Document, isComplete: Bool)] = [
        (["key": ["a": 1]], true),
        (["key": ["a": -1]], true),
        (["key": ["b": 1]], true),
        (["key": ["a.b": 1]], true),
        (["key": ["a.0": 1]], true),
        (["key": ["a.1": -1]], true),
        (["key": ["a.b.c": -1]], true),
        (["key": ["a": 1, "b": 1]], true),
        (["key": ["b": -1, "a": 1]], true),
        (["key": ["a": 1, "a.b": -1]], true),
        (["key": ["a.b": 1, "a.c": 1, "b": -1]], true),
        (["key": ["a": 1, "_id": -1]], true),
        (["key": ["a": 1], "unique": true], true),
        (["key": ["a": 1], "sparse": true], false),
        (["key": ["a.b": 1, "b": 1], "sparse": true], false),
        (["key": ["a": 1], "partialFilterExpression": ["b": ["$gte": 1]]], false),
        (["key": ["b": 1], "partialFilterExpression": ["a": ["$exists": true]]], false),
        (["key": ["a.b": 1], "partialFilterExpression": ["a.b": ["$type": "number"]]], false),
        (["key": ["a": "hashed"]], true),
        (["key": ["a.b": "hashed"]], true),
        (["key": ["a": "hashed", "b": 1]], true),
        (["key": ["b": -1, "a": "hashed"]], true),
        (["key": ["a": "hashed"], "sparse": true], false),
        (["key": ["$**": 1]], false),
        (["key": ["a.$**": -1]], false),
        (["key": ["$**": 1], "wildcardProjection": ["a.b": 1, "b": 1]], false),
        (["key": ["$**": 1], "wildcardProjection": ["a.b": 0]], false),
        (["key": ["$**": 1], "partialFilterExpression": ["b": ["$gte": 1]]], false),
        (["key": ["b": 1, "a.$**": 1]], false),
        (["key": ["a.$**": 1, "b": -1]], false),
    ]

    private static let names = Namespace("test", "small")

    private static func ids(_ documents: [Document]) -> [Int32] {
        documents.compactMap { document in
            guard case .int32(let id)? = document["_id"] else { return nil }
            return id
        }
    }

    @Test(arguments: 0..<indexes.count)
    func answersAreThoseOfTheScan(position: Int) async throws {
        let index = Self.indexes[position]
        let fixture = try ReadFixture()
        for round in 0..<6 {
            var small = SmallDocuments(seed: UInt64(position * 1_000 + round))
            var specification: [(String, Value)] = []
            for key in index.specification.keys {
                specification.append((key, index.specification[key] ?? .null))
            }
            specification.append(("name", "x"))
            // Few arrays in some rounds, so that the index isn't multikey.
            var documents: [Document] = []
            for id in 0..<60 {
                let document = small.document(id: id)
                if round % 2 == 0 || !Self.hasArray(document) { documents.append(document) }
            }
            let isEarly = round % 3 == 0
            if isEarly { try await fixture.createIndex(Self.names, specification.asDocument) }
            try await fixture.insert(Self.names, documents)
            if !isEarly {
                do {
                    try await fixture.createIndex(Self.names, specification.asDocument)
                } catch let error as DBError {
                    // Parallel arrays, duplicates, arrays where none may be.
                    try #require(
                        [171, 11000, 16746, 16766, 7_246_301].contains(error.code.rawValue))
                    try await fixture.drop(Self.names)
                    continue
                }
            }
            for _ in 0..<150 { try compare(fixture, &small, isComplete: index.isComplete) }
            try await change(fixture, &small)
            for _ in 0..<30 { try compare(fixture, &small, isComplete: index.isComplete) }
            try await fixture.drop(Self.names)
        }
    }

    /// Changes and removes documents; the index must hold what the rest calls for.
    private func change(_ fixture: ReadFixture, _ small: inout SmallDocuments) async throws {
        for _ in 0..<40 {
            let id: Document = ["_id": .int32(Int32(small.random.below(60)))]
            if small.random.oneIn(5) {
                try await fixture.delete(Self.names, id)
                continue
            }
            let path = small.pick(["a", "b", "a.b", "a.c"])
            let change: Document =
                small.random.oneIn(4)
                ? ["$unset": .document([(path, 1 as Value)].asDocument)]
                : ["$set": .document([(path, small.value(depth: 1))].asDocument)]
            try await fixture.update(Self.names, id, change)
        }
        let report = try fixture.engine.verify(Self.names)
        try #require(report.faults.isEmpty, "\(report.faults)")
    }

    private static func hasArray(_ document: Document) -> Bool {
        func holds(_ value: Value) -> Bool {
            switch value {
            case .array: true
            case .document(let inner): inner.keys.contains { inner[$0].map(holds) ?? false }
            default: false
            }
        }
        return holds(.document(document))
    }

    private func compare(
        _ fixture: ReadFixture, _ small: inout SmallDocuments, isComplete: Bool
    ) throws {
        let filter = small.filter()
        let sort = small.random.oneIn(2) ? small.sort() : nil
        let natural: Value = ["$natural": 1]
        let scan = try fixture.find(fixture.request(Self.names, filter, hint: natural))
        let expected = Self.ids(scan)
        let batch = 1 + small.random.below(10)
        let slice = 1 + small.random.below(10)
        // A sort whose keys run through parallel arrays or ambiguous positions is refused.
        let sorted: [Document]
        do {
            sorted = try fixture.find(
                fixture.request(Self.names, filter, sort: sort, hint: natural))
        } catch let error as DBError where [2, 16746].contains(error.code.rawValue) {
            return
        }
        try #require(Self.ids(sorted).sorted() == expected)
        for hint: Value? in [nil, "x"] {
            let request = try fixture.request(Self.names, filter, sort: sort, hint: hint)
            let found: [Document]
            do {
                found = try fixture.find(request, batch: batch, slice: slice)
            } catch let error as DBError where error.code.rawValue == 291 && hint != nil {
                // A wildcard index without a path of the query.
                continue
            }
            let ids = Self.ids(found)
            let comment = Comment(
                rawValue: "filter \(text(filter)) sort \(sort.map(text) ?? "") hint \(hint as Any)")
            if hint == nil || isComplete {
                try #require(ids.sorted() == expected, comment)
                try #require(
                    try fixture.count(Self.names, filter, hint: hint) == expected.count, comment)
            } else {
                try #require(
                    Set(ids).isSubset(of: expected) && Set(ids).count == ids.count, comment)
            }
            if let sort { try expectSorted(found, sort, comment) }
        }
    }

    private func expectSorted(
        _ documents: [Document], _ sort: Document, _ comment: Comment
    ) throws {
        let pattern = try SortPattern.parse(sort.view)
        var keys: [[UInt8]] = []
        for document in documents {
            var encoder = KeyEncoder()
            try pattern.appendKey(of: document.view, to: &encoder)
            keys.append(encoder.bytes)
        }
        for (before, after) in zip(keys, keys.dropFirst()) {
            try #require(!KeyBytes.isLess(after, before), comment)
        }
    }

    private func text(_ document: Document) -> String {
        BoundsText.describe(OwnedValue(.document(document)).view)
    }
}
