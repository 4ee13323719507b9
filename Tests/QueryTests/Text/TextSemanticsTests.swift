// What statements mean: run over documents, and conditions against the plain expression.

import BSON
import TestSupport
import Testing

@testable import Query

@Suite struct TextSemanticsTests {
    private static let documents: [Document] = [
        ["_id": 1, "s": "open", "t": 5, "tags": ["gift", "x"], "c": ["a": ["city": "Ulm"]]],
        ["_id": 2, "s": "void", "t": 150, "tags": []],
        ["_id": 3, "s": nil, "t": "x"],
        ["_id": 4, "s": ["open"], "t": 101.5, "d": .date(1_767_225_600_000)],
    ]

    private static func stages(_ text: String, _ parameters: Document = [:]) throws -> [Value] {
        guard
            case .read(_, let stages, _) = try TextQuery.compile(
                text, parameters: parameters.view, ExpressionScope(nowMillis: 1_000))
        else { return [] }
        return stages
    }

    /// The `_id`s that a condition lets through.
    static let conditions: [(String, [Int32])] = [
        ("s == \"open\"", [1]), ("s != \"open\"", [2, 3, 4]), ("s == null", [3]),
        ("nothing == null", [1, 2, 3, 4]), ("nothing == s", [3]), ("t > 100", [2, 3, 4]),
        ("t < 100", [1]), ("100 > t", [1]), ("t <= 5", [1]), ("\"gift\" in tags", [1]),
        ("s in [\"open\", null]", [1, 3]), ("\"open\" in s", [4]), ("_id == $one", [1]),
        ("_id in [2, 3, 9]", [2, 3]), ("_id > 2 && s is null", [3]), ("tags is missing", [3, 4]),
        ("t is number", [1, 2, 4]), ("t is not number", [3]), ("t is string || _id == 1", [1, 3]),
        ("c.a.city == \"Ulm\"", [1]), ("c.a[\"city\"].lower() == \"ulm\"", [1]),
        ("!(s == \"open\")", [2, 3, 4]), ("t is number && t * 2 == 300", [2]),
        ("t is int && -t == -5", [1]),
        ("t is int && t % 2 == 1", [1]), ("exists(d)", [4]), ("d == date(\"2026-01-01\")", [4]),
        ("d < now()", [1, 2, 3]), ("s == \"void\" ? true : t == 5", [1, 2]),
        ("true", [1, 2, 3, 4]),
        ("false", []), ("tags == []", [2]), ("size(filter(x in tags: x == \"x\")) == 1", [1]),
        ("any(x in tags: x == \"gift\")", [1]), ("all(x in tags: x != \"gift\")", [2, 3, 4]),
        ("any(x in s: x == \"open\")", [4]), ("any(x in [1, 2]: x == _id)", [1, 2]),
        ("s.startsWith(\"op\")", [1]), ("_id == 1 || _id == 2 && false", [1]),
        ("(_id == 1 || _id == 2) && t > 5", [2]), ("`s` == \"open\"", [1]), ("s == $operator", []),
        ("c.a.city >= \"U\"", [1]), ("c.a.city < \"V\"", [1, 2, 3, 4]), ("d > now()", [4]),
        ("c.a.city is string", [1]), ("c.a is missing", [2, 3, 4]), ("s in [null]", [3]),
        ("d == dateAdd(date(\"2025-12-31\"), \"day\", 1)", [4]),
        ("nothing < 1", [1, 2, 3, 4]), ("nothing >= null", [1, 2, 3, 4]), ("nothing > null", []),
    ]

    @Test(arguments: conditions.indices)
    func selects(_ index: Int) throws {
        let (condition, ids) = Self.conditions[index]
        // A method of text fails on other types, so those are filtered first.
        let text =
            condition.contains("startsWith")
            ? "from a | where s is string | where " + condition : "from a | where " + condition
        let stages = try Self.stages(text, ["one": 1, "operator": ["$ne": 1]])
        let found = try aggregate(.array(stages), over: Self.documents).get()
        #expect(found.map { $0["_id"] } == ids.map { .int32($0) }, "\(condition): \(stages)")
    }

