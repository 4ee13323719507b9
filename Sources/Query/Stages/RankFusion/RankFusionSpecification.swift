// $rankFusion: several ranked pipelines over one collection become one ranking (reciprocal rank
// fusion: a document's score is the sum of weight / (60 + rank) over the pipelines that give it).

internal import BSON

/// A compiled $rankFusion.
struct RankFusionSpecification: StagePlan {
    /// One ranked pipeline.
    struct Input: Sendable {
        let name: String
        let weight: Double
        let source: SubPipeline

        /// What the pipeline sorts by in the end; nil where documents don't show it (distances,
        /// scores): there no two share a rank.
        var order: SortPattern? {
            for case .sort(let pattern, _) in source.compiled.stages.reversed() {
                let isShown = pattern.parts.allSatisfy { part in
                    part.path.segments.first.map { !MetadataField.isOne($0.name.span.bytes) }
                        ?? false
                }
                return isShown ? pattern : nil
            }
            return nil
        }
    }

    /// In the order of their names.
    let inputs: [Input]
    /// Whether documents carry their score along, and how it came about.
    let carriesScore: Bool
    let carriesDetails: Bool

    /// Documents that are equal in an input's order have ranks by it.
    var dependsOnOrder: Bool { true }
    var multiplies: Bool { true }
    var foreign: [SubPipeline] { inputs.map(\.source) }

    func execution(_ next: StageExecution, _ resources: ExecutionResources) -> StageExecution {
        RankFusionStage(self, resources, next)
    }

    /// Compiles the argument; `carriesMetadata` says whether stages behind ask for scores.
    ///
    /// Throws 9 for another type; 14, 40413, 40414 and 40415 for the fields; 2 without pipelines;
    /// 9834300, 9191100 and 9191103 for pipelines that don't rank; 13118, 9460300, 9460301 and
    /// 9967500 for weights.
    static func parse(
        _ value: ValueView, _ scope: ExpressionScope, _ place: PipelinePlace,
        carriesMetadata: Bool
    ) throws(DBError) -> RankFusionSpecification {
        guard let object = value.document else {
            throw DBError(
                .failedToParse,
                "$rankFusion takes an object with 'input', not a value of type \(value.type.alias)")
        }
        try check(object, "$rankFusion", known: ["input", "combination", "scoreDetails"])
        let wantsDetails = try flag(object.value("scoreDetails"))
        let input = try required(object, "$rankFusion", "input")
        try check(input, "$rankFusion.input", known: ["pipelines"])
        let pipelines = try required(input, "$rankFusion.input", "pipelines")
        guard !pipelines.isEmpty else {
            throw DBError(.badValue, "$rankFusion needs at least one pipeline in input.pipelines")
        }
        let inner = try place.inside(place.kind == .command ? .rankFusion : place.kind)
        var sources: [(name: String, source: SubPipeline)] = []
        var elements = pipelines.makeIterator()
        while let element = elements.next() {
            let name = element.nameString
            try FacetSpecification.checkName(name)
            sources.append((name, try source(element.value, scope, inner)))
        }
        var weights: [String: Double] = [:]
        if let combination = try optional(object, "$rankFusion", "combination") {
            try check(combination, "$rankFusion.combination", known: ["weights"])
            let given = try required(combination, "$rankFusion.combination", "weights")
            weights = try self.weights(given, of: sources.map(\.name))
        }
        sources.sort { $0.name < $1.name }
        return RankFusionSpecification(
            inputs: sources.map {
                Input(name: $0.name, weight: weights[$0.name] ?? 1, source: $0.source)
            },
            carriesScore: carriesMetadata, carriesDetails: carriesMetadata && wantsDetails)
    }

    /// Whether `scoreDetails` asks for details.
    static func wantsDetails(_ value: ValueView) -> Bool {
        value.document?.value("scoreDetails")?.bool ?? false
    }

    // MARK: Pipelines

