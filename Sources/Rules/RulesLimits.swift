// Bounds of the rules language. Firestore's, so that a file that works there works here.

/// What a rules file may hold and what a request may cost.
package struct RulesLimits: Sendable {
    /// Most bytes of a file with what it imports.
    package var sourceBytesMax = 256 << 10
    /// Most files of a rule set.
    package var filesMax = 64
    /// Deepest nesting of an expression; parentheses count.
    package var expressionDepthMax = 98
    /// Deepest nesting of match blocks.
    package var matchDepthMax = 10
    /// Most segments of a path with those of the matches around it.
    package var pathSegmentsMax = 100
    /// Most wildcards of a path with those of the matches around it.
    package var capturesMax = 20
    /// Most parameters of a function.
    package var parametersMax = 7
    /// Most `let` of a function: 10 are documented, 11 are accepted.
    package var letsMax = 11
    /// Longest chain of calls: 20 are documented, 21 functions are accepted.
    package var callDepthMax = 21
    /// Most expressions that a request evaluates.
    package var expressionsMax = 1_000
    /// Deepest nesting of evaluations, through all calls, so that no stack overflows.
    package var evaluationDepthMax = 400
    /// Most documents that a request for one document looks up.
    package var lookupsMax = 10
    /// Most documents that a query, a batch or a transaction looks up.
    package var lookupsOfManyMax = 20
    /// Most ways in which a path is laid over a match with `{x=**}`.
    package var matchStepsMax = 20_000
    /// Most bytes of text that one evaluation makes.
    package var textBytesMax = 1 << 20

    /// Firestore's bounds.
    package static let firestore = RulesLimits()

    /// Firestore's bounds, but for ten times as many expressions and lookups.
    package static let native: RulesLimits = {
        var limits = RulesLimits()
        limits.expressionsMax = 10_000
        limits.lookupsMax = 100
        limits.lookupsOfManyMax = 200
        return limits
    }()
}