    static let pipelines: [(String, [Document])] = [
        (
            "from a | select { n: _id, c.a.city } | limit 2",
            [["n": 1, "city": "Ulm"], ["n": 2, "city": nil]]
        ),
        ("from a | sort -_id | skip 1 | limit 1 | select { _id }", [["_id": 3]]),
        (
            "from a | where t is number | group s is string { n: count(), t: sum(t), big: count(t > 100) } "
                + "| sort _id",
            [
                ["_id": false, "n": 1, "t": 101.5, "big": 1],
                ["_id": true, "n": 2, "t": 155, "big": 1],
            ]
        ),
        ("from a | group { n: count() }", [["_id": nil, "n": 4]]),
        (
            "from a | unwind tags at i | select { _id, tags, i }",
            [
                ["_id": 1, "tags": "gift", "i": .int64(0)],
                ["_id": 1, "tags": "x", "i": .int64(1)],
            ]
        ),
        ("from a | where _id > 2 | unwind tags outer | count", [["count": 2]]),
        ("from a | where _id > 99 | count", [["count": 0]]),
        ("from a | limit 1 | select { n: 5.min(2), m: (7).max(t) }", [["n": 2, "m": 7]]),
        (
            "from a | group { t: s }.t == \"open\" { n: count() } | sort -n | limit 1",
            [["_id": false, "n": 3]]
        ),
        (
            "from a | where _id > 99 | group { n: count(), open: count(s == \"open\"), "
                + "t: sum(t), least: min(t), all: push(t), o: merge(c) }",
            [["_id": nil, "n": 0, "open": 0, "t": 0, "least": nil, "all": [], "o": [:]]]
        ),
        ("from a | where _id > 99 | group s { n: count() }", []),
        ("from a | where _id > 99 | count | select { c: count + 1 }", [["c": 1]]),
        (
            "from a | limit 1 | set c = { x: t + 1 }, n = \"$s\" + \"!\", unset tags",
            [["_id": 1, "s": "open", "t": 5, "c": ["x": 6], "n": "$s!"]]
        ),
        (
            "from a | limit 1 | select { a: \"$s\", b: [1, nothing], c: {}, d: $v, e: -$n }",
            [
                [
                    "a": "$s", "b": [1, nil], "c": [:],
                    "d": ["$add": [1, 2]], "e": -3,
                ]
            ]
        ),
        ("from a | limit 1 | select { `c`: c.`a`.city, v: 1 }", [["c": "Ulm", "v": 1]]),
    ]

    @Test(arguments: pipelines.indices)
    func answers(_ index: Int) throws {
        let (text, rows) = Self.pipelines[index]
        let stages = try Self.stages(text, ["v": ["$add": [1, 2]], "n": 3])
        #expect(try aggregate(.array(stages), over: Self.documents).get() == rows, "\(stages)")
    }

    @Test func insertsAreConstants() throws {
        let parameters: Document = ["docs": [["a.b": 1], ["$c": 2]]]
        let command = try TextQuery.compile(
            "insert into a { x: 1 + 2, y: [long(3), \"$z\"], at: now() }, $docs",
            parameters: parameters.view, ExpressionScope(nowMillis: 1_000))
        guard case .insert("a", let documents) = command else {
            Issue.record("\(command)")
            return
        }
        let first: Document = ["x": 3, "y": [.int64(3), "$z"], "at": .date(1_000)]
        #expect(documents == [first, ["a.b": 1], ["$c": 2]])
    }

    @Test func indexConditionsCompareWholeValues() throws {
        let command = try TextQuery.compile(
            "create index on a (s, -t) unique where s != \"void\" && t > 5", parameters: nil,
            ExpressionScope())
        guard case .createIndex("a", let index) = command,
            case .document(let filter)? = index["partialFilterExpression"]
        else {
            Issue.record("\(command)")
            return
        }
        #expect(index["key"] == ["s": 1, "t": -1] && index["name"] == "s_1_t_-1")
        for (document, isIn) in [
            (["s": "open", "t": 6], true), (["s": "void", "t": 6], false), (["t": 6], true),
            (["s": ["void"], "t": 6], true), (["s": 1, "t": 6], true), (["s": "open"], false),
        ] as [(Document, Bool)] {
            #expect(try matches(filter, document) == isIn, "\(document)")
        }
    }

