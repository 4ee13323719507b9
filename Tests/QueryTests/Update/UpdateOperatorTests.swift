import BSON
import Query
import Testing

@Suite struct UpdateOperatorTests {
    static let longMax = Value.int64(.max)

    static let fields: [UpdateCase] = [
        // $set
        .init(["a": 1], ["$set": ["b": 2]], ["a": 1, "b": 2]),
        .init(["a": 1], ["$set": ["a": ["x": 1]]], ["a": ["x": 1]]),
        .init(["a": ["b": 1, "c": 2]], ["$set": ["a.b": 9]], ["a": ["b": 9, "c": 2]]),
        .init([:], ["$set": ["a.0": 1]], ["a": ["0": 1]]),
        .init([:], ["$set": ["a.b.c.d": 1]], ["a": ["b": ["c": ["d": 1]]]]),
        .init(["a": [1, 2]], ["$set": ["a.3": 4]], ["a": [1, 2, nil, 4]]),
        .init(
            ["x": [true, 5]], ["$set": ["x.0000": false, "x.0000010": 1]],
            ["x": [false, 5, nil, nil, nil, nil, nil, nil, nil, nil, 1]]),
        .init(["z": 1], ["$set": ["x": 1, "b": 2, "01": 3]], ["z": 1, "01": 3, "b": 2, "x": 1]),
        .init([:], ["$set": ["a.10": 1, "a.9": 2]], ["a": ["9": 2, "10": 1]]),
        .init(["a": 1], ["$set": ["a": .int64(1)]], ["a": .int64(1)]),
        .init(["a": 0.0], ["$set": ["a": -0.0]], ["a": -0.0]),
        .init(unchanged: ["a": 1], ["$set": ["a": 1]]),
        .init(unchanged: ["a": 1], ["$set": [:]]),
        .init(unchanged: ["a": ["b": [1]]], ["$set": ["a.b.0": 1]]),
        .init(["a": ["b": 1]], ["$set": ["a.$x": 1]], ["a": ["b": 1, "$x": 1]]),
        .init(
            ["a": 1, "b": 2, "a2": 3], ["$set": ["b": "long", "a2": [:]]],
            ["a": 1, "b": "long", "a2": [:]]),
        .init(["a": [["b": 1], ["b": 2]]], ["$set": ["a.1.b": 9]], ["a": [["b": 1], ["b": 9]]]),
        .init(["a": nil], ["$set": ["a.b": 1]], code: 28),
        .init(["a": "s"], ["$set": ["a.b": 1]], code: 28),
        .init(["a": [1]], ["$set": ["a.b": 1]], code: 28),
        .init(["a": []], ["$set": ["a.1500001": 1]], code: 34),
        .init([:], ["$set": ["$a": 1]], code: 52),
        .init([:], ["$set": ["$ref": "c", "$id": 1]], ["$id": 1, "$ref": "c"]),
        .init([:], ["$set": ["": 1]], code: 56),
        .init([:], ["$set": ["a..b": 1]], code: 56),
        .init([:], ["$set": ["a.": 1]], code: 56),
        .init([:], ["$set": 3], code: 9),
        // _id
        .init(["_id": 1], ["$set": ["_id": 2]], code: 66),
        .init(unchanged: ["_id": 1], ["$set": ["_id": 1]]),
        .init(["_id": ["a": 1]], ["$set": ["_id.a": 2]], code: 66),
        .init(["_id": ["a": 1]], ["$set": ["_id.b": 2]], code: 66),
        .init(["_id": 1], ["$unset": ["_id": 1]], code: 66),
        .init(["_id": 1], ["$inc": ["_id": 1]], code: 66),
        .init(["_id": 1], ["$addToSet": ["_id": 1]], code: 2),
        // $unset
        .init(["a": 1, "b": 2], ["$unset": ["a": ""]], ["b": 2]),
        .init(["a": ["b": 1]], ["$unset": ["a.b": ""]], ["a": [:]]),
        .init(["a": [1, 2, 3]], ["$unset": ["a.1": ""]], ["a": [1, nil, 3]]),
        .init(unchanged: ["a": [1]], ["$unset": ["a.7": ""]]),
        .init(unchanged: ["a": [["b": 1]]], ["$unset": ["a.b": ""]]),
        .init(unchanged: ["a": 1], ["$unset": ["a.b": "", "c": "", "d.e": ""]]),
        .init(unchanged: ["a": nil], ["$unset": ["a.b": ""]]),
        // $setOnInsert
        .init(unchanged: ["a": 1], ["$setOnInsert": ["a": 2, "b.c": 1]]),
        .init(["a": 1], ["$setOnInsert": ["b": 2]], ["a": 1, "b": 2], isInsert: true),
        .init(["y": 1], ["$mul": ["y": 2], "$setOnInsert": ["y": 1]], code: 40),
        .init([:], ["$setOnInsert": ["abc": ["h": 1]], "$set": ["abc.h": 2]], code: 40),
        // $min, $max
        .init(["v": 5], ["$min": ["v": 3.0]], ["v": 3.0]),
        .init(unchanged: ["v": 5], ["$min": ["v": 5.0]]),
        .init(["v": 5], ["$min": ["v": nil]], ["v": nil]),
        .init(["v": nil], ["$max": ["v": 1]], ["v": 1]),
        .init(["v": nil], ["$max": ["v": []]], ["v": []]),
        .init([:], ["$max": ["a.b": 1]], ["a": ["b": 1]]),
        .init(unchanged: ["v": "z"], ["$max": ["v": 100]]),
        // $rename
        .init(["a": 1, "c": 2], ["$rename": ["a": "b"]], ["c": 2, "b": 1]),
        .init(["a": 1, "b": 2, "c": 3], ["$rename": ["a": "b"]], ["b": 1, "c": 3]),
        .init(
            ["a": ["x": 1]], ["$rename": ["a.x": "b.y.z"]],
            ["a": [:], "b": ["y": ["z": 1]]]),
        .init(unchanged: ["x": 1], ["$rename": ["a": "b", "$q": "r", "d.e": "x.y"]]),
        .init(unchanged: ["a": [["c": 1]]], ["$rename": ["a.0.b": "x"]]),
        .init(["a": 1], ["$rename": ["a": "a"]], code: 2),
        .init(["a": 1], ["$rename": ["a": 5]], code: 2),
        .init(["a": 1], ["$rename": ["a": "b\0c"]], code: 9_867_600),
        .init(["a": 1], ["$rename": ["a": "$b"]], code: 52),
        .init(["a": 1], ["$rename": ["a.b": "c"]], code: 28),
        .init(["a": 1, "b": 2], ["$rename": ["a": "b.x"]], code: 28),
        .init(["a": [1]], ["$rename": ["a.0": "b"]], code: 2),
        .init(["a": [1], "b": 1], ["$rename": ["b": "a.0"]], code: 2),
        .init(["a": [[[1]]], "b": 1], ["$rename": ["b": "a.0.2"]], code: 2),
        .init(["_id": 1, "a": 1], ["$rename": ["a": "_id"]], code: 66),
        .init(["_id": 1, "a": 1], ["$rename": ["_id": "b"]], code: 66),
        .init(["a": 1], ["$rename": ["a": "b", "b": "c"]], code: 40),
        .init(["a": 1], ["$rename": ["a": "b.$"]], code: 2),
        // $currentDate
        .init([:], ["$currentDate": ["a": true]], ["a": .date(testTime.millis)]),
        .init([:], ["$currentDate": ["a": ["$type": "date"]]], ["a": .date(testTime.millis)]),
        .init(
            ["a": 1], ["$currentDate": ["a": ["$type": "timestamp"]]],
            ["a": .timestamp(testTime.timestamp)]),
        .init([:], ["$currentDate": ["a": ["$type": "Date"]]], code: 2),
        .init([:], ["$currentDate": ["a": 1]], code: 2),
        .init([:], ["$currentDate": ["a": ["type": "date"]]], code: 2),
        .init([:], ["$currentDate": ["a": [:]]], code: 2),
    ]

