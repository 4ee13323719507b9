// The argument of $setWindowFields.

import BSON

/// A compiled $setWindowFields.
struct WindowSpecification: StagePlan {
    /// A field and what it is set to.
    struct Output: Sendable {
        let path: FieldPath
        let function: WindowFunction
    }

    /// What documents are divided by; nil for one partition.
    let partitionBy: Expression?
    /// The order within a partition; nil for that of the input.
    let sortBy: SortPattern?
    let outputs: [Output]
    let collation: Collation?

    var multiplies: Bool { true }

    var dependsOnOrder: Bool {
        // No two documents of a collection, nor groups, have one _id.
        let id = FieldPath("_id")
        if let sortBy, sortBy.parts.contains(where: { $0.path == id }) { return false }
        return outputs.contains { $0.function.dependsOnOrder }
    }

    func execution(_ next: StageExecution, _ resources: ExecutionResources) -> StageExecution {
        WindowStage(self, resources, next)
    }

    /// Compiles the argument of $setWindowFields.
    ///
    /// Throws 9 for another type than an object, 14, 40414 and 40415 for the fields, and what
    /// sorts, windows and functions throw.
    static func parse(
        _ value: ValueView, _ scope: ExpressionScope
    ) throws(DBError) -> WindowSpecification {
        guard let object = value.document else {
            throw DBError(
                .failedToParse,
                "the $setWindowFields stage specification must be an object, found "
                    + value.type.alias)
        }
        var fields = StageFields("$setWindowFields")
        var elements = object.makeIterator()
        while let element = elements.next() {
            try fields.take(element, known: ["partitionBy", "sortBy", "output"])
        }
        let sortBy = try parseSort(object.value("sortBy"), scope)
        guard let output = object.value("output"), !output.isNullish else {
            throw .location(
                40414, "BSON field '$setWindowFields.output' is missing but a required field")
        }
        guard let list = output.document else { throw wrongType("output", output) }
        var partitionBy: Expression?
        if let value = object.value("partitionBy"), !value.isNullish {
            partitionBy = try Expression.parse(value, scope)
        }
        return WindowSpecification(
            partitionBy: partitionBy, sortBy: sortBy,
            outputs: try parseOutputs(list, sortBy, scope), collation: scope.collation)
    }

    private static func wrongType(_ name: String, _ value: ValueView) -> DBError {
        DBError(
            .typeMismatch,
            "BSON field '$setWindowFields.\(name)' is the wrong type '\(value.type.alias)', "
                + "expected type 'object'")
    }

    private static func parseSort(
        _ value: ValueView?, _ scope: ExpressionScope
    ) throws(DBError) -> SortPattern? {
        guard let value, !value.isNullish else { return nil }
        guard let object = value.document else { throw wrongType("sortBy", value) }
        // An empty one counts as given: bounds may need it.
        return try SortPattern.parse(object, collation: scope.collation)
    }

    private static func parseOutputs(
        _ list: DocumentView, _ sortBy: SortPattern?, _ scope: ExpressionScope
    ) throws(DBError) -> [Output] {
        var outputs: [Output] = []
        var elements = list.makeIterator()
        while let element = elements.next() {
            let path = try ProjectionParser.path(element.nameString)
            let collides = outputs.contains {
                $0.path.isPrefix(of: path) || path.isPrefix(of: $0.path)
            }
            guard !collides else {
                throw .location(
                    40176, "specification contains two conflicting paths at \(path)")
            }
            outputs.append(
                Output(path: path, function: try parseOutput(element.value, sortBy, scope)))
        }
        return outputs
    }

    private static func parseOutput(
        _ value: ValueView, _ sortBy: SortPattern?, _ scope: ExpressionScope
    ) throws(DBError) -> WindowFunction {
        guard let object = value.document else {
            throw DBError(
                .failedToParse,
                "The field 'output' of $setWindowFields must hold objects, found "
                    + value.type.alias)
        }
        var elements = object.makeIterator()
        var function: String?
        while let element = elements.next() {
            let name = element.nameString
            if name == "window" { continue }
            guard name.hasPrefix("$") else {
                throw DBError(
                    .failedToParse, "Window function found an unknown argument: \(name)")
            }
            guard function == nil else {
                throw DBError(
                    .failedToParse, "Cannot specify two functions in one output, saw \(name)")
            }
            function = name
        }
        var calls = object.makeIterator()
        while let call = calls.next() {
            guard call.nameString == function else { continue }
            return try WindowFunction.parse(call, window: object.value("window"), sortBy, scope)
        }
        throw DBError(
            .failedToParse, "Expected a $-prefixed window function in an output")
    }
}
