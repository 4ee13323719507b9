import BSON
import Query
import Testing

@testable import Roost

/// Bounds as explain shows them.
@Suite struct IndexBoundsTests {
    struct Case: Sendable, CustomStringConvertible {
        let filter: Document
        var key: [(String, Int)] = [("a", 1)]
        var multikey: UInt64 = 0
        let bounds: [[String]]
        var impliesMatch = false

        var description: String { BoundsText.describe(OwnedValue(.document(filter)).view) }
    }

    private static let everything = "[MinKey, MaxKey]"

    static let cases: [Case] = [
        Case(filter: ["a": 5], bounds: [["[5, 5]"]], impliesMatch: true),
        Case(filter: ["a": ["$gt": 5]], bounds: [["(5, inf]"]], impliesMatch: true),
        Case(filter: ["a": ["$gte": 5]], bounds: [["[5, inf]"]], impliesMatch: true),
        Case(filter: ["a": ["$lt": 5]], bounds: [["[-inf, 5)"]], impliesMatch: true),
        Case(filter: ["a": ["$lte": 5]], bounds: [["[-inf, 5]"]], impliesMatch: true),
        Case(filter: ["a": ["$gt": "x"]], bounds: [["(\"x\", {})"]], impliesMatch: true),
        Case(
            filter: ["a": ["$gt": 3, "$lt": 5]], bounds: [["(3, 5)"]], impliesMatch: true),
        Case(
            filter: ["a": ["$gt": 3, "$lt": 5]], multikey: 1, bounds: [["(3, inf]"]]),
        Case(
            filter: ["a": ["$elemMatch": ["$gt": 3, "$lt": 5]]], multikey: 1,
            bounds: [["(3, 5)"]]),
        // An array within an array is one key.
        Case(
            filter: ["a": ["$elemMatch": ["$elemMatch": ["$eq": 1]]]], multikey: 1,
            bounds: [["[[], BinData(0, ))"]]),
        Case(
            filter: ["a": ["$in": [3, 1, 2, 1.0]]], bounds: [["[1, 1]", "[2, 2]", "[3, 3]"]],
            impliesMatch: true),
        Case(
            filter: ["a": ["$ne": 5]], bounds: [["[MinKey, 5)", "(5, MaxKey]"]],
            impliesMatch: true),
        Case(
            filter: ["a": ["$nin": [1, 2]]],
            bounds: [["[MinKey, 1)", "(1, 2)", "(2, MaxKey]"]], impliesMatch: true),
        Case(
            filter: ["a": ["$not": ["$gt": 5]]], bounds: [["[MinKey, 5]", "(inf, MaxKey]"]],
            impliesMatch: true),
        Case(filter: ["a": .null], bounds: [["[null, null]"]], impliesMatch: true),
        Case(filter: ["a": ["$gte": .null]], bounds: [["[null, null]"]], impliesMatch: true),
        Case(filter: ["a": ["$gt": .null]], bounds: [[]], impliesMatch: true),
        Case(filter: ["a": ["$exists": false]], bounds: [["[null, null]"]]),
        Case(filter: ["a": ["$exists": true]], bounds: [[everything]]),
        Case(
            filter: ["a": [1, 2]], multikey: 1, bounds: [["[1, 1]", "[[ 1, 2 ], [ 1, 2 ]]"]]),
        Case(
            filter: ["a": .array([])], multikey: 1,
            bounds: [["[undefined, undefined]", "[[], []]"]]),
        Case(filter: ["a": ["$gt": [1]]], bounds: [[everything]]),
        Case(filter: ["a": ["$gte": .minKey]], bounds: [[everything]]),
        Case(filter: ["a": ["$regex": "^ab"]], bounds: [["[\"ab\", \"ac\")", "[//, DBPointer]"]]),
        Case(filter: ["a": ["$regex": "ab"]], bounds: [["[\"\", {})", "[//, DBPointer]"]]),
        Case(
            filter: ["a": ["$type": "number"]], bounds: [["[-inf, inf]"]], impliesMatch: true),
        Case(filter: ["a": ["$type": "int"]], bounds: [["[-inf, inf]"]]),
        Case(
            filter: ["a": ["$type": "array"]], bounds: [["[[], BinData(0, ))"]],
            impliesMatch: true),
        Case(filter: ["a": ["$type": "array"]], multikey: 1, bounds: [[everything]]),
        Case(
            filter: ["$or": [["a": 1], ["a": ["$gt": 7]]]], bounds: [["[1, 1]", "(7, inf]"]],
            impliesMatch: true),
        Case(filter: ["$or": [["a": 1], ["b": 2]]], bounds: [[everything]]),
        Case(
            filter: ["a": 1, "b": ["$lt": 3]], key: [("a", 1), ("b", -1)],
            bounds: [["[1, 1]"], ["[-inf, 3)"]], impliesMatch: true),
        Case(
            filter: ["a.x": 1, "a.y": 2], key: [("a.x", 1), ("a.y", 1)], multikey: 3,
            bounds: [["[1, 1]"], [everything]]),
        Case(
            filter: ["a": ["$elemMatch": ["x": 1, "y": 2]]], key: [("a.x", 1), ("a.y", 1)],
            multikey: 3, bounds: [["[1, 1]"], ["[2, 2]"]]),
        Case(
            filter: ["a": ["$elemMatch": ["b.x": 1, "b.y": 2]]],
            key: [("a.b.x", 1), ("a.b.y", 1)], multikey: 3,
            bounds: [["[1, 1]"], [everything]]),
        Case(
            filter: ["a": 1, "b": 2], key: [("a", 1), ("b", 1)], multikey: 3,
            bounds: [["[1, 1]"], ["[2, 2]"]]),
        Case(filter: ["c": 1], bounds: [[everything]]),
        Case(filter: ["a": 5, "c": 1], bounds: [["[5, 5]"]]),
    ]

