import Query
import Rules
import Testing

/// What is taken, what is refused, and what is said of it.
@Suite struct SyntaxTests {
    private static func errors(_ text: String) -> [String] {
        let parsed = parsed(text)
        return parsed.problems.filter { $0.severity == .error }.map { problem in
            let place = parsed.files[Int(problem.range.file)].place(of: problem.range)
            return "\(place.line):\(place.column) \(problem.message)"
        }
    }

    private static func rules(_ body: String) -> String {
        "rules_version = '2';\nservice cloud.firestore { match /databases/{d}/documents {\n"
            + body + "\n} }"
    }

    @Test(arguments: [
        "match /a/{b} { allow read }", "match /a/{b} { allow read; }", "match /a/{b} {}",
        "match /a/{b}{allow read,write:if true}",
        "match /a/{b} { allow read: if true allow write: if false }",
        "match /a/{b=**} { allow get, list, create, update, delete: if true; }",
        "match /a/{b=*}/c/{d} { allow read; };", "match /a-b/c.d/e_f/{g} { allow read; }",
        "match / a / {b} { allow read; }", "match /a/{b} /* x */ { // y\n allow read; }",
        "match /a/{b} { allow read: if get(/databases/$(d)/documents/a/$(b)).data.x == 1; }",
        "match /a/{b} { allow read: if get(/databases/$(d)\n  /documents/a/b).data.x / 2 == 1; }",
        "match /a/{b} { allow read: if exists(/databases/(default)/documents/a/$(request.auth.uid + 'x')); }",
        "match /a/{b} { allow read: if b == 'x' ? true : b == 'y' ? false : true; }",
        "match /a/{b} { allow read: if [1, 2,].hasAny([1,],) && {a: 1, 'b': 2,}.a == 1; }",
        "match /a/{b} { allow read: if resource.data.match.allow.in.is.function.path == 1; }",
        "match /a/{b} { function f(match, allow) { let list = match let get = allow return list == get } allow read: if f(1, 2) }",
        "match /a/{b} { allow read: if \"it's\" == 'a\\'b\\\\n\\/\\u00e9'; }",
        "match /a/{b} { allow read: if b'\\x00\\377' == b\"x\"; }",
        "match /service/{match} { match /allow/{read} { allow read: if match == read; } }",
        "match /a/{b} { allow read: if !!true && - - 5 == 5 && -5 == 0-5; }",
        "match /a/{b} { allow read: if (((true))); }", "function f() { return true }",
        "match /a/{b} { option limit = '5/h per address'; allow read hide ['a', 'b.c']; }",
        "match /a/{b} { allow list: if request.query.limit <= 10 hide [] }",
        "match /a/{b} { allow read: if [1].all(x, [x].any(y, y == x)); }",
        "match /a/{b} { allow read: if 'x' in b && b is string || b in ['a']; }",
    ])
    func isTaken(_ body: String) {
        #expect(Self.errors(Self.rules(body)).isEmpty)
    }

    @Test(arguments: [
        (
            "match /a/{b} { allow read: true; }",
            "3:28 Missing 'if' before conditional expression. Write allow read: if …"
        ),
        ("match /a/{b} { allow read if true; }", "3:27 expected ':' before 'if', found 'if'"),
        (
            "match /a/{b} { allow fly; }",
            "3:22 expected read, write, get, list, create, update or delete, found 'fly'"
        ),
        (
            "match /a/{b} { allow read: if a = b; }",
            "3:33 '=' gives values in 'let' only; to compare, write '=='"
        ),
        (
            "match /a/{b} { allow read: if a & b; }",
            "3:33 a single '&' means nothing here; write '&&'"
        ),
        ("match /a/{b} { allow read: if 'a; }", "3:31 there is no closing ' on this line"),
        (
            "match /a/{b} { allow read: if 'a\\d'; }",
            "3:33 this escape is none; to have a backslash, as regular expressions need, write two"
        ),
        (
            "match /a/{b} { allow read: if 9223372036854775808; }",
            "3:31 this number does not fit 64 bits"
        ),
        ("match /a/{b} { allow read: if [1, 2; }", "3:36 expected ',' or ']', found ';'"),
        (
            "match /a/{b} { allow read: if a ? b; }",
            "3:36 expected ':' and what holds otherwise, found ';'"
        ),
        (
            "match /a/{b} { allow read: if /a/$b; }",
            "3:34 a value in a path stands in $(…), such as $(request.auth.uid)"
        ),
        (
            "match /a/$(b) { allow read; }",
            "3:10 a match has wildcards in braces, such as {id}, not $(…)"
        ),
        ("match /a/x_{b} { allow read; }", "3:10 a segment is a name or a wildcard, not both"),
        ("match a/{b} { allow read; }", "3:7 expected a path, such as /users/{id}, found 'a'"),
        ("match /{a=**}/{b=**} { allow read; }", "3:1 a path has at most one {…=**}"),
        (
            "match /a/{b} { allow write hide ['a']; }",
            "3:16 only what is read can hide fields: allow read, get or list"
        ),
        (
            "match /a/{b} { option limit = 'fast'; }",
            "3:31 a limit is a number of requests in a time, such as '100/m per user': the time is s, m, h or d, and 'per user', 'per address' or nothing follows"
        ),
        ("match /a/{b} { option mood = 'x'; }", "3:23 there are the options 'mode' and 'limit'"),
        (
            "function f(a, b, c, d, e, f, g, h) { return a }",
            "3:33 a function has at most 7 parameters"
        ),
        (
            "function f() { return 1; return 2; }",
            "3:26 expected an operator, ';' or '}' behind the function's only 'return', found 'return'"
        ),
        ("match /a/{b} { allow read: if in; }", "3:31 expected a value before 'in', found 'in'"),
        ("/* x", "3:1 this comment has no closing */"),
        ("match /a/{b} { allow read: if 1x; }", "3:31 a number must not run on into a word"),
    ])
    func isRefused(_ body: String, _ expected: String) {
        let errors = Self.errors(Self.rules(body))
        #expect(errors.count == 1)
        #expect(errors.first?.hasPrefix(expected) ?? false, "\(errors)")
    }

