// The argument of $graphLookup.

import BSON

/// A compiled $graphLookup.
struct GraphLookupSpecification: StagePlan {
    let source: ForeignCollection
    let output: FieldPath
    let connectFrom: FieldPath
    let connectTo: FieldPath
    let startWith: Expression
    /// Where each document's distance from the start goes.
    let depthField: FieldPath?
    /// The largest distance; nil for any.
    let depthMax: Int64?
    /// What documents must match to be visited.
    let restriction: Document?
    let scope: ExpressionScope

    var multiplies: Bool { true }

    func execution(_ next: StageExecution, _ resources: ExecutionResources) -> StageExecution {
        GraphLookupStage(self, resources, next)
    }

    private static let required = ["from", "startWith", "connectFromField", "connectToField", "as"]

    /// Compiles the argument of $graphLookup.
    ///
    /// Throws 9 for another type than an object or a bad `from`, 40100 to 40105 and 40185 for the
    /// fields, and codes of paths, expressions and filters.
    static func parse(
        _ value: ValueView, _ scope: ExpressionScope
    ) throws(DBError) -> GraphLookupSpecification {
        guard let object = value.document else {
            throw DBError(
                .failedToParse,
                "the $graphLookup stage specification must be an object, but found "
                    + value.type.alias)
        }
        var elements = object.makeIterator()
        var names: Set<String> = []
        while let element = elements.next() {
            let name = element.nameString
            names.insert(name)
            let isKnown =
                required.contains(name)
                || ["depthField", "maxDepth", "restrictSearchWithMatch"].contains(name)
            guard isKnown else {
                throw .location(40104, "Unknown argument to $graphLookup: \(name)")
            }
        }
        let depthMax = try parseDepthMax(object.value("maxDepth"))
        let restriction = try parseRestriction(object.value("restrictSearchWithMatch"), scope)
        let output = try path("as", object)
        let connectFrom = try path("connectFromField", object)
        let connectTo = try path("connectToField", object)
        let depthField = try path("depthField", object)
        let source = try parseSource(object.value("from"), scope)
        guard let output, let connectFrom, let connectTo, let source,
            let start = object.value("startWith")
        else {
            let missing = required.filter { !names.contains($0) }.joined(separator: ", ")
            throw .location(40105, "$graphLookup misses \(missing)")
        }
        return GraphLookupSpecification(
            source: source, output: output, connectFrom: connectFrom, connectTo: connectTo,
            startWith: try Expression.parse(start, scope), depthField: depthField,
            depthMax: depthMax, restriction: restriction, scope: scope)
    }

    private static func path(
        _ name: StaticString, _ object: DocumentView
    ) throws(DBError) -> FieldPath? {
        guard let value = object.value(name) else { return nil }
        guard let text = value.string else {
            throw .location(
                40103, "expected string as argument for \(name), found: \(value.type.alias)")
        }
        return try ProjectionParser.path(text)
    }

    private static func parseDepthMax(_ value: ValueView?) throws(DBError) -> Int64? {
        guard let value else { return nil }
        guard let number = Number(ValueRef(value)) else {
            throw .location(
                40100, "maxDepth requires a numeric argument, found type: \(value.type.alias)")
        }
        guard let depth = number.exactInt64 else {
            throw .location(40102, "maxDepth must be a whole number that a long can hold")
        }
        guard depth >= 0 else {
            throw .location(40101, "maxDepth requires a nonnegative argument, found: \(depth)")
        }
        return depth
    }

    private static func parseRestriction(
        _ value: ValueView?, _ scope: ExpressionScope
    ) throws(DBError) -> Document? {
        guard let value else { return nil }
        guard let object = value.document else {
            throw .location(
                40185,
                "restrictSearchWithMatch must be an object, found \(value.type.alias)")
        }
        _ = try FilterHook.parse(object, scope)
        return Document(copying: object)
    }

    private static func parseSource(
        _ value: ValueView?, _ scope: ExpressionScope
    ) throws(DBError) -> ForeignCollection? {
        guard let value else { return nil }
        guard let name = value.string else {
            throw DBError(
                .failedToParse,
                "$graphLookup argument 'from' must be a string, is type \(value.type.alias)")
        }
        return try scope.collection(name)
    }
}
