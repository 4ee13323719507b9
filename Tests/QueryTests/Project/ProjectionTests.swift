import BSON
import Testing

@testable import Query

/// A projection, a document and what comes out.
struct ProjectionRow: Sendable, CustomTestStringConvertible {
    let specification: Document
    let document: Document
    let result: Document
    let filter: Document
    var testDescription: String { "\(specification)" }

    init(
        _ specification: Document, _ document: Document, _ result: Document, filter: Document = [:]
    ) {
        self.specification = specification
        self.document = document
        self.result = result
        self.filter = filter
    }
}

@Suite struct ProjectionTests {
    static let find: [ProjectionRow] = [
        .init([:], ["_id": 1, "a": 2], ["_id": 1, "a": 2]),
        .init(["b": 1, "a": 1], ["_id": 1, "a": 1, "c": 3, "b": 2], ["_id": 1, "a": 1, "b": 2]),
        .init(["a": 1, "_id": 0], ["_id": 1, "a": 1], ["a": 1]),
        .init(["_id": 1], ["_id": 1, "a": 1], ["_id": 1]),
        .init(["_id": 0], ["_id": 1, "a": 1], ["a": 1]),
        .init(["_id": 1, "a": 0], ["_id": 1, "a": 1, "b": 2], ["_id": 1, "b": 2]),
        .init(["a": 0], ["_id": 1, "a": 1, "b": 2], ["_id": 1, "b": 2]),
        // Computed fields come after the stored ones, in the order of the specification.
        .init(
            ["x": "$a", "b": 1, "y": ["$add": ["$b", 1]]], ["_id": 1, "a": 5, "b": 2],
            ["_id": 1, "b": 2, "x": 5, "y": 3]),
        .init(["a": "x"], ["_id": 1, "a": 1], ["_id": 1, "a": "x"]),
        // Arrays.
        .init(
            ["a.b": 1], ["a": [["b": 1, "c": 2], ["c": 3], 4, [["b": 5, "c": 6]]]],
            ["a": [["b": 1], [:], [["b": 5]]]]),
        .init(["a.b": 1], ["a": [1, 2]], ["a": []]), .init(["a.b": 1], ["a": [[]]], ["a": [[]]]),
        .init(["a.b": 1], ["a": 5], [:]), .init(["a.b": 1], ["a": [:]], ["a": [:]]),
        .init(
            ["a.b": 0], ["a": [["b": 1, "c": 2], 4, [["b": 5]]]], ["a": [["c": 2], 4, [[:]]]]),
        .init(["a.0": 1], ["a": [["0": 1], 2]], ["a": [["0": 1]]]),
        .init(
            ["a": ["b": 1], "a.c": 1], ["a": ["b": 1, "c": 2, "d": 3]], ["a": ["b": 1, "c": 2]]),
        .init(["a.x": "$b"], ["a": 1, "b": 2], ["a": ["x": 2]]),
        .init(["a.x": "$b"], ["b": 2], ["a": ["x": 2]]),
        // $slice.
        .init(["a": ["$slice": 1]], ["t": "x", "a": [1, 2]], ["t": "x", "a": [1]]),
        .init(["a": ["$slice": -1]], ["a": [1, 2]], ["a": [2]]),
        .init(["a": ["$slice": [1, 2]]], ["a": [1, 2, 3, 4]], ["a": [2, 3]]),
        .init(["a": ["$slice": [-3, 2]]], ["a": [1, 2, 3, 4]], ["a": [2, 3]]),
        .init(["a": ["$slice": 1], "b": 1], ["a": [1, 2], "b": 1, "c": 1], ["a": [1], "b": 1]),
        .init(["a": ["$slice": 1]], ["a": 7], ["a": 7]),
        .init(["a.b": ["$slice": 1]], ["a": [["b": [1, 2]], 3]], ["a": [["b": [1]], 3]]),
        // $elemMatch.
        .init(
            ["a": ["$elemMatch": ["x": ["$gt": 1]]]],
            ["_id": 1, "b": 1, "a": [["x": 1], ["x": 2]]],
            ["_id": 1, "a": [["x": 2]]]),
        .init(
            ["a": ["$elemMatch": ["$gte": 2]], "c": 1], ["_id": 1, "a": [1, 2, 3], "c": 9],
            ["_id": 1, "c": 9, "a": [2]]),
        .init(["a": ["$elemMatch": ["$gte": 9]]], ["_id": 1, "a": [1]], ["_id": 1]),
        .init(["a": ["$elemMatch": ["$gte": 0]]], ["_id": 1, "a": 1], ["_id": 1]),
        .init(
            ["a": ["$elemMatch": ["$gte": 2]], "b": 0], ["_id": 1, "a": [1, 2], "b": 9, "c": 3],
            ["_id": 1, "a": [2], "c": 3]),
        // A pair that holds no two numbers is the expression, which passes null on.
        .init(["a": ["$slice": [0, nil]]], ["_id": 1, "a": [1]], ["_id": 1, "a": nil]),
        .init(["a": ["$slice": [nil, 2]]], ["_id": 1, "a": [1]], ["_id": 1, "a": nil]),
        // Positional.
        .init(
            ["g.$": 1], ["_id": 1, "g": [70, 87, 90], "h": 1], ["_id": 1, "g": [87]],
            filter: ["g": ["$gte": 85]]),
        .init(
            ["a.b.$": 1], ["_id": 1, "a": ["b": [1, 2], "c": 3]], ["_id": 1, "a": ["b": [2]]],
            filter: ["a.b": 2]),
    ]