    /// What nests too deep or is too long ends with an error, not with the process.
    @Test(arguments: [
        String(repeating: "(", count: 100_000), String(repeating: "[", count: 100_000),
        String(repeating: "!", count: 100_000), String(repeating: "-", count: 100_000) + "1",
        String(repeating: "a ? ", count: 50_000), String(repeating: "f(", count: 50_000),
        String(repeating: "true && ", count: 200) + "true",
        "a" + String(repeating: ".b", count: 50_000),
        "a" + String(repeating: "[0", count: 50_000), String(repeating: "{'a': ", count: 30_000),
        String(repeating: "/$(", count: 50_000), String(repeating: "true && (", count: 20_000),
    ])
    func depth(_ expression: String) {
        let errors = Self.errors(Self.rules("match /a/{b} { allow read: if \(expression); }"))
        #expect(errors.count == 1)
        #expect(
            errors.first?.contains("too complex") ?? false, "\(errors.first?.prefix(200) ?? "")")
    }

    /// Firestore's measured bounds.
    @Test func depthThatIsTaken() {
        let chain = Array(repeating: "true", count: 98).joined(separator: " && ")
        let nested =
            String(repeating: "true && (", count: 48) + "true" + String(repeating: ")", count: 48)
        let parentheses =
            String(repeating: "(", count: 97) + "true" + String(repeating: ")", count: 97)
        for text in [chain, nested, parentheses] {
            #expect(Self.errors(Self.rules("match /a/{b} { allow read: if \(text); }")).isEmpty)
        }
    }

    @Test func nestedMatches() {
        func nested(_ count: Int) -> String {
            String(repeating: "match /a/{b} { ", count: count) + "allow read;"
                + String(repeating: "}", count: count)
        }
        // One more lies around.
        #expect(Self.errors(Self.rules(nested(8))).isEmpty)
        #expect(Self.errors(Self.rules(nested(10))).first?.contains("nest at most 10") ?? false)
        #expect(!Self.errors(Self.rules(nested(20_000))).isEmpty)
    }

    @Test func chainsOfCalls() {
        func chain(_ count: Int) -> String {
            (0..<count).map { number in
                "function f\(number)() { return \(number + 1 < count ? "f\(number + 1)()" : "true"); }"
            }.joined(separator: "\n")
        }
        #expect(Self.errors(Self.rules(chain(21))).isEmpty)
        #expect(Self.errors(Self.rules(chain(22))).first?.contains("at most 21 deep") ?? false)
        #expect(!Self.errors(Self.rules(chain(4_000))).isEmpty)
    }

    @Test func versionsAndImports() throws {
        #expect(!Self.errors("rules_version = '3';").isEmpty)
        #expect(Self.errors("allow read;").first?.contains("inside a service") ?? false)
        #expect(
            Self.errors("service cloud.firestore { allow read; }").first?.contains(
                "inside a match") ?? false)
        #expect(Self.errors("").isEmpty)
        #expect(!Self.errors("import 'a.rules'; service cloud.firestore {}").isEmpty)
        #expect(
            Self.errors("service cloud.firestore { match /{a=**}/b { allow read; } }").count == 1)
        let files = [
            "a.rules": "import 'b.rules'; function a() { return b(); }",
            "b.rules": "import 'a.rules'; function b() { return 1 / 0; }",
        ]
        let parsed = RuleSet.parse(
            RulesFile(
                name: "main.rules",
                text: """
                    rules_version = '2'; import 'a.rules';
                    service cloud.firestore { match /databases/{d}/documents/x/{y} {
                      allow read: if a() == 1; } }
                    """)
        ) { path, _ in files[path].map { RulesFile(name: path, text: $0) } }
        let rules = try #require(parsed.rules, "\(parsed.problems)")
        let (_, trace) = rules.trace(RuleRequest(.get, ["x", "y"]))
        guard case .failure(let failure) = trace.steps[0].outcome else {
            Issue.record("no failure")
            return
        }
        #expect(rules.syntax.files[Int(rules.syntax[failure.at].range.file)].name == "b.rules")
    }
}
