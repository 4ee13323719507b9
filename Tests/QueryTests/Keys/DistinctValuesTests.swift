import BSON
import Testing

@testable import Query

@Suite struct DistinctValuesTests {
    @Test(
        arguments: [
            ("a", [["a": 2], ["a": 1.0], ["a": 1], [:]], [1.0, 2]),
            ("a", [["a": [3, 1, [1]]], ["a": []], ["a": nil]], [nil, 1, 3, [1]]),
            (
                "a.b", [["a": [["b": 1], ["b": [2, 3]], 5, [["b": 9]]]], ["a": ["b": "x"]]],
                [1, 2, 3, "x"]
            ),
            ("a.0", [["a": [[7, 8], 9]], ["a": ["0": 6]]], [6, 7, 8]),
            ("a.b.c", [["a": 1], ["a": ["b": nil]]], []),
            ("a", [["a": ["x": 1]], ["a": ["x": 1.0]]], [["x": 1]]),
        ] as [(String, [Document], [Value])])
    func values(_ path: String, _ documents: [Document], _ expected: [Value]) throws {
        var distinct = DistinctValues(FieldPath(path))
        for document in documents { try distinct.add(document.view) }
        var writer = DocumentWriter()
        let start = writer.openDocument()
        distinct.write(into: &writer)
        writer.close(start)
        let array = OwnedValue(type: .array, payload: writer.bytes)
        #expect(Value(array.view) == .array(expected))
        let count = distinct.count
        #expect(count == expected.count)
    }

    @Test func manyValues() throws {
        var distinct = DistinctValues(FieldPath("a"))
        for number in 0..<3000 {
            let document: Document = ["a": .int32(Int32(number * 7919 % 1000))]
            try distinct.add(document.view)
        }
        let count = distinct.count
        #expect(count == 1000)
    }

    @Test func sizeIsBounded() throws {
        var distinct = DistinctValues(FieldPath("a"))
        let filler = String(repeating: "x", count: 1 << 20)
        let error = try #require(throws: DBError.self) {
            for number in 0..<17 {
                let document: Document = ["a": .string("\(number)" + filler)]
                try distinct.add(document.view)
            }
        }
        #expect(error.code.rawValue == 17217)
    }
}
