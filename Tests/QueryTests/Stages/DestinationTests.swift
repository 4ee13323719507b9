import BSON
import Testing

@testable import Query

/// $out and $merge as they are parsed.
@Suite struct DestinationTests {
    static let errors: [(stages: Value, code: Int32)] = [
        ([["$out": "a"], ["$match": [:]]], 40601), ([["$merge": "a"], ["$out": "b"]], 40601),
        ([["$out": 1]], 16990), ([["$out": ["db": "d", "coll": 1]]], 14),
        ([["$out": ["db": "d"]]], 40414), ([["$out": ["coll": "c"]]], 40414),
        ([["$out": ["db": "d", "coll": "c", "x": 1]]], 40415),
        ([["$out": ["db": "d", "coll": "c", "timeseries": ["metaField": "t"]]]], 40414),
        ([["$merge": 1]], 51182), ([["$merge": ["into": 1]]], 51178), ([["$merge": [:]]], 40414),
        ([["$merge": ["into": ["coll": nil]]]], 5_786_801),
        ([["$merge": ["into": ["coll": 1]]]], 14),
        ([["$merge": ["into": ["coll": "c", "x": 1]]]], 40415),
        ([["$merge": ["into": "c", "x": 1]]], 40415),
        ([["$merge": ["into": "c", "on": 1]]], 51186),
        ([["$merge": ["into": "c", "on": []]]], 51187),
        ([["$merge": ["into": "c", "on": [1]]]], 51134),
        ([["$merge": ["into": "c", "on": ["a", "a"]]]], 31465),
        ([["$merge": ["into": "c", "whenMatched": "x"]]], 2),
        ([["$merge": ["into": "c", "whenMatched": 1]]], 51191),
        ([["$merge": ["into": "c", "whenNotMatched": "x"]]], 2),
        ([["$merge": ["into": "c", "whenNotMatched": 1]]], 14),
        ([["$merge": ["into": "c", "whenMatched": "fail", "whenNotMatched": "discard"]]], 51181),
        (
            [["$merge": ["into": "c", "whenMatched": "keepExisting", "whenNotMatched": "fail"]]],
            51181
        ),
        ([["$merge": ["into": "c", "let": ["v": 1]]]], 51199),
        ([["$merge": ["into": "c", "let": 1, "whenMatched": []]]], 14),
        ([["$merge": ["into": "c", "let": ["new": 1], "whenMatched": []]]], 51273),
        ([["$merge": ["into": "c", "whenMatched": [["$match": [:]]]]]], 72),
        ([["$merge": ["into": "c", "whenMatched": [["$out": "x"]]]]], 72),
    ]

    @Test(arguments: errors)
    func refused(_ stages: Value, _ code: Int32) {
        guard case .failure(let error) = aggregate(stages, over: []) else {
            Issue.record("accepted: \(stages)")
            return
        }
        #expect(error.code.rawValue == code, "\(stages): \(error)")
    }

    private func merge(_ argument: Value) throws -> MergeSpecification {
        let list = OwnedValue([["$merge": argument]])
        let pipeline = try Pipeline.parse(DocumentView(list.view.bytes), ExpressionScope())
        guard case .merge(let specification)? = pipeline.destination else {
            throw DBError(.internalError, "no $merge")
        }
        return specification
    }

    static let filters: [(on: Value, acceptsNull: Bool, result: Document?, code: Int32)] = [
        ("a", false, ["a": ["$eq": 1]], 0), (["b.c"], false, ["b.c": ["$eq": 2]], 0),
        (["a", "b.c"], false, ["a": ["$eq": 1], "b.c": ["$eq": 2]], 0), ("zz", false, nil, 51132),
        ("zz", true, ["zz": ["$eq": nil]], 0), ("n", false, nil, 51132),
        ("n", true, ["n": ["$eq": nil]], 0), ("list", true, nil, 51185),
        ("list.x", true, nil, 51185),
    ]

    @Test(arguments: filters)
    func filter(_ on: Value, _ acceptsNull: Bool, _ result: Document?, _ code: Int32) throws {
        let document: Document = ["a": 1, "b": ["c": 2], "n": nil, "list": [["x": 1]]]
        let specification = try merge(["into": "c", "on": on])
        do throws(DBError) {
            let filter = try specification.filter(for: document.view, acceptsNull: acceptsNull)
            #expect(filter == result)
        } catch {
            #expect(error.code.rawValue == code)
        }
    }

    /// What becomes of `{_id: 1, z: 0, a: 1}` when `{_id: 1, b: 2, a: 3}` is merged into it.
    static let modes: [(mode: Value, variables: Value, result: Document)] = [
        ("merge", nil, ["_id": 1, "z": 0, "a": 3, "b": 2]),
        ("replace", nil, ["_id": 1, "b": 2, "a": 3]),
        ("keepExisting", nil, ["_id": 1, "z": 0, "a": 1]),
        ([["$set": ["a": ["$add": ["$a", "$$new.a"]]]]], nil, ["_id": 1, "z": 0, "a": 4]),
        (
            [
                [
                    "$set": [
                        "z": "$$v",
                        "y": ["$map": ["input": [1], "in": ["$add": ["$$this", "$$v"]]]],
                    ]
                ]
            ],
            ["v": "$b"], ["_id": 1, "z": 2, "a": 1, "y": [3]]
        ),
        ([["$set": ["z": "$$v"]]], ["v": "$none"], ["_id": 1, "a": 1]),
    ]

    @Test(arguments: modes)
    func mode(_ mode: Value, _ variables: Value, _ result: Document) throws {
        let old: Document = ["_id": 1, "z": 0, "a": 1]
        let new: Document = ["_id": 1, "b": 2, "a": 3]
        let specification = try merge(["into": "c", "whenMatched": mode, "let": variables])
        let update = try #require(try specification.update(for: new.view))
        var writer = DocumentWriter()
        var scratch = UpdateScratch()
        let time = WriteTime(millis: 0, timestamp: Timestamp(rawValue: 0))
        let changed = try update.apply(to: old.view, time: time, into: &writer, &scratch)
        let outcome = changed ? Document(unchecked: writer.take()) : old
        #expect(outcome == result)
    }
}
