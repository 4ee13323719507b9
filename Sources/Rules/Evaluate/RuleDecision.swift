// What rules say about a request, and why.

/// The answer to a request.
package struct RuleDecision: Sendable {
    /// Whether it may be done.
    package let isAllowed: Bool
    /// The allow statement that grants it.
    package let allow: Int32?
    /// Paths of fields that what is read lacks: those that every granting statement hides.
    package let hidden: [String]
    /// What ended the evaluation early: a bound, or the store.
    package let failure: RuleFailure?
}

/// What an expression came to.
package enum RuleOutcome: Sendable {
    case value(RuleValue)
    case failure(RuleFailure)
}

/// Every expression that an evaluation looked at, in the order in which they began.
package struct RuleTrace: Sendable {
    /// An evaluated expression.
    package struct Step: Sendable {
        /// What was evaluated.
        package let expression: ExpressionID
        /// The step that needed this one; -1 for conditions.
        package let parent: Int32
        /// What it came to.
        package internal(set) var outcome: RuleOutcome
    }

    /// An allow statement that was tried.
    package struct Attempt: Sendable {
        /// Its number.
        package let allow: Int32
        /// The step of its condition; nil where nothing is asked.
        package let step: Int32?
    }

    /// Expressions in the order in which they began.
    package internal(set) var steps: [Step] = []
    /// Statements in the order in which they were tried.
    package internal(set) var attempts: [Attempt] = []
    /// What `debug()` was given, with its place.
    package internal(set) var debugged: [(ExpressionID, RuleValue)] = []
    /// Match blocks whose path is the request's.
    package internal(set) var matches: [Int32] = []
}

extension RuleSet {
    /// Decides about a request. What it costs is bounded by the limits.
    package func decide(
        _ request: RuleRequest, _ documents: any RuleDocuments = NoRuleDocuments()
    ) -> RuleDecision {
        var evaluator = RuleEvaluator(self, request, documents)
        return evaluator.decide()
    }

    /// Decides about a request and keeps every step.
    package func trace(
        _ request: RuleRequest, _ documents: any RuleDocuments = NoRuleDocuments()
    ) -> (RuleDecision, RuleTrace) {
        var evaluator = RuleEvaluator(self, request, documents)
        evaluator.trace = RuleTrace()
        let decision = evaluator.decide()
        return (decision, evaluator.trace ?? RuleTrace())
    }
}

extension RuleDecision {
    /// The denial of what no rule can be about.
    package static let denied = RuleDecision(
        isAllowed: false, allow: nil, hidden: [], failure: nil)
}
