// Where filters and expressions meet: $expr inside filters, filters inside pipelines.

import BSON

extension ExpressionScope {
    /// Options with which a filter in that place understands `$expr`.
    package func filterOptions(_ context: FilterContext) -> FilterOptions {
        FilterOptions(context: context) { value throws(DBError) in
            let expression = try Expression.parse(value, self)
            return ExpressionPredicate(requiredPaths: expression.requiredPaths) {
                document, scratch throws(DBError) in
                try expression.evaluate(document, &scratch.evaluation).isTruthy
            }
        }
    }
}

enum FilterHook {
    /// Compiles a filter with `$expr` in this scope.
    static func parse(
        _ condition: DocumentView, _ scope: ExpressionScope, context: FilterContext = .match
    ) throws(DBError) -> Filter {
        try Filter.parse(condition, scope.filterOptions(context))
    }
}
