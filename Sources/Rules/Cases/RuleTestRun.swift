// Runs test cases against rules.

/// What came of a file's cases.
package struct RuleTestRun: Sendable {
    /// What came of a case.
    package struct Result: Sendable {
        /// The case.
        package let test: RuleCases.Case
        /// Nil where it came out as it must; else why not.
        package let fault: String?
    }

    /// In the order of the file.
    package private(set) var results: [Result] = []

    /// How many came out otherwise than they must.
    package var faultCount: Int { results.count { $0.fault != nil } }

    /// Runs all cases and counts what they reach.
    package init(_ cases: RuleCases, _ rules: RuleSet, coverage: inout RuleCoverage) {
        for test in cases.cases {
            let (decision, trace) = rules.trace(test.request, test.documents)
            coverage.add(trace)
            results.append(
                Result(test: test, fault: Self.fault(test, rules, decision, trace)))
        }
    }

    private static func fault(
        _ test: RuleCases.Case, _ rules: RuleSet, _ decision: RuleDecision, _ trace: RuleTrace
    ) -> String? {
        guard decision.isAllowed == test.isAllowed else {
            let wanted = test.isAllowed ? "allowed" : "denied"
            return "should be \(wanted)\n"
                + RuleExplanation(rules, test.request, decision, trace).text
        }
        if let hidden = test.hidden, Set(hidden) != Set(decision.hidden) {
            return "should hide \(hidden.sorted()), and hides \(decision.hidden.sorted())"
        }
        return nil
    }
}
