import BSON
import Query
import TestSupport
import Testing

@testable import Roost

/// Geo, text and wildcard indexes give what asking every document gives, also after changes.
@Suite(.serialized) struct SpecialIndexTests {
    private static let names = Namespace("test", "places")
    private static let words = [
        "coffee", "Coffee", "cafés", "running", "runs", "the", "tea", "milk", "don't", "Über",
    ]

    /// Objects have no entries of their own in a wildcard index, so a bound by one serves nothing,
    /// even beside a bound by a number that some other element meets.
    @Test(arguments: [["$gte": [:], "$lt": 3], ["$gt": ["b": 1], "$lte": 3]] as [Value])
    func wildcardsLeaveObjectsToTheScan(_ condition: Value) async throws {
        let fixture = try ReadFixture()
        try await fixture.insert(Self.names, [["_id": 1, "c": [2, ["b": 2]]]])
        try await fixture.createIndex(Self.names, ["key": ["$**": 1], "name": "w"])
        let filter: Document = ["c": condition]
        let found = try fixture.find(fixture.request(Self.names, filter))
        #expect(found.count == 1)
    }

    private static func number(_ random: inout RandomSource, _ size: Int) -> Double {
        Double(random.below(2 * size * 4) - size * 4) / 4
    }

    /// A position whose neighbours are often others' too.
    private static func position(_ random: inout RandomSource) -> Value {
        .array([.double(number(&random, 12)), .double(number(&random, 8))])
    }

    private static func square(_ random: inout RandomSource, _ sizeMax: Double) -> Value {
        let (x, y) = (number(&random, 12), number(&random, 8))
        let size = 0.5 + Double(random.below(8)) / 8 * sizeMax
        let corners = [(x, y), (x + size, y), (x + size, y + size), (x, y + size), (x, y)]
        return .array([.array(corners.map { .array([.double($0.0), .double($0.1)]) })])
    }

    private static func place(_ random: inout RandomSource, flat: Bool) -> Value {
        if flat {
            return random.oneIn(4)
                ? .array((0..<1 + random.below(3)).map { _ in position(&random) })
                : position(&random)
        }
        switch random.below(6) {
        case 0: return position(&random)
        case 1:
            return [
                "type": "LineString",
                "coordinates": .array([position(&random), [.double(20.5), .double(0.125)]]),
            ]
        case 2: return ["type": "Polygon", "coordinates": square(&random, 6)]
        case 3: return .null
        default: return ["type": "Point", "coordinates": position(&random)]
        }
    }

    private static func region(_ random: inout RandomSource, flat: Bool) -> Value {
        let radius = Double(1 + random.below(20)) / 2
        if flat {
            switch random.below(4) {
            case 0: return ["$geoWithin": ["$box": .array([position(&random), position(&random)])]]
            case 1:
                return ["$geoWithin": ["$center": .array([position(&random), .double(radius)])]]
            case 2:
                return [
                    "$geoWithin": [
                        "$polygon": .array((0..<3).map { _ in position(&random) })
                    ]
                ]
            default: break
            }
        }
        if flat || random.oneIn(3) {
            return [
                "$geoWithin": ["$centerSphere": .array([position(&random), .double(radius / 57)])]
            ]
        }
        let polygon: Value = ["type": "Polygon", "coordinates": square(&random, 16)]
        return random.oneIn(2)
            ? ["$geoWithin": ["$geometry": polygon]] : ["$geoIntersects": ["$geometry": polygon]]
    }

    private static func text(_ random: inout RandomSource) -> String {
        (0..<random.below(5)).map { _ in words[random.below(words.count)] }
            .joined(separator: random.oneIn(2) ? " " : ", ")
    }

    private static func search(_ random: inout RandomSource) -> Document {
        var text = (0..<1 + random.below(3)).map { _ in
            (random.oneIn(4) ? "-" : "") + words[random.below(words.count)]
        }.joined(separator: " ")
        if random.oneIn(4) { text += " \"\(words[random.below(words.count)])\"" }
        return ["$text": ["$search": .string(text), "$caseSensitive": .bool(random.oneIn(4))]]
    }

    private static func ids(_ documents: [Document]) -> [Int32] {
        documents.compactMap { document in
            guard case .int32(let id)? = document["_id"] else { return nil }
            return id
        }.sorted()
    }

    private static let rows: [(key: Document, flat: Bool)] = [
        (["loc": "2dsphere"], false),
        (["kind": 1, "loc": "2dsphere"], false),
        (["loc": "2dsphere", "kind": -1], false),
        (["loc": "2d"], true),
        (["loc": "2d", "kind": 1], true),
    ]

    private static func document(_ id: Int, _ random: inout RandomSource, flat: Bool) -> Document {
        [
            "_id": .int32(Int32(id)), "kind": .int32(Int32(random.below(3))),
            "loc": place(&random, flat: flat), "t": .string(text(&random)),
            "u": .array([.string(text(&random))]),
        ]
    }

