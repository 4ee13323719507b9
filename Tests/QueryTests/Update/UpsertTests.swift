import BSON
import Query
import Testing

@Suite struct UpsertTests {
    private func upsert(_ query: Document, _ update: Value) throws(DBError) -> Document {
        let parsed = try parseUpdate(update)
        var writer = DocumentWriter()
        var scratch = UpdateScratch()
        try parsed.upsertDocument(
            query: query.view, time: testTime, into: &writer, &scratch)
        return Document(unchecked: writer.bytes)
    }

    /// Query, update, and the inserted document, which has an `_id` of its own.
    static let rows: [(Document, Value, Document)] = [
        (["_id": 1], ["$set": ["a": 1]], ["_id": 1, "a": 1]),
        (["_id": 1, "c": "A"], ["$min": ["s": 8]], ["_id": 1, "c": "A", "s": 8]),
        (["z": 1, "b": 2, "_id": 3], ["$set": ["y": 1]], ["_id": 3, "b": 2, "z": 1, "y": 1]),
        (["_id": 1, "v": ["$gt": 3]], ["$set": ["f": 1]], ["_id": 1, "f": 1]),
        (
            ["_id": ["$eq": 1], "v": ["$eq": [1, 2]]], ["$set": ["f": 1]],
            ["_id": 1, "v": [1, 2], "f": 1]
        ),
        (
            ["_id": ["$in": [1]], "a": ["$all": [5]]], ["$set": ["f": 1]],
            ["_id": 1, "a": 5, "f": 1]
        ),
        (
            ["$and": [["_id": 1], ["a": 2]], "$or": [["b": 3]]], ["$set": ["f": 1]],
            ["_id": 1, "a": 2, "b": 3, "f": 1]
        ),
        (["_id": 1, "$or": [["x": 1], ["x": 1]]], ["$set": [:]], ["_id": 1, "x": 1]),
        (["_id": 1, "$or": [["x": 1], ["y": 1]]], ["$set": [:]], ["_id": 1]),
        (["_id": 1, "$nor": [["$nor": [["x": 1]]]]], ["$set": [:]], ["_id": 1]),
        (["_id": 1, "x": .regex(pattern: "a", options: "")], ["$set": [:]], ["_id": 1]),
        (
            ["_id": 1, "x": ["$eq": .regex(pattern: "a", options: "")]], ["$set": [:]],
            ["_id": 1, "x": .regex(pattern: "a", options: "")]
        ),
        (
            ["_id": 1, "x": ["$elemMatch": ["a": 1]], "y": ["$ne": 1], "z": ["$exists": true]],
            ["$set": [:]], ["_id": 1]
        ),
        (
            ["_id": 1, "a.b": 1, "a.c": 2], ["$inc": ["a.b": 1]],
            ["_id": 1, "a": ["b": 2, "c": 2]]
        ),
        (["_id": 1, "a.0": 1], ["$set": [:]], ["_id": 1, "a": ["0": 1]]),
        (["_id.x": 1, "_id.y": 2], ["$set": ["a": 1]], ["_id": ["x": 1, "y": 2], "a": 1]),
        (["x": 9], ["$setOnInsert": ["_id": 4, "y": 1]], ["_id": 4, "x": 9, "y": 1]),
        (
            ["_id": ["a": 1, "b": 2]], ["$setOnInsert": ["_id": ["a": 1, "b": 2], "x": 1]],
            ["_id": ["a": 1, "b": 2], "x": 1]
        ),
        (["_id": 1, "a": 1], ["$rename": ["a": "b"]], ["_id": 1, "b": 1]),
        (["_id": 1], ["$pull": ["a": 1]], ["_id": 1]),
        (["_id": 1], ["$push": ["a": ["$each": [1, 2]]]], ["_id": 1, "a": [1, 2]]),
        (["_id": 1, "a": [1, 2]], ["$set": ["a.$[]": 7]], ["_id": 1, "a": [7, 7]]),
        (["_id": 1, "a": ["$all": [1, 1]]], ["$set": [:]], ["_id": 1, "a": 1]),
        (["_id": 1, "a": 3], ["b": 1], ["_id": 1, "b": 1]),
        (["_id": 1, "a": 3, "$and": [["a": 4]]], ["b": 1], ["_id": 1, "b": 1]),
        (["a": 3], ["b": 1, "_id": 7], ["_id": 7, "b": 1]),
        (["_id": 1, "a.$id": 5], ["$set": [:]], ["_id": 1, "a": ["$id": 5]]),
        (
            ["_id": 1], ["$set": ["t": .timestamp(Timestamp(rawValue: 0))]],
            ["_id": 1, "t": .timestamp(Timestamp(rawValue: 0))]
        ),
    ]

    @Test(arguments: rows.indices)
    func builds(index: Int) throws {
        let (query, update, expected) = Self.rows[index]
        #expect(try upsert(query, update) == expected)
    }

    @Test func makesID() throws {
        let document = try upsert(["a": ["$gt": 1]], ["$set": ["b": 1]])
        #expect(document.keys == ["_id", "b"])
        #expect(document["_id"]?.type == .objectID)
        #expect(try upsert(["_id": ["$gt": 1]], ["b": 1]).keys == ["_id", "b"])
    }

    static let bad: [(Document, Value, Int32)] = [
        (["a": 1, "$and": [["a": 2]]], ["$set": ["b": 1]], 54),
        (["a": ["$all": [1, 2]]], ["$set": ["b": 1]], 54),
        (["a": 1, "a.b": 2], ["$set": ["b": 1]], 54),
        (["_id.x": 1], ["b": 1], 109),
        (["_id": 1], ["_id": 2], 66),
        (["_id": 1], ["$set": ["_id": 2]], 66),
        (["_id": ["a": 1, "b": 2]], ["$setOnInsert": ["_id": ["b": 2, "a": 1]]], 66),
        (["a": 5], ["$set": ["a.$": 9]], 2),
        (["x": ["$gt": 5]], ["$set": ["a.$[]": 9]], 2),
        (["x": 1], ["$set": ["_id": [1]]], 53),
        (["x": 1], ["$set": ["x.y": 1]], 28),
        (["x": 1], ["$set": ["$x": 1]], 52),
    ]

    @Test(arguments: bad.indices)
    func refuses(index: Int) {
        let (query, update, code) = Self.bad[index]
        #expect(throwsCode(code) { () throws(DBError) in _ = try upsert(query, update) })
    }
}