    static let numbers: [UpdateCase] = [
        .init(["a": 1], ["$inc": ["a": 2]], ["a": 3]),
        .init([:], ["$inc": ["a.b": 2]], ["a": ["b": 2]]),
        .init(unchanged: ["a": 1], ["$inc": ["a": 0]]),
        .init(["a": 1], ["$inc": ["a": .int64(0)]], ["a": .int64(1)]),
        .init(["a": .int32(.max)], ["$inc": ["a": 1]], ["a": .int64(2_147_483_648)]),
        .init(["a": .int64(5)], ["$inc": ["a": -6]], ["a": .int64(-1)]),
        .init(["a": 1], ["$inc": ["a": 0.5]], ["a": 1.5]),
        .init(["a": longMax], ["$inc": ["a": 1]], code: 2),
        .init(["a": longMax], ["$mul": ["a": 2]], code: 2),
        .init(["a": nil], ["$inc": ["a": 1]], code: 14),
        .init(["a": "1"], ["$inc": ["a": 1]], code: 14),
        .init([:], ["$inc": ["v": "x"]], code: 14),
        .init([:], ["$inc": ["$": 1]], code: 2),
        .init(["a": 6], ["$mul": ["a": 7]], ["a": 42]),
        .init(["a": .int32(.max)], ["$mul": ["a": 2]], ["a": .int64(4_294_967_294)]),
        .init([:], ["$mul": ["a": 3]], ["a": 0]),
        .init([:], ["$mul": ["a": 3.5]], ["a": 0.0]),
        .init([:], ["$mul": ["a": .int64(3)]], ["a": .int64(0)]),
        .init(["a": -0.0], ["$mul": ["a": 5.0]], ["a": -0.0]).unchangedRow,
        .init(["a": -5.0], ["$mul": ["a": -0.0]], ["a": 0.0]),
        .init(unchanged: ["a": -0.0], ["$mul": ["a": -0.0]]),
        .init(unchanged: ["a": decimal("-0")], ["$mul": ["a": decimal("-1")]]),
        .init(unchanged: ["a": decimal("1.0")], ["$inc": ["a": decimal("0.00")]]),
        .init(["a": 0.1], ["$inc": ["a": decimal("1")]], ["a": decimal("1.100000000000000")]),
        .init([:], ["$mul": ["a": nil]], code: 14),
        .init(["a": decimal("1.5")], ["$inc": ["a": 1]], ["a": decimal("2.5")]),
        .init(["a": 2], ["$mul": ["a": decimal("0.5")]], ["a": decimal("1.0")]),
        .init([:], ["$mul": ["a": decimal("2")]], ["a": decimal("0")]),
        // $bit
        .init(["v": 13], ["$bit": ["v": ["and": 10]]], ["v": 8]),
        .init(["v": 255], ["$bit": ["v": ["and": 15, "or": 16]]], ["v": 31]),
        .init(["v": 1], ["$bit": ["v": ["or": .int64(2)]]], ["v": .int64(3)]),
        .init(["v": .int64(5)], ["$bit": ["v": ["xor": -1]]], ["v": .int64(-6)]),
        .init([:], ["$bit": ["v": ["or": 10]]], ["v": 10]),
        .init([:], ["$bit": ["v": ["and": 10]]], ["v": 0]),
        .init([:], ["$bit": ["v": ["or": .int64(255)]]], ["v": .int64(255)]),
        .init(["v": 2_147_483_647], ["$bit": ["v": ["xor": -1]]], ["v": .int32(.min)]),
        .init(["v": 1.0], ["$bit": ["v": ["and": 1]]], code: 2),
        .init(["v": 1], ["$bit": ["v": ["and": 1.0]]], code: 2),
        .init(["v": 1], ["$bit": ["v": ["not": 1]]], code: 2),
        .init(["v": 1], ["$bit": ["v": [:]]], code: 2),
        .init(["v": 1], ["$bit": ["v": 1]], code: 2),
    ]

