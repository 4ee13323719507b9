// Where filters, updates and expressions meet: $expr inside filters, filters inside pipelines,
// pipelines inside updates.

import BSON

extension ExpressionScope {
    /// Options with which a filter in that place understands `$expr`.
    package func filterOptions(_ context: FilterContext) -> FilterOptions {
        FilterOptions(context: context, collation: collation) { value throws(DBError) in
            let expression = try Expression.parse(value, self)
            return ExpressionPredicate(
                requiredPaths: expression.requiredPaths, loops: expression.loops
            ) { document, scratch throws(DBError) in
                try expression.evaluate(document, &scratch.evaluation).isTruthy
            }
        }
    }
}

extension ExpressionScope {
    /// Options with which an update understands pipelines, and `$expr` in its filters.
    package func updateOptions(isMulti: Bool) -> UpdateOptions {
        var options = UpdateOptions()
        options.isMulti = isMulti
        options.filterOptions = filterOptions(.find)
        options.parsePipeline = { stages, constants throws(DBError) in
            try UpdateStages.parse(stages, constants: constants, self)
        }
        return options
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

extension Filter {
    /// What the filter reads of a document; nil for all of it.
    package var requiredPaths: [FieldPath]? {
        var paths: [FieldPath] = []
        return root.collectPaths(&paths) ? paths : nil
    }
}

extension FilterNode {
    /// Adds the paths that the condition reads; false where it reads the whole document.
    fileprivate func collectPaths(_ paths: inout [FieldPath]) -> Bool {
        switch self {
        case .alwaysTrue, .alwaysFalse, .sampleRate: return true
        case .and(let nodes), .or(let nodes), .nor(let nodes):
            for node in nodes where !node.collectPaths(&paths) { return false }
            return true
        case .not(let node): return node.collectPaths(&paths)
        case .expression(let predicate):
            guard let read = predicate.requiredPaths else { return false }
            paths += read
            return true
        case .schema: return false
        default:
            guard let path else { return false }
            paths.append(path)
            return true
        }
    }
}
