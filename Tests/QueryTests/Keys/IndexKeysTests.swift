import BSON
import TestSupport
import Testing

@testable import Query

/// Keys as lists of values, which stand for their encoding.
private func encode(_ pattern: IndexKeyPattern, _ keys: [[Value]]) -> [[UInt8]] {
    keys.map { values in
        var encoder = KeyEncoder()
        for (value, part) in zip(values, pattern.parts) {
            encoder.append(OwnedValue(value).view, descending: part.descending)
        }
        return encoder.bytes
    }.sorted { $0.lexicographicallyPrecedes($1) }
}

private func found(_ keys: IndexKeys) -> [[UInt8]] {
    (0..<keys.count).map { [UInt8](copying: keys[$0]) }
}

@Suite struct IndexKeysTests {
    struct Row: Sendable {
        let pattern: Document
        let document: Document
        let keys: [[Value]]
        let multikeyParts: UInt64

        init(_ pattern: Document, _ document: Document, _ keys: [[Value]], _ multikey: UInt64 = 0) {
            self.pattern = pattern
            self.document = document
            self.keys = keys
            multikeyParts = multikey
        }
    }

    @Test(arguments: [
        Row(["a": 1], ["a": 5], [[5]]),
        Row(["a": 1], [:], [[nil]]),
        Row(["a": 1], ["a": []], [[.undefined]], 1),
        Row(["a": 1], ["a": [1, 2, 1.0]], [[1], [2]], 1),
        Row(["a": 1], ["a": [[1, 2], 3]], [[[1, 2]], [3]], 1),
        Row(["a": -1], ["a": ["x", 1]], [["x"], [1]], 1),
        Row(["a": 1, "b": -1], ["a": 1, "b": "x"], [[1, "x"]]),
        Row(["a": 1, "b": -1], ["a": [1, 2], "b": "x"], [[1, "x"], [2, "x"]], 1),
        Row(["a.b": 1], ["a": ["b": 1]], [[1]]),
        Row(["a.b": 1], ["a": 5], [[nil]]),
        Row(["a.b": 1], ["a": []], [[nil]], 1),
        Row(["a.b": 1], ["a": [["b": 1], ["c": 2], 7]], [[1], [nil]], 1),
        Row(["a.b": 1], ["a": [["b": [1, 2]], ["b": 3]]], [[1], [2], [3]], 1),
        Row(["a.b": 1], ["a": [[["b": 1]]]], [[nil]], 1),
        Row(["a.b": 1, "a.c": 1], ["a": [["b": 1, "c": 2], ["b": 3]]], [[1, 2], [3, nil]], 3),
        Row(["a": 1, "a.b": 1], ["a": [["b": 1], 4]], [[["b": 1], 1], [4, nil]], 3),
        Row(["a.0": 1], ["a": [7, 8]], [[7]]),
        Row(["a.0": 1], ["a": [[7, 8]]], [[[7, 8]]]),
        Row(["a.0.b": 1], ["a": [["b": 7], ["b": 8]]], [[7]]),
        Row(["a.0.b": 1], ["a": [["b": [7, 8]]]], [[7], [8]], 1),
        Row(["a.5": 1], ["a": [7]], [[nil]], 1),
    ])
    func keys(_ row: Row) throws {
        let pattern = try IndexKeyPattern.parse(row.pattern.view)
        var keys = IndexKeys()
        try pattern.keys(of: row.document.view, sparse: false, into: &keys)
        #expect(found(keys) == encode(pattern, row.keys))
        #expect(keys.multikeyParts == row.multikeyParts)
    }

    @Test(
        arguments: [
            (["a": 1], [:], 0), (["a": 1], ["a": nil], 1), (["a": 1], ["a": []], 1),
            (["a": 1, "b": 1], ["b": 1], 1), (["a": 1, "b": 1], ["c": 1], 0),
            (["a.b": 1], ["a": [1, ["b": 2]]], 1), (["a.b": 1], ["a": [1]], 0),
        ] as [(Document, Document, Int)])
    func sparse(_ key: Document, _ document: Document, _ count: Int) throws {
        var keys = IndexKeys()
        try IndexKeyPattern.parse(key.view).keys(of: document.view, sparse: true, into: &keys)
        #expect(keys.count == count)
    }

