// Parsing pipelines: the stage table, the frame's errors, and the merges that change no result.

import BSON

struct PipelineParser {
    var scope: ExpressionScope
    /// Where the pipeline stands.
    let place: PipelinePlace
    private var documents: Expression?
    private var destination: PipelineDestination?
    /// The conditions of adjacent $match stages, not yet compiled.
    private var pendingFilters: [Document] = []
    private var stages: [PipelineStage] = []

    /// Whether a stage asks for the score of $rankFusion, or how it came about.
    private(set) var mentionsScores = false
    /// The position of the last stage that asks for metadata; -1 where none does.
    private var lastMention = -1
    /// Whether a stage asks for the values that documents were sorted by.
    private(set) var mentionsSortKey = false

    /// Most stages of a pipeline, as in MongoDB.
    static let stagesMax = 1000

    /// The error for more stages.
    static var tooLong: DBError {
        .location(7_749_501, "Pipeline length must be no longer than \(stagesMax) stages")
    }

    init(_ scope: ExpressionScope, _ place: PipelinePlace = PipelinePlace()) {
        self.scope = scope
        self.place = place
    }

    mutating func parse(_ list: DocumentView) throws(DBError) -> Pipeline {
        let count = list.count
        guard count <= Self.stagesMax else { throw Self.tooLong }
        try checkFrame(list, count)
        lastMention = Self.lastMention(in: list)
        mentionsScores = list.mentionsMeta("score")
        mentionsSortKey = list.mentionsMeta("sortKey")
        var elements = list.makeIterator()
        var position = 0
        while let element = elements.next() {
            guard let stage = element.value.document, let call = stage.first else { continue }
            try parseStage(call, position: position)
            position += 1
        }
        try flushFilters()
        let carriesScores = mentionsScores && scope.metadata.contains(.score)
        let isPart = place.kind == .facet && !scope.metadata.isEmpty
        if isPart || carriesScores || mentionsSortKey && scope.metadata.contains(.sortKey) {
            stages.append(.other(StagePlanBox(plan: MetadataRemoval())))
        }
        return Pipeline(
            StageMerging.merged(stages), documents: documents, destination: destination,
            collation: scope.collation)
    }

    /// Each stage is an object of one field with a stage's name, in a place where it may stand.
    private func checkFrame(_ list: DocumentView, _ count: Int) throws(DBError) {
        var elements = list.makeIterator()
        while let element = elements.next() {
            guard let stage = element.value.document else {
                throw DBError(
                    .typeMismatch, "Each element of the 'pipeline' array must be an object")
            }
            guard stage.count == 1, let call = stage.first else {
                throw .location(
                    40323, "A pipeline stage specification object must contain exactly one field.")
            }
            let name = call.nameString
            guard StageTable.isKnown(name) else {
                throw .location(40324, "Unrecognized pipeline stage name: '\(name)'")
            }
        }
    }

    private mutating func parseStage(_ call: ElementView, position: Int) throws(DBError) {
        let name = call.nameString
        try place.check(
            name, isOnDatabase: scope.source?.collection == ForeignCollection.ofDatabase)
        if position > 0, StageTable.mustBeFirst.contains(name) {
            throw .location(
                StageTable.notFirstCodes[name] ?? 40602,
                "\(name) is only valid as the first stage in a pipeline")
        }
        // A destination ends the pipeline.
        if let destination {
            throw .location(
                40601, "\(destination.stageName) can only be the final stage in the pipeline")
        }
        guard let row = StageTable.rows[name] else {
            throw DBError(
                .commandNotSupported,
                "Roost does not have the stage \(name) yet"
                    + (StageTable.instead[name].map { "; \($0)" } ?? ""))
        }
        if name == "$match" {
            guard let condition = call.value.document else {
                throw .location(
                    15959, "the match filter must be an expression in an object")
            }
            if position > 0, condition.value("$text") != nil {
                throw .location(
                    17313, "$match with $text is only allowed as the first pipeline stage")
            }
            pendingFilters.append(Document(copying: condition))
            return
        }
        try flushFilters()
        for stage in try row.parse(call.value, &self) {
            let isAskedLater = position < lastMention && !scope.metadata.isEmpty
            stages.append(isAskedLater ? MetadataCarriage.around(stage) : stage)
        }
    }

    /// The position of the last stage that asks for metadata; -1 where none does.
    private static func lastMention(in list: DocumentView) -> Int {
        var last = -1
        var elements = list.makeIterator()
        var position = 0
        while let element = elements.next() {
            if element.value.document?.mentionsMeta("") == true { last = position }
            position += 1
        }
        return last
    }

    /// Compiles adjacent $match stages as one conjunction.
    private mutating func flushFilters() throws(DBError) {
        guard let first = pendingFilters.first else { return }
        // Each is checked alone first, so that errors are about what was written.
        var filter = try FilterHook.parse(first.view, scope)
        if pendingFilters.count > 1 {
            for other in pendingFilters.dropFirst() {
                _ = try FilterHook.parse(other.view, scope)
            }
            let all = Document { writer in
                let start = writer.openArray("$and")
                for (index, condition) in pendingFilters.enumerated() {
                    writer.append(index: index, .document(condition))
                }
                writer.close(start)
            }
            filter = try FilterHook.parse(all.view, scope)
        }
        for condition in pendingFilters {
            filter = try ImpliedEqualities.added(to: filter, condition.view, scope)
        }
        pendingFilters = []
        scope.metadata.formUnion(filter.metadata)
        stages.append(.match(filter))
    }

    /// Sets the source of a collectionless pipeline.
    mutating func setDocuments(_ expression: Expression) {
        documents = expression
    }

    /// Sets where the results go.
    mutating func setDestination(_ destination: PipelineDestination) {
        self.destination = destination
    }
}
