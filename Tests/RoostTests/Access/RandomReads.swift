// Random documents, and what may be asked about them: finds, pages, counts, values, groups, joins.

import BSON
import TestSupport

/// A read in MongoDB's terms.
enum RandomRead {
    /// A page ends its order with `_id`, so that it is one answer.
    case find(Document, sort: Document?, skip: Int, limit: Int, projection: Document?)
    case count(Document, skip: Int, limit: Int)
    case distinct(String, Document)
    /// Stages over the collection; the first is `$match`.
    case aggregate([Document])
    /// Stages over another collection that join this one, `FOREIGN` in their place.
    case joined([Document])

    /// The read's own condition on documents.
    var filter: Document {
        switch self {
        case .find(let filter, _, _, _, _), .count(let filter, _, _), .distinct(_, let filter):
            filter
        case .aggregate(let stages):
            if case .document(let filter)? = stages.first?["$match"] { filter } else { [:] }
        case .joined: [:]
        }
    }
}

extension RandomRules {
    // MARK: Documents

    mutating func value(_ depth: Int = 1) -> Value {
        let id = ObjectID(hex: "0123456789abcdef01234567".utf8Span.span.bytes)
        let values: [Value] = [
            .string("ann"), .string("bob"), .string("x"), .int32(1), .int64(2), .double(1),
            .double(1.5), .double(.nan), .bool(true), .bool(false), .null, .date(5),
            .timestamp(Timestamp(rawValue: 5 << 32)), id.map { .objectID($0) } ?? .null,
            .symbol("ann"), .undefined, .minKey, .regex(pattern: "ann", options: ""),
            .string("0123456789abcdef01234567"), .int64(.max), .int64(.min), .double(.infinity),
            .double(-0.0), .string(""), .string("Ann"), .date(-1), .string("\u{e4}nn"),
            .int32(0), .maxKey, .binary(subtype: 0, [1, 2]), .double(9_007_199_254_740_992),
        ]
        guard depth > 0, random.oneIn(4) else { return pick(values) }
        if random.oneIn(2) { return .array((0..<random.below(3)).map { _ in value(depth - 1) }) }
        return .document([
            pick(["a", "ann", "x"]): value(depth - 1), "k": value(depth - 1),
        ])
    }

    /// A document; the first four of a collection have `_id`s of their own.
    mutating func document(_ number: Int, isNested: Bool) -> Document {
        let ids: [Value] =
            isNested
            ? ["ann/\(number)", "7/ann", "ann/ann", "loose"].map { .string($0) }
            : [
                .int32(Int32(number)), .string("s\(number)"), .string("ann"), .int64(7),
                .double(Double(number) + 0.5),
            ]
        var fields: [(String, Value)] = [
            ("_id", number < 4 ? ids[number] : ids[pick(isNested ? [0] : [0, 1, 4])])
        ]
        for name in ["owner", "n", "public", "tags", "m", "at", "list", "place"]
        where !random.oneIn(4) {
            fields.append((name, content(name)))
        }
        return Document { writer in for (name, value) in fields { writer.append(name, value) } }
    }

    private mutating func content(_ name: String) -> Value {
        switch name {
        case "owner" where random.oneIn(2): return .string(pick(Self.users))
        case "public" where random.oneIn(2): return .bool(random.oneIn(2))
        case "n" where random.oneIn(2): return .int32(Int32(random.below(4)) - 1)
        case "m" where !random.oneIn(4): return .document(["a": value(), "k": value(0)])
        case "tags" where random.oneIn(2): return .array([value(0), value(0)])
        case "at" where random.oneIn(2): return .date(Int64(random.below(10)))
        case "list" where random.oneIn(2):
            return .array([.document(["a": value(0)]), .document(["b": value(0)])])
        case "place" where random.oneIn(2):
            return .document(["type": "Point", "coordinates": [.int32(2), .double(1)]])
        default: return value()
        }
    }

    // MARK: Filters

    /// A query's filter.
    mutating func filter(_ depth: Int = 1) -> Document {
        switch random.below(depth > 0 ? 24 : 20) {
        case 0, 1: return [:]
        case 2: return ["owner": .string(pick(Self.users))]
        case 3: return ["public": true, "n": ["$gte": 1]]
        case 4: return ["$or": [["owner": "ann"], ["n": 1]]]
        case 5: return ["tags": .string(pick(["ann", "x"]))]
        case 6: return ["n": ["$ne": 1]]
        case 7: return ["m.a": ["$in": ["x", 1]], "owner": "ann"]
        case 8: return ["m.a": ["$exists": .bool(random.oneIn(2))]]
        case 9: return [pick(["owner", "n", "m", "tags"]): value(1)]
        case 10: return ["n": [pick(["$lt", "$lte", "$gt", "$gte"]): ordered()]]
        case 11: return ["tags": ["$elemMatch": ["$in": ["ann", 1]]]]
        case 12: return ["list": ["$elemMatch": ["a": .string(pick(["ann", "x"]))]]]
        case 13: return ["owner": ["$not": ["$eq": "bob"]]]
        case 14: return ["tags": ["$all": ["x"]], "n": ["$type": "number"]]
        case 15: return ["owner": ["$regex": .string(pick(["^a", "n", "^0123"]))]]
        case 16: return ["$expr": [pick(["$gt", "$lte", "$eq"]): ["$n", 1]]]
        case 17: return ["_id": ["$gte": .int32(Int32(random.below(8)))]]
        case 18: return ["_id": ["$in": ["ann", 7, "s1", "7/ann"]]]
        case 19: return ["tags": ["$size": 2]]
        case 20: return ["$nor": [.document(filter(0))]]
        case 21, 22: return ["$or": [.document(filter(0)), .document(filter(0))]]
        default: return ["$and": [.document(filter(0)), .document(filter(0))]]
        }
    }

