import BSON
import Rules
import Testing

/// Which matches hold, what requests may cost, and how decisions explain themselves.
@Suite struct DecisionTests {
    private static func rules(_ body: String, version: Int = 2) throws -> RuleSet {
        let parsed = parsed(
            "rules_version = '\(version)'; service cloud.firestore { \(body) }")
        return try #require(parsed.rules, "\(parsed.problems)")
    }

    private static func isAllowed(
        _ body: String, _ path: String, _ method: RuleMethod = .get, version: Int = 2
    ) throws -> Bool {
        let segments = path.split(separator: "/").map(String.init)
        return try rules(body, version: version).decide(RuleRequest(method, segments)).isAllowed
    }

    @Test(arguments: [
        ("/{r=**}", "a/b", true), ("/{r=**}", "a/b/c/d", true), ("/a/{x}", "a/b", true),
        ("/a/{x}", "a/b/c/d", false), ("/a/{x}", "c/b", false), ("/a/b", "a/b", true),
        ("/a/{x}/{r=**}", "a/b", true), ("/a/{x}/{r=**}", "a/b/c/d", true),
        ("/{r=**}/c/{d}", "c/d", true), ("/{r=**}/c/{d}", "a/b/c/d", true),
        ("/{r=**}/c/{d}", "a/b/e/d", false), ("/{r=**}/c/{d}/e/{f}", "c/d/c/d/e/f", true),
    ])
    func matches(_ match: String, _ path: String, _ expected: Bool) throws {
        let body = "match /databases/{db}/documents { match \(match) { allow get; } }"
        #expect(try Self.isAllowed(body, path) == expected)
        let nested = "match /databases { match /{db} { match /documents\(match) { allow get; } } }"
        #expect(try Self.isAllowed(nested, path) == expected)
    }

    @Test func recursiveWildcardOfVersion1() throws {
        let body = "match /databases/{db}/documents { match /a/{x}/{r=**} { allow get; } }"
        #expect(try !Self.isAllowed(body, "a/b", version: 1))
        #expect(try Self.isAllowed(body, "a/b/c/d", version: 1))
    }

    @Test func recursiveWildcardIsAPath() throws {
        let body = """
            match /databases/{db}/documents/{r=**} {
              allow get: if r is path && r == /a/b && r[1] == 'b' && string(r) == '/a/b'; }
            """
        #expect(try Self.isAllowed(body, "a/b"))
    }

    @Test func methods() throws {
        for (word, wanted) in [
            ("read", Set([RuleMethod.get, .list])), ("write", [.create, .update, .delete]),
            ("get", [.get]), ("list, delete", [.list, .delete]),
        ] {
            let body = "match /databases/{db}/documents/a/{b} { allow \(word): if true; }"
            for method in RuleMethod.allCases {
                #expect(try Self.isAllowed(body, "a/b", method) == wanted.contains(method))
            }
        }
    }

    /// The id of what a query returns is open, so a condition on it fails.
    @Test func openIdsOfQueries() throws {
        let body = "match /databases/{db}/documents/a/{b} { allow list: if b == 'x' || db == 'y'; }"
        #expect(try !Self.isAllowed(body, "a", .list))
        let open = "match /databases/{db}/documents/a/{b} { allow list: if b == 'x' || true; }"
        #expect(try Self.isAllowed(open, "a", .list))
    }

    @Test func hiddenFields() throws {
        let rules = try Self.rules(
            """
            match /databases/{db}/documents { match /a/{b} {
              allow read: if true hide ['x', 'y.z'];
              allow read: if request.auth != null hide ['x'];
            } match /{r=**} { allow get: if request.auth.uid == 'root'; } }
            """)
        func hidden(_ uid: String?) -> [String] {
            rules.decide(
                RuleRequest(.get, ["a", "b"], auth: uid.map { ["uid": .string($0)] })
            ).hidden
        }
        // What one statement shows, another doesn't hide.
        #expect(hidden(nil) == ["x", "y.z"])
        #expect(hidden("alice") == ["x"])
        #expect(hidden("root").isEmpty)
    }