    private static func source(
        _ value: ValueView, _ scope: ExpressionScope, _ place: PipelinePlace
    ) throws(DBError) -> SubPipeline {
        guard let stages = value.array else {
            throw mismatch("$rankFusion.input.pipelines", value, "array")
        }
        guard stages.count <= PipelineParser.stagesMax else { throw PipelineParser.tooLong }
        guard !stages.isEmpty else {
            throw .location(
                9_834_300, "$rankFusion: an input pipeline is empty; it must rank documents")
        }
        var isRanked = false
        var strange: String?
        var elements = stages.makeIterator()
        while let element = elements.next() {
            guard let stage = element.value.document else {
                throw mismatch("$rankFusion.input.pipelines", element.value, "object")
            }
            guard let call = stage.first else { continue }
            let name = call.nameString
            isRanked = isRanked || ranking.contains(name)
            if !(selecting.contains(name) && !addsFields(call)), StageTable.isKnown(name) {
                strange = strange ?? name
            }
        }
        var inner = scope
        inner.metadata = []
        let own = scope.source ?? ForeignCollection(database: "", collection: "")
        if strange == "$rankFusion" || strange == "$scoreFusion" {
            throw .location(
                10_473_002, "$rankFusion: an input pipeline can't hold \(strange ?? "") itself")
        }
        let source = try SubPipeline(
            value.arrayValues ?? [], over: own, inner, place)
        guard isRanked else {
            throw .location(
                9_191_100,
                "$rankFusion: an input pipeline must begin with $geoNear or contain a $sort")
        }
        if let strange {
            throw .location(
                9_191_103,
                "$rankFusion: an input pipeline may only find, limit and order documents; "
                    + "\(strange) can't stand there")
        }
        return source
    }

    /// Stages that rank documents.
    private static let ranking: Set<String> = ["$sort", "$geoNear", "$search", "$vectorSearch"]
    /// Stages that leave documents as they are.
    private static let selecting: Set<String> = [
        "$match", "$sort", "$geoNear", "$limit", "$skip", "$sample", "$search", "$vectorSearch",
    ]

    /// Whether a $geoNear would change documents.
    private static func addsFields(_ call: ElementView) -> Bool {
        guard call.name.equals("$geoNear"), let object = call.value.document else { return false }
        return object.value("distanceField") != nil || object.value("includeLocs") != nil
    }

    // MARK: Weights

    private static func weights(
        _ given: DocumentView, of names: [String]
    ) throws(DBError) -> [String: Double] {
        guard given.count <= names.count else {
            throw .location(
                9_460_301, "$rankFusion: there are more weights than input pipelines")
        }
        var weights: [String: Double] = [:]
        var elements = given.makeIterator()
        while let element = elements.next() {
            let name = element.nameString
            guard let weight = element.value.anyDouble else {
                throw .location(
                    13118,
                    "$rankFusion: the weight of '\(name)' must be a number, not of type "
                        + element.value.type.alias)
            }
            guard weight >= 0 else {
                throw .location(
                    9_460_300, "$rankFusion: the weight of '\(name)' must be 0 or more")
            }
            guard names.contains(where: { $0.utf8.elementsEqual(name.utf8) }) else {
                throw .location(
                    9_967_500, "$rankFusion: a weight names no input pipeline: '\(name)'")
            }
            weights[name] = weight
        }
        return weights
    }

    // MARK: Fields

    private static func check(
        _ object: DocumentView, _ place: String, known: Set<String>
    ) throws(DBError) {
        var fields = StageFields(place)
        var elements = object.makeIterator()
        while let element = elements.next() { try fields.take(element, known: known) }
    }

    @_lifetime(copy object)
    private static func optional(
        _ object: DocumentView, _ place: String, _ name: StaticString
    ) throws(DBError) -> DocumentView? {
        guard let value = object.value(name), !value.isNullish else { return nil }
        guard let document = value.document else {
            throw mismatch("\(place).\(name)", value, "object")
        }
        return document
    }

    @_lifetime(copy object)
    private static func required(
        _ object: DocumentView, _ place: String, _ name: StaticString
    ) throws(DBError) -> DocumentView {
        guard let document = try optional(object, place, name) else {
            throw .location(
                40414, "BSON field '\(place).\(name)' is missing but a required field")
        }
        return document
    }

    private static func flag(_ value: ValueView?) throws(DBError) -> Bool {
        guard let value, !value.isNullish else { return false }
        guard let flag = value.bool else {
            throw mismatch("$rankFusion.scoreDetails", value, "bool")
        }
        return flag
    }

    private static func mismatch(
        _ place: String, _ value: ValueView, _ expected: String
    ) -> DBError {
        DBError(
            .typeMismatch,
            "BSON field '\(place)' is the wrong type '\(value.type.alias)', expected type "
                + "'\(expected)'")
    }
}