    /// A value that filters compare with.
    private mutating func ordered() -> Value {
        while true {
            switch value(0) {
            case .regex, .undefined: continue
            case let value: return value
            }
        }
    }

    // MARK: Reads

    mutating func read() -> RandomRead {
        // One `_id`: a get, which rules are asked about by itself.
        let isGet = random.oneIn(6)
        var filter = isGet ? Document() : filter()
        if isGet {
            let ids: [Value] = ["ann", 7, 0, "s1", "gone", .double(4.5), "7/ann", "ann/0"]
            filter = ["_id": pick(ids)]
            if random.oneIn(4) { filter = filter.with("n", ["$gte": 1]) }
        }
        switch random.below(10) {
        case 0, 1, 2:
            return .find(filter, sort: nil, skip: 0, limit: 0, projection: projection())
        case 3, 4:
            return .find(
                filter, sort: sort(), skip: pick([0, 0, 1, 2]), limit: pick([0, 1, 2, 3, 10]),
                projection: projection())
        case 5: return .count(filter, skip: pick([0, 0, 1]), limit: pick([0, 0, 2]))
        case 6: return .distinct(pick(["owner", "n", "tags", "m.a", "_id", "list.a", "m"]), filter)
        case 7, 8: return .aggregate([["$match": .document(filter)]] + stages())
        default: return .joined(join())
        }
    }

    private mutating func projection() -> Document? {
        guard random.oneIn(4) else { return nil }
        return pick([
            ["owner": 1], ["m.a": 1, "_id": 0], ["tags": 0, "m": 0], ["list.a": 1, "n": 1],
            ["twice": ["$add": [["$size": ["$ifNull": ["$gone", []]]], 1]]],
        ])
    }

    private mutating func sort() -> Document {
        var sort = Document()
        for name in [pick(["owner", "n", "m.a", "tags", "at"]), pick(["n", "public", "m"])]
        where !random.oneIn(3) {
            sort = sort.with(name, .int32(random.oneIn(2) ? 1 : -1))
        }
        return sort.with("_id", .int32(random.oneIn(3) ? -1 : 1))
    }

    private mutating func stages() -> [Document] {
        let key: Value = pick(["$owner", "$n", "$m.a", .null, "$tags", ["$type": "$m"]])
        let group: Document = [
            "_id": key, "count": ["$sum": 1], "sum": ["$sum": "$n"], "least": ["$min": "$m.a"],
            "ids": ["$push": "$_id"], "all": ["$addToSet": "$public"],
        ]
        switch random.below(6) {
        case 0, 1: return [["$sort": ["_id": 1]], ["$group": .document(group)]]
        case 2: return [["$count": "n"]]
        case 3:
            return [
                ["$unwind": "$tags"], ["$sort": ["tags": 1, "_id": 1]], ["$limit": 3],
            ]
        case 4: return [["$sortByCount": "$public"], ["$sort": ["count": 1, "_id": 1]]]
        default:
            return [
                [
                    "$facet": [
                        "a": [["$match": .document(filter(0))], ["$count": "n"]],
                        "b": [["$sort": ["n": 1, "_id": 1]], ["$limit": 2]],
                    ]
                ]
            ]
        }
    }

    /// Stages over `open`, which has a document for each of `users` with it as `k`.
    private mutating func join() -> [Document] {
        let ordered: Document = ["$sort": ["_id": 1]]
        let inner: Value = .array([
            .document(["$match": .document(filter(0))]), .document(ordered),
        ])
        if random.oneIn(3) {
            return [
                ["$unionWith": ["coll": "FOREIGN", "pipeline": inner]],
                ["$group": ["_id": "$owner", "n": ["$sum": 1]]], ["$sort": ["_id": 1]],
            ]
        }
        return [
            [
                "$lookup": [
                    "from": "FOREIGN", "localField": "k", "foreignField": "owner",
                    "pipeline": inner, "as": "found",
                ]
            ]
        ]
    }
}

extension Document {
    /// The document with one field more.
    func with(_ name: String, _ value: Value) -> Document {
        Document { writer in
            writer.appendFields(of: view)
            writer.append(name, value)
        }
    }
}