    @Test func options() throws {
        let rules = try Self.rules(
            "option mode = 'filter'; match /a/{b} { option limit = '9/h per user'; }")
        #expect(rules.filters)
        let option = try #require(rules.syntax.matches[0].options.first)
        guard case .limit(let limit) = option.value else {
            Issue.record("no limit")
            return
        }
        #expect((limit.requests, limit.seconds, limit.scope) == (9, 3_600, .user))
    }

    // MARK: Bounds

    @Test func expressions() throws {
        let sum = Array(repeating: "1", count: 90).joined(separator: " + ")
        let functions = (0..<6).map { "function f\($0)() { return \(sum) > 0; }" }.joined()
        let body = """
            match /databases/{db}/documents { \(functions) match /a/{b} {
              allow get: if (f0() && f1() && f2() && f3() && f4() && f5()) || true; } }
            """
        let rules = try Self.rules(body)
        let decision = rules.decide(RuleRequest(.get, ["a", "b"]))
        // No `||` saves it.
        #expect(!decision.isAllowed)
        #expect(decision.failure?.message.contains("maximum of 1000 expressions") ?? false)
    }

    @Test func loopsAndTextEnd() throws {
        for condition in [
            "[1, 2, 3, 4, 5, 6, 7, 8, 9].all(a, [1, 2, 3, 4, 5, 6, 7, 8, 9].all(b, [1, 2, 3, 4, 5, 6, 7, 8, 9].all(c, a + b + c > 0)))",
            "[1, 2, 3, 4, 5, 6].map(x, [x, x, x, x].map(y, [y, y, y, y].map(z, [z, z, z, z].map(w, [w, w, w, w])))).size() > 0",
        ] {
            let body = "match /databases/{db}/documents/a/{b} { allow get: if \(condition); }"
            #expect(try Self.rules(body).decide(RuleRequest(.get, ["a", "b"])).failure != nil)
        }
        let doubling = (0..<11).map { "let t\($0 + 1) = t\($0) + t\($0);" }.dropLast().joined()
        let body = """
            match /databases/{db}/documents { function d(t0) { \(doubling) return t10; }
              match /a/{b} { allow get: if d(d(d(d('x')))).size() > 0; } }
            """
        let decision = try Self.rules(body).decide(RuleRequest(.get, ["a", "b"]))
        #expect(decision.failure?.message.contains("bytes of text") ?? false)
    }

    /// Deep evaluation on a thread with a small stack: 21 functions of 45 levels each.
    @Test func evaluationDepth() throws {
        let open = String(repeating: "[", count: 40)
        let close = String(repeating: "]", count: 40)
        let functions = (0..<21).map { number in
            "function f\(number)() { return \(open)\(number < 20 ? "f\(number + 1)()" : "1")\(close); }"
        }.joined(separator: "\n")
        let body =
            "match /databases/{db}/documents { \(functions) match /a/{b} { allow get: if f0() == 1; } }"
        let decision = try Self.rules(body).decide(RuleRequest(.get, ["a", "b"]))
        #expect(decision.failure?.message.contains("too complex") ?? false)
    }

    /// What users write may be large: comparing it takes no quadratic time.
    @Test func largeValues() throws {
        var writer = DocumentWriter()
        let start = writer.openDocument()
        let map = writer.openDocument("map")
        for number in 0..<4_000 { writer.append("field\(number)", Int32(number)) }
        writer.close(map)
        let list = writer.openArray("list")
        for number in 0..<4_000 {
            let entry = writer.openDocument("\(number)")
            writer.append("n", Int32(number))
            writer.close(entry)
        }
        writer.close(list)
        writer.close(start)
        let large = Document(copying: DocumentView(writer.bytes.span.bytes))
        for expression in [
            "request.resource.data.map == resource.data.map",
            "request.resource.data.list.hasAll(resource.data.list)",
            "request.resource.data.list.toSet() == resource.data.list.toSet()",
            "request.resource.data.diff(resource.data).unchangedKeys().size() == 2",
        ] {
            #expect(try evaluated(expression, resource: large, data: large) == "true")
        }
    }