    static let arrays: [UpdateCase] = [
        // $push
        .init(["a": [1]], ["$push": ["a": 2]], ["a": [1, 2]]),
        .init([:], ["$push": ["a.b": 2]], ["a": ["b": [2]]]),
        .init(["a": [1]], ["$push": ["a": [2, 3]]], ["a": [1, [2, 3]]]),
        .init(["a": [1]], ["$push": ["a": ["$each": [2, 3]]]], ["a": [1, 2, 3]]),
        .init(unchanged: ["a": [1]], ["$push": ["a": ["$each": []]]]),
        .init([:], ["$push": ["a": ["$each": []]]], ["a": []]),
        .init(["a": [1]], ["$push": ["a": ["$sort": 1]]], ["a": [1, ["$sort": 1]]]),
        .init(
            ["a": [3, 1]], ["$push": ["a": ["$sort": -1, "$slice": 2, "$each": [2, 5]]]],
            ["a": [5, 3]]),
        .init(
            ["a": [1, 2, 3]], ["$push": ["a": ["$each": [9, 8], "$position": 1]]],
            ["a": [1, 9, 8, 2, 3]]),
        .init(
            ["a": [1, 2, 3]], ["$push": ["a": ["$each": [9], "$position": -1]]],
            ["a": [1, 2, 9, 3]]),
        .init(["a": [1]], ["$push": ["a": ["$each": [9], "$position": -5]]], ["a": [9, 1]]),
        .init(["a": [1]], ["$push": ["a": ["$each": [9], "$position": 70]]], ["a": [1, 9]]),
        .init(["a": [1, 2]], ["$push": ["a": ["$each": [], "$slice": -1]]], ["a": [2]]),
        .init(unchanged: ["a": [1, 2]], ["$push": ["a": ["$each": [], "$sort": 1]]]),
        .init(
            ["k": [1]], ["$push": ["k": ["$each": [3, 2], "$sort": -1, "$slice": 0]]],
            ["k": []]),
        .init(["k": [1]], ["$push": ["k": ["$each": [3], "$slice": longMax]]], ["k": [1, 3]]),
        .init(
            ["k": [1]], ["$push": ["k": ["$each": [3], "$slice": .int64(.min)]]],
            ["k": [1, 3]]),
        .init(
            ["k": [["a": 2], ["a": 1, "b": 1], 7]],
            ["$push": ["k": ["$each": [["a": 1, "b": 0]], "$sort": ["a": 1, "b": -1]]]],
            ["k": [7, ["a": 1, "b": 1], ["a": 1, "b": 0], ["a": 2]]]),
        .init(
            ["k": [["x": ["y": 2]], ["x": ["y": 1]]]],
            ["$push": ["k": ["$each": [], "$sort": ["x.y": 1]]]],
            ["k": [["x": ["y": 1]], ["x": ["y": 2]]]]),
        .init(["a": 1], ["$push": ["a": 2]], code: 2),
        .init(["a": nil], ["$push": ["a": 2]], code: 2),
        .init(["a": 5], ["$push": ["a.b": 2]], code: 28),
        .init(["a": []], ["$push": ["a": ["$each": 2]]], code: 2),
        .init(["a": []], ["$push": ["a": ["$each": [2], "$what": 1]]], code: 2),
        .init(["a": []], ["$push": ["a": ["$each": [2], "$slice": 1.5]]], code: 2),
        .init(["a": []], ["$push": ["a": ["$each": [2], "$position": .double(.nan)]]], code: 2),
        .init(["a": []], ["$push": ["a": ["$each": [2], "$sort": 2]]], code: 2),
        .init(["a": []], ["$push": ["a": ["$each": [2], "$sort": [:]]]], code: 2),
        .init(["a": []], ["$push": ["a": ["$each": [2], "$sort": ["a": 0]]]], code: 2),
        // $addToSet
        .init(["a": [1]], ["$addToSet": ["a": 2]], ["a": [1, 2]]),
        .init(unchanged: ["a": [1]], ["$addToSet": ["a": 1.0]]),
        .init(
            ["a": [1, 1]], ["$addToSet": ["a": ["$each": [2, 2.0, 1, 3]]]],
            ["a": [1, 1, 2, 3]]),
        .init([:], ["$addToSet": ["a": ["$each": [2, 2, 3]]]], ["a": [2, 3]]),
        .init(
            ["a": [["x": 1, "y": 2]]], ["$addToSet": ["a": ["y": 2, "x": 1]]],
            ["a": [["x": 1, "y": 2], ["y": 2, "x": 1]]]),
        .init(["a": [1]], ["$addToSet": ["a": [1]]], ["a": [1, [1]]]),
        .init(["a": 1], ["$addToSet": ["a": 1]], code: 2),
        .init(["k": []], ["$addToSet": ["k": ["$each": [1], "$position": 1]]], code: 2),
        .init(["k": []], ["$addToSet": ["k": ["$each": 1]]], code: 14),
        // $pop
        .init(["a": [1, 2, 3]], ["$pop": ["a": 1]], ["a": [1, 2]]),
        .init(["a": [1, 2, 3]], ["$pop": ["a": -1.0]], ["a": [2, 3]]),
        .init(["a": [1]], ["$pop": ["a": 1]], ["a": []]),
        .init(unchanged: ["a": []], ["$pop": ["a": 1]]),
        .init(unchanged: ["b": 1], ["$pop": ["a.b": 1]]),
        .init(["a": 1], ["$pop": ["a.b": 1]], code: 28),
        .init(["a": [["b": [1]]]], ["$pop": ["a.b": 1]], code: 28),
        .init(["a": 1], ["$pop": ["a": 1]], code: 14),
        .init(["a": nil], ["$pop": ["a": 1]], code: 14),
        .init(["a": [1]], ["$pop": ["a": 2]], code: 9),
        .init(["a": [1]], ["$pop": ["a": true]], code: 9),
        // $pullAll
        .init(["a": [1, 2, 1.0, 3]], ["$pullAll": ["a": [1, 3]]], ["a": [2]]),
        .init(
            ["a": [["x": 1, "y": 2], ["y": 2, "x": 1]]],
            ["$pullAll": ["a": [["x": 1, "y": 2]]]], ["a": [["y": 2, "x": 1]]]),
        .init(unchanged: ["a": [1]], ["$pullAll": ["a": [7], "b": [1], "c.d": [1]]]),
        .init(unchanged: ["a": 1], ["$pullAll": ["a.b": [1]]]),
        .init(["a": [1]], ["$pullAll": ["a": 1]], code: 2),
        .init(["a": 1], ["$pullAll": ["a": [1]]], code: 2),
        // $pull of a value
        .init(["a": [1, 2, 1.0, [1]]], ["$pull": ["a": 1]], ["a": [2, [1]]]),
        .init(["k": [1, [1], [2]]], ["$pull": ["k": [1]]], ["k": [1, [2]]]),
        .init(["a": [1, [], 2]], ["$pull": ["a": []]], ["a": [1, 2]]),
        .init(unchanged: ["a": [1]], ["$pull": ["a": 5, "b": 1, "c.d": 1]]),
        .init(["a": 1], ["$pull": ["a": 1]], code: 2),
    ]

