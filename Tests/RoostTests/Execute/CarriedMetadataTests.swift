import BSON
import Query
import Testing

@testable import Roost

/// The score of a text search goes along with a document through stages that make others of it, and
/// never shows as a field of `$$ROOT`.
@Suite struct CarriedMetadataTests {
    private static let names = Namespace("test", "scored")

    struct Row: Sendable {
        let stages: [Value]
        /// Each result's `_id`, or what else it has under `r`.
        let results: [Value]
    }

    private static let score: Value = ["$meta": "textScore"]

    static let rows: [Row] = [
        Row(
            stages: [["$project": ["n": 1]], ["$sort": ["s": score]], ["$project": ["r": "$_id"]]],
            results: [3, 2, 1]),
        Row(
            stages: [["$unset": "s"], ["$match": ["n.x": 1]], ["$set": ["r": score]]],
            results: [0.75]),
        Row(
            stages: [
                ["$replaceRoot": ["newRoot": "$n"]], ["$match": ["x": 1]], ["$set": ["r": score]],
            ], results: [0.75]),
        Row(
            stages: [
                ["$replaceWith": ["$mergeObjects": ["$$ROOT", ["z": 1]]]], ["$match": ["_id": 1]],
                ["$project": ["r": ["$concatArrays": [[score], ["$z"]]]]],
            ], results: [[0.75, 1]]),
        Row(
            stages: [
                ["$match": ["_id": 1]], ["$set": ["score": score]],
                [
                    "$project": [
                        "r": [
                            "$map": [
                                "input": ["$objectToArray": "$$ROOT"], "in": "$$this.k",
                            ]
                        ]
                    ]
                ],
            ], results: [["_id", "s", "n", "score"]]),
        Row(
            stages: [
                ["$match": ["_id": 1]], ["$set": ["score": score]], ["$unset": "s"],
                ["$group": ["_id": nil, "r": ["$push": "$$CURRENT"]]],
            ], results: [[["_id": 1, "n": ["x": 1], "score": 0.75]]]),
        Row(
            stages: [
                ["$match": ["_id": 1]],
                ["$facet": ["a": [["$set": ["s": score]]], "b": [["$unset": ["s", "n"]]]]],
                ["$project": ["r": ["$concatArrays": ["$a", "$b"]]]],
            ], results: [[["_id": 1, "s": 0.75, "n": ["x": 1]], ["_id": 1]]]),
    ]

    @Test(arguments: rows)
    func isKept(_ row: Row) async throws {
        let fixture = try ReadFixture()
        try await fixture.createIndex(Self.names, ["key": ["s": "text"], "name": "t"])
        try await fixture.insert(
            Self.names,
            (0..<4).map { count in
                [
                    "_id": .int32(Int32(count)),
                    "s": .string(String(repeating: "cat ", count: count) + "dog"),
                    "n": ["x": .int32(Int32(count))],
                ]
            })
        let list = OwnedValue(.array([["$match": ["$text": ["$search": "cat"]]]] + row.stages))
        let pipeline = try Pipeline.parse(DocumentView(list.view.bytes), ExpressionScope())
        let found = try fixture.run(
            fixture.engine.openCursor(AggregateRequest(Self.names, pipeline: pipeline)))
        #expect(found.map { $0["r"] ?? .undefined } == row.results)
        for document in found {
            #expect(
                !ExtendedJSON.string(of: document.view, canonical: false).contains("$roost"))
        }
    }
}
