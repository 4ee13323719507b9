import Query
import Rules
import Testing

/// What the checker finds, with its place.
@Suite struct CheckerTests {
    /// Findings as `LINE:COLUMN severity code`.
    private static func findings(_ text: String) -> [String] {
        let report = RulesChecker.check(parsed(text))
        return report.problems.map { problem in
            let place = report.files[Int(problem.range.file)].place(of: problem.range)
            return "\(place.line):\(place.column) \(problem.severity.rawValue) "
                + problem.code.rawValue
        }
    }

    /// A condition, on line 3 from column 1 on.
    private static func rules(_ condition: String, functions: String = "") -> String {
        """
        rules_version = '2'; service cloud.firestore { match /databases/{d}/documents {
        match /a/{id} { allow create: if
        \(condition)
        ; } \(functions) } }
        """
    }

    @Test(arguments: [
        ("request.auth != null", []), ("false", []),
        ("true", ["2:17 warning allows-everyone"]),
        ("nothing == 1", ["3:1 warning unknown-name", "3:1 warning never-allows"]),
        ("f()", ["3:1 warning unknown-function", "3:1 warning never-allows"]),
        ("math.isInfinite(1.0)", ["3:1 warning unknown-function", "3:1 warning never-allows"]),
        ("id.isString()", ["3:1 warning unknown-method", "3:1 warning never-allows"]),
        ("id.keys().size() == 1", ["3:1 warning unknown-method", "3:1 warning never-allows"]),
        ("request.foo == 1", ["3:1 warning unknown-member", "3:1 warning never-allows"]),
        (
            "request.resource.title == 1",
            ["3:1 warning unknown-member", "3:1 warning never-allows"]
        ),
        ("request.auth.email == id", ["3:1 warning unknown-member", "3:1 warning never-allows"]),
        ("request.query.owner == id", ["3:1 warning unknown-member", "3:1 warning never-allows"]),
        ("id.size == 1", ["3:1 warning unknown-member", "3:1 warning never-allows"]),
        ("id == 1", ["3:1 warning wrong-type", "3:1 warning never-allows"]),
        ("id != 1", ["2:17 warning allows-everyone", "3:1 warning wrong-type"]),
        ("id < 1", ["3:1 warning wrong-type", "3:1 warning never-allows"]),
        ("[id] + ['a'] == [id]", ["3:1 warning wrong-type", "3:1 warning never-allows"]),
        ("id && true", ["3:1 warning wrong-type", "3:1 warning never-allows"]),
        ("id", ["3:1 warning wrong-type", "3:1 warning never-allows"]),
        (
            "request.resource.data.diff(resource.data).affectedKeys().hasOnly('a')",
            ["3:66 warning wrong-type", "3:1 warning never-allows"].sorted()
        ),
        (
            "['a'].hasAny(request.resource.data.diff(resource.data).affectedKeys())",
            ["3:1 warning never-allows", "3:14 warning wrong-type"]
        ),
        ("exists('a')", ["3:1 warning never-allows", "3:8 warning wrong-type"].sorted()),
        ("id.matches('(')", ["3:12 warning bad-regex"]),
        ("id is text", ["3:1 warning unknown-type", "3:1 warning never-allows"]),
        ("request.method == 'update'", ["3:1 warning never-allows", "3:1 warning never-allows"]),
        ("request.method == 'create' && id.size() == 1", []),
        ("debug(id) == 'a'", ["3:1 warning test-only"]),
        ("'a' in request.resource.data == true", ["3:1 warning ambiguous"]),
        ("('a' in request.resource.data) == true", []),
        ("id.size(1) == 1", ["3:1 warning wrong-argument-count", "3:1 warning never-allows"]),
        ("1 == 2 && id == 'a'", ["3:1 warning never-allows"]),
        ("request.auth == null || true", ["2:17 warning allows-everyone"]),
        ("id == 'a' ? true : false", []),
    ])
    func condition(_ condition: String, _ expected: [String]) {
        #expect(Self.findings(Self.rules(condition)).sorted() == expected.sorted())
    }