    /// The filters that stand before the exact expression never lose a document.
    @Test(arguments: 0..<10)
    func filtersCoverTheirConditions(_ seed: UInt64) throws {
        var random = RandomCondition(seed: seed)
        for _ in 0..<60 {
            let text = random.condition()
            let condition = try Self.condition(text)
            let documents = (0..<60).map { _ in random.document() }
            let expected = try Self.holds(condition, random.parameters, documents)
            let found = try Self.passes(condition, random.parameters, documents)
            for (index, document) in documents.enumerated() {
                #expect(
                    found[index] == expected[index],
                    "seed \(seed): \(text) with \(random.parameters) on \(document)")
            }
        }
    }

    private static func condition(_ text: String) throws -> TextExpression {
        let statement = try TextParser.parse("from a | where " + text)
        guard case .read(let pipeline) = statement,
            case .where(let condition)? = pipeline.stages.first
        else { throw TextError(at: 0, "no condition") }
        return condition
    }

    /// What the expression alone says of each document.
    private static func holds(
        _ condition: TextExpression, _ parameters: [String: Value], _ documents: [Document]
    ) throws -> [Bool] {
        var lowering = TextLowering(parameters, readsFields: true)
        let lowered = OwnedValue(try lowering.raw(condition))
        let expression = try Expression.parse(lowered.view, ExpressionScope())
        var context = EvaluationContext()
        var results: [Bool] = []
        for document in documents {
            results.append(try expression.evaluate(document.view, &context).isTruthy)
        }
        return results
    }

    /// What the filter made of it says.
    private static func passes(
        _ condition: TextExpression, _ parameters: [String: Value], _ documents: [Document]
    ) throws -> [Bool] {
        var lowering = TextLowering(parameters, readsFields: true)
        let lowered = try lowering.filter(condition)
        let filter = try Filter.parse(lowered.view, ExpressionScope().filterOptions(.match))
        var scratch = MatchScratch()
        var results: [Bool] = []
        for document in documents { results.append(try filter.matches(document.view, &scratch)) }
        return results
    }
}

/// Conditions and documents over few fields and values, so that they meet often.
private struct RandomCondition {
    private var generator: DocumentGenerator
    private(set) var parameters: [String: Value] = [:]

    init(seed: UInt64) {
        generator = DocumentGenerator(seed: seed)
    }

    mutating func condition() -> String {
        parameters = [:]
        return term(2)
    }

    private mutating func term(_ depth: Int) -> String {
        if depth > 0, generator.random.oneIn(2) {
            let symbol = generator.random.oneIn(2) ? "&&" : "||"
            return "(\(term(depth - 1)) \(symbol) \(term(depth - 1)))"
        }
        let path = ["a", "b", "a.b", "_id"][generator.random.below(4)]
        let symbol = ["==", "!=", "<", "<=", ">", ">="][generator.random.below(6)]
        let type = ["null", "missing", "number", "array", "string", "object"][
            generator.random.below(6)]
        switch generator.random.below(7) {
        case 4: return "\(path) is \(type)"
        case 0: return "\(path) in [\(constant()), \(constant())]"
        case 1: return "\(constant()) in \(path)"
        case 2: return "\(constant()) \(symbol) \(path)"
        case 3: return "!(\(path) \(symbol) \(constant()))"
        default: return "\(path) \(symbol) \(constant())"
        }
    }

    private mutating func constant() -> String {
        let name = "p\(parameters.count)"
        parameters[name] = value()
        return "$" + name
    }

    private mutating func value() -> Value {
        switch generator.random.below(10) {
        case 0: .null
        case 1: .array([.int32(Int32(generator.random.below(3)))])
        case 2: ["b": .int32(Int32(generator.random.below(3)))]
        case 3: ["x", "y"][generator.random.below(2)]
        case 4: generator.value(depthMax: 1)
        case 5: .double(.nan)
        default: .int32(Int32(generator.random.below(3)))
        }
    }

    mutating func document() -> Document {
        var fields: [(String, Value)] = []
        // An `_id` is never an array, a pattern or undefined.
        let id = value()
        switch id.type {
        case .array, .regex, .undefined: fields.append(("_id", 1))
        default: fields.append(("_id", id))
        }
        for name in ["a", "b"] where !generator.random.oneIn(4) {
            if generator.random.oneIn(4) {
                let list = (0..<generator.random.below(3)).map { _ in value() }
                fields.append((name, .array(list)))
            } else {
                fields.append((name, value()))
            }
        }
        return Document { writer in for (name, value) in fields { writer.append(name, value) } }
    }
}
