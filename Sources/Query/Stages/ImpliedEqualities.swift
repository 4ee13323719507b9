// Conditions of the query language that a $match's `$expr` implies, so that indexes can be used:
// {$expr: {$eq: ["$a", constant]}} holds only for documents that {a: {$eq: constant}} finds. The
// latter finds more (elements of arrays, missing for null), so `$expr` is tested as well.

import BSON

enum ImpliedEqualities {
    /// The filter with the equalities that `condition`, of which it was made, implies.
    static func added(
        to filter: Filter, _ condition: DocumentView, _ scope: ExpressionScope
    ) throws(DBError) -> Filter {
        var nodes: [FilterNode] = []
        try collect(condition, scope, &nodes)
        guard !nodes.isEmpty else { return filter }
        return Filter(FilterNode.all(nodes + [filter.root]), collation: filter.collation)
    }

    /// Looks for `$expr` at the top level and below `$and`.
    private static func collect(
        _ condition: DocumentView, _ scope: ExpressionScope, _ nodes: inout [FilterNode]
    ) throws(DBError) {
        var elements = condition.makeIterator()
        while let element = elements.next() {
            if element.name.equals("$expr") {
                try collect(expression: element.value, scope, &nodes)
            } else if element.name.equals("$and"), let list = element.value.array {
                var conditions = list.makeIterator()
                while let next = conditions.next() {
                    if let inner = next.value.document { try collect(inner, scope, &nodes) }
                }
            }
        }
    }

    /// Looks for `$eq` at the top of an expression and below `$and`.
    private static func collect(
        expression: ValueView, _ scope: ExpressionScope, _ nodes: inout [FilterNode]
    ) throws(DBError) {
        guard let object = expression.document, object.count == 1, let call = object.first,
            let arguments = call.value.array
        else { return }
        var elements = arguments.makeIterator()
        if call.name.equals("$and") {
            while let next = elements.next() {
                try collect(expression: next.value, scope, &nodes)
            }
        } else if call.name.equals("$eq"), let first = elements.next(),
            let second = elements.next()
        {
            let left = try Expression.parse(first.value, scope)
            let right = try Expression.parse(second.value, scope)
            if let node = equality(left, right) ?? equality(right, left) { nodes.append(node) }
        }
    }

    /// The condition for a path and a constant. An array may be put together from several elements
    /// by the expression's path, and no value at all can't be asked for.
    private static func equality(_ path: Expression, _ constant: Expression) -> FilterNode? {
        guard let path = path.fieldPath, let value = constant.constant, value.type != .array,
            value.type != .undefined
        else { return nil }
        return .compare(path, .equal, value)
    }
}