    @Test(arguments: 0..<rows.count)
    func placesAreThoseOfTheScan(position: Int) async throws {
        let row = Self.rows[position]
        let fixture = try ReadFixture()
        var random = RandomSource(seed: Differential.seed + UInt64(41 + position))
        for round in 0..<2 * Differential.scale {
            let specification: Document = ["key": .document(row.key), "name": "x"]
            if round % 2 == 0 { try await fixture.createIndex(Self.names, specification) }
            let documents = (0..<150).map { Self.document($0, &random, flat: row.flat) }
            #expect(try await fixture.insert(Self.names, documents) == 150)
            if round % 2 > 0 { try await fixture.createIndex(Self.names, specification) }
            for step in 0..<60 {
                if step == 30 { try await change(fixture, &random, flat: row.flat) }
                Differential.count()
                var filter: [(String, Value)] = [
                    ("loc", Self.region(&random, flat: row.flat))
                ]
                if random.oneIn(2) { filter.append(("kind", .int32(Int32(random.below(3))))) }
                let document = filter.asDocument
                let scan = try fixture.find(
                    fixture.request(Self.names, document, hint: ["$natural": 1]))
                for hint: Value? in [nil, "x"] {
                    let found = try fixture.find(
                        fixture.request(Self.names, document, hint: hint), batch: 7, slice: 9)
                    try #require(Self.ids(found) == Self.ids(scan), "\(document)")
                }
            }
            try await fixture.drop(Self.names)
        }
    }

    /// $near gives the documents within its distance, nearest first.
    @Test func nearIsSortedAndComplete() async throws {
        let fixture = try ReadFixture()
        var random = RandomSource(seed: Differential.seed + 5)
        try await fixture.createIndex(Self.names, ["key": ["loc": "2dsphere"], "name": "x"])
        let documents = (0..<200).map { id -> Document in
            [
                "_id": .int32(Int32(id)),
                "loc": ["type": "Point", "coordinates": Self.position(&random)],
            ]
        }
        try await fixture.insert(Self.names, documents)
        for _ in 0..<60 * Differential.scale {
            Differential.count()
            let center = Self.position(&random)
            let metres = Double(50_000 * (1 + random.below(30)))
            let near: Document = [
                "loc": [
                    "$near": [
                        "$geometry": ["type": "Point", "coordinates": center],
                        "$maxDistance": .double(metres),
                    ]
                ]
            ]
            let cap: Document = [
                "loc": [
                    "$geoWithin": ["$centerSphere": .array([center, .double(metres / 6_378_100)])]
                ]
            ]
            let within = try fixture.find(
                fixture.request(Self.names, cap, hint: ["$natural": 1]))
            let found = try fixture.find(fixture.request(Self.names, near), batch: 5)
            try #require(Self.ids(found) == Self.ids(within))
            let limited = try fixture.find(fixture.request(Self.names, near, limit: 4))
            try #require(limited == Array(found.prefix(4)))
            try #require(found.allSatisfy { $0.keys == ["_id", "loc"] })
        }
    }

    /// $text finds the documents that answer the search when each is asked.
    @Test(
        arguments: [
            ["t": "text"], ["t": "text", "u": "text"], ["$**": "text"], ["kind": 1, "u": "text"],
        ] as [Document])
    func textIsThatOfAskingEach(key: Document) async throws {
        let fixture = try ReadFixture()
        var random = RandomSource(seed: Differential.seed + 77)
        let documents = (0..<150).map { Self.document($0, &random, flat: true) }
        try await fixture.insert(Self.names, documents)
        try await fixture.createIndex(Self.names, ["key": .document(key), "name": "x"])
        for step in 0..<80 * Differential.scale {
            Differential.count()
            if step % 80 == 40 { try await change(fixture, &random, flat: true) }
            let search = Self.search(&random)
            let entry = try #require(fixture.engine.collection(Self.names))
            let filter = try ReadFixture.filter(search).bound(to: entry)
            var scratch = MatchScratch()
            let all = try fixture.find(fixture.request(Self.names))
            let matching = try all.filter { try filter.matches($0.view, &scratch) }
            let found = try fixture.find(fixture.request(Self.names, search), batch: 6, slice: 5)
            try #require(Self.ids(found) == Self.ids(matching), "\(search)")
        }
    }

    private func change(
        _ fixture: ReadFixture, _ random: inout RandomSource, flat: Bool
    ) async throws {
        for _ in 0..<60 {
            let id: Document = ["_id": .int32(Int32(random.below(150)))]
            switch random.below(5) {
            case 0: try await fixture.delete(Self.names, id)
            case 1: try await fixture.update(Self.names, id, ["$unset": ["loc": 1]])
            case 2:
                try await fixture.update(
                    Self.names, id, ["$set": ["t": .string(Self.text(&random))]])
            default:
                try await fixture.update(
                    Self.names, id, ["$set": ["loc": Self.place(&random, flat: flat)]])
            }
        }
        let report = try fixture.engine.verify(Self.names)
        try #require(report.faults.isEmpty, "\(report.faults)")
    }
}
