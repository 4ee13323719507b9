// Why a request is allowed or denied, for developers: which statements were tried, and of those that
// didn't grant, which part was false or failed, with the values in it.

internal import Query

/// An account of a decision.
package struct RuleExplanation: Sendable {
    /// A part of a condition that decided.
    package struct Cause: Sendable {
        /// The part.
        package let expression: ExpressionID
        /// `is false`, or the failure's message.
        package let finding: String
        /// Parts of it with their values, in the order of the source.
        package let values: [(text: String, value: String)]
    }

    /// An allow statement that was tried.
    package struct Attempt: Sendable {
        /// Its number.
        package let allow: Int32
        /// Whether its condition is true.
        package let isGranting: Bool
        /// Why it does not grant.
        package let causes: [Cause]
    }

    /// What was decided.
    package let decision: RuleDecision
    /// The statements that were tried, in order.
    package let attempts: [Attempt]
    /// Whether some match has the request's path.
    package let isMatched: Bool
    private let request: RuleRequest
    private let rules: RuleSet
    private let debugged: [(ExpressionID, RuleValue)]

    /// Decides about a request, keeping every step. Costs several times as much as deciding.
    package init(
        _ rules: RuleSet, _ request: RuleRequest,
        _ documents: any RuleDocuments = NoRuleDocuments()
    ) {
        let (decision, trace) = rules.trace(request, documents)
        self.init(rules, request, decision, trace)
    }

    /// The account of a traced decision.
    package init(
        _ rules: RuleSet, _ request: RuleRequest, _ decision: RuleDecision, _ trace: RuleTrace
    ) {
        self.decision = decision
        self.request = request
        self.rules = rules
        debugged = trace.debugged
        isMatched = !trace.matches.isEmpty
        let search = CauseSearch(rules, trace)
        attempts = trace.attempts.map { attempt in
            guard let step = attempt.step, trace.steps.indices.contains(Int(step)) else {
                return Attempt(allow: attempt.allow, isGranting: true, causes: [])
            }
            if case .value(.bool(true)) = trace.steps[Int(step)].outcome {
                return Attempt(allow: attempt.allow, isGranting: true, causes: [])
            }
            return Attempt(
                allow: attempt.allow, isGranting: false, causes: search.causes(of: Int(step)))
        }
    }

    /// Several lines for developers.
    package var text: String {
        let verdict = decision.isAllowed ? "allowed" : "denied"
        var lines = ["\(verdict): \(request.method.rawValue) \(request.path.text)"]
        if let failure = decision.failure {
            lines.append("  the evaluation ended: \(failure.message)")
            if failure.at.index >= 0 { lines.append("    at \(place(of: failure.at))") }
        }
        if !isMatched {
            lines.append("  no match has this path")
        } else if attempts.isEmpty {
            lines.append(
                "  no allow statement of the matches with this path is for "
                    + "'\(request.method.rawValue)'")
        }
        for attempt in attempts {
            let statement = rules.syntax.allows[Int(attempt.allow)]
            let grants = attempt.isGranting ? "grants" : "does not grant"
            lines.append(
                "  \(place(of: statement.range)): allow \(statement.methods.text) \(grants)")
            for cause in attempt.causes {
                lines.append("    \(place(of: cause.expression)): \(cause.finding)")
                lines.append("      \(source(of: cause.expression))")
                lines += cause.values.map { "      \($0.text) = \($0.value)" }
            }
        }
        for (expression, value) in debugged {
            lines.append("  debug at \(place(of: expression)): \(value.text())")
        }
        return lines.joined(separator: "\n")
    }

    private func place(of range: SourceRange) -> String {
        guard rules.syntax.files.indices.contains(Int(range.file)) else { return "?" }
        let file = rules.syntax.files[Int(range.file)]
        let place = file.place(of: range)
        return "\(file.name):\(place.line):\(place.column)"
    }

    private func place(of expression: ExpressionID) -> String {
        place(of: rules.syntax[expression].range)
    }

    private func source(of expression: ExpressionID) -> String {
        rules.syntax.line(of: expression, most: 100)
    }
}

extension RuleSyntax {
    /// An expression's text in one line of at most `most` characters.
    package func line(of id: ExpressionID, most: Int) -> String {
        let words = text(of: self[id].range).split {
            $0 == " " || $0 == "\n" || $0 == "\t" || $0 == "\r"
        }
        let whole = words.joined(separator: " ")
        return whole.count <= most ? whole : String(whole.prefix(most)) + "…"
    }
}

/// Finds what decided within a trace.
private struct CauseSearch {
    private let rules: RuleSet
    private let steps: [RuleTrace.Step]
    private var children: [[Int]]

    init(_ rules: RuleSet, _ trace: RuleTrace) {
        self.rules = rules
        steps = trace.steps
        children = Array(repeating: [], count: trace.steps.count)
        for (index, step) in trace.steps.enumerated() where step.parent >= 0 {
            children[Int(step.parent)].append(index)
        }
    }

    /// The parts that made a condition false or fail, at most eight.
    func causes(of step: Int) -> [RuleExplanation.Cause] {
        var found: [RuleExplanation.Cause] = []
        var waiting = [step]
        while let next = waiting.popLast(), found.count < 8 {
            let parts = deciders(of: next)
            if parts.isEmpty { found.append(cause(next)) }
            waiting += parts.reversed()
        }
        return found
    }

    /// The steps that decided about this one; none where it decided itself.
    private func deciders(of step: Int) -> [Int] {
        let inner = children[step]
        switch steps[step].outcome {
        case .failure(let failure):
            let failed = inner.filter {
                if case .failure = steps[$0].outcome { true } else { false }
            }
            // Operands that failed without harm aren't the reason.
            let same = failed.filter {
                if case .failure(let other) = steps[$0].outcome {
                    other.at == failure.at
                } else {
                    false
                }
            }
            return Array((same.isEmpty ? failed : same).suffix(1))
        case .value(.bool(false)):
            switch rules.syntax[steps[step].expression].kind {
            case .binary(.and, _, _), .binary(.or, _, _):
                return inner.filter {
                    if case .value(.bool(false)) = steps[$0].outcome { true } else { false }
                }
            case .call(.function, _), .conditional: return Array(inner.suffix(1))
            default: return []
            }
        case .value: return []
        }
    }

    private func cause(_ step: Int) -> RuleExplanation.Cause {
        let finding: String
        switch steps[step].outcome {
        case .failure(let failure): finding = failure.message
        case .value(.bool(false)): finding = "is false"
        case .value(let value): finding = "is \(value.typeName), not bool"
        }
        var values: [(text: String, value: String)] = []
        for child in children[step] {
            let expression = steps[child].expression
            guard case .value(let value) = steps[child].outcome,
                !rules.syntax.isLiteral(expression)
            else { continue }
            if case .request = value { continue }
            values.append((rules.syntax.line(of: expression, most: 60), value.text()))
        }
        return RuleExplanation.Cause(
            expression: steps[step].expression, finding: finding, values: values)
    }
}

extension RuleSyntax {
    /// Whether an expression is a literal, which explains itself.
    package func isLiteral(_ id: ExpressionID) -> Bool {
        switch self[id].kind {
        case .null, .bool, .int, .float, .string, .bytes: true
        default: false
        }
    }
}
