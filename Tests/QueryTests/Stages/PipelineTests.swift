import BSON
import Testing

@testable import Query

@Suite struct PipelineTests {
    static let documents: [Document] = [
        ["_id": 1, "s": "a", "v": 10, "t": ["x", "y"]], ["_id": 2, "s": "b", "v": 20, "t": []],
        ["_id": 3, "s": "a", "v": 30.5], ["_id": 4, "s": nil, "v": "n", "t": nil],
        ["_id": 5, "v": nil, "t": "z"],
    ]

    static let rows: [(stages: Value, results: [Document])] = [
        ([["$match": ["s": "a"]], ["$project": ["v": 1, "_id": 0]]], [["v": 10], ["v": 30.5]]),
        (
            [["$sort": ["_id": -1]], ["$skip": 1], ["$limit": 2], ["$project": ["_id": 1]]],
            [["_id": 4], ["_id": 3]]
        ),
        (
            [["$group": ["_id": nil, "n": ["$sum": 1], "t": ["$sum": "$v"], "a": ["$avg": "$v"]]]],
            [["_id": nil, "n": 5, "t": 60.5, "a": .double(60.5 / 3)]]
        ),
        (
            [["$group": ["_id": "$s", "n": ["$count": [:]]]], ["$sort": ["_id": 1]]],
            [["_id": nil, "n": 2], ["_id": "a", "n": 2], ["_id": "b", "n": 1]]
        ),
        (
            [["$group": ["_id": ["k": "$s"], "n": ["$sum": 1]]], ["$sort": ["n": 1, "_id": 1]]],
            [
                ["_id": [:], "n": 1], ["_id": ["k": nil], "n": 1], ["_id": ["k": "b"], "n": 1],
                ["_id": ["k": "a"], "n": 2],
            ]
        ),
        (
            [
                [
                    "$group": [
                        "_id": nil, "p": ["$push": "$s"], "f": ["$first": "$s"],
                        "l": ["$last": "$s"],
                        "lo": ["$min": "$v"], "hi": ["$max": "$v"],
                    ]
                ]
            ],
            [["_id": nil, "p": ["a", "b", "a", nil], "f": "a", "l": nil, "lo": 10, "hi": "n"]]
        ),
        (
            [["$group": ["_id": nil, "u": ["$addToSet": ["$type": "$v"]]]]],
            [["_id": nil, "u": ["int", "double", "string", "null"]]]
        ),
        (
            [["$limit": 2], ["$group": ["_id": nil, "m": ["$mergeObjects": "$$ROOT"]]]],
            [["_id": nil, "m": ["_id": 2, "s": "b", "v": 20, "t": []]]]
        ),
        (
            [["$unwind": "$t"], ["$project": ["t": 1]]],
            [["_id": 1, "t": "x"], ["_id": 1, "t": "y"], ["_id": 5, "t": "z"]]
        ),
        (
            [
                [
                    "$unwind": [
                        "path": "$t", "includeArrayIndex": "i", "preserveNullAndEmptyArrays": true,
                    ]
                ],
                ["$project": ["t": 1, "i": 1]],
            ],
            [
                ["_id": 1, "t": "x", "i": .int64(0)], ["_id": 1, "t": "y", "i": .int64(1)],
                ["_id": 2, "i": nil], ["_id": 3, "i": nil], ["_id": 4, "t": nil, "i": nil],
                ["_id": 5, "t": "z", "i": nil],
            ]
        ),
        ([["$match": ["_id": ["$gt": 3]]], ["$count": "n"]], [["n": 2]]),
        ([["$match": ["_id": 99]], ["$count": "n"]], []),
        ([["$match": ["_id": 99]], ["$group": ["_id": nil, "n": ["$sum": 1]]]], []),
        ([["$limit": 1], ["$replaceRoot": ["newRoot": ["w": "$v"]]]], [["w": 10]]),
        (
            [
                ["$limit": 1], ["$replaceWith": ["$mergeObjects": [["d": 1], "$$ROOT"]]],
                ["$unset": ["t", "s"]],
            ],
            [["d": 1, "_id": 1, "v": 10]]
        ),
        ([["$sortByCount": "$s"], ["$limit": 1]], [["_id": "a", "count": 2]]),
        (
            [
                ["$match": ["$expr": ["$gt": ["$v", 15]]]], ["$match": ["s": ["$ne": nil]]],
                ["$project": ["_id": 1]],
            ], [["_id": 2], ["_id": 3]]
        ),
    ]

    @Test(arguments: rows.indices)
    func table(_ index: Int) throws {
        let row = Self.rows[index]
        let results = try aggregate(row.stages, over: Self.documents).get()
        #expect(results.map { Value.document($0) } == row.results.map { .document($0) })
    }

