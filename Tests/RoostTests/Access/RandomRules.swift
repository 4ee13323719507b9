// Random rules, documents, users and filters, small enough to meet each other.

import BSON
import TestSupport

struct RandomRules {
    var random: RandomSource

    private mutating func pick<T>(_ list: [T]) -> T { list[random.below(list.count)] }

    static let users = ["ann", "bob", "0123456789abcdef01234567"]

    /// A condition of rules.
    mutating func condition(_ depth: Int = 3) -> String {
        guard depth > 0, !random.oneIn(3) else { return leaf() }
        switch random.below(6) {
        case 0, 1: return "(\(condition(depth - 1)) && \(condition(depth - 1)))"
        case 2, 3: return "(\(condition(depth - 1)) || \(condition(depth - 1)))"
        case 4: return "!(\(condition(depth - 1)))"
        default:
            return "(\(condition(depth - 1)) ? \(condition(depth - 1)) : \(condition(depth - 1)))"
        }
    }

    private mutating func field() -> String {
        pick([
            "resource.data.owner", "resource.data.n", "resource.data.public", "resource.data.m.a",
            "resource.data['owner']", "resource.data.tags", "resource.data.at",
            "resource.data.gone", "resource.data.m.k",
        ])
    }

    private mutating func constant() -> String {
        pick([
            "'ann'", "'0123456789abcdef01234567'", "request.auth.uid", "1", "2.0", "true", "null",
            "request.auth.token.role", "1.5", "timestamp.value(5)", "'x'",
        ])
    }

    private mutating func leaf() -> String {
        switch random.below(16) {
        case 0: return "true"
        case 1: return "request.auth != null"
        case 2, 3, 4: return "\(field()) == \(constant())"
        case 5: return "\(constant()) != \(field())"
        case 6: return "\(field()) \(pick(["<", "<=", ">", ">="])) \(constant())"
        case 7: return "\(constant()) \(pick(["<", ">="])) \(field())"
        case 8:
            return
                "\(constant()) in \(pick(["resource.data.tags", "resource.data.m", "resource.data"]))"
        case 9: return "\(field()) in ['ann', 'x', request.auth.uid]"
        case 10:
            return
                "isOwner(\(pick(["resource.data.owner", "request.auth.uid", "resource.data.gone"])))"
        case 11: return "id == \(pick(["'ann'", "'7'", "request.auth.uid"]))"
        case 12: return "\(pick(["resource.data.public", "resource.data.owner"]))"
        case 13:
            return
                "exists(/databases/$(db)/documents/members/$(\(pick(["request.auth.uid", "resource.data.owner", "'ann'"]))))"
        case 14:
            return "get(/databases/$(db)/documents/members/$(request.auth.uid)).data.level == 1"
        default:
            return pick([
                "resource.data.tags.hasAny(['x'])", "resource.data.keys().size() > 3",
                "readable(resource)", "request.query.limit <= 3", "resource != null",
                "request.auth.uid == 'ann'", "resource.data.owner is string",
            ])
        }
    }

    /// A rules file for the collection `docs`.
    mutating func file(filters: Bool) -> String {
        var allows = ""
        for _ in 0...random.below(2) {
            allows += "      allow \(pick(["list", "read"])): if \(condition())"
            allows += random.oneIn(5) ? " hide ['\(pick(["n", "m.a", "owner"]))'];\n" : ";\n"
        }
        let more = random.oneIn(4) ? "    match /docs/7 { allow read; }\n" : ""
        return """
            rules_version = '2';
            service cloud.firestore {
              \(filters ? "option mode = 'filter';" : "")
              function isOwner(uid) { return request.auth.uid == uid; }
              function readable(r) { let o = r.data.owner; return o == 'ann' || r.data.public; }
              match /databases/{db}/documents {
                match /docs/{id} {
            \(allows)    }
            \(more)  }
            }
            """
    }

    mutating func auth() -> Document? {
        if random.oneIn(6) { return nil }
        let uid = pick(Self.users)
        let token: Document = random.oneIn(2) ? ["role": "x"] : [:]
        return ["uid": .string(uid), "token": .document(token)]
    }

    mutating func value(_ depth: Int = 1) -> Value {
        let id = ObjectID(hex: "0123456789abcdef01234567".utf8Span.span.bytes)
        let values: [Value] = [
            .string("ann"), .string("bob"), .string("x"), .int32(1), .int64(2), .double(1),
            .double(1.5), .double(.nan), .bool(true), .bool(false), .null, .date(5),
            .timestamp(Timestamp(rawValue: 5 << 32)), id.map { .objectID($0) } ?? .null,
            .symbol("ann"), .undefined, .minKey, .regex(pattern: "ann", options: ""),
            .string("0123456789abcdef01234567"),
        ]
        guard depth > 0, random.oneIn(4) else { return pick(values) }
        if random.oneIn(2) { return .array((0..<random.below(3)).map { _ in value(depth - 1) }) }
        return .document([
            pick(["a", "ann", "x"]): value(depth - 1), "k": value(depth - 1),
        ])
    }

    mutating func document(_ number: Int) -> Document {
        var fields: [(String, Value)] = []
        let ids: [Value] = [
            .int32(Int32(number)), .string("s\(number)"), .string("ann"), .int64(7),
            .double(Double(number) + 0.5),
        ]
        fields.append(("_id", number < 4 ? ids[number] : pick([ids[0], ids[1], ids[4]])))
        for name in ["owner", "n", "public", "tags", "m", "at"] where !random.oneIn(4) {
            switch name {
            case "owner" where random.oneIn(2): fields.append((name, .string(pick(Self.users))))
            case "public" where random.oneIn(2): fields.append((name, .bool(random.oneIn(2))))
            case "m": fields.append((name, .document(["a": value(), "k": value(0)])))
            case "tags" where random.oneIn(2):
                fields.append((name, .array([value(0), value(0)])))
            default: fields.append((name, value()))
            }
        }
        return Document { writer in for (name, value) in fields { writer.append(name, value) } }
    }

    /// A query's filter.
    mutating func filter() -> Document {
        switch random.below(9) {
        case 0, 1: return [:]
        case 2: return ["owner": .string(pick(Self.users))]
        case 3: return ["public": true, "n": ["$gte": 1]]
        case 4: return ["$or": [["owner": "ann"], ["n": 1]]]
        case 5: return ["tags": .string(pick(["ann", "x"]))]
        case 6: return ["n": ["$ne": 1]]
        case 7: return ["m.a": ["$in": ["x", 1]], "owner": "ann"]
        default: return ["m.a": ["$exists": true]]
        }
    }
}
