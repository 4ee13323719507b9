// The argument of $lookup.

import BSON

/// A compiled $lookup: joins by equality of two fields, by a pipeline with variables, or by both.
struct LookupSpecification: StagePlan {
    /// The two fields whose values must be equal.
    struct Equality: Sendable {
        let localField: FieldPath
        let foreignField: FieldPath
    }

    /// A variable of `let`.
    struct Variable: Sendable {
        let name: String
        let value: Expression
    }

    let source: SubPipeline
    let equality: Equality?
    let variables: [Variable]
    /// Where the joined documents go.
    let output: FieldPath
    let collation: Collation?

    var multiplies: Bool { true }
    var foreign: [SubPipeline] { [source] }
    var isPerDocument: Bool { true }

    func execution(_ next: StageExecution, _ resources: ExecutionResources) -> StageExecution {
        LookupStage(self, resources, next)
    }

    /// Compiles the argument of $lookup.
    ///
    /// Throws 9 for another type than an object, for no `from` and for forms that do not fit
    /// together, 14 and 40413 to 40415 for the fields, codes of paths, and what compiling `pipeline`
    /// throws.
    static func parse(
        _ value: ValueView, _ scope: ExpressionScope, _ place: PipelinePlace
    ) throws(DBError) -> LookupSpecification {
        guard let object = value.document else {
            throw DBError(
                .failedToParse,
                "the $lookup stage specification must be an object, but found "
                    + value.type.alias)
        }
        let stages = object.value("pipeline")?.arrayValues
        let collection = try parseSource(object, stages, scope)
        try checkFields(object)
        guard let output = try string("as", object) else {
            throw .location(40414, "BSON field '$lookup.as' is missing but a required field")
        }
        let outputPath = try outputPath(output)
        let equality = try parseEquality(object)
        guard stages != nil || equality != nil else {
            throw DBError(
                .failedToParse,
                "$lookup requires either 'pipeline' or both 'localField' and 'foreignField' to be "
                    + "specified")
        }
        let variables = try parseVariables(object.value("let"), hasPipeline: stages != nil, scope)
        let source = try SubPipeline(
            stages ?? [], over: collection, variables: variables.map(\.name), scope,
            try place.inside(.lookup))
        if collection == nil, !source.compiled.isCollectionless { throw missingFrom }
        return LookupSpecification(
            source: source, equality: equality, variables: variables, output: outputPath,
            collation: scope.collation)
    }

    private static var missingFrom: DBError {
        DBError(
            .failedToParse,
            "missing 'from' option to $lookup stage specification; only a pipeline that begins "
                + "with $documents does without it")
    }

    /// The collection in `from`; nil where the pipeline makes its own documents.
    private static func parseSource(
        _ object: DocumentView, _ stages: [Value]?, _ scope: ExpressionScope
    ) throws(DBError) -> ForeignCollection? {
        guard let from = object.value("from"), !from.isNullish else {
            if case .document(let first)? = stages?.first, first["$documents"] != nil { return nil }
            throw missingFrom
        }
        if let name = from.string { return try scope.collection(name) }
        guard let pair = from.document, let name = pair.value("coll")?.string else {
            throw DBError(
                .failedToParse,
                "$lookup argument 'from' must be a string, is type \(from.type.alias)")
        }
        return try scope.collection(name, database: pair.value("db")?.string)
    }

    private static func checkFields(_ object: DocumentView) throws(DBError) {
        var fields = StageFields("$lookup")
        var elements = object.makeIterator()
        while let element = elements.next() {
            try fields.take(
                element,
                known: [
                    "from", "localField", "foreignField", "let", "pipeline", "as",
                ])
        }
        if let pipeline = object.value("pipeline"), !pipeline.isNullish, pipeline.type != .array {
            throw wrongType("pipeline", pipeline, "array")
        }
    }

    private static func string(
        _ name: StaticString, _ object: DocumentView
    ) throws(DBError) -> String? {
        try StageFields("$lookup").string(name, in: object)
    }

    private static func wrongType(
        _ name: String, _ value: ValueView, _ expected: String
    ) -> DBError {
        DBError(
            .typeMismatch,
            "BSON field '$lookup.\(name)' is the wrong type '\(value.type.alias)', expected type "
                + "'\(expected)'")
    }

    private static func outputPath(_ text: String) throws(DBError) -> FieldPath {
        if text.utf8.contains(0) {
            throw .location(16411, "FieldPath field names may not contain '\\0'.")
        }
        return try ProjectionParser.path(text)
    }

    private static func parseEquality(_ object: DocumentView) throws(DBError) -> Equality? {
        let local = try string("localField", object)
        let foreign = try string("foreignField", object)
        switch (local, foreign) {
        // Two empty names say nothing, as two missing ones.
        case (nil, nil), ("", ""): return nil
        case (let local?, let foreign?):
            return Equality(
                localField: try ProjectionParser.path(local),
                foreignField: try ProjectionParser.path(foreign))
        default:
            throw DBError(
                .failedToParse,
                "$lookup requires both or neither of 'localField' and 'foreignField' to be "
                    + "specified")
        }
    }

    private static func parseVariables(
        _ value: ValueView?, hasPipeline: Bool, _ scope: ExpressionScope
    ) throws(DBError) -> [Variable] {
        guard let value, !value.isNullish else { return [] }
        guard let object = value.document else { throw wrongType("let", value, "object") }
        guard hasPipeline else {
            throw DBError(
                .failedToParse, "$lookup with a 'let' argument must also specify 'pipeline'")
        }
        var variables: [Variable] = []
        var elements = object.makeIterator()
        while let element = elements.next() {
            let name = element.nameString
            try ExpressionScope.checkUserName(name)
            // Values see the scope around, not each other.
            variables.append(
                Variable(name: name, value: try Expression.parse(element.value, scope)))
        }
        return variables
    }
}
