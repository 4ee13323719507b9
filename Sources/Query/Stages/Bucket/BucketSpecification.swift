// $bucket: a $group whose key is found by $switch, and a $sort.

import BSON

/// The argument of $bucket while it is read.
struct BucketSpecification {
    private var groupBy: Value?
    private var boundaries: [Value] = []
    private var hasBoundaries = false
    private var fallback: Value?
    private var outputs: Document?

    /// Lowers a $bucket to other stages.
    ///
    /// Throws 40191 to 40202 for the fields, and what $group throws for `output`.
    static func parse(
        _ value: ValueView, _ scope: ExpressionScope
    ) throws(DBError) -> [PipelineStage] {
        guard let object = value.document else {
            throw .location(
                40201,
                "Argument to $bucket stage must be an object, but found type: "
                    + value.type.alias)
        }
        var bucket = BucketSpecification()
        var elements = object.makeIterator()
        while let element = elements.next() { try bucket.take(element, scope) }
        return try bucket.lowered(scope)
    }

    private mutating func take(
        _ element: ElementView, _ scope: ExpressionScope
    ) throws(DBError) {
        let value = element.value
        switch element.nameString {
        case "groupBy":
            guard BucketKey.isExpression(value) else {
                throw .location(
                    40202,
                    "The $bucket 'groupBy' field must be defined as a $-prefixed path or an "
                        + "expression, but found: " + value.type.alias)
            }
            groupBy = Value(value)
        case "boundaries": try takeBoundaries(value, scope)
        case "default":
            guard let constant = try Expression.parse(value, scope).constant else {
                throw .location(
                    40195, "The $bucket 'default' field must be a constant")
            }
            fallback = Value(constant.view)
        case "output":
            guard let object = value.document else {
                throw .location(
                    40196,
                    "The $bucket 'output' field must be an object, but found type: "
                        + value.type.alias)
            }
            outputs = Document(copying: object)
        case let name:
            throw .location(40197, "Unrecognized option to $bucket: \(name).")
        }
    }

    private mutating func takeBoundaries(
        _ value: ValueView, _ scope: ExpressionScope
    ) throws(DBError) {
        guard let list = value.array else {
            throw .location(
                40200,
                "The $bucket 'boundaries' field must be an array, but found type: "
                    + value.type.alias)
        }
        hasBoundaries = true
        var elements = list.makeIterator()
        while let element = elements.next() {
            guard let constant = try Expression.parse(element.value, scope).constant else {
                throw .location(
                    40191, "The $bucket 'boundaries' field must be an array of constant values")
            }
            boundaries.append(Value(constant.view))
        }
        guard boundaries.count >= 2 else {
            throw .location(
                40192, "The $bucket 'boundaries' field must have at least 2 values")
        }
        for (lower, upper) in zip(boundaries, boundaries.dropFirst()) {
            let (low, high) = (OwnedValue(lower), OwnedValue(upper))
            guard low.type.canonicalRank == high.type.canonicalRank else {
                throw .location(
                    40193,
                    "All values in the 'boundaries' option to $bucket must have the same type")
            }
            guard low.view.compare(high.view, scope.collation) < 0 else {
                throw .location(
                    40194,
                    "The 'boundaries' option to $bucket must be sorted in ascending order")
            }
        }
    }

    private func lowered(_ scope: ExpressionScope) throws(DBError) -> [PipelineStage] {
        guard let groupBy, hasBoundaries, let first = boundaries.first, let last = boundaries.last
        else {
            throw .location(
                40198, "$bucket requires 'groupBy' and 'boundaries' to be specified")
        }
        if let fallback {
            let value = OwnedValue(fallback)
            let isInside =
                value.view.compare(OwnedValue(first).view, scope.collation) >= 0
                && value.view.compare(OwnedValue(last).view, scope.collation) < 0
            guard !isInside else {
                throw .location(
                    40199,
                    "The $bucket 'default' field must be less than the lowest boundary or greater "
                        + "than or equal to the highest boundary")
            }
        }
        let group = OwnedValue(.document(groupArgument(groupBy)))
        let order: Document = ["_id": 1]
        return [
            .group(
                GroupSpecificationBox(
                    specification: try GroupSpecification.parse(group.view, scope))),
            .sort(try SortPattern.parse(order.view, collation: scope.collation), limit: nil),
        ]
    }

    private func groupArgument(_ groupBy: Value) -> Document {
        var branches: [Value] = []
        for (lower, upper) in zip(boundaries, boundaries.dropFirst()) {
            let low: Value = ["$literal": lower]
            branches.append([
                "case": [
                    "$and": [["$gte": [groupBy, low]], ["$lt": [groupBy, ["$literal": upper]]]]
                ],
                "then": low,
            ])
        }
        let choice = Document { writer in
            writer.append("branches", .array(branches))
            if let fallback {
                let literal: Value = ["$literal": fallback]
                writer.append("default", literal)
            }
        }
        return Document { writer in
            let key: Value = ["$switch": .document(choice)]
            writer.append("_id", key)
            if let outputs, !outputs.isEmpty {
                writer.appendFields(of: outputs.view)
            } else {
                writer.append("count", BucketKey.countOutput)
            }
        }
    }
}

/// What $bucket and $bucketAuto have in common.
enum BucketKey {
    /// What is put out where nothing is asked for: how many documents there are.
    static let countOutput: Value = ["$sum": 1]

    /// Whether a value can be grouped by: a path or an expression, no constant.
    static func isExpression(_ value: ValueView) -> Bool {
        if let object = value.document {
            return object.first?.name.starts(with: RawSpan("$")) ?? false
        }
        return value.type == .string && (value.utf8?.starts(with: RawSpan("$")) ?? false)
    }
}
