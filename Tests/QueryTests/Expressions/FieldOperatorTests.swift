import BSON
import Testing

@testable import Query

@Suite struct FieldOperatorTests {
    static let document: Document = [
        "a": 1, "a.b": 2, "$p": 3, "o": ["x": 1, "y.z": 2], "n": nil, "list": [["x": 1]],
    ]

    static let get: [ExpressionRow] = [
        .init(["$getField": "a.b"], 2), .init(["$getField": "a"], 1),
        .init(missing: ["$getField": "zz"]), .init(["$getField": ["$literal": "$p"]], 3),
        .init(["$getField": ["field": "y.z", "input": "$o"]], 2),
        .init(["$getField": ["field": ["$concat": ["y", ".z"]], "input": "$o"]], 2),
        .init(["$getField": ["field": "x", "input": "$n"]], nil),
        .init(missing: ["$getField": ["field": "x", "input": "$zz"]]),
        .init(missing: ["$getField": ["field": "x", "input": "$a"]]),
        .init(missing: ["$getField": ["field": "x", "input": "$list"]]),
        .init(["$getField": ["field": "x", "other": 1]], code: 3_041_701),
        .init(["$getField": ["input": "$o"]], code: 3_041_702),
        .init(["$getField": ["field": "x"]], code: 3_041_703),
        .init(["$getField": ["field": ["$add": [1, "$a"]], "input": "$o"]], code: 3_041_704),
        .init(["$getField": "$a"], code: 5_654_600), .init(["$getField": 1], code: 5_654_602),
    ]

    static let set: [ExpressionRow] = [
        .init(["$setField": ["field": "x", "input": "$o", "value": 9]], ["x": 9, "y.z": 2]),
        .init(
            ["$setField": ["field": "n.m", "input": "$o", "value": "$a"]],
            ["x": 1, "y.z": 2, "n.m": 1]),
        .init(
            ["$setField": ["field": ["$literal": "$q"], "input": [:], "value": 1]], ["$q": 1]),
        .init(["$setField": ["field": "x", "input": "$o", "value": "$$REMOVE"]], ["y.z": 2]),
        .init(["$setField": ["field": "x", "input": "$o", "value": "$zz"]], ["y.z": 2]),
        .init(["$setField": ["field": "x", "input": "$n", "value": 1]], nil),
        .init(["$setField": ["field": "x", "input": "$zz", "value": 1]], nil),
        .init(["$setField": ["field": "x", "input": "$a", "value": 1]], code: 4_161_105),
        .init(["$setField": ["field": "x", "input": "$o"]], code: 4_161_103),
        .init(["$setField": ["field": "a\0", "input": "$o", "value": 1]], code: 9_534_700),
        .init(["$unsetField": ["field": "y.z", "input": "$o"]], ["x": 1]),
        .init(["$unsetField": ["field": "q", "input": "$o"]], ["x": 1, "y.z": 2]),
        .init(["$unsetField": ["field": "x", "input": "$list"]], code: 4_161_105),
        .init(["$unsetField": 1], code: 4_161_100),
        .init(["$unsetField": ["field": "x", "input": [:], "value": 1]], code: 4_161_101),
        .init(["$unsetField": ["input": [:]]], code: 4_161_102),
        .init(["$unsetField": ["field": "x"]], code: 4_161_109),
        .init(["$unsetField": ["field": ["a": 1], "input": [:]]], code: 4_161_106),
        .init(["$unsetField": ["field": ["x"], "input": [:]]], code: 4_161_106),
        .init(["$unsetField": ["field": [:], "input": [:]]], code: 4_161_107),
        .init(["$unsetField": ["field": 1, "input": [:]]], code: 4_161_107),
        .init(["$unsetField": ["field": "$x", "input": [:]]], code: 4_161_108),
        .init(["$unsetField": ["field": "$x", "input": ["$x": 1]]], code: 168),
        .init(["$rand": [1]], code: 3_040_501), .init(["$rand": 1], code: 3_040_501),
    ]

    @Test(arguments: get + set)
    func row(_ row: ExpressionRow) {
        #expect(evaluate(row.expression, Self.document) == row.outcome)
    }

    @Test(arguments: [["$rand": [:]], ["$rand": []]] as [Value])
    func randomNumbers(_ expression: Value) throws {
        var seen: Set<Double> = []
        for _ in 0..<50 {
            guard case .value(.double(let number)) = evaluate(expression) else {
                Issue.record("no double")
                return
            }
            #expect((0..<1).contains(number))
            seen.insert(number)
        }
        #expect(seen.count > 40)
    }
}
