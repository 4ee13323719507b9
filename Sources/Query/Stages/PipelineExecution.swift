// Running a pipeline: push documents in, take results out.
//
//     let execution = PipelineExecution(pipeline)
//     while let document = …, try execution.push(document, arrayPosition: nil) {}
//     try execution.finish()
//     while try execution.withNext({ … }) != nil { execution.removeFirst() }
//
// Results may be taken between pushes; behind a blocking stage they appear after `finish`, a few at
// a time as they are taken.

package import BSON

/// A pipeline at work on one stream of documents. Confined to one thread at a time.
package final class PipelineExecution {
    let stages: [StageExecution]
    /// Where documents go in: the first stage, or the sink.
    private let entrance: StageExecution
    private let sink: ResultSink
    private let documents: Expression?
    /// What is run, for twins.
    private let pipeline: Pipeline
    private let resources: ExecutionResources
    private let skipped: Int
    /// How many stages may have twins; nil where none may.
    let partStageCount: Int?
    var interrupts: InterruptMeter
    /// The first stage that may have results to drain; nil until the input has ended.
    private var draining: Int?

    /// Starts a pipeline.
    ///
    /// `skippingLeading` leaves out the leading stages that the caller has done itself
    /// (`Pipeline.leading.stageCount`).
    package convenience init(
        _ pipeline: Pipeline, skippingLeading count: Int = 0,
        _ resources: ExecutionResources = ExecutionResources()
    ) {
        self.init(
            pipeline, skippingLeading: count, stageCount: pipeline.stages.count - count, resources)
    }

    /// The first `stageCount` stages of those that another execution runs.
    convenience init(
        twinOf other: PipelineExecution, stageCount: Int, memoryBytesMax: Int,
        _ foreign: (any ForeignReader)?
    ) {
        var resources = ExecutionResources()
        resources.interrupt = other.resources.interrupt
        resources.foreign = foreign
        resources.memoryBytesMax = memoryBytesMax
        self.init(
            other.pipeline, skippingLeading: other.skipped, stageCount: stageCount, resources)
    }

    private init(
        _ pipeline: Pipeline, skippingLeading count: Int, stageCount: Int,
        _ resources: ExecutionResources
    ) {
        self.pipeline = pipeline
        self.resources = resources
        skipped = count
        partStageCount = pipeline.partStageCount(after: count)
        interrupts = InterruptMeter(resources.interrupt)
        let sink = ResultSink(resultBytesMax: resources.resultBytesMax)
        var chain: [StageExecution] = []
        var next: StageExecution = sink
        var resources = resources
        let run = pipeline.stages.enumerated().dropFirst(count).prefix(stageCount)
        for (index, stage) in run.reversed() {
            resources.place = (pipeline, index + 1)
            next = stage.execution(next, resources)
            chain.append(next)
        }
        stages = chain.reversed()
        entrance = next
        self.sink = sink
        documents = pipeline.documents
    }

    /// Takes a document, lent for the call; `arrayPosition` is what the filter found, for a
    /// positional projection. False: no further document changes the result, so stop scanning and
    /// call `finish`.
    package func push(_ document: DocumentView, arrayPosition: Int?) throws(DBError) -> Bool {
        try entrance.push(document, arrayPosition: arrayPosition)
    }

    /// The input has ended: blocking stages begin to hand on. Further calls do nothing.
    package func finish() throws(DBError) {
        guard draining == nil else { return }
        if let documents { try pushDocuments(documents) }
        draining = 0
        try stages.first?.endInput()
        try drain()
    }

    /// Results ready to be taken without more work.
    package var readyCount: Int { sink.count }

    /// Whether the input has ended and every result was taken.
    package var isExhausted: Bool {
        sink.count == 0 && draining == stages.count
    }

    /// Lends the next result; nil if there is none (before `finish`: none yet). The result stays
    /// first until `removeFirst`.
    package func withNext<Result>(
        _ body: (DocumentView) throws(DBError) -> Result
    ) throws(DBError) -> Result? {
        if sink.count == 0 { try drain() }
        return try sink.withFirst(body)
    }

    /// Takes the result that `withNext` lent off.
    package func removeFirst() {
        sink.removeFirst()
    }

    /// Bytes held by blocking stages and results that wait.
    package var memoryBytes: Int {
        stages.reduce(sink.memoryBytes) { $0 + $1.memoryBytes }
    }

    /// Moves results of blocking stages to the sink until a chunk is ready.
    private func drain() throws(DBError) {
        guard var index = draining else { return }
        defer { draining = index }
        while index < stages.count, sink.writer.count < Self.chunkBytes {
            try interrupts.spend(16)
            if try stages[index].drainOne() { continue }
            index += 1
            if index < stages.count { try stages[index].endInput() }
        }
    }

    /// How many bytes of results are made ahead.
    private static let chunkBytes = 64 * 1024

    /// The source of a pipeline that begins with $documents.
    private func pushDocuments(_ expression: Expression) throws(DBError) {
        var context = EvaluationContext(interrupts.interrupt)
        let empty = Document()
        let value = try expression.evaluate(empty.view, &context)
        guard value.isType(.array) else {
            throw .location(
                5_858_203,
                "an array is expected by $documents, found: "
                    + value.typeName)
        }
        var elements = value.nested.makeIterator()
        while let element = elements.next() {
            guard let document = element.value.document else {
                throw .location(
                    40228,
                    "'newRoot' expression must evaluate to an object, but resulting value "
                        + "was of type: \(element.value.type.alias)")
            }
            guard try push(document, arrayPosition: nil) else { return }
        }
    }
}