    @Test(arguments: [
        ("function f() { return true; }", ["4:14 warning unused-function"]),
        ("function f() { return g(); } function g() { return f(); }", ["4:53 error recursion"]),
        ("function f() { return f(); }", ["4:27 error recursion"]),
        (
            "function id() { let x = 1; return true; } match /b/{c} { allow get: if id(); }",
            ["4:25 warning unused-let", "4:62 warning allows-everyone"]
        ),
        (
            "function f() { return 1 == 1; } function f() { return 2; }",
            [
                "4:14 warning unused-function", "4:46 warning duplicate",
                "4:46 warning unused-function",
            ]
        ),
    ])
    func functions(_ functions: String, _ expected: [String]) {
        let found = Self.findings(
            Self.rules("request.auth != null", functions: functions))
        #expect(
            found.map { $0.split(separator: " ").dropFirst().joined(separator: " ") }.sorted()
                == expected.map { $0.split(separator: " ").dropFirst().joined(separator: " ") }
                .sorted())
    }

    /// Long chains of calls of deep expressions don't overflow the stack.
    @Test func depth() {
        let open = String(repeating: "[", count: 95)
        let close = String(repeating: "]", count: 95)
        let functions = (0..<21).map { number in
            "function f\(number)() { return \(open)\(number < 20 ? "f\(number + 1)()" : "1")\(close); }"
        }.joined(separator: "\n")
        let found = Self.findings(Self.rules("f0().size() == 1", functions: functions))
        #expect(found.isEmpty)
    }

    /// A file full of mistakes is answered soon, and not with more than can be read.
    @Test func manyFindings() {
        let calls = (0..<6_000).map { "function f\($0)() { return g\($0)(h) }" }
            .joined(separator: "\n")
        let report = RulesChecker.check(
            parsed(Self.rules("request.auth != null", functions: calls)))
        #expect(report.problems.count == RulesChecker.Report.problemsMax)
        #expect(report.omitted == 18_000 - report.problems.count)
    }

    @Test func overlaps() {
        func found(_ matches: String) -> [String] {
            Self.findings(
                """
                rules_version = '2'; service cloud.firestore { match /databases/{d}/documents {
                \(matches) } }
                """
            ).filter { $0.hasSuffix("overlapping-match") }
        }
        let some = "allow read: if request.auth != null;"
        let never = "allow read: if false;"
        let write = "allow write: if request.auth != null;"
        #expect(found("match /a/{b} { \(some) }\nmatch /{x=**} { \(some) }").count == 1)
        #expect(found("match /a/{b} { \(some) }\nmatch /{x=**} { \(write) }").isEmpty)
        #expect(found("match /a/{b} { \(some) }\nmatch /c/{b} { \(some) }").isEmpty)
        #expect(found("match /a/{b} { \(some) }\nmatch /a/c { \(some) }").count == 1)
        #expect(found("match /a/{b} { \(some) }\nmatch /a/{b}/c/{d} { \(some) }").isEmpty)
        // Narrow refusals don't narrow; broad ones are a habit.
        #expect(found("match /{x=**} { \(some) }\nmatch /a/{b} { \(never) }").count == 1)
        #expect(found("match /{x=**} { \(never) }\nmatch /a/{b} { \(some) }").isEmpty)
        #expect(found("match /{x=**}/a/{b} { \(some) }\nmatch /c/{d}/a/{b} { \(some) }").count == 1)
    }

    @Test func filesAndPaths() {
        let text = """
            service firebase.storage { match /b/{bucket}/o { match /{p=**} { allow read; } } }
            service cloud.firestore {
              match /users/{id} { allow read: if id == 'a'; }
              match /databases/{d}/documents { match /users { allow read: if d == 'a'; } }
            }
            """
        let found = Self.findings(text)
        #expect(found.contains("1:1 warning unknown-service"))
        #expect(found.contains("1:1 warning missing-version"))
        #expect(found.contains("3:3 warning bad-path"))
        #expect(found.contains("4:36 warning bad-path"))
    }

    @Test func problemsAsText() throws {
        let report = RulesChecker.check(
            parsed("rules_version = '2';\nservice cloud.firestore {\n  match /a/{b {}\n}"))
        #expect(
            report.problems.map { $0.text(in: report.files) } == [
                """
                test.rules:3:15: error[syntax]: expected '}' or '=**}', found '{'
                    match /a/{b {}
                                ^
                """
            ])
    }
}