    static let positions: [UpdateCase] = [
        .init(["a": [1, 2, 3]], ["$set": ["a.$": 9]], ["a": [1, 9, 3]], position: 1),
        .init(
            ["l": [["k": 0], ["k": 1, "in": ["b": 0]]]],
            ["$set": ["l.$.a": 1, "l.$.in.b": 2]],
            ["l": [["k": 0], ["k": 1, "in": ["b": 2], "a": 1]]], position: 1),
        .init(["a": [1]], ["$set": ["a.$": 9]], code: 2),
        .init(["a": [1]], ["$set": ["a.$.b.$": 9]], code: 2, position: 0),
        .init(["a": [1]], ["$set": ["$.b": 9]], code: 2, position: 0),
        .init(
            ["k": [["a": 1]]], ["$set": ["k.$.7": 1], "$push": ["k.0.a2": 5]],
            ["k": [["a": 1, "7": 1, "a2": [5]]]], position: 0),
        .init(["k": [1, 2]], ["$set": ["k.$": 1, "k.1": 2]], code: 40, position: 1),
        .init(["k": [1, 2]], ["$set": ["k.$": 5, "k.1": 6]], ["k": [5, 6]], position: 0),
        .init(["k": [["a": 1]]], ["$set": ["k.$": 5, "k.0.a": 6]], code: 40, position: 0),
        .init(["o": [[:], [:]]], ["$set": ["o.$[].r": 1]], ["o": [["r": 1], ["r": 1]]]),
        .init(["a": [1, 2]], ["$inc": ["a.$[]": 10]], ["a": [11, 12]]),
        .init(
            ["a": [["s": [1, 2]], ["s": [3]]]], ["$set": ["a.$[].s.$[]": 0]],
            ["a": [["s": [0, 0]], ["s": [0]]]]),
        .init(unchanged: ["k": []], ["$set": ["k.$[]": 1]]),
        .init(["k": 1], ["$set": ["k.$[]": 1]], code: 2),
        .init([:], ["$set": ["k.$[]": 1]], code: 2),
        .init([:], ["$unset": ["k.$[]": 1]], code: 2),
        .init(["a": [1, 2]], ["$unset": ["a.$[]": 1]], ["a": [nil, nil]]),
        .init(["a": [1]], ["$set": ["a.$[x]": 1]], code: 2),
        .init(["a": [1]], ["$set": ["$[]": 1]], code: 2),
        .init(["a": [1]], ["$set": ["a.$[]": 1, "a.0": 2]], code: 40),
        .init(["a": [1]], ["$set": ["a.$[]": 1, "a.$": 2]], code: 40, position: 0),
        .init(
            ["a": [["b": [1, 2]]]], ["$push": ["a.$.b": 3]], ["a": [["b": [1, 2, 3]]]],
            position: 0),
    ]

