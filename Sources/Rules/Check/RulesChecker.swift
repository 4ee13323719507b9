// What is suspicious in rules that can be used.

/// Checks parsed rules.
package enum RulesChecker {
    /// All findings, in the order of the source.
    package struct Report: Sendable {
        package let problems: [RulesProblem]
        package let files: [RulesFile]
    }

    /// The findings of the parser, and those about what the rules mean.
    package static func check(_ parsed: RuleSet.Parsed) -> Report {
        Report(problems: parsed.problems, files: parsed.files)
    }
}
