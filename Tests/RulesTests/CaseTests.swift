import BSON
import Rules
import Testing

/// Files of test cases, and coverage.
@Suite struct CaseTests {
    private static let rules = """
        rules_version = '2';
        service cloud.firestore { match /databases/{db}/documents {
          function isAdmin() {
            return get(/databases/$(db)/documents/users/$(request.auth.uid)).data.role == 'admin';
          }
          match /users/{uid} {
            allow read: if request.auth.uid == uid || isAdmin() hide ['salary'];
            allow update: if request.auth.uid == uid && request.resource.data.role == resource.data.role;
            allow create: if request.time > timestamp.date(2025, 1, 1) && request.auth.token.ok;
            allow delete: if false;
          }
        } }
        """

    private static func run(_ text: String) throws -> (RuleTestRun, RuleCoverage) {
        let rules = try #require(parsed(rules).rules)
        var coverage = RuleCoverage(rules)
        let cases = try RuleCases(text)
        return (RuleTestRun(cases, rules, coverage: &coverage), coverage)
    }

    @Test func casesComeOut() throws {
        let (run, coverage) = try Self.run(
            """
            rules users.rules
            time 2026-01-01T00:00:00Z
            data users/root {"role": "admin"}
            data users/alice {"role": "user", "name": "A"}

            # an owner reads her own
            allow alice get users/alice hide ['salary']
            allow root get users/alice
            deny nobody get users/alice
            deny bob get users/alice
            allow alice update users/alice {"name": "B"}
            deny alice update users/alice
              {"role": "admin"}
            deny root set users/alice {"role": "user"}
            allow bob{"ok": true} create users/bob {"role": "user"}
            deny bob{"ok": false} set users/bob {}
            time 2024-01-01T00:00:00Z
            deny bob{"ok": true} create users/bob {"role": "user"}
            deny alice delete users/alice
            none users/root
            deny root get users/alice
            """)
        #expect(run.results.count == 12)
        #expect(run.results.compactMap(\.fault) == [])
        #expect(run.results.first?.test.name == "an owner reads her own")
        #expect(coverage.gaps.map(\.text) == [])
        #expect(coverage.summary.hasSuffix("(100%)"))
    }

    @Test func faultsAndGaps() throws {
        let (run, coverage) = try Self.run(
            "allow nobody get users/a\ndeny a get users/a\nallow a get users/a hide []")
        #expect(run.faultCount == 3)
        #expect(run.results[0].fault?.contains("should be allowed\ndenied: get") ?? false)
        #expect(run.results[2].fault == "should hide [], and hides [\"salary\"]")
        #expect(coverage.gaps.map(\.text).contains("allow update was never tried"))
        #expect(coverage.gaps.map(\.text).contains("never true: isAdmin()"))
        #expect(coverage.html.contains("<span class=\"none\""))
        #expect(
            coverage.html.components("<span").count == coverage.html.components("</span>").count)
    }

    @Test(arguments: [
        ("fly", 1, "expected allow, deny"), ("\n\nallow alice fly users/a", 3, "expected get"),
        ("allow alice get users", 1, "no path of a document"),
        ("data users/a {", 1, "isn't closed"),
        ("data users/a {\"a\": }", 1, "line 1"), ("allow a get users/b x", 1, "the line's end"),
        ("time noon", 1, "is no time"), ("allow", 1, "a user's id"),
        ("allow a list users {\"where\": 1}", 1, "not 'where'"),
    ])
    func refused(_ text: String, _ line: Int, _ message: String) {
        do throws(RuleCases.Problem) {
            _ = try RuleCases(text)
            Issue.record("\(text) is taken")
        } catch {
            #expect(error.line == line)
            #expect(error.message.contains(message), "\(error.message)")
        }
    }
}

extension String {
    fileprivate func components(_ separator: String) -> [Substring] {
        split(separator: separator, omittingEmptySubsequences: false)
    }
}