    @Test(
        arguments: [
            (["a": 1, "b": 1], ["a": [1], "b": [2]], 171),
            (["a.b": 1, "a.c": 1], ["a": [["b": [1], "c": [2]]]], 171),
            (["a": 1, "b": 1], ["a": [], "b": []], 171),
            (["a.b": 1, "a.c": 1], ["a": [["b": [1]], ["c": [2]]]], nil),
            (["a.0": 1], ["a": [["0": 1]]], 16746),
        ] as [(Document, Document, Int32?)])
    func refusals(_ key: Document, _ document: Document, _ code: Int32?) throws {
        let pattern = try IndexKeyPattern.parse(key.view)
        var keys = IndexKeys()
        do throws(DBError) {
            try pattern.keys(of: document.view, sparse: false, into: &keys)
            #expect(code == nil)
        } catch {
            #expect(error.code.rawValue == code)
        }
    }

    @Test(
        arguments: [
            (["a": 1], nil), (["a.b": -1.5], nil), (["a.$id": 1], nil), ([:], 67), (["a": 0], 67),
            (["a": nil], 67), (["a": "hello"], 67), (["a": "hashed"], nil), (["": 1], 67),
            (["$a": 1], 67), (["a": true], 67), (["a": 1, "a": -1], 67), (["$**": 1], nil),
            (["a": .double(.nan)], 67), (["a..b": 1], 67), (["a": .minKey], 67),
        ] as [(Document, Int32?)])
    func patterns(_ key: Document, _ code: Int32?) {
        do throws(DBError) {
            _ = try IndexKeyPattern.parse(key.view)
            #expect(code == nil)
        } catch {
            #expect(error.code.rawValue == code)
        }
    }

    @Test("A sort's key is the first of the index's keys", arguments: 0..<8 as Range<UInt64>)
    func sortAgainstIndex(_ seed: UInt64) throws {
        var source = RandomQuery(seed: seed + 300)
        var keys = IndexKeys()
        for _ in 0..<500 {
            let paths = (0..<1 + source.random.below(3)).map { _ in source.pick(RandomQuery.paths) }
            let pattern = Document { writer in
                for path in Set(paths).sorted() {
                    writer.append(path, Int32(source.random.below(2) == 0 ? 1 : -1))
                }
            }
            let document = source.document()
            var encoder = KeyEncoder()
            var code: DBError.Code?
            do throws(DBError) {
                try SortPattern.parse(pattern.view).appendKey(of: document.view, to: &encoder)
            } catch {
                code = error.code
            }
            do throws(DBError) {
                try IndexKeyPattern.parse(pattern.view)
                    .keys(of: document.view, sparse: false, into: &keys)
                let first = [UInt8](copying: keys[0])
                #expect(first == encoder.bytes, "\(text(.document(pattern)))")
            } catch {
                #expect(code != nil, "\(text(.document(pattern))) \(text(.document(document)))")
            }
        }
    }

    @Test("An equality that matches is among the keys", arguments: 0..<4 as Range<UInt64>)
    func indexAgainstScan(_ seed: UInt64) throws {
        var source = RandomQuery(seed: seed + 400)
        var keys = IndexKeys()
        for _ in 0..<2000 {
            let path = source.pick(RandomQuery.paths)
            let constant = source.pick(RandomQuery.scalars)
            let document = source.document()
            let filter = Document { $0.append(path, Value.document(["$eq": constant])) }
            guard try matches(filter, document) else { continue }
            let pattern = try IndexKeyPattern.parse(Document { $0.append(path, Int32(1)) }.view)
            do throws(DBError) {
                try pattern.keys(of: document.view, sparse: false, into: &keys)
            } catch {
                #expect(error.code.rawValue == 16746)
                continue
            }
            var isArrayByPosition = false
            if path.contains("0") || path.contains("1") { isArrayByPosition = true }
            let wanted = encode(pattern, [[constant]])[0]
            #expect(
                found(keys).contains(wanted) || isArrayByPosition,
                "\(text(.document(filter))) \(text(.document(document)))")
        }
    }
}