    @Test(arguments: find)
    func findForm(_ row: ProjectionRow) throws {
        let scope = ExpressionScope()
        let projection = try Projection.parse(row.specification.view, for: .find, scope)
        let filter = try Filter.parse(row.filter.view)
        var scratch = MatchScratch()
        #expect(try filter.matches(row.document.view, &scratch))
        var writer = DocumentWriter()
        var context = EvaluationContext()
        try projection.apply(
            row.document.view, arrayPosition: scratch.arrayPosition, into: &writer, &context)
        #expect(
            Value.document(Document(copying: DocumentView(writer.bytes.span.bytes)))
                == .document(row.result))
    }

    static let addition: [ProjectionRow] = [
        .init(["a": 9, "z": 1], ["a": 1, "b": 2], ["a": 9, "b": 2, "z": 1]),
        .init(
            ["a.b": 1], ["a": [["b": 0, "c": 1], 5, [6]]],
            ["a": [["b": 1, "c": 1], ["b": 1], [["b": 1]]]]),
        .init(["a.b": 1], ["a": 5], ["a": ["b": 1]]), .init(["a.b": 1], [:], ["a": ["b": 1]]),
        .init(
            ["a": ["b": ["c": "$x"]]], ["x": 1, "a": ["d": 2]],
            ["x": 1, "a": ["d": 2, "b": ["c": 1]]]),
        .init(["a": "$$REMOVE"], ["a": 1, "b": 2], ["b": 2]), .init([:], ["a": 1], ["a": 1]),
        .init(["a": ["$zz"]], [:], ["a": [nil]]), .init(["a": [:]], ["a": 1], ["a": [:]]),
    ]

    @Test(arguments: addition)
    func addFields(_ row: ProjectionRow) throws {
        let results = try aggregate(
            [["$addFields": .document(row.specification)]], over: [row.document]
        ).get()
        #expect(results == [row.result])
    }

    static let errors: [(specification: Document, purpose: Projection.Purpose, code: Int32)] = [
        (["a": 1, "b": 0], .find, 31254), (["a": 0, "b": 1], .find, 31253),
        (["a": 1, "a.b": 1], .find, 31249), (["a.b": 1, "a": 1], .find, 31250),
        (["a": 0, "b": "$c"], .find, 31310), (["a": 0, "b": ["$add": [1]]], .find, 31252),
        (["a": [:]], .find, 51270), ([:], .stage, 51272), (["a.$": 1], .stage, 31324),
        (["a.$": 1, "b.$": 1], .find, 31276), (["a.$.b": 1], .find, 31394),
        (["a": ["$elemMatch": 1]], .find, 31274), (["a.b": ["$elemMatch": [:]]], .find, 31275),
        (["a.$": 1, "b": ["$elemMatch": [:]]], .find, 31256),
        (["b": ["$elemMatch": [:]], "a.$": 1], .find, 31255),
        (["a.$": ["x": 1]], .find, 31271), (["a.$": "x"], .find, 31308),
        (["a": ["$slice": "x"]], .find, 28667),
        (["a": ["$slice": [1, 0]]], .find, 28724), (["a": ["$slice": 1]], .stage, 28667),
        (["a": ["$exists": "$a"]], .stage, 31325),
        (["a": ["$exists": true]], .find, 31325),
        (["a": ["$meta": "textScore"]], .find, 40218), (["a": ["$meta": "x"]], .find, 17308),
        (["a": ["$add": [1], "b": 1]], .find, 15983), (["a": ["b": 1, "$add": 1]], .find, 16410),
        (["a.": 1], .find, 40353), (["": 1], .find, 40352), (["$a": 1], .find, 16410),
    ]

    @Test(arguments: errors.indices)
    func refused(_ index: Int) {
        let row = Self.errors[index]
        #expect(throws: (any Error).self) {
            do throws(DBError) {
                _ = try Projection.parse(
                    row.specification.view, for: row.purpose, ExpressionScope())
            } catch {
                #expect(error.code.rawValue == row.code, "\(row.specification)")
                throw error
            }
        }
    }

    @Test func positionalWithoutElement() throws {
        let specification: Document = ["a.$": 1]
        let projection = try Projection.parse(
            specification.view, for: .find, ExpressionScope())
        let document: Document = ["a": [1]]
        var context = EvaluationContext()
        for (position, code) in [(nil, 51246), (3, 51247)] as [(Int?, Int32)] {
            var writer = DocumentWriter()
            do throws(DBError) {
                try projection.apply(
                    document.view, arrayPosition: position, into: &writer, &context)
                Issue.record("no error")
            } catch {
                #expect(error.code.rawValue == code)
            }
        }
    }

    @Test func requiredPaths() throws {
        let specification: Document = ["a.b": 1, "c": ["$add": ["$d", "$e.f"]], "_id": 0]
        let projection = try Projection.parse(specification.view, for: .find, ExpressionScope())
        #expect(projection.requiredPaths?.map { $0.dotted } == ["a.b", "d", "e.f"])
    }
}
