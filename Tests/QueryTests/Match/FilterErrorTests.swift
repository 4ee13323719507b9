import BSON
import Testing

@testable import Query

private func regex(_ pattern: String, _ options: String = "") -> Value {
    .regex(pattern: pattern, options: options)
}

@Suite struct FilterErrorTests {
    @Test(
        arguments: [
            (["$foo": 1], 2), (["$eq": 5], 2), (["$not": ["a": 1]], 2),
            (["$elemMatch": ["a": 1]], 2),
            (["a": ["$foo": 1]], 2), (["a": ["$gt": 1, "x": 2]], 2), (["a": ["$where": "x"]], 2),
            (["$where": "true"], 2), (["$text": ["$search": 1]], 14),
            (["$text": .document([:])], 4),
            (["$nor": [["$text": ["$search": "x"]]]], 2), (["a": ["$near": [1]]], 2),
            (["a": ["$geoWithin": ["$box": []]]], 2), (["$expr": true], 2),
            (["$and": []], 2), (["$or": 1], 2), (["$nor": [1]], 2), (["$and": ["a": 1]], 2),
            (["a": ["$not": 5]], 2), (["a": ["$not": .document([:])]], 2),
            (["a": ["$not": ["x": 1]]], 2), (["a": ["$not": ["$foo": 1]]], 2),
            (["a": ["$in": 1]], 2), (["a": ["$in": [["$gt": 1]]]], 2), (["a": ["$nin": nil]], 2),
            (["a": ["$ne": regex("x")]], 2), (["a": ["$gt": regex("x")]], 2),
            (["a": .undefined], 2), (["a": ["$in": [.undefined]]], 2),
            (["a": ["$elemMatch": 1]], 2), (["a": ["$elemMatch": [1]]], 2),
            (["a": ["$elemMatch": ["$where": "x"]]], 2),
            (["a": ["$elemMatch": ["$expr": true]]], 2),
            (["a": ["$all": 1]], 2), (["a": ["$all": [["$gt": 1]]]], 2),
            (["a": ["$all": [1, ["$elemMatch": ["x": 1]]]]], 2),
            (["a": ["$all": [["$elemMatch": ["x": 1]], 1]]], 2),
            (["a": ["$size": -1]], 2), (["a": ["$size": 1.5]], 2), (["a": ["$size": "1"]], 2),
            (["a": ["$size": .double(.nan)]], 2), (["a": ["$size": ["$gt": 1]]], 2),
            (["a": ["$mod": []]], 2), (["a": ["$mod": [1]]], 2), (["a": ["$mod": [1, 2, 3]]], 2),
            (["a": ["$mod": [0, 1]]], 2), (["a": ["$mod": [0.5, 1]]], 2),
            (["a": ["$mod": ["4", 0]]], 2), (["a": ["$mod": [.double(.infinity), 0]]], 2),
            (["a": ["$type": "Double"]], 2), (["a": ["$type": 0]], 2), (["a": ["$type": 99]], 2),
            (["a": ["$type": 1.5]], 2), (["a": ["$type": -2]], 2), (["a": ["$type": true]], 14),
            (["a": ["$type": nil]], 14), (["a": ["$type": []]], 9), (["a": ["$type": [true]]], 14),
            (["a": ["$bitsAllSet": -1]], 2), (["a": ["$bitsAnySet": 1.5]], 2),
            (["a": ["$bitsAllClear": "x"]], 2), (["a": ["$bitsAnyClear": [-1]]], 2),
            (["a": ["$regex": 1]], 2), (["a": ["$regex": "x", "$options": 1]], 2),
            (["a": ["$options": "i"]], 2), (["a": ["$regex": "a\0b"]], 2),
            (["a": ["$regex": regex("x", "i"), "$options": "m"]], 51075),
            (["a": ["$options": "m", "$regex": regex("x", "i")]], 51074),
            (["a": ["$regex": "x", "$options": "g"]], 51108), (["a": regex("x", "I")], 51108),
            (["a": ["$regex": "("]], 51091), (["a": regex("[")], 51091),
            (["$jsonSchema": 1], 14), (["$jsonSchema": ["unknown": 1]], 9),
            (["$jsonSchema": ["bsonType": "integer"]], 9), (["$jsonSchema": ["bsonType": "x"]], 2),
            (["$jsonSchema": ["required": ["a", "a"]]], 9),
            (["$jsonSchema": ["required": [1]]], 14),
            (["$sampleRate": 2], 2), (["$alwaysTrue": 2], 9),
        ] as [(Document, Int32)])
    func codes(_ filter: Document, _ code: Int32) {
        #expect(parseError(filter) == code)
    }

    @Test(
        arguments: [
            ([:], nil), (["$comment": 1], nil), (["a": ["$exists": "x"]], nil),
            (["a": ["$nin": []]], nil), (["a.$id": 1], nil), (["$alwaysFalse": 1], nil),
            (["a": ["$not": regex("x")]], nil), (["a": ["$not": ["$regex": "x"]]], nil),
            (["a": ["$size": .int64(3)]], nil), (["$sampleRate": 0.5], nil),
        ] as [(Document, Int32?)])
    func accepted(_ filter: Document, _ code: Int32?) {
        #expect(parseError(filter) == code)
    }

    @Test(
        "Some operators are refused in some places",
        arguments: [
            (FilterContext.projection, ["$jsonSchema": .document([:])], 224),
            (.arrayFilter, ["$expr": true], 224), (.partialIndex, ["$expr": true], 224),
            (.match, ["a": ["$near": [1, 2]]], 5_626_500),
        ] as [(FilterContext, Document, Int32)])
    func contexts(_ context: FilterContext, _ filter: Document, _ code: Int32) {
        #expect(parseError(filter, FilterOptions(context: context)) == code)
    }

    @Test func nestingIsBounded() {
        var filter: Document = ["a": 1]
        for _ in 0..<99 { filter = ["$and": [.document(filter)]] }
        #expect(parseError(filter) == nil)
        for _ in 0..<10 { filter = ["$and": [.document(filter)]] }
        #expect(parseError(filter) == 2)
    }

    @Test("Equal filters take one shape")
    func normalised() throws {
        func root(_ filter: Document) throws -> FilterNode { try Filter.parse(filter.view).root }
        let equal = try root(["a": 1])
        #expect(try root(["a": ["$in": [1]]]) == equal)
        #expect(try root(["$and": [["$and": [["a": 1]]]]]) == equal)
        #expect(try root(["$or": [["a": 1], ["a": 1]]]) == equal)
        #expect(try root(["a": ["$all": [1]]]) == equal)
        #expect(try root(["a": ["$ne": 1]]) == .not(equal))
        #expect(try root(["a": ["$nin": [1, 1.0]]]) == .not(equal))
        #expect(try root([:]) == .alwaysTrue)
    }
}
