// Random rules and users, small enough to meet the documents of RandomReads.

import BSON
import TestSupport

struct RandomRules {
    var random: RandomSource

    mutating func pick<T>(_ list: [T]) -> T { list[random.below(list.count)] }

    static let users = ["ann", "bob", "0123456789abcdef01234567"]

    // MARK: Conditions

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
            "resource.data.gone", "resource.data.m.k", "resource.data.list",
            "resource.data.m['a']", "resource.data[request.auth.token.field]",
            "resource.data.place",
        ])
    }

    private mutating func constant() -> String {
        pick([
            "'ann'", "'0123456789abcdef01234567'", "request.auth.uid", "1", "2.0", "true", "null",
            "request.auth.token.role", "1.5", "timestamp.value(5)", "'x'", "['ann', 'x']",
            "{'a': 'ann', 'k': 1}", "request.auth.token.level", "''", "-1", "(1 + 1)",
            "request.auth.token.get('role', 'ann')", "latlng.value(1, 2)",
            "(request.auth != null ? request.auth.uid : 'x')",
        ])
    }

    private mutating func order() -> String { pick(["<", "<=", ">", ">="]) }

    private mutating func type() -> String {
        pick([
            "string", "int", "float", "number", "bool", "list", "map", "timestamp", "null", "path",
            "latlng", "bytes", "duration",
        ])
    }

    private mutating func leaf() -> String {
        switch random.below(24) {
        case 0: return pick(["true", "false"])
        case 1: return "request.auth != null"
        case 2, 3, 4: return "\(field()) == \(constant())"
        case 5: return "\(constant()) != \(field())"
        case 6: return "\(field()) \(order()) \(constant())"
        case 7: return "\(constant()) \(order()) \(field())"
        case 8:
            return
                "\(constant()) in \(pick(["resource.data.tags", "resource.data.m", "resource.data"]))"
        case 9: return "\(field()) in \(pick(["['ann', 'x', request.auth.uid]", teams, "['ann']"]))"
        case 10:
            let argument = pick(["resource.data.owner", "request.auth.uid", "resource.data.gone"])
            return "isOwner(\(argument))"
        case 11: return "id == \(pick(["'ann'", "'7'", "request.auth.uid"]))"
        case 12: return pick(["resource.data.public", "resource.data.owner"])
        case 13, 14: return lookup()
        case 15: return "\(field()) \(pick(["==", "!="])) \(field())"
        case 16: return "\(field()) is \(type())"
        case 17, 18: return ofLists()
        case 19: return ofTexts()
        case 20: return ofNumbers()
        case 21: return ofMaps()
        case 22: return ofRequest()
        default: return called()
        }
    }

    private let teams = "request.auth.token.teams"

    private mutating func lookup() -> String {
        let who = pick(["request.auth.uid", "resource.data.owner", "'ann'", "id", "$USER"])
            .replacing("$USER", with: "string(resource.data.m.a)")
        let path = "/databases/$(db)/documents/\(pick(["members", "members", "docs"]))/$(\(who))"
        switch random.below(5) {
        case 0, 1: return "exists(\(path))"
        case 2: return "get(\(path)).data.level \(pick(["==", "<", ">="])) \(pick(["1", "2"]))"
        case 3: return "get(\(path)).data.\(pick(["owner", "of"])) == \(constant())"
        default: return pick(["existsAfter(\(path))", "isMember(\(who))", "get(\(path)) != null"])
        }
    }

    private mutating func ofLists() -> String {
        let list = pick(["resource.data.tags", "resource.data.list", teams])
        return pick([
            "\(list).hasAny(['x', request.auth.uid])", "\(list).hasAll(['x'])",
            "\(list).hasOnly(['x', 'ann'])", "\(teams).hasAny(resource.data.tags)",
            "resource.data.tags.hasAny(\(teams))", "\(list).size() \(order()) 1",
            "\(list)[0] == \(constant())", "\(list).toSet().hasAny(['ann'])",
            "\(list).all(t, t is string)", "\(list).any(t, t == \(constant()))",
            "resource.data.list.any(e, e.a == \(constant()))",
            "\(list).map(t, t == 'x')[0]", "\(list).filter(t, t != 'ann').size() == 0",
            "\(list).concat(['z']).size() > 2", "\(list).removeAll(['x']) == []",
            "\(list).join('-') == 'ann-x'", "\(list)[0:1] == ['ann']",
        ])
    }

    private mutating func ofTexts() -> String {
        pick([
            "resource.data.owner.matches('a.*')", "resource.data.owner.matches('(?i)ANN|x')",
            "resource.data.owner.lower() == 'ann'", "resource.data.owner.size() == 3",
            "resource.data.owner + '!' == 'ann!'", "resource.data.owner.split('n')[0] == 'a'",
            "resource.data.owner[0] == 'a'", "resource.data.owner.replace('n', 'b') == 'abb'",
            "resource.data.owner.trim() != ''", "string(resource.data.n) == '1'",
            "hashing.md5(resource.data.owner).size() == 16", "resource.data.owner < 'b'",
            "resource.id.matches('s.*|ann')", "resource.id == \(constant())",
            "resource.__name__ is path", "resource.__name__[3] == 'docs'",
            "int(resource.data.owner) == 1",
        ])
    }

    private mutating func ofNumbers() -> String {
        pick([
            "resource.data.n + 1 \(order()) 2", "resource.data.n % 2 == 1",
            "resource.data.n / 2 == 0", "-resource.data.n < 0", "math.abs(resource.data.n) > 1",
            "resource.data.at < request.time", "resource.data.at.toMillis() == 5",
            "resource.data.at.year() == 1970",
            "resource.data.at + duration.value(1, 's') > timestamp.value(5)",
            "request.time > timestamp.value(5)", "int(resource.data.n) == 1",
            "resource.data.n * 2 >= \(constant())", "!math.isNaN(resource.data.n)",
            "resource.data.place.latitude() > 0.0", "math.round(resource.data.n) == 2",
            "resource.data.n == resource.data.m.a", "1 < resource.data.n && resource.data.n < 3",
            "request.time < timestamp.value(5) || resource.data.n == 1",
        ])
    }

    private mutating func ofMaps() -> String {
        pick([
            "resource.data.m.get('a', 'ann') == \(constant())",
            "resource.data.get('gone', 'ann') == \(constant())",
            "resource.data.get(['m', 'a'], null) == \(constant())",
            "resource.data.keys().hasAll(['owner'])", "resource.data.keys().size() > 3",
            "'x' in resource.data.m.keys()", "resource.data.m.values().hasAny(['ann'])",
            "resource.data.m.diff({'a': 'ann'}).affectedKeys().hasOnly(['k'])",
            "{'a': resource.data.owner}.a == 'ann'", "[resource.data.owner, 'x'] == ['ann', 'x']",
            "resource.data.m == {'a': 'ann', 'k': 1}", "'owner' in resource.data",
            "!('gone' in resource.data)", "resource.data.size() > 2",
        ])
    }

    private mutating func ofRequest() -> String {
        pick([
            "request.auth.token[resource.data.owner] == true", "request.method == 'list'",
            "request.auth.token.get('role', '') == 'x'", "request.resource == null",
            "resource != null", "request.auth.uid == 'ann'", "request.query.limit <= 3",
            "request.auth.token.level >= 2", "'x' in \(teams)", "request.path[4] == 'ann'",
            "'role' in request.auth.token", "db == 'app'", "request.auth.uid in \(teams)",
        ])
    }

    private mutating func called() -> String {
        pick([
            "readable(resource)", "isOneOf(resource.data.owner, ['ann', 'bob'])",
            "among(\(field()))", "!isOwner(\(field()))", "role() == 'x'",
            "same(\(field()), \(constant()))", "chosen(\(condition(0)), \(field()))",
            "isOneOf(\(field()), \(teams))", "level(resource.data) > 1",
        ])
    }

    // MARK: Files

    /// A rules file for the collections `docs` and `docs.subs`.
    mutating func file(filters: Bool) -> String {
        let more = random.oneIn(4) ? "    match /docs/7 { allow read; }\n" : ""
        let everywhere =
            random.oneIn(5)
            ? "    match /{all=**}/subs/{sub} {\n\(allows(1))    }\n" : ""
        let anything =
            random.oneIn(12)
            ? "    match /{all=**} { allow read: if \(condition(1)); }\n" : ""
        return """
            rules_version = '2';
            service cloud.firestore {
              \(filters ? "option mode = 'filter';" : "")
              function isOwner(uid) { return request.auth.uid == uid; }
              function readable(r) { let o = r.data.owner; return o == 'ann' || r.data.public; }
              function isOneOf(x, list) { return x in list; }
              function among(x) { let a = 'ann'; let b = a + ''; return isOneOf(x, [b, 'x']); }
              function role() { return request.auth.token.role; }
              function same(a, b) { return a == b; }
              function chosen(c, x) { return c ? x == 1 : x == 'ann'; }
              function level(d) { let unused = d.owner; return d.n; }
              match /databases/{db}/documents {
                function isMember(uid) {
                  return exists(/databases/$(db)/documents/members/$(uid));
                }
                match /docs/{id} {
            \(allows(3))        match /subs/{sub} {
            \(allows(2))        }
                }
                match /open/{id} { allow read; }
            \(more)\(everywhere)\(anything)  }
            }
            """
    }

    private mutating func allows(_ most: Int) -> String {
        var text = ""
        for _ in 0..<1 + random.below(most) {
            text += "      allow \(pick(["list", "read", "read", "get"])): if \(condition())"
            let hidden = pick(["'n'", "'m.a'", "'owner'", "'tags', 'm'", "'list.a'", "'public'"])
            text += random.oneIn(5) ? " hide [\(hidden)];\n" : ";\n"
        }
        return text
    }

    // MARK: Users

    mutating func auth() -> Document? {
        if random.oneIn(6) { return nil }
        let uid = pick(Self.users)
        var token = Document()
        if random.oneIn(2) { token = token.with("role", "x") }
        if random.oneIn(2) {
            token = token.with(
                "teams", pick([["x", "ann"], [], ["bob"], [1, "x"], "x"] as [Value]))
        }
        if random.oneIn(3) { token = token.with("field", pick(["owner", "n", "gone"] as [Value])) }
        if random.oneIn(3) {
            token = token.with("level", pick([1, 2, .double(2.5), "2"] as [Value]))
        }
        if random.oneIn(3) { token = token.with("ann", true) }
        return ["uid": .string(uid), "token": .document(token)]
    }
}
