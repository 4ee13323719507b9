import BSON
import Query
import TestSupport
import Testing

@testable import Roost

/// The index of predicates against asking every query: whoever matches is found.
@Suite struct PredicateIndexTests {
    private static func group(_ filter: Document, serial: UInt64) throws -> LiveGroup {
        let request = try LiveRequest(
            Namespace("t", "c"), filter: try Filter.parse(filter.view), sort: nil, skip: 0,
            limit: 0, projection: nil, identity: filter.bytes)
        return LiveGroup(request, serial: serial)
    }

    private static let fields = ["a", "b", "c.d", "e"]

    private static func value(_ random: inout RandomSource) -> Value {
        switch Int.random(in: 0..<9, using: &random) {
        case 0: .null
        case 1: .bool(.random(using: &random))
        case 2: .string(String(repeating: "x", count: Int.random(in: 0..<3, using: &random)))
        case 3: .double(Double(Int.random(in: 0..<10, using: &random)) + 0.5)
        case 4: .array([value(&random), value(&random)])
        case 5:
            .string(
                "a long text of which only the end differs \(Int.random(in: 0..<3, using: &random))"
            )
        default: .int32(Int32.random(in: 0..<12, using: &random))
        }
    }

    private static func condition(_ random: inout RandomSource) -> Value {
        let operators = ["$eq", "$gt", "$gte", "$lt", "$lte", "$ne"]
        switch Int.random(in: 0..<7, using: &random) {
        case 0: return value(&random)
        case 1:
            let operands = (0..<Int.random(in: 1..<5, using: &random)).map { _ in value(&random) }
            return ["$in": .array(operands)]
        case 2: return ["$exists": .bool(.random(using: &random))]
        case 3:
            return [
                "$gte": .int32(.random(in: 0..<8, using: &random)),
                "$lt": .int32(.random(in: 2..<12, using: &random)),
            ]
        case 4:
            return ["$elemMatch": ["$gt": 2, "$lt": .int32(.random(in: 3..<12, using: &random))]]
        case 5: return .regex(pattern: "^x", options: "")
        default:
            return .document(
                Document {
                    $0.append(operators[Int.random(in: 0..<6, using: &random)], value(&random))
                })
        }
    }

    private static func filter(_ random: inout RandomSource, depth: Int = 0) -> Document {
        if depth < 2, Int.random(in: 0..<4, using: &random) == 0 {
            let name = Bool.random(using: &random) ? "$or" : "$and"
            let parts = (0..<Int.random(in: 1..<4, using: &random)).map { _ in
                Value.document(filter(&random, depth: depth + 1))
            }
            return Document { $0.append(name, .array(parts)) }
        }
        return Document { writer in
            for field in fields where Int.random(in: 0..<3, using: &random) == 0 {
                writer.append(field, condition(&random))
            }
        }
    }

    private static func document(_ random: inout RandomSource) -> Document {
        Document { writer in
            writer.append("_id", Int32(1))
            for field in ["a", "b", "e"] where Bool.random(using: &random) {
                writer.append(field, value(&random))
            }
            let inner: Value = ["d": value(&random)]
            switch Int.random(in: 0..<4, using: &random) {
            case 0: writer.append("c", inner)
            case 1: writer.append("c", .array([inner, ["d": value(&random)], 3]))
            case 2: writer.append("c", 7 as Value)
            default: break
            }
        }
    }

    @Test(arguments: [1, 2, 3] as [UInt64])
    func findsWhoMatches(seed: UInt64) throws {
        var random = RandomSource(seed: seed)
        var index = PredicateIndex()
        var groups: [LiveGroup] = []
        var anchored = 0
        for serial in 1...600 {
            let group = try Self.group(Self.filter(&random), serial: UInt64(serial))
            guard (try? index.insert(group)) != nil else { continue }
            groups.append(group)
            if group.anchor != nil { anchored += 1 }
        }
        #expect(anchored > 200)
        var scratch = MatchScratch()
        var mark: UInt64 = 0
        for round in 0..<600 {
            if round % 3 == 0, groups.count > 50 {
                index.remove(groups.remove(at: Int.random(in: 0..<groups.count, using: &random)))
            }
            let document = Self.document(&random)
            mark += 1
            var found: [LiveGroup] = []
            index.find(document.view, mark, into: &found)
            let serials = Set(found.map(\.serial))
            #expect(serials.count == found.count, "seed \(seed): found twice")
            for group in groups where try group.filter.matches(document.view, &scratch) {
                #expect(
                    serials.contains(group.serial),
                    "seed \(seed): \(Document(unchecked: group.request.identity)) \(document)")
            }
        }
    }

    @Test(
        arguments: [
            (["a": 1], true), (["a": ["$in": [1, 2]]], true), (["a": ["$gt": 1, "$lt": 5]], true),
            (["a": ["$gt": 1]], true), (["a": .regex(pattern: "^ab", options: "")], true),
            (["$or": [["a": 1], ["b": 2]]], true), (["a": 1, "b": ["$ne": 2]], true),
            (["a": ["$ne": 1]], false), (["a": ["$exists": true]], false), ([:], false),
            (["a": .regex(pattern: "ab", options: "")], false),
            (["$or": [["a": 1], ["b": ["$ne": 2]]]], false),
        ] as [(Document, Bool)])
    func anchorsWhatPicks(filter: Document, isAnchored: Bool) throws {
        var index = PredicateIndex()
        let group = try Self.group(filter, serial: 1)
        try index.insert(group)
        #expect((group.anchor != nil) == isAnchored)
        #expect(index.restCount == (isAnchored ? 0 : 1))
    }

    @Test func tooManyWithoutAnAnchorAreRefused() throws {
        var index = PredicateIndex()
        for serial in 0..<PredicateIndex.restMax {
            try index.insert(
                try Self.group(["a": ["$ne": .int32(Int32(serial))]], serial: UInt64(serial)))
        }
        #expect(throws: DBError.self) {
            try index.insert(try Self.group(["b": ["$ne": 1]], serial: 1_000))
        }
        try index.insert(try Self.group(["b": 1], serial: 1_001))
    }

    /// Of `{flag: true, user: N}` the part that differs is the anchor.
    @Test func anchorsAreSpread() throws {
        var index = PredicateIndex()
        for serial in 0..<1_000 {
            try index.insert(
                try Self.group(
                    ["flag": true, "kind": "x", "user": .int32(Int32(serial))],
                    serial: UInt64(serial)))
        }
        var found: [LiveGroup] = []
        let document: Document = ["_id": 1, "flag": true, "kind": "x", "user": 500]
        index.find(document.view, 1, into: &found)
        #expect(found.count <= 3)
    }
}
