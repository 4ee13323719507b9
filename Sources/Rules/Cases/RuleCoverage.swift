// Which parts of rules the test cases have reached.

/// Counts what expressions came to.
package struct RuleCoverage: Sendable {
    /// How often an expression came to what.
    package struct Count: Sendable {
        /// True.
        package var isTrue = 0
        /// False.
        package var isFalse = 0
        /// A failure.
        package var failed = 0
        /// Values that are no bool.
        package var other = 0

        /// All together.
        package var total: Int { isTrue + isFalse + failed + other }
    }

    /// By the expression's number.
    package private(set) var counts: [Count]
    /// How often each allow statement was tried, and how often it granted, by number.
    package private(set) var allows: [(tried: Int, granted: Int)]
    /// The rules that are covered.
    package let rules: RuleSet

    /// Nothing reached yet.
    package init(_ rules: RuleSet) {
        self.rules = rules
        counts = Array(repeating: Count(), count: rules.syntax.expressions.count)
        allows = Array(repeating: (0, 0), count: rules.syntax.allows.count)
    }

    /// Takes in what an evaluation did.
    package mutating func add(_ trace: RuleTrace) {
        for step in trace.steps {
            let index = Int(step.expression.index)
            switch step.outcome {
            case .value(.bool(true)): counts[index].isTrue += 1
            case .value(.bool(false)): counts[index].isFalse += 1
            case .value: counts[index].other += 1
            case .failure: counts[index].failed += 1
            }
        }
        for attempt in trace.attempts {
            allows[Int(attempt.allow)].tried += 1
            guard let step = attempt.step else {
                allows[Int(attempt.allow)].granted += 1
                continue
            }
            if case .value(.bool(true)) = trace.steps[Int(step)].outcome {
                allows[Int(attempt.allow)].granted += 1
            }
        }
    }

    /// A part of a rule that lacks a test.
    package struct Gap: Sendable {
        /// Where.
        package let range: SourceRange
        /// What lacks a test.
        package let text: String
    }

    /// What no case reached: statements that never granted or never refused, and bools that were
    /// never true or never false, in the order of the source.
    package var gaps: [Gap] {
        var gaps: [Gap] = []
        for (number, count) in allows.enumerated() {
            let allow = rules.syntax.allows[number]
            let words = "allow \(allow.methods.text)"
            if count.tried == 0 {
                gaps.append(Gap(range: allow.range, text: "\(words) was never tried"))
            } else if count.granted == 0, !isConstant(allow.condition) {
                gaps.append(Gap(range: allow.range, text: "\(words) never granted"))
            } else if count.granted == count.tried, !isConstant(allow.condition) {
                gaps.append(Gap(range: allow.range, text: "\(words) never refused"))
            }
        }
        for id in parts {
            let count = counts[Int(id.index)]
            let text = rules.syntax.line(of: id, most: 60)
            let range = rules.syntax[id].range
            if count.total == 0 {
                gaps.append(Gap(range: range, text: "never evaluated: \(text)"))
            } else if count.isTrue == 0, count.other == 0 {
                gaps.append(Gap(range: range, text: "never true: \(text)"))
            } else if count.isFalse + count.failed == 0, count.other == 0 {
                gaps.append(Gap(range: range, text: "never false: \(text)"))
            }
        }
        return gaps.sorted { ($0.range.file, $0.range.start) < ($1.range.file, $1.range.start) }
    }

    /// How many outcomes of statements and parts there are, and how many were seen.
    package var seen: (count: Int, of: Int) {
        var result = (count: 0, of: 0)
        for (number, count) in allows.enumerated() {
            let isConstant = isConstant(rules.syntax.allows[number].condition)
            result.of += isConstant ? 1 : 2
            if isConstant {
                result.count += min(1, count.tried)
            } else {
                result.count += (count.granted > 0 ? 1 : 0) + (count.granted < count.tried ? 1 : 0)
            }
        }
        for id in parts {
            let count = counts[Int(id.index)]
            result.of += 2
            result.count +=
                (count.isTrue + count.other > 0 ? 1 : 0)
                + (count.isFalse + count.failed + count.other > 0 ? 1 : 0)
        }
        return result
    }

    private func isConstant(_ condition: ExpressionID?) -> Bool {
        condition.map { rules.syntax.isLiteral($0) } ?? true
    }

    /// The operands of `&&`, `||`, `!` and the conditions of `?:`: what decides within a condition.
    var parts: [ExpressionID] {
        var parts: Set<ExpressionID> = []
        for expression in rules.syntax.expressions {
            let operands: [ExpressionID]
            switch expression.kind {
            case .binary(.and, let left, let right), .binary(.or, let left, let right):
                operands = [left, right]
            case .conditional(let condition, _, _): operands = [condition]
            default: continue
            }
            for operand in operands where !rules.syntax.isLiteral(operand) {
                // Its own operands tell more.
                if case .binary(let operation, _, _) = rules.syntax[operand].kind,
                    operation == .and || operation == .or
                {
                    continue
                }
                parts.insert(operand)
            }
        }
        return Array(parts)
    }
}
