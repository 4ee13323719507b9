// Pipelines inside stages: $lookup, $unionWith, $facet.
//
// A sub-pipeline of $lookup may use variables whose values come from the outer document. It is
// compiled once with the variables in slots, which finds its errors, and again with their values as
// constants for each outer document: so the planner of the other collection sees constants, and can
// use an index.

import BSON

/// Where a pipeline stands.
struct PipelinePlace: Sendable {
    /// What the pipeline belongs to.
    enum Kind: Sendable {
        case command
        case lookup
        case unionWith
        case facet
        case rankFusion
    }

    var kind = Kind.command
    /// Whether a $facet lies around, at whatever distance.
    var isInFacet = false
    /// How many pipelines lie around.
    var depth = 0

    /// Most pipelines inside each other, as in MongoDB.
    static let depthMax = 20

    /// A place inside this one.
    func inside(_ kind: Kind) throws(DBError) -> PipelinePlace {
        guard depth < Self.depthMax else {
            throw DBError(
                DBError.Code(rawValue: 232),
                "Maximum number of nested sub-pipelines exceeded. Limit is \(Self.depthMax)")
        }
        return PipelinePlace(
            kind: kind, isInFacet: isInFacet || kind == .facet, depth: depth + 1)
    }

    /// Stages that can't stand inside $facet.
    private static let notInFacet: Set<String> = [
        "$changeStream", "$changeStreamSplitLargeEvent", "$collStats", "$currentOp", "$documents",
        "$facet", "$geoNear", "$indexStats", "$listCatalog", "$listClusterCatalog",
        "$listLocalSessions", "$listSampledQueries", "$listSearchIndexes", "$merge", "$out",
        "$planCacheStats", "$querySettings", "$queryStats", "$search", "$searchMeta",
        "$shardedDataDistribution", "$vectorSearch",
    ]

    private static func onlyOnDatabase(_ stage: String) -> DBError {
        DBError(
            .invalidNamespace, "\(stage) must be run against the database with {aggregate: 1}")
    }

    /// Checks that a stage may stand here.
    ///
    /// `isOnDatabase`: whether the command is about a database and no collection.
    /// Throws 40600 in $facet, 51047 in $lookup, 31441 in $unionWith.
    func check(_ stage: String, isOnDatabase: Bool) throws(DBError) {
        let writes = stage == "$out" || stage == "$merge"
        let isFollowed = stage.hasPrefix("$changeStream")
        if kind == .lookup, writes || isFollowed {
            throw .location(51047, "\(stage) is not allowed within a $lookup's sub-pipeline")
        }
        if kind == .unionWith, writes || isFollowed {
            throw .location(31441, "\(stage) is not allowed within a $unionWith's sub-pipeline")
        }
        if stage == "$listLocalSessions", kind == .facet, !isOnDatabase {
            throw Self.onlyOnDatabase(stage)
        }
        if isInFacet, Self.notInFacet.contains(stage), kind == .facet || stage != "$documents" {
            throw .location(40600, "\(stage) is not allowed to be used within a $facet stage")
        }
        let listsLocally = stage == "$listLocalSessions" || stage == "$currentOp"
        if listsLocally, kind == .lookup || kind == .unionWith {
            throw Self.onlyOnDatabase(stage)
        }
        if stage == "$listSessions", kind == .facet {
            throw DBError(
                .invalidNamespace, "$listSessions must be run against config.system.sessions")
        }
    }
}

/// A pipeline over another collection, and what is needed to compile it.
struct SubPipeline: Sendable {
    /// The collection; nil where the stages make their own documents.
    let collection: ForeignCollection?
    /// The stages as given, behind those of the views on the way.
    private let stages: [Value]
    /// The scope around, without variables in slots.
    private let scope: ExpressionScope
    private let place: PipelinePlace
    /// The pipeline with its variables in slots: to be run only where there are none.
    let compiled: Pipeline
    /// Whether the stages begin with those of a view.
    let hasViewStages: Bool

    /// Compiles `stages`, which may use `variables`.
    init(
        _ stages: [Value], over collection: ForeignCollection?, variables: [String] = [],
        _ scope: ExpressionScope, _ place: PipelinePlace
    ) throws(DBError) {
        let viewStages = collection?.viewStages ?? []
        self.collection = collection
        self.stages = viewStages + stages
        self.place = place
        hasViewStages = !viewStages.isEmpty
        var inner = scope
        if collection != nil { inner.source = collection }
        for name in variables {
            inner.constants[name] = nil
            inner.slots[name] = (inner.slots.values.max() ?? -1) + 1
        }
        var outer = scope
        outer.slots = [:]
        outer.source = inner.source
        self.scope = outer
        compiled = try Self.compile(self.stages, inner, place)
    }

    /// Compiles the pipeline with the values of its variables (nil for no value), and with
    /// `condition` as a $match before the given stages.
    func pipeline(
        binding variables: [(name: String, value: OwnedValue?)], condition: Document?
    ) throws(DBError) -> Pipeline {
        var scope = scope
        for (name, value) in variables {
            scope.constants[name] = value ?? OwnedValue(.undefined)
        }
        guard let condition else { return try Self.compile(stages, scope, place) }
        let viewCount = collection?.viewStages.count ?? 0
        let match: Value = ["$match": .document(condition)]
        return try Self.compile(
            Array(stages[..<viewCount]) + [match] + stages[viewCount...], scope, place)
    }

    private static func compile(
        _ stages: [Value], _ scope: ExpressionScope, _ place: PipelinePlace
    ) throws(DBError) -> Pipeline {
        let list = OwnedValue(.array(stages))
        var parser = PipelineParser(scope, place)
        return try parser.parse(DocumentView(list.view.bytes))
    }
}

extension ExpressionScope {
    /// The collection that a stage names.
    func collection(
        _ name: String, database: String? = nil
    ) throws(DBError) -> ForeignCollection {
        guard let collections else {
            return ForeignCollection(database: database ?? "", collection: name)
        }
        return try collections.resolve(database: database, collection: name)
    }
}

extension ValueView {
    /// The elements of an array, copied; nil for other types.
    var arrayValues: [Value]? {
        guard let array else { return nil }
        var values: [Value] = []
        var elements = array.makeIterator()
        while let element = elements.next() { values.append(Value(element.value)) }
        return values
    }
}
