// Sorts and groups beyond their memory: the same results from temporary files, and a clear error
// where the disk may not be used.

import BSON
import Foundation
import TestSupport
import Testing

@testable import Query

@Suite struct SpillTests {
    static let documents: [Document] = {
        var random = RandomSource(seed: 7)
        return (0..<3_000).map { index in
            [
                "_id": .int32(Int32(index)), "k": .int32(.random(in: 0...400, using: &random)),
                "v": .double(.random(in: -10...10, using: &random)),
                "s": .string(String(repeating: "x", count: .random(in: 0...30, using: &random))),
            ]
        }
    }()

    static let outputs: Value = [
        "_id": "$k", "sum": ["$sum": "$v"], "n": ["$count": [:]], "avg": ["$avg": "$v"],
        "first": ["$first": "$_id"], "last": ["$last": "$_id"], "low": ["$min": "$v"],
        "ids": ["$push": "$_id"], "dev": ["$stdDevPop": "$v"], "set": ["$addToSet": "$s"],
        "top": ["$topN": ["n": 2, "sortBy": ["v": 1], "output": "$_id"]],
        "ends": ["$lastN": ["n": 3, "input": "$_id"]], "all": ["$mergeObjects": "$$ROOT"],
        "median": ["$median": ["input": "$v", "method": "approximate"]],
    ]

    static let pipelines: [Value] = [
        [["$sort": ["k": 1, "v": -1]]], [["$sort": ["s": -1]], ["$skip": 100]],
        [["$group": outputs], ["$sort": ["_id": 1]]],
        [["$bucketAuto": ["groupBy": "$v", "buckets": 7]]],
        [
            [
                "$setWindowFields": [
                    "partitionBy": "$k", "sortBy": ["v": 1],
                    "output": ["n": ["$sum": "$v", "window": ["documents": [-1, 1]]]],
                ]
            ]
        ],
    ]

    @Test(arguments: pipelines)
    func theSameFromDisk(_ stages: Value) throws {
        let folder = FileManager.default.temporaryDirectory.path
        let inMemory = try aggregate(stages, over: Self.documents).get()
        let spilled = try aggregate(
            stages, over: Self.documents, memoryBytesMax: 40_000, spillFolder: folder
        ).get()
        #expect(inMemory.count == spilled.count)
        for (left, right) in zip(inMemory, spilled) {
            #expect(Self.rounded(left) == Self.rounded(right))
        }
    }

    /// The document with its doubles rounded: sums put together from parts may differ in the last
    /// place.
    private static func rounded(_ document: Document) -> Document {
        Document { writer in
            for name in document.keys {
                if case .double(let number)? = document[name] {
                    writer.append(name, (number * 1e9).rounded() / 1e9)
                } else if let value = document[name] {
                    writer.append(name, value)
                }
            }
        }
    }

    @Test(arguments: pipelines)
    func refusedWithoutDisk(_ stages: Value) {
        switch aggregate(stages, over: Self.documents, memoryBytesMax: 40_000) {
        case .success: Issue.record("\(stages) took no more than its bound")
        case .failure(let error):
            #expect(error.code.rawValue == 292)
            #expect(error.message.contains("allowDiskUse"))
        }
    }
}