    static let conditions: [UpdateCase] = [
        // $pull
        .init(["a": [1, 5, 3, [9], "x"]], ["$pull": ["a": ["$gte": 3]]], ["a": [1, "x"]]),
        .init(
            ["a": [["x": 1, "y": 2], ["y": 2, "x": 1, "z": 3], ["x": 1]]],
            ["$pull": ["a": ["x": 1, "y": 2]]], ["a": [["x": 1]]]),
        .init(
            ["a": [["x": 1], ["x": 5], 5]], ["$pull": ["a": ["x": ["$gt": 2]]]],
            ["a": [["x": 1], 5]]),
        .init(["a": [["x": 1], [:]]], ["$pull": ["a": [:]]], ["a": []]),
        .init(unchanged: ["a": [1, "x"]], ["$pull": ["a": [:]]]),
        .init(["a": [1, nil, 3, nil]], ["$pull": ["a": ["$eq": nil]]], ["a": [1, 3]]),
        .init(["k": [1, [1], [2]]], ["$pull": ["k": ["$eq": [1]]]], ["k": [1, [2]]]),
        .init(
            ["a": ["abc", "xyz", 1]], ["$pull": ["a": .regex(pattern: "^a", options: "")]],
            ["a": ["xyz", 1]]),
        .init(["a": ["abc", "b"]], ["$pull": ["a": ["$in": ["b", "c"]]]], ["a": ["abc"]]),
        .init(
            ["a": [["x": 1], ["y": 2], ["z": 1]]],
            ["$pull": ["a": ["$or": [["x": 1], ["y": 2]]]]], ["a": [["z": 1]]]),
        .init(
            ["a": [["r": [["q": 1, "w": 5]]], ["r": [["q": 2, "w": 5]]]]],
            ["$pull": ["a": ["r": ["$elemMatch": ["q": 2, "w": ["$gte": 5]]]]]],
            ["a": [["r": [["q": 1, "w": 5]]]]]),
        .init(["a": [1]], ["$pull": ["a": ["$badop": 1]]], code: 2),
        // Array filters
        .init(
            ["a": [1, 2, 3, 4]], ["$set": ["a.$[e]": 0]], ["a": [1, 2, 0, 0]],
            filters: [["e": ["$gte": 3]]]),
        .init(unchanged: ["a": [1]], ["$set": ["a.$[e]": 0]], filters: [["e": ["$gte": 3]]]),
        .init(
            ["g": [["x": 1, "y": "a"], ["x": 3, "y": "a"]]], ["$set": ["g.$[e].x": 9]],
            ["g": [["x": 1, "y": "a"], ["x": 9, "y": "a"]]],
            filters: [["e.x": ["$gte": 2], "e.y": "a"]]),
        .init(
            ["k": [["a": 7], ["a": 1], [:]]], ["$inc": ["k.$[e].a": 1]],
            ["k": [["a": 8], ["a": 1], [:]]],
            filters: [["$and": [["e.a": ["$exists": true]], ["e.a": ["$gte": 5]]]]]),
        .init(
            ["g": [["c": "m", "s": [80, 90]], ["c": "e", "s": [95]]]],
            ["$set": ["g.$[t].s.$[s]": 100]],
            ["g": [["c": "m", "s": [80, 100]], ["c": "e", "s": [95]]]],
            filters: [["t.c": "m"], ["s": ["$gte": 85]]]),
        .init(
            ["s": [5, 15, 35]], ["$set": ["s.$[low]": 0, "s.$[high]": 100]],
            ["s": [0, 15, 100]], filters: [["low": ["$lt": 10]], ["high": ["$gt": 30]]]),
        .init(
            ["a": [["x": 1], ["x": 2]]], ["$set": ["a.$[i].c": 1, "a.$[j].d": 2]],
            ["a": [["x": 1, "c": 1, "d": 2], ["x": 2, "d": 2]]],
            filters: [["i.x": 1], ["j.x": ["$gt": 0]]]),
        .init(
            ["a": [["x": 1]]], ["$set": ["a.$[i].c": 1, "a.$[j].c": 2]], code: 40,
            filters: [["i.x": 1], ["j.x": ["$gt": 0]]]),
        .init(
            ["a": [["x": 1], ["x": 2]]], ["$set": ["a.$[i].c": 1, "a.$[j].c": 2]],
            ["a": [["x": 1, "c": 1], ["x": 2, "c": 2]]], filters: [["i.x": 1], ["j.x": 2]]),
        .init(["a": [1]], ["$set": ["a.$[i]": 1, "a.0": 2]], code: 40, filters: [["i": 1]]),
        .init(["a": [1]], ["$set": ["a.$[i]": 1, "a.b": 2]], code: 40, filters: [["i": 1]]),
        .init(["a": 1], ["$set": ["a.$[i]": 1]], code: 2, filters: [["i": 1]]),
        .init(["a": [1]], ["$set": ["a.$[x]": 1]], code: 2, filters: [["y": 1]]),
        .init(["a": [1]], ["$set": ["a.0": 1]], code: 9, filters: [["y": 1]]),
        .init(["a": [1]], ["$set": [:]], code: 9, filters: [["y": 1]]),
        .init(["a": [1]], ["b": 1], code: 9, filters: [["y": 1]]),
        .init(["a": [1]], [["$set": ["b": 1]]], code: 9, filters: [["y": 1]]),
        .init(["a": [1]], ["$set": ["a.$[y]": 1]], code: 9, filters: [["y": 1], ["y": 2]]),
        .init(["a": [1]], ["$set": ["a.$[y]": 1]], code: 9, filters: [["y": 1, "z": 1]]),
        .init(["a": [1]], ["$set": ["a.$[y]": 1]], code: 9, filters: [[:]]),
        .init(["a": [1]], ["$set": ["a.$[1y]": 1]], code: 2, filters: [["1y": 1]]),
        .init(["a": [1]], ["$set": ["a.$[Y]": 1]], code: 2, filters: [["Y": 1]]),
        .init(["a": [1]], ["$set": ["a.$[y]": 1]], code: 2, filters: [["$text": ["$search": "x"]]]),
        .init(["a": [1]], ["$rename": ["a.$[y]": "b"]], code: 2, filters: [["y": 1]]),
    ]

