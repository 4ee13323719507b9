// The argument of $group: the key and the accumulators.

import BSON

/// A compiled $group.
struct GroupSpecification: Sendable {
    /// A field of the result and how it is computed.
    struct Output: Sendable {
        let name: String
        let accumulator: Accumulator
    }

    let key: Expression
    let outputs: [Output]
    /// The order of strings in keys, extremes and sets.
    let collation: Collation?

    /// Whether it may do much for a small document.
    var loops: Bool { key.loops || outputs.contains { $0.accumulator.argument.loops } }

    /// Whether the groups of parts of the input, put together in order, are those of the whole.
    var takesParts: Bool { outputs.allSatisfy { $0.accumulator.kind.takesParts } }

    /// What the stage reads of its input; nil for all of it.
    var requiredPaths: [FieldPath]? {
        guard var paths = key.requiredPaths else { return nil }
        for output in outputs {
            guard let read = output.accumulator.requiredPaths else { return nil }
            paths += read
        }
        return paths
    }

    /// Compiles the argument of $group.
    static func parse(
        _ value: ValueView, _ scope: ExpressionScope
    ) throws(DBError) -> GroupSpecification {
        guard let object = value.document else {
            throw .location(15947, "a group's fields must be specified in an object")
        }
        var key: Expression?
        var outputs: [Output] = []
        var elements = object.makeIterator()
        while let element = elements.next() {
            let name = element.nameString
            if name == "_id" {
                guard key == nil else {
                    throw .location(15948, "a group's _id may only be specified once")
                }
                key = try parseKey(element.value, scope)
            } else {
                outputs.append(try parseOutput(name, element.value, scope))
            }
        }
        guard let key else {
            throw .location(15955, "a group specification must include an _id")
        }
        return GroupSpecification(key: key, outputs: outputs, collation: scope.collation)
    }

    private static func parseKey(
        _ value: ValueView, _ scope: ExpressionScope
    ) throws(DBError) -> Expression {
        if let object = value.document, let first = object.first,
            !first.name.starts(with: RawSpan("$"))
        {
            var elements = object.makeIterator()
            while let element = elements.next() {
                let type = element.value.type
                if type.isNumeric || type == .bool {
                    throw .location(17390, "$group does not support inclusion-style expressions")
                }
            }
        }
        return try Expression.parse(value, scope)
    }

    private static func parseOutput(
        _ name: String, _ value: ValueView, _ scope: ExpressionScope
    ) throws(DBError) -> Output {
        if name.contains(".") {
            throw .location(40235, "The field name '\(name)' cannot contain '.'")
        }
        if name.hasPrefix("$") {
            throw .location(40236, "The field name '\(name)' cannot be an operator name")
        }
        guard let object = value.document, let call = object.first else {
            throw .location(40234, "The field '\(name)' must be an accumulator object")
        }
        guard object.count == 1 else {
            throw .location(40238, "The field '\(name)' must specify one accumulator")
        }
        return Output(name: name, accumulator: try Accumulator.parse(call, scope))
    }
}