    static let errors: [(Value, Int32)] = [
        ([1], 14), ([[:]], 40323), ([["$match": [:], "$limit": 1]], 40323), ([["$nope": 1]], 40324),
        ([["$lookup": [:]]], 9), ([["$limit": 1], ["$documents": []]], 40602),
        ([["$match": 1]], 15959), ([["$project": 1]], 15969), ([["$project": [:]]], 51272),
        ([["$sort": 1]], 15973), ([["$sort": [:]]], 15976), ([["$sort": ["a": 2]]], 15975),
        ([["$skip": -1]], 5_107_200), ([["$limit": 0]], 15958), ([["$limit": 1.5]], 5_107_201),
        ([["$group": [:]]], 15955), ([["$group": 1]], 15947),
        ([["$group": ["_id": nil, "a": 1]]], 40234),
        ([["$group": ["_id": nil, "a": ["$x": 1]]]], 15952),
        ([["$group": ["_id": nil, "a.b": ["$sum": 1]]]], 40235),
        ([["$group": ["_id": nil, "a": ["$sum": 1, "$avg": 1]]]], 40238),
        ([["$group": ["_id": nil, "a": ["$sum": []]]]], 40237),
        ([["$group": ["_id": ["a": 1]]]], 17390),
        ([["$group": ["_id": nil, "a": ["$topN": [:]]]]], 5_788_003), ([["$count": 1]], 40156),
        ([["$count": ""]], 40157), ([["$count": "$a"]], 40158), ([["$count": "a.b"]], 40160),
        ([["$unwind": "a"]], 28818), ([["$unwind": ["path": "$a", "x": 1]]], 28811),
        ([["$unwind": 1]], 15981), ([["$addFields": 1]], 40272),
        ([["$addFields": ["a": 1, "a.b": 1]]], 40176),
        ([["$unset": 1]], 31002), ([["$unset": []]], 31119), ([["$unset": [1]]], 31120),
        ([["$replaceRoot": ["newRoot": 1]]], 40228), ([["$replaceRoot": ["x": 1]]], 40415),
        ([["$sortByCount": 1]], 40149), ([["$replaceWith": "$s"]], 40228),
        // A constant is folded before the stage runs, which tells another code.
        ([["$group": ["_id": ["$divide": [1, 0]]]]], 2),
        ([["$group": ["_id": ["$divide": ["$_id", 0]]]]], 4_848_401),
    ]

    @Test(arguments: errors.indices)
    func refused(_ index: Int) {
        let (stages, code) = Self.errors[index]
        switch aggregate(stages, over: Self.documents) {
        case .success(let results): Issue.record("\(stages) gave \(results)")
        case .failure(let error): #expect(error.code.rawValue == code, "\(stages): \(error)")
        }
    }

    @Test func documentsStageNeedsNoCollection() throws {
        let list = OwnedValue(
            [["$documents": [["a": 1], ["a": 2]]], ["$match": ["a": 2]]] as Value)
        let pipeline = try Pipeline.parse(DocumentView(list.view.bytes), ExpressionScope())
        #expect(pipeline.isCollectionless)
        #expect(try run(pipeline, over: []) == [["a": 2]])
    }

    @Test func leadingPartAndDependencies() throws {
        let list = OwnedValue(
            [
                ["$match": ["a": 1]], ["$match": ["b": 2]], ["$sort": ["c": 1]], ["$skip": 2],
                ["$limit": 3], ["$group": ["_id": "$d.e", "n": ["$sum": "$f"]]],
            ] as Value)
        let pipeline = try Pipeline.parse(DocumentView(list.view.bytes), ExpressionScope())
        let leading = pipeline.leading
        #expect(leading.filter?.root.path == nil)
        #expect(leading.filterStageCount == 1 && leading.stageCount == 4)
        #expect(leading.sort != nil && leading.skip == 2 && leading.limit == 3)
        #expect(
            pipeline.requiredPaths(after: leading.stageCount)?.map { $0.dotted } == ["d.e", "f"])
        let counting = OwnedValue([["$match": ["a": 1]], ["$count": "n"]] as Value)
        let count = try Pipeline.parse(DocumentView(counting.view.bytes), ExpressionScope())
        #expect(count.countsOnly(after: 1))
    }

    @Test func limitEndsTheInput() throws {
        let list = OwnedValue([["$limit": 2]] as Value)
        let pipeline = try Pipeline.parse(DocumentView(list.view.bytes), ExpressionScope())
        let execution = PipelineExecution(pipeline)
        let document: Document = ["a": 1]
        #expect(try execution.push(document.view, arrayPosition: nil))
        #expect(try !execution.push(document.view, arrayPosition: nil))
        #expect(execution.readyCount == 2)
        try execution.finish()
        execution.removeFirst()
        execution.removeFirst()
        #expect(execution.isExhausted)
    }

    static let growing: [(stage: Value, code: Int32)] = [
        (["$sort": ["a": 1]], 292), (["$group": ["_id": nil, "p": ["$push": "$a"]]], 146),
        (["$group": ["_id": "$a"]], 292),
    ]

    @Test(arguments: growing.indices)
    func memoryIsBounded(_ index: Int) {
        let (stage, code) = Self.growing[index]
        let documents = (0..<2000).map {
            ["a": .string("\($0) some text to take memory")] as Document
        }
        switch aggregate(.array([stage]), over: documents, memoryBytesMax: 20_000) {
        case .success: Issue.record("no error")
        case .failure(let error): #expect(error.code.rawValue == code)
        }
    }
}
