import BSON
import TestSupport

/// Random documents, filters and sorts over few paths and values, so that they meet (mql.md, 11).
struct SmallDocuments {
    var random: RandomSource

    init(seed: UInt64) {
        random = RandomSource(seed: seed)
    }

    static let scalars: [Value] = [
        .null, 1, 1.0, .double(.nan), .double(-0.0), 2, "a", "ab", .bool(true), .document([:]),
        ["a": 1], .array([]),
    ]
    static let paths = ["a", "b", "a.b", "a.0", "a.b.c", "a.1", "a.c"]

    mutating func pick<T>(_ values: [T]) -> T { values[random.below(values.count)] }

    mutating func scalar() -> Value { pick(Self.scalars) }

    /// A value of field `a` or `b`.
    mutating func value(depth: Int = 2) -> Value {
        switch random.below(depth > 0 ? 10 : 6) {
        case 0...5: return scalar()
        case 6, 7:
            return .array((0..<random.below(4)).map { _ in value(depth: depth - 1) })
        default:
            return .document(
                Document { writer in
                    if random.oneIn(2) { writer.append("b", value(depth: depth - 1)) }
                    if random.oneIn(2) { writer.append("c", value(depth: depth - 1)) }
                    if random.oneIn(8) { writer.append("0", value(depth: depth - 1)) }
                    if random.oneIn(8) { writer.append("1", value(depth: depth - 1)) }
                })
        }
    }

    mutating func document(id: Int) -> Document {
        Document { writer in
            writer.append("_id", Int32(id))
            if !random.oneIn(6) { writer.append("a", value()) }
            if !random.oneIn(6) { writer.append("b", value(depth: 1)) }
        }
    }

    mutating func filter(depth: Int = 2) -> Document {
        if depth > 0, random.oneIn(3) {
            let name = pick(["$and", "$or", "$nor"])
            let parts = (0..<1 + random.below(3)).map { _ in
                Value.document(filter(depth: depth - 1))
            }
            return [(name, .array(parts))].asDocument
        }
        var fields: [(String, Value)] = []
        for _ in 0..<1 + random.below(2) {
            fields.append((pick(Self.paths), condition(depth: 1)))
        }
        return fields.asDocument
    }

    private mutating func condition(depth: Int) -> Value {
        switch random.below(depth > 0 ? 15 : 11) {
        case 0, 1: return plain()
        case 2: return operators([("$ne", value(depth: 1))])
        case 3: return operators([("$gt", scalar())])
        case 4: return operators([("$gte", scalar())])
        case 5: return operators([("$lt", scalar())])
        case 6: return operators([("$lte", scalar())])
        case 7: return operators([("$gt", scalar()), ("$lte", scalar())])
        case 8: return operators([(pick(["$in", "$nin"]), list())])
        case 9: return operators([("$exists", .bool(random.oneIn(2)))])
        case 10:
            return operators([
                ("$type", pick(["number", "string", "object", "array", "null", "bool"]))
            ])
        case 11: return operators([("$not", operatorsOnly(depth: 0))])
        case 12:
            let inner = operatorsOnly(depth: 0)
            guard random.oneIn(3) else { return operators([("$elemMatch", inner)]) }
            return operators([("$elemMatch", .document(["$elemMatch": inner]))])
        case 13:
            let name = pick(["b", "c", "b.c"])
            return operators([
                (
                    "$elemMatch",
                    .document([(name, condition(depth: 0)), ("b", condition(depth: 0))].asDocument)
                )
            ])
        default:
            return pick([
                operators([("$all", list())]),
                operators([("$size", .int32(Int32(random.below(3))))]),
                operators([("$regex", pick(["^a", "b", "^ab$"]))]),
            ])
        }
    }

    /// A value that is compared with; not an operator document by accident.
    private mutating func plain() -> Value { value(depth: 1) }

    private mutating func operatorsOnly(depth: Int) -> Value {
        while true {
            if case .document(let document) = condition(depth: depth),
                document.keys.first?.hasPrefix("$") == true
            {
                return .document(document)
            }
        }
    }

    private mutating func list() -> Value {
        .array((0..<random.below(4)).map { _ in value(depth: 1) })
    }

    private func operators(_ fields: [(String, Value)]) -> Value { .document(fields.asDocument) }

    mutating func sort() -> Document {
        var names = Self.paths + ["_id"]
        var fields: [(String, Value)] = []
        for _ in 0..<1 + random.below(2) {
            let index = random.below(names.count)
            fields.append((names.remove(at: index), .int32(random.oneIn(2) ? 1 : -1)))
        }
        return fields.asDocument
    }
}

extension [(String, Value)] {
    var asDocument: Document {
        Document { writer in
            for (name, value) in self { writer.append(name, value) }
        }
    }
}