    static let replacements: [UpdateCase] = [
        .init(["_id": 1, "a": 1], ["b": 2], ["_id": 1, "b": 2]),
        .init(["_id": 1, "a": 1], [:], ["_id": 1]),
        .init(["_id": 1, "a": 1], ["b": 2, "_id": 1], ["_id": 1, "b": 2]),
        .init(["_id": 1, "a": 1], ["a": 1], ["_id": 1, "a": 1]),
        .init(unchanged: ["_id": 1, "a": 1], ["_id": 1, "a": 1]),
        .init(["_id": 1], ["_id": 2], code: 66),
        .init(["_id": 1], ["a": 1, "$b": 2], code: 52),
        .init(["_id": 1], ["a.b": 1], ["_id": 1, "a.b": 1]),
        .init(
            ["_id": 1],
            [
                "t": .timestamp(Timestamp(rawValue: 0)),
                "n": ["t": .timestamp(Timestamp(rawValue: 0))],
            ],
            [
                "_id": 1, "t": .timestamp(testTime.timestamp),
                "n": ["t": .timestamp(Timestamp(rawValue: 0))],
            ]),
    ]

    @Test(arguments: fields + numbers + arrays + positions + conditions + replacements)
    func applies(row: UpdateCase) {
        let outcome = row.run()
        switch row.expected {
        case .document(let document): #expect(outcome == .changed(document))
        case .unchanged: #expect(outcome == .unchanged)
        case .code(let code): #expect(outcome.code == code, "\(outcome)")
        }
    }

