// Work inside one document can be ended.

import BSON
import Testing

@testable import Query

@Suite struct InterruptTests {
    /// Pipelines that mean more work for one document than any test could wait for.
    static let endless: [Value] = [
        [["$unwind": "$a"], ["$unwind": "$b"], ["$unwind": "$c"], ["$count": "n"]],
        [["$match": ["$expr": ["$reduce": endlessReduce]]]],
        [["$project": ["x": ["$reduce": endlessReduce]]]],
        [["$group": ["_id": ["$reduce": endlessReduce]]]],
        [["$replaceRoot": ["newRoot": ["x": ["$reduce": endlessReduce]]]]],
    ]

    /// Three nested loops over an array of the document.
    static let endlessReduce: Value = [
        "input": "$a", "initialValue": 0,
        "in": [
            "$reduce": [
                "input": "$b", "initialValue": 0,
                "in": ["$reduce": ["input": "$c", "initialValue": 0, "in": 1]],
            ]
        ],
    ]

    static let document: Document = {
        let numbers = Value.array((0..<5_000).map { .int32($0) })
        return ["a": numbers, "b": numbers, "c": numbers]
    }()

    static func code(_ stages: Value, _ interrupt: Interrupt) -> Int32 {
        do throws(DBError) {
            let list = OwnedValue(stages)
            let pipeline = try Pipeline.parse(DocumentView(list.view.bytes), ExpressionScope())
            #expect(pipeline.multiplies)
            var resources = ExecutionResources()
            resources.interrupt = interrupt
            let execution = PipelineExecution(pipeline, resources)
            _ = try execution.push(document.view, arrayPosition: nil)
            return 0
        } catch {
            return error.code.rawValue
        }
    }

    @Test(arguments: endless)
    func pipelinesEndAtTheirDeadline(stages: Value) {
        #expect(Self.code(stages, Interrupt(deadline: .now)) == 50)
    }

    @Test(arguments: endless)
    func pipelinesEndWhenKilled(stages: Value) {
        let interrupt = Interrupt()
        interrupt.kill()
        interrupt.kill(.interruptedAtShutdown)
        #expect(Self.code(stages, interrupt) == 237)
    }

    @Test func unwindHoldsSoManyResultsAtMost() {
        let stages: Value = [["$unwind": "$a"]]
        let text = Value.string(String(repeating: "x", count: 1_000_000))
        let document: Document = ["a": .array((0..<300).map { .int32($0) }), "t": text]
        guard case .failure(let error) = aggregate(stages, over: [document]) else {
            Issue.record("300 MB were held")
            return
        }
        #expect(error.code == .exceededMemoryLimit)
    }

    /// Conditions times elements: quadratic within one document.
    @Test(arguments: ["a", "a.x"])
    func filtersEndAtTheirDeadline(path: String) throws {
        let numbers = (0..<20_000).map { Value.int32($0) }
        let elements = path == "a" ? numbers : numbers.map { .document(["x": $0]) }
        let document: Document = ["a": .array(elements)]
        for condition in [["$all": Self.wanted], ["$elemMatch": ["$lt": -1]]] as [Document] {
            let filter = Document { writer in writer.append(path, condition) }
            let compiled = try Filter.parse(filter.view)
            var scratch = MatchScratch(Interrupt(deadline: .now))
            var code: Int32 = 0
            do throws(DBError) {
                _ = try compiled.matches(document.view, &scratch)
            } catch {
                code = error.code.rawValue
            }
            #expect(code == 50)
        }
    }

    static let wanted = Value.array((10_000..<15_000).map { .int32($0) })

    /// Whatever the step, so that no bound depends on the numbers that are met.
    @Test(
        arguments: [
            [0, 2_000_000_000], [1, 2_000_000_000, 2], [2_000_000_000, -2_000_000_000, -1],
        ] as [[Value]])
    func rangesAreBounded(arguments: [Value]) {
        // Not constants, which would be folded before the stage runs.
        let range: [Value] = [["$add": [["$ifNull": ["$zero", 0]], arguments[0]]]] + arguments.dropFirst()
        let stages: Value = [["$project": ["x": ["$range": .array(range)]]]]
        guard case .failure(let error) = aggregate(stages, over: [["_id": 1]]) else {
            Issue.record("no bound")
            return
        }
        #expect(error.code == .exceededMemoryLimit)
        #expect(Self.code(stages, Interrupt(deadline: .now)) == 50)
    }
}
