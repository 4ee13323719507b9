// Random documents and filters from a small alphabet, so that they meet.

import BSON
import TestSupport

/// Makes them; the same seed gives the same ones.
struct RandomQuery {
    var random: RandomSource

    static let scalars: [Value] = [
        nil, 1, 1.0, 2, .double(.nan), .double(-0.0), 0, "a", "b", true,
        .document(["a": 1]), .document([:]), .document(["b": [1]]),
    ]
    static let paths = ["a", "b", "a.b", "a.0", "a.b.c", "a.0.b", "b.a", "a.1", "a.b.0"]

    init(seed: UInt64) {
        random = RandomSource(seed: seed)
    }

    mutating func pick<T>(_ items: [T]) -> T { items[random.below(items.count)] }

    mutating func value(depth: Int = 3) -> Value {
        switch random.below(depth > 0 ? 8 : 4) {
        case 0...3: return pick(Self.scalars)
        case 4, 5: return .array((0..<random.below(4)).map { _ in value(depth: depth - 1) })
        default: return .document(document(depth: depth - 1))
        }
    }

    mutating func document(depth: Int = 4) -> Document {
        var fields: [(String, Value)] = []
        for name in ["a", "b", "c", "0"] where random.below(name == "0" ? 8 : 2) == 0 {
            fields.append((name, value(depth: depth)))
        }
        return Document { writer in
            for (name, value) in fields { writer.append(name, value) }
        }
    }

    mutating func filter(depth: Int = 2) -> Document {
        let count = 1 + random.below(3)
        var fields: [(String, Value)] = []
        for _ in 0..<count {
            if depth > 0, random.below(5) == 0 {
                let parts = (0..<1 + random.below(3)).map { _ in
                    Value.document(filter(depth: depth - 1))
                }
                fields.append((pick(["$and", "$or", "$nor"]), .array(parts)))
            } else {
                fields.append((pick(Self.paths), condition(depth: depth)))
            }
        }
        return Document { writer in
            for (name, value) in fields { writer.append(name, value) }
        }
    }

    mutating func condition(depth: Int) -> Value {
        if random.below(4) == 0 { return value(depth: 1) }
        let count = random.below(4) == 0 ? 2 : 1
        var fields: [(String, Value)] = []
        for _ in 0..<count { fields.append(operation(depth: depth)) }
        return .document(
            Document { writer in
                for (name, value) in fields { writer.append(name, value) }
            })
    }

    private mutating func operation(depth: Int) -> (String, Value) {
        switch random.below(depth > 0 ? 13 : 10) {
        case 0: return ("$eq", value(depth: 1))
        case 1: return ("$ne", value(depth: 1))
        case 2...4: return (pick(["$gt", "$gte", "$lt", "$lte"]), value(depth: 1))
        case 5, 6:
            let name = pick(["$in", "$nin"])
            return (name, .array((0..<random.below(4)).map { _ in value(depth: 1) }))
        case 7: return ("$exists", .bool(random.below(2) == 0))
        case 8: return ("$size", .int32(Int32(random.below(3))))
        case 9: return ("$all", .array((0..<random.below(3)).map { _ in value(depth: 1) }))
        case 10:
            let inner = operation(depth: 0)
            return ("$not", .document(Document { $0.append(inner.0, inner.1) }))
        default:
            if random.below(2) == 0 {
                let inner = operation(depth: depth - 1)
                return ("$elemMatch", .document(Document { $0.append(inner.0, inner.1) }))
            }
            return ("$elemMatch", .document(filter(depth: depth - 1)))
        }
    }
}