    @Test(arguments: cases)
    func boundsOf(item: Case) throws {
        let filter = try Filter.parse(item.filter.view, FilterOptions())
        let shape = IndexShape(
            paths: item.key.map { FieldPath($0.0) }, descending: item.key.map { $0.1 < 0 },
            multikeyParts: item.multikey, prefixBytesMax: IndexEntryKey.prefixBytes)
        let bounds = IndexBounds(Conjunct.all(of: filter.root), shape, nil)
        let texts = bounds.parts.map { set in
            set.intervals.map { $0.text(isReversed: false) }
        }
        #expect(texts == item.bounds)
        #expect(bounds.impliesMatch == item.impliesMatch)
    }

    @Test func valuesOfLeadingPartsAreMultipliedOut() throws {
        let filter = try Filter.parse(
            (["a": ["$in": [1, 2]], "b": ["$in": [3, 4, 5]], "c": ["$gt": 0]] as Document).view,
            FilterOptions())
        let shape = IndexShape(
            paths: ["a", "b", "c"].map { FieldPath($0) }, descending: [false, true, false],
            multikeyParts: 0, prefixBytesMax: 343)
        let ranges = KeyRanges(IndexBounds(Conjunct.all(of: filter.root), shape, nil), shape)
        #expect(ranges.count == 6)
        #expect(ranges.isExact)
        for index in 1..<ranges.count {
            #expect(ranges.high(index - 1).compareBytes(ranges.low(index)) <= 0)
        }
    }

    @Test func longBoundsAreWidenedAndMerged() throws {
        let long = String(repeating: "x", count: 400)
        let values: [Value] = [.string(long + "a"), .string(long + "b"), "z"]
        let filter = try Filter.parse(
            (["a": ["$in": .array(values)]] as Document).view, FilterOptions())
        let shape = IndexShape(
            paths: [FieldPath("a")], descending: [false], multikeyParts: 0, prefixBytesMax: 343)
        let ranges = KeyRanges(IndexBounds(Conjunct.all(of: filter.root), shape, nil), shape)
        #expect(ranges.count == 2)
        #expect(!ranges.isExact)
    }
}
