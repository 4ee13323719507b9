// Fuzz targets of the rules language: any text is parsed, checked and, where it can be used,
// evaluated.

import BSON
import Rules

extension FuzzTarget {
    static let rulesTargets = [rules, ruleCases]

    private static let rules = FuzzTarget(text: "rules", seeds: rulesSeeds) { text in
        let parsed = RuleSet.parse(RulesFile(name: "fuzz.rules", text: text))
        let report = RulesChecker.check(parsed)
        let size = text.utf8.count
        for problem in report.problems {
            try check(!problem.message.isEmpty, "a problem that says nothing")
            try check(
                problem.range.start >= 0 && problem.range.start <= problem.range.end
                    && Int(problem.range.start) <= size,
                "a problem at \(problem.range) of \(size) bytes")
            _ = problem.text(in: report.files)
        }
        guard let rules = parsed.rules else {
            try check(
                report.problems.contains { $0.severity == .error }, "no rules, and no reason")
            return
        }
        let document: Document = [
            "_id": "b", "a": 1, "b": ["x", nil, 2.5], "c": ["d": "e"], "t": .date(0),
        ]
        let auth: Document = ["uid": "b", "token": ["admin": true]]
        for method in RuleMethod.allCases {
            let request = RuleRequest(
                method, ["a", "b"], auth: method == .list ? nil : auth, timeMillis: 1,
                resource: document, newResource: method == .delete ? nil : document)
            let decision = rules.decide(request)
            let (traced, trace) = rules.trace(request)
            try check(
                decision.isAllowed == traced.isAllowed && decision.allow == traced.allow,
                "a trace changes the decision")
            let explanation = RuleExplanation(rules, request, traced, trace)
            try check(!explanation.text.isEmpty, "an explanation that says nothing")
            var coverage = RuleCoverage(rules)
            coverage.add(trace)
            _ = coverage.text
            _ = coverage.html
        }
    }

    private static let ruleCases = FuzzTarget(
        text: "cases",
        seeds: [
            """
            rules a.rules
            time 2026-01-01T00:00:00Z
            data users/a {"a": {"$date": "2020-01-01T00:00:00Z"}, "b": [1, 2.5]}
            # remark
            allow a{"x": true} update users/a {"a": 1} hide ['a', "b.c"]
            deny nobody list users {"limit": 5, "orderBy": ["a"]}
              hide []
            none users/a
            deny "a b" delete users/a
            """
        ]
    ) { text in
        let cases: RuleCases
        do throws(RuleCases.Problem) {
            cases = try RuleCases(text)
        } catch {
            try check(error.line > 0 && !error.message.isEmpty, "an error without its place")
            return
        }
        guard let rules = RuleSet.parse(RulesFile(name: "r", text: rulesSeeds[0])).rules else {
            throw FuzzFault("the seed can't be used")
        }
        var coverage = RuleCoverage(rules)
        let run = RuleTestRun(cases, rules, coverage: &coverage)
        try check(run.results.count == cases.cases.count, "cases are lost")
    }

    private static let rulesSeeds = [
        """
        rules_version = '2';
        service cloud.firestore { option mode = 'filter'; option limit = '5/m per user';
          match /databases/{db}/documents {
            function f(x, y) { let z = x + 1; return z > y ? true : !(y in [1, 2.5, 'a']); }
            match /a/{b} { // remark
              allow read, create: if request.auth != null && f(resource.data.a, 0x10) hide ['c.d'];
              allow write: if get(/databases/$(db)/documents/a/$(b)).data['c'].d == "e\\n"
                || exists(/databases/(default)/documents/a/c);
              match /{rest=**} { allow get; }
            }
          }
        }
        """,
        """
        service cloud.firestore { match /{path=**}/a/{b} { allow update: if
          request.resource.data.diff(resource.data).affectedKeys().hasOnly(['a'])
          && resource.data.b.all(x, x is string || x == null) && 'abc'[1:2].matches('[a-z]+$')
          && -9223372036854775808 / -1 == 1 && math.abs(-5) % 3 == {'a': 2, b: [1,]}.a
          && timestamp.date(2020, 1, 31) + duration.value(1, 'd') < request.time
          && b'\\x00\\377'.toHexString() == '00FF' && path('a/{b}').bind({'b': 'c'}) == /a/c; } }
        """,
        """
        import { f } from 'm'; rules_version = "2"
        export function g() { return debug(1 / 0) in {} || 'a'.split('(b)').join('\\u00e9') is map }
        service cloud.firestore { match /databases/{d}/documents/a/{b} { allow list: if g() } }
        """,
    ]
}
