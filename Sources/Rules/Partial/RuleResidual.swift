// Partial evaluation: what rules say about a query before any document is seen.
//
// Everything that the request makes known (who asks, the time, the collection, the query's shape,
// documents that `get()` names without looking at the one at hand) is evaluated; what is left is a
// condition on documents. It is given in three forms: `bounds` for the planner, `proof` for strict
// mode, and `check` for each document. Where a rule asks more than a check can tell, there is none,
// and each document is asked by evaluating the rules (`RuleSet.decide`).
//
// Guarantees: a document that the rules allow matches `bounds`; `check` answers as `decide` does,
// but for the bound on expressions; no condition is taken from what `decide` would not reach.

package import BSON
package import Query

/// A query that rules decide about.
package struct RuleQuestion: Sendable {
    /// The database as rules name it.
    package var database: String
    /// The names of the collection: one, and more where it lies below others.
    package var collection: [String]
    /// `{uid, token}`; nil for nobody.
    package var auth: Document?
    /// The request's time, in milliseconds since 1970.
    package var timeMillis: Int64
    /// What shapes the query.
    package var query: RuleRequest.Query

    /// A query of all documents of a collection.
    package init(
        database: String, collection: [String], auth: Document?, timeMillis: Int64,
        query: RuleRequest.Query = RuleRequest.Query()
    ) {
        self.database = database
        self.collection = collection
        self.auth = auth
        self.timeMillis = timeMillis
        self.query = query
    }
}

/// What rules leave open of a query.
package struct RuleResidual: Sendable {
    /// Every document that may be seen matches; others may.
    package let bounds: FilterNode
    /// What must follow from a query's filter where a query may not meet a denied document.
    package let proof: FilterNode
    /// Says of a document whether it may be seen; nil where the rules must be evaluated.
    package let check: ResidualCheck?
    /// Paths of fields that some document may lack; then the rules must be evaluated.
    package let hidden: [String]
    /// Whether documents were looked up: what is left changes with them.
    package let usesLookups: Bool

    /// Whether every document may be seen as it is.
    package let allowsAll: Bool
    /// Whether no document may be seen.
    package var allowsNothing: Bool { bounds == .alwaysFalse }
}

extension RuleSet {
    /// What the rules leave open of a query. Documents are looked up as `decide` does it; what
    /// keeps the store from answering leaves the condition that needs it open.
    package func residual(
        _ question: RuleQuestion, _ documents: any RuleDocuments = NoRuleDocuments()
    ) -> RuleResidual {
        var evaluator = PartialEvaluator(self, question, documents)
        return evaluator.run()
    }

    /// Whether conditions ask for the time of the request.
    package var usesTime: Bool {
        syntax.expressions.contains { expression in
            guard case .member(_, let name) = expression.kind else { return false }
            return members[Int(name.index)] == .time
        }
    }
}
