// $rankFusion: ranks, scores, what {$meta: …} tells of them, and what is refused.

import BSON
import Testing

@testable import Query

@Suite struct RankFusionTests {
    private static let documents: [Document] = [
        ["_id": 1, "a": 1, "b": 9], ["_id": 2, "a": 2, "b": 5], ["_id": 3, "a": 2, "b": 1],
        ["_id": 4, "a": 3],
    ]

    /// The results of `stages` over the documents, or the code of their error.
    private func run(_ stages: Value) -> Result<[Document], DBError> {
        do throws(DBError) {
            var scope = ExpressionScope()
            scope.source = ForeignCollection(database: "", collection: "c")
            let list = OwnedValue(stages)
            let pipeline = try Pipeline.parse(DocumentView(list.view.bytes), scope)
            var resources = ExecutionResources()
            resources.foreign = OtherCollections(["c": Self.documents])
            return .success(try QueryTests.run(pipeline, over: Self.documents, resources))
        } catch {
            return .failure(error)
        }
    }

    private func fusion(_ pipelines: Value, _ others: [(String, Value)] = []) -> Value {
        var stage = Document { writer in
            let input = writer.openDocument("input")
            writer.append("pipelines", pipelines)
            writer.close(input)
        }
        for (name, value) in others {
            let before = stage
            stage = Document { writer in
                writer.appendFields(of: before.view)
                writer.append(name, value)
            }
        }
        return ["$rankFusion": .document(stage)]
    }

    private static func score(_ ranks: [(Double, Double)]) -> Double {
        ranks.reduce(0) { $0 + 1 / (60 + $1.0) * $1.1 }
    }

    @Test func equalSortKeysShareARank() throws {
        let scores: Value = ["$project": ["_id": 1, "s": ["$meta": "score"]]]
        let results = try run([fusion(["p": [["$sort": ["a": -1]]]]), scores]).get()
        let expected: [Document] = [
            ["_id": 4, "s": .double(Self.score([(1, 1)]))],
            ["_id": 2, "s": .double(Self.score([(2, 1)]))],
            ["_id": 3, "s": .double(Self.score([(2, 1)]))],
            ["_id": 1, "s": .double(Self.score([(4, 1)]))],
        ]
        #expect(results == expected)
    }

    @Test func weightsDecide() throws {
        let pipelines: Value = [
            "byA": [["$sort": ["a": -1]], ["$limit": 1]],
            "byB": [["$match": ["b": ["$exists": true]]], ["$sort": ["b": -1]]],
        ]
        let results = try run([
            fusion(pipelines, [("combination", ["weights": ["byB": 0.5]])]),
            ["$project": ["_id": 1]],
        ]).get()
        #expect(results.map { $0["_id"] } == [4, 1, 2, 3])
        // Nothing that the stages behind don't ask for comes out.
        let plain = try run([fusion(pipelines)]).get()
        #expect(plain.first == ["_id": 1, "a": 1, "b": 9])
    }

    @Test func detailsNameEveryPipeline() throws {
        let pipelines: Value = [
            "z": [["$sort": ["_id": 1]]], "a": [["$sort": ["_id": 1]], ["$limit": 1]],
        ]
        let results = try run([
            fusion(pipelines, [("scoreDetails", true)]),
            ["$project": ["_id": 1, "d": ["$meta": "scoreDetails"]]],
        ]).get()
        guard case .document(let details)? = results.last?["d"] else {
            Issue.record("no details: \(results)")
            return
        }
        #expect(details["value"] == .double(Self.score([(4, 1)])))
        #expect(
            details["details"] == [
                ["inputPipelineName": "a", "rank": "NA", "weight": 1.0],
                ["inputPipelineName": "z", "rank": 4, "weight": 1.0, "details": []],
            ])
    }

    /// Pipelines as JSON, and the codes of their errors; SORTED stands for a good input.
    static let refused: [(stages: String, code: Int32)] = [
        (#"[{"$rankFusion":1}]"#, 9), (#"[{"$rankFusion":{}}]"#, 40414),
        (#"[{"$rankFusion":{"input":null}}]"#, 40414),
        (#"[{"$rankFusion":{"input":{},"x":1}}]"#, 40415),
        (#"[{"$rankFusion":{"input":1}}]"#, 14),
        (#"[{"$rankFusion":{"input":{"pipelines":{}}}}]"#, 2),
        (#"[{"$rankFusion":{"input":{"pipelines":{"p":[]}}}}]"#, 9_834_300),
        (#"[{"$rankFusion":{"input":{"pipelines":{"p":1}}}}]"#, 14),
        (#"[{"$rankFusion":{"input":{"pipelines":{"":[{"$sort":{"a":1}}]}}}}]"#, 15998),
        (#"[{"$rankFusion":{"input":{"pipelines":{"$x":[{"$sort":{"a":1}}]}}}}]"#, 16410),
        (#"[{"$rankFusion":{"input":{"pipelines":{"a.b":[{"$sort":{"a":1}}]}}}}]"#, 16412),
        (#"[{"$rankFusion":{"input":{"pipelines":{"p":[{"$match":{}}]}}}}]"#, 9_191_100),
        (
            #"[{"$rankFusion":{"input":{"pipelines":{"p":[{"$sort":{"a":1}},{"$unset":"b"}]}}}}]"#,
            9_191_103
        ),
        (#"[{"$rankFusion":{SORTED,"combination":{"weights":null}}}]"#, 40414),
        (#"[{"$rankFusion":{SORTED,"combination":{"weights":{"p":"1"}}}}]"#, 13118),
        (#"[{"$rankFusion":{SORTED,"combination":{"weights":{"p":-1}}}}]"#, 9_460_300),
        (#"[{"$rankFusion":{SORTED,"combination":{"weights":{"p":1,"q":1}}}}]"#, 9_460_301),
        (#"[{"$rankFusion":{SORTED,"combination":{"weights":{"q":1}}}}]"#, 9_967_500),
        (#"[{"$match":{}},{"$rankFusion":{SORTED}}]"#, 10_170_100),
        (#"[{"$rankFusion":{SORTED}},{"$project":{"d":{"$meta":"scoreDetails"}}}]"#, 40218),
    ]

    @Test(arguments: refused.indices)
    func refuses(_ index: Int) throws {
        let row = Self.refused[index]
        let sorted = #""input":{"pipelines":{"p":[{"$sort":{"a":1}}]}}"#
        let stages = row.stages.replacing("SORTED", with: sorted)
        guard case .failure(let error) = run(try ExtendedJSON.parseValue(stages)) else {
            Issue.record("no error: \(row.stages)")
            return
        }
        #expect(error.code.rawValue == row.code, "\(row.stages): \(error.message)")
    }
}
