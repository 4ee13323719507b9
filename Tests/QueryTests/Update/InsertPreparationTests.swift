import BSON
import Query
import Testing

@Suite struct InsertPreparationTests {
    private func prepare(_ document: Document) throws(DBError) -> Document? {
        var writer = DocumentWriter()
        guard try prepareInsert(document.view, time: testTime, into: &writer) else {
            #expect(writer.count == 0)
            return nil
        }
        return Document(unchecked: writer.bytes)
    }

    static let zero = Value.timestamp(Timestamp(rawValue: 0))
    static let now = Value.timestamp(testTime.timestamp)

    static let rows: [(Document, Document?)] = [
        (["_id": 1, "a": 2], nil),
        (["_id": nil], nil),
        (["_id": .double(.nan), "$a": 1, "b.c": 2], nil),
        (["a": 2, "_id": 1, "b": 3], ["_id": 1, "a": 2, "b": 3]),
        (["_id": 1, "t": zero, "u": 5], ["_id": 1, "t": now, "u": 5]),
        (["t": zero, "_id": 1], ["_id": 1, "t": now]),
        (["_id": 1, "t": ["n": zero], "l": [zero]], nil),
        (["_id": zero], nil),
        (["_id": ["x": ["y": 1]]], nil),
    ]

    @Test(arguments: rows)
    func completes(document: Document, expected: Document?) throws {
        #expect(try prepare(document) == expected)
    }

    @Test func addsID() throws {
        let prepared = try #require(try prepare(["a": 1, "b": 2]))
        #expect(prepared.keys == ["_id", "a", "b"])
        #expect(prepared["_id"]?.type == .objectID)
        #expect(try prepare([:])?.keys == ["_id"])
    }

    static let bad: [(Document, Int32)] = [
        (["_id": [1]], 53), (["_id": .regex(pattern: "a", options: "")], 53),
        (["_id": .undefined], 53), (["_id": ["$a": 1]], 52), (["_id": ["a": ["$b": 1]]], 52),
        (["_id": 1, "a": 1, "_id": 2], 2),
        (["_id": 1, "s": .string(String(repeating: "x", count: 16 << 20))], 10334),
        (["s": .string(String(repeating: "x", count: (16 << 20) - 20))], 10334),
    ]

    @Test(arguments: bad.indices)
    func refuses(index: Int) {
        let (document, code) = Self.bad[index]
        #expect(throwsCode(code) { () throws(DBError) in _ = try prepare(document) })
    }
}
