import BSON
import TestSupport
import Testing

@testable import Query

@Suite struct GroupAndSortOracleTests {
    private static func documents(_ seed: UInt64, _ count: Int) -> [Document] {
        var generator = DocumentGenerator(seed: seed)
        return (0..<count).map { index in
            Document { writer in
                writer.append("_id", Int32(index))
                if !generator.random.oneIn(8) { writer.append("k", key(&generator)) }
                if !generator.random.oneIn(8) { writer.append("v", generator.number()) }
            }
        }
    }

    /// Few distinct keys, equal ones in several types among them.
    private static func key(_ generator: inout DocumentGenerator) -> Value {
        let keys: [Value] = [
            1, 1.0, .int64(1), Value(Decimal128(Int32(1))), "a", "b", nil, [1], [1.0], ["x": 1],
            ["x": .int64(1)], .double(.nan), 0, -0.0, true, false, "1",
        ]
        return keys[generator.random.below(keys.count)]
    }

    /// $group by comparing each document with every group: keys, counts, extremes and lists.
    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func groupAgainstOracle(_ seed: UInt64) throws {
        let documents = Self.documents(seed, 200)
        var groups: [(key: Value, ids: [Value], largest: Value)] = []
        for document in documents {
            let key = document["k"] ?? .null
            let value = document["v"] ?? .null
            let index = groups.firstIndex {
                OwnedValue($0.key).view.compare(OwnedValue(key).view) == 0
            }
            guard let index else {
                groups.append((key, [document["_id"] ?? .null], value))
                continue
            }
            groups[index].ids.append(document["_id"] ?? .null)
            let largest = groups[index].largest
            if largest == .null || OwnedValue(value).view.compare(OwnedValue(largest).view) > 0 {
                if value != .null { groups[index].largest = value }
            }
        }
        let results = try aggregate(
            [
                [
                    "$group": [
                        "_id": "$k", "ids": ["$push": "$_id"], "m": ["$max": "$v"],
                        "n": ["$sum": 1],
                    ]
                ]
            ],
            over: documents
        ).get()
        #expect(results.count == groups.count)
        for (result, group) in zip(results, groups) {
            #expect("\(result["_id"] ?? .undefined)" == "\(group.key)")
            #expect(result["ids"] == .array(group.ids))
            #expect(result["n"] == .int32(Int32(group.ids.count)))
            let largest = OwnedValue(result["m"] ?? .null)
            #expect(largest.view.compare(OwnedValue(group.largest).view) == 0)
        }
    }

    /// What is kept with a limit is what comes first without, ties included.
    @Test(arguments: 1...20 as ClosedRange<UInt64>)
    func limitedSortIsAPrefix(_ seed: UInt64) throws {
        let documents = Self.documents(seed, 300)
        for order in [["k": 1], ["k": -1], ["v": 1, "k": -1], ["zz": 1]] as [Value] {
            let all = try aggregate([["$sort": order]], over: documents).get()
            for limit in [1, 2, 7, 100, 300, 1000] as [Int32] {
                let some = try aggregate(
                    [["$sort": order], ["$limit": .int32(limit)]], over: documents
                ).get()
                #expect(some.map { $0.bytes } == all.prefix(Int(limit)).map { $0.bytes })
            }
            let paged = try aggregate(
                [["$sort": order], ["$skip": 10], ["$limit": 5]], over: documents
            ).get()
            #expect(paged.map { $0.bytes } == all[10..<15].map { $0.bytes })
        }
    }

    /// Every result is in order, and nothing is lost.
    @Test(arguments: 1...10 as ClosedRange<UInt64>)
    func sortedByCompare(_ seed: UInt64) throws {
        let documents = Self.documents(seed, 300)
        let sorted = try aggregate([["$sort": ["v": 1]]], over: documents).get()
        #expect(Set(sorted) == Set(documents))
        for (left, right) in zip(sorted, sorted.dropFirst()) {
            let order = OwnedValue(left["v"] ?? .null).view
                .compare(OwnedValue(right["v"] ?? .null).view)
            #expect(order <= 0)
        }
    }

    @Test(arguments: 1...5 as ClosedRange<UInt64>)
    func unwindThenPushRestores(_ seed: UInt64) throws {
        var generator = DocumentGenerator(seed: seed)
        let documents = (0..<50).map { index in
            Document { writer in
                writer.append("_id", Int32(index))
                let count = 1 + generator.random.below(5)
                writer.append("a", .array((0..<count).map { _ in generator.value(depthMax: 2) }))
            }
        }
        let results = try aggregate(
            [["$unwind": "$a"], ["$group": ["_id": "$_id", "a": ["$push": "$a"]]]],
            over: documents
        ).get()
        #expect(results.map { $0.bytes } == documents.map { $0.bytes })
    }
}
