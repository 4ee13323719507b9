import BSON
import Testing

@testable import Query

private func sortKey(_ sort: Document, _ document: Document) throws -> [UInt8] {
    var encoder = KeyEncoder()
    try SortPattern.parse(sort.view).appendKey(of: document.view, to: &encoder)
    return encoder.bytes
}

private func sortError(_ sort: Document) -> Int32? {
    do {
        _ = try SortPattern.parse(sort.view)
        return nil
    } catch {
        return error.code.rawValue
    }
}

@Suite struct SortPatternTests {
    @Test(
        "Documents listed in the order of the sort",
        arguments: [
            (
                ["a": 1],
                [
                    ["a": .minKey], ["a": []], [:], ["a": .double(.nan)], ["a": [5, -1]],
                    ["a": 0], ["a": [1, 2]], ["a": "x"], ["a": .document([:])], ["a": [[1]]],
                    ["a": true], ["a": .maxKey],
                ]
            ),
            (
                ["a": -1],
                [
                    ["a": .maxKey], ["a": [true, 1]], ["a": .document([:])], ["a": "x"],
                    ["a": [1, 2]], ["a": 1], ["a": nil], ["a": []],
                ]
            ),
            (
                ["d.v": 1],
                [
                    ["d": [["v": 3], ["v": .minKey]]], ["d": ["v": []]], ["d": []], ["d": ["v": 1]],
                    ["d": [["v": "x"]]],
                ]
            ),
            (["a": 1, "b": -1], [["a": 1, "b": 2], ["a": 1, "b": 1], ["a": 2, "b": 3]]),
            (["a.0": 1], [["a": [1, 9]], ["a": [2, 0]], ["a": ["0": 3]]]),
            (["a.0.b": -1], [["a": [["b": 3], ["b": 9]]], ["a": [["b": 2], ["b": 10]]]]),
        ] as [(Document, [Document])])
    func order(_ sort: Document, _ documents: [Document]) throws {
        let keys = try documents.map { try sortKey(sort, $0) }
        for index in keys.indices.dropFirst() {
            #expect(
                keys[index - 1].lexicographicallyPrecedes(keys[index]),
                "\(text(.document(documents[index - 1]))), \(text(.document(documents[index])))")
        }
    }

    @Test(
        "Documents that sort alike",
        arguments: [
            (["a": 1], [:], ["a": nil]), (["a": 1], ["a": [3]], ["a": 3]),
            (["a": 1], ["a": [4, 3]], ["a": 3.0]), (["a": -1], ["a": [4, 3]], ["a": 4]),
            (["d.v": 1], ["d": []], [:]), (["d.v": 1], ["d": [1]], ["d": ["v": nil]]),
            // Per element, not by columns.
            (
                ["x.y": 1, "x.z": -1], ["x": [["y": [4, 0, 1], "z": 7], ["y": 0, "z": 9]]],
                ["x": ["y": 0, "z": 9]]
            ),
            (["a": 1, "a.b": 1], ["a": [["b": 1]]], ["a": ["b": 1]]),
        ] as [(Document, Document, Document)])
    func ties(_ sort: Document, _ left: Document, _ right: Document) throws {
        #expect(try sortKey(sort, left) == sortKey(sort, right))
    }

    @Test(
        arguments: [
            (["a": 1], nil), ([:], nil), (["a": 1.999], nil), (["a": decimal("0.6")], nil),
            (["a": .int64(-1)], nil), (["a": "asc"], 15974), (["a": true], 15974),
            (["a": nil], 15974),
            (["a": 0], 15975), (["a": 2], 15975), (["a": .double(.nan)], 15975),
            (["a": 1, "a": 1], 7_472_500), (["": 1], 40352), (["a.": 1], 40353),
            (["a..b": 1], 15998),
            (["$a": 1], 16410), (["$a": 0], 15975), (["$a": "x"], 15974),
            (["s": ["$meta": "textScore"]], 40218), (["s": ["x": 1]], 15974),
        ] as [(Document, Int32?)])
    func errors(_ sort: Document, _ code: Int32?) {
        #expect(sortError(sort) == code)
    }

    @Test func atMost32Parts() {
        let sort = Document { writer in
            for index in 0..<33 { writer.append("f\(index)", Int32(1)) }
        }
        #expect(sortError(sort) == 13103)
    }

    @Test func parallelArraysAreRefused() throws {
        let error = try #require(throws: DBError.self) {
            try sortKey(["a": 1, "b": 1], ["a": [1], "b": [1]])
        }
        #expect(error.code == .badValue)
        #expect(throws: Never.self) { try sortKey(["a": 1, "b": 1], ["a": [1], "b": 2]) }
    }
}