    static let malformed: [(Value, Int32)] = [
        ("text", 9), (5, 9), (["$badop": ["x": 1]], 9), (["$set": ["x": 2], "y": 3], 9),
        (["$set": ["a": 1, "a.b": 2]], 40), (["$set": ["x": 2], "$unset": ["x": ""]], 40),
        (["$inc": ["x.y": 1], "$set": ["x": [:]]], 40), (["y": 3, "$set": ["x": 2]], 52),
        (["$set": nil], 9), (["$unset": ["": 1]], 56), ([["$group": ["_id": 1]]], 72),
        ([["$match": [:]]], 72), ([["$set": ["a": 1]], ["$out": "x"]], 72), ([1], 14),
    ]

    @Test(arguments: malformed)
    func refuses(update: Value, code: Int32) {
        #expect(throws: DBError.self) { try parseUpdate(update) }
        do throws(DBError) {
            _ = try parseUpdate(update)
        } catch {
            #expect(error.code.rawValue == code)
        }
    }

    /// Many fields and many values take other ways than a few do: both must say the same.
    @Test func manyFieldsAndValues() throws {
        let names = (0..<400).map { "f\($0 * 7919 % 400)" } + (0..<40).map { "\($0)" }
        let document = Document { writer in
            for name in names.dropFirst(100) { writer.append(name, Int32(1)) }
        }
        let update = Value.document(
            Document { writer in
                writer.append(
                    "$inc",
                    Document { fields in for name in names { fields.append(name, Int32(1)) } })
            })
        guard case .changed(let result) = try applyUpdate(parseUpdate(update), to: document) else {
            Issue.record("unchanged")
            return
        }
        #expect(result.keys.prefix(340) == document.keys[...])
        #expect(result.keys.dropFirst(340) == names.prefix(100).sorted()[...])
        for (index, name) in names.enumerated() {
            #expect(result[name] == (index < 100 ? 1 : 2), "\(name)")
        }

        let values = Value.array((0..<100).map { .int32(Int32($0 % 50)) } + [1.0, "x", nil])
        let stored: Document = ["a": .array((25..<60).map { .double(Double($0)) })]
        #expect(
            try applyUpdate(parseUpdate(["$addToSet": ["a": ["$each": values]]]), to: stored)
                == .changed([
                    "a": .array(
                        (25..<60).map { .double(Double($0)) }
                            + (0..<25).map { .int32(Int32($0)) } + ["x", nil])
                ]))
        #expect(
            try applyUpdate(parseUpdate(["$pullAll": ["a": values]]), to: stored)
                == .changed(["a": .array((50..<60).map { .double(Double($0)) })]))
    }

    @Test func limitsNestingAndSize() throws {
        func nested(_ levels: Int) -> Value {
            (0..<levels).reduce(1) { value, _ in ["a": value] }
        }
        let path = Array(repeating: "p", count: 100).joined(separator: ".")
        guard case .changed = try applyUpdate(parseUpdate(["$set": [path: nested(101)]]), to: [:])
        else {
            Issue.record("unchanged")
            return
        }
        for update in [
            ["$set": [path: nested(102)]], ["$push": [path: nested(101)]],
            ["$addToSet": [path: nested(101)]],
        ] as [Value] {
            #expect(UpdateCase([:], update, [:]).run().code == 15)
        }
        #expect(
            UpdateCase(["s": nested(150)], ["$rename": ["s": .string(path)]], [:]).run().code == 15)
        let long = Array(repeating: "p", count: 201).joined(separator: ".")
        #expect(UpdateCase([:], ["$set": [long: 1]], [:]).run().code == 15)
        let half = Value.string(String(repeating: "x", count: 9 << 20))
        #expect(UpdateCase(["a": half], ["$set": ["b": half]], [:]).run().code == 10334)
    }

    @Test func refusesConstantsAndMultiReplacement() {
        var multi = UpdateOptions()
        multi.isMulti = true
        #expect(
            throwsCode(9) { () throws(DBError) in
                _ = try parseUpdate(["a": 1], arrayFilters: [], constants: nil, multi)
            })
        #expect(
            throwsCode(51198) { () throws(DBError) in
                _ = try parseUpdate(["$set": ["a": 1]], constants: ["x": 1])
            })
    }

    @Test func tellsTouchedPaths() throws {
        let update = try parseUpdate([
            "$set": ["a.b": 1, "arr.$[].x": 2], "$rename": ["r": "s"], "$setOnInsert": ["i": 1],
            "$inc": ["n.0.m": 1],
        ])
        for path in ["a.b", "a", "a.b.c", "a.0.b", "arr", "arr.x", "arr.0.x.y", "r", "s", "n.m"] {
            #expect(update.touches(FieldPath(path)), "\(path)")
        }
        for path in ["_id", "a.c", "ab", "arr.y", "i", "n.k", "x"] {
            #expect(!update.touches(FieldPath(path)), "\(path)")
        }
        #expect(try parseUpdate(["a": 1]).touches(FieldPath("b")))
        #expect(try !parseUpdate(["a": 1]).touches(FieldPath("_id")))
    }
}

extension UpdateCase {
    /// The row of a result that equals the document.
    var unchangedRow: UpdateCase {
        UpdateCase(unchanged: document, update, position: position, filters: arrayFilters)
    }
}

/// Whether `body` throws that code.
func throwsCode(_ code: Int32, _ body: () throws(DBError) -> Void) -> Bool {
    do throws(DBError) {
        try body()
        return false
    } catch {
        return error.code.rawValue == code
    }
}

/// A decimal128 value; 0 for bad text.
func decimal(_ text: String) -> Value {
    let number = Decimal128(text) ?? .zero
    return .decimal128(low: number.low, high: number.high)
}
