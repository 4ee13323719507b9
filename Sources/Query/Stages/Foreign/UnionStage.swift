// $unionWith: behind the documents of the input come those of another pipeline.

import BSON

/// A compiled $unionWith.
struct UnionSpecification: StagePlan {
    let source: SubPipeline

    var multiplies: Bool { true }
    var needs: StageNeeds { .everything }
    var foreign: [SubPipeline] { [source] }

    func execution(_ next: StageExecution, _ resources: ExecutionResources) -> StageExecution {
        UnionStage(source, resources, next)
    }

    /// Compiles the argument: a collection's name, or `{coll, pipeline}`.
    ///
    /// Throws 9 for another type and where `coll` is missing, 14, 40413 and 40415 for the fields.
    static func parse(
        _ value: ValueView, _ scope: ExpressionScope, _ place: PipelinePlace
    ) throws(DBError) -> UnionSpecification {
        let inner = try place.inside(.unionWith)
        if let name = value.string {
            return UnionSpecification(
                source: try SubPipeline([], over: try scope.collection(name), scope, inner))
        }
        guard let object = value.document else {
            throw DBError(
                .failedToParse,
                "the $unionWith stage specification must be an object or string, but found "
                    + value.type.alias)
        }
        var fields = StageFields("$unionWith")
        var elements = object.makeIterator()
        while let element = elements.next() {
            try fields.take(element, known: ["coll", "pipeline", "db"])
        }
        let stages = try stages(object.value("pipeline"))
        let database = try fields.string("db", in: object)
        var collection: ForeignCollection?
        if let name = try fields.string("coll", in: object) {
            collection = try scope.collection(name, database: database)
        }
        let source = try SubPipeline(stages, over: collection, scope, inner)
        guard collection != nil || source.compiled.isCollectionless else {
            throw DBError(
                .failedToParse,
                "$unionWith needs 'coll'; only a pipeline that begins with $documents does "
                    + "without it")
        }
        return UnionSpecification(source: source)
    }

    private static func stages(_ value: ValueView?) throws(DBError) -> [Value] {
        guard let value, !value.isNullish else { return [] }
        guard let stages = value.arrayValues else {
            throw DBError(
                .typeMismatch,
                "BSON field '$unionWith.pipeline' is the wrong type '\(value.type.alias)', "
                    + "expected type 'array'")
        }
        return stages
    }
}

/// $unionWith at work.
final class UnionStage: StageExecution {
    private let source: SubPipeline
    private let resources: ExecutionResources
    private var cursor: (any ForeignCursor)?
    private var batch = DocumentBatch()
    private var position = 0
    private var isExhausted = false

    init(_ source: SubPipeline, _ resources: ExecutionResources, _ next: StageExecution) {
        self.source = source
        self.resources = resources
        super.init(next)
    }

    override var memoryBytes: Int { batch.byteCount }

    override func endInput() throws(DBError) {
        cursor = try resources.open(source.collection, source.compiled)
    }

    override func drainOne() throws(DBError) -> Bool {
        while position == batch.count {
            guard let cursor, !isExhausted else { return false }
            batch.removeAll()
            position = 0
            isExhausted = try !cursor.next(into: &batch)
        }
        position += 1
        let batch = batch
        if try !passOn(batch[position - 1], arrayPosition: nil) {
            cursor = nil
            position = batch.count
        }
        return true
    }
}
