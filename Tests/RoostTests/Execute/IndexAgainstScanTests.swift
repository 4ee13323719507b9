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

    /// Collections with several indexes, for unions and choices between them.
    private static let sets: [[Document]] = [
        [["key": ["a": 1]], ["key": ["b": -1]]],
        [["key": ["a": 1, "b": 1]], ["key": ["b": 1, "a": -1]], ["key": ["a.b": 1]]],
        [["key": ["b": 1, "_id": 1]], ["key": ["a": -1, "b": 1, "_id": -1]]],
        [
            ["key": ["a.b": 1, "b": 1]], ["key": ["b": 1], "sparse": true],
            ["key": ["a": 1], "partialFilterExpression": ["b": ["$gte": 1]]],
        ],
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
        defer { Differential.report() }
        let index = Self.indexes[position]
        let fixture = try ReadFixture()
        for round in 0..<3 * Differential.scale {
            let seed = Differential.seed + UInt64(position * 1_000_000 + round)
            var small = SmallDocuments(seed: seed)
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
            for _ in 0..<105 {
                let filter = small.filter()
                try compare(
                    fixture, &small, filter, hints: [nil, "x"], isComplete: index.isComplete)
            }
            try await change(fixture, &small)
            for _ in 0..<20 {
                let filter = small.filter()
                try compare(
                    fixture, &small, filter, hints: [nil, "x"], isComplete: index.isComplete)
            }
            try await fixture.drop(Self.names)
        }
    }

    @Test(arguments: 0..<sets.count)
    func unionsAreThoseOfTheScan(position: Int) async throws {
        defer { Differential.report() }
        let fixture = try ReadFixture()
        for round in 0..<2 * Differential.scale {
            let seed = Differential.seed + UInt64(0xABCD + position * 1_000_000 + round)
            var small = SmallDocuments(seed: seed)
            for (number, index) in Self.sets[position].enumerated() {
                let specification = Document { writer in
                    writer.appendFields(of: index.view)
                    writer.append("name", "i\(number)")
                }
                try await fixture.createIndex(Self.names, specification)
            }
            let documents = (0..<60).map { small.document(id: $0) }
            try await fixture.insert(
                Self.names, round % 2 == 0 ? documents : documents.filter { !Self.hasArray($0) })
            for _ in 0..<105 {
                var filter = small.filter()
                if small.random.oneIn(2) {
                    let branches = (0..<2 + small.random.below(2)).map { _ in
                        Value.document(small.filter(depth: 1))
                    }
                    filter = Document { writer in
                        if small.random.oneIn(3) {
                            writer.appendFields(of: small.filter(depth: 0).view)
                        }
                        writer.append("$or", .array(branches))
                    }
                }
                try compare(fixture, &small, filter, hints: [nil], isComplete: true)
            }
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
        _ fixture: ReadFixture, _ small: inout SmallDocuments, _ filter: Document,
        hints: [Value?], isComplete: Bool
    ) throws {
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
        for hint in hints {
            let request = try fixture.request(Self.names, filter, sort: sort, hint: hint)
            let found: [Document]
            do {
                found = try fixture.find(request, batch: batch, slice: slice)
            } catch let error as DBError where error.code.rawValue == 291 && hint != nil {
                // A wildcard index without a path of the query.
                continue
            }
            Differential.count()
            let ids = Self.ids(found)
            let comment = Comment(
                rawValue: "filter \(text(filter)) sort \(sort.map(text) ?? "") hint \(hint as Any)")
            if hint == nil || isComplete {
                try #require(ids.sorted() == expected, comment)
                Differential.count()
                try #require(
                    try fixture.count(Self.names, filter, hint: hint) == expected.count, comment)
            } else {
                try #require(
                    Set(ids).isSubset(of: expected) && Set(ids).count == ids.count, comment)
            }
            if let sort { try expectSorted(found, sort, comment) }
            if isComplete || hint == nil {
                try compareProjected(fixture, &small, filter, sort, hint, scan, comment)
            }
            guard isComplete || hint == nil else { continue }
            let limit = 1 + small.random.below(8)
            let limited = try fixture.find(
                fixture.request(Self.names, filter, sort: sort, hint: hint, limit: limit),
                batch: batch, slice: slice)
            Differential.count()
            try #require(limited.count == min(limit, expected.count), comment)
            try #require(Set(Self.ids(limited)).isSubset(of: expected), comment)
            if let sort {
                let first = try keys(Array(sorted.prefix(limit)), sort)
                try #require(try keys(limited, sort) == first, comment)
            }
        }
    }

    /// What index keys may answer alone: the fields asked for, the same as the scan's, whatever
    /// their order.
    private func compareProjected(
        _ fixture: ReadFixture, _ small: inout SmallDocuments, _ filter: Document,
        _ sort: Document?, _ hint: Value?, _ scan: [Document], _ comment: Comment
    ) throws {
        guard small.random.oneIn(3) else { return }
        let fields: Document = small.pick([
            ["a": 1, "_id": 0], ["b": 1, "_id": 0], ["a": 1, "b": 1, "_id": 0],
            ["a.b": 1, "_id": 0], ["_id": 1, "a": 1],
        ])
        let scope = ExpressionScope(nowMillis: 0)
        var request = try fixture.request(Self.names, filter, sort: sort, hint: hint)
        request.projection = try Projection.parse(fields.view, for: .find, scope)
        let found = try fixture.find(request, slice: 1 + small.random.below(10)).map(canonical)
        var plain = try fixture.request(Self.names, filter, hint: ["$natural": 1])
        plain.projection = request.projection
        let expected = try fixture.find(plain).map(canonical)
        Differential.count()
        try #require(
            found.sorted() == expected.sorted(), "\(comment) fields \(text(fields))")
    }

    /// A document as text, its top-level fields in order of their names.
    private func canonical(_ document: Document) -> String {
        document.keys.sorted().map { key in
            let value = OwnedValue(document[key] ?? .null)
            return "\(key): \(value.type) \(BoundsText.describe(value.view))"
        }.joined(separator: ", ")
    }

    private func expectSorted(
        _ documents: [Document], _ sort: Document, _ comment: Comment
    ) throws {
        let keys = try keys(documents, sort)
        for (before, after) in zip(keys, keys.dropFirst()) {
            try #require(!KeyBytes.isLess(after, before), comment)
        }
    }

    private func keys(_ documents: [Document], _ sort: Document) throws -> [[UInt8]] {
        let pattern = try SortPattern.parse(sort.view)
        return try documents.map { document in
            var encoder = KeyEncoder()
            try pattern.appendKey(of: document.view, to: &encoder)
            return encoder.bytes
        }
    }

    private func text(_ document: Document) -> String {
        BoundsText.describe(OwnedValue(.document(document)).view)
    }
}