    @Test func waysToMatch() throws {
        let many =
            String(repeating: "match /{x=**}/a { ", count: 9) + "allow get: if false;"
            + String(repeating: "}", count: 9)
        let rules = try Self.rules(many)
        let path = Array(repeating: "a", count: 96)
        #expect(
            rules.decide(RuleRequest(.get, path)).failure?.message.contains("too many ways")
                ?? false)
    }

    // MARK: Lookups

    /// Counts what is asked for.
    private struct Documents: RuleDocuments {
        let known: [String: Document]

        func document(
            at segments: ArraySlice<String>, in database: String, after: Bool
        ) throws(DBError) -> Document? {
            let path = segments.joined(separator: "/")
            if path == "broken/x" { throw DBError(.internalError, "the disk is gone") }
            return known[after ? "after:" + path : path]
        }
    }

    @Test(arguments: [
        ("get(/databases/$(database)/documents/u/a).data.n", "1"),
        ("get(/databases/$(database)/documents/u/a).id", "\"a\""),
        ("getAfter(/databases/$(database)/documents/u/a).data.n", "2"),
        ("exists(/databases/$(database)/documents/u/b)", "false"),
        ("existsAfter(/databases/$(database)/documents/u/b)", "true"),
        (
            "get(/databases/$(database)/documents/u/b)",
            "error: There is no document /databases/(default)/documents/u/b; ask exists() before get()."
        ),
        (
            "get(/databases/$(database)/documents/u).data",
            "error: /databases/(default)/documents/u is no path of a document: /databases/$(database)/documents/COLLECTION/ID."
        ),
        (
            "get(/u/a).data",
            "error: /u/a is no path of a document: /databases/$(database)/documents/COLLECTION/ID."
        ),
        (
            "get('u/a')",
            "error: Unsupported operation error. Received: get(string). Expected: get(path)."
        ),
        (
            "get(request.path)",
            "error: There is no document /databases/(default)/documents/things/one; ask exists() before get()."
        ),
        ("getAfter(request.path).data.n", "7"), ("existsAfter(request.path)", "true"),
        ("exists(/databases/$(database)/documents/broken/x) || true", "error: the disk is gone"),
    ])
    func lookups(_ expression: String, _ expected: String) throws {
        let documents = Documents(
            known: ["u/a": ["n": 1], "after:u/a": ["n": 2], "after:u/b": Document()])
        #expect(try evaluated(expression, data: ["n": 7], documents: documents) == expected)
    }

    @Test func lookupsAreBounded() throws {
        func condition(_ count: Int) -> String {
            (0..<count).map { "!exists(/databases/$(db)/documents/u/d\($0 % 11))" }
                .joined(separator: " && ")
        }
        func decide(_ count: Int, isOfMany: Bool = false) throws -> RuleDecision {
            try Self.rules(
                "match /databases/{db}/documents/a/{b} { allow get: if \(condition(count)); }"
            )
            .decide(RuleRequest(.get, ["a", "b"], isOfMany: isOfMany))
        }
        #expect(try decide(10).isAllowed)
        #expect(try decide(11).failure?.message.contains("more than 10 documents") ?? false)
        #expect(try decide(22, isOfMany: true).isAllowed)
    }

    // MARK: Explanations

    @Test func explanation() throws {
        let rules = try #require(
            parsed(
                """
                rules_version = '2';
                service cloud.firestore { match /databases/{db}/documents { match /users/{uid} {
                  function isOwner(id) { return request.auth != null && request.auth.uid == id; }
                  allow read: if isOwner(uid) || resource.data.isPublic;
                  allow write: if false;
                } } }
                """
            ).rules)
        let request = RuleRequest(
            .get, ["users", "bob"], auth: ["uid": "alice"], resource: ["isPublic": false])
        #expect(
            RuleExplanation(rules, request).text == """
                denied: get /databases/(default)/documents/users/bob
                  test.rules:4:3: allow read does not grant
                    test.rules:3:57: is false
                      request.auth.uid == id
                      request.auth.uid = "alice"
                      id = "bob"
                    test.rules:4:34: is false
                      resource.data.isPublic
                      resource.data = {"isPublic": false}
                """)
        var missing = request
        missing.resource = ["_id": "bob"]
        #expect(
            RuleExplanation(rules, missing).text.hasSuffix(
                """
                    test.rules:4:34: Property isPublic is undefined on object.
                      resource.data.isPublic
                      resource.data = {}
                """))
        var other = request
        other.segments = ["posts", "x"]
        #expect(RuleExplanation(rules, other).text.hasSuffix("no match has this path"))
    }
}
