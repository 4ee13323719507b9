// $lookup.
//
// Joins by equality alone take many documents at once (JoinBatch). In others, for each document the
// condition on the other collection is made of the values at the local field ({$eq: value},
// {$in: elements} for an array) and the variables of `let`. Documents with the same values as the
// one before get the same result without a read, which for a pipeline that depends on nothing is
// all of them.
//
// Batches grow from one document to many, so that a query that wants few results joins few. While
// one batch is handed on, the next is filled: at least two leave for each that comes, and more as
// long as they are small, so that large joins are laid out few at a time. Of documents that are
// joined in batches only what the stages behind read is kept (LookupNeeds).

import BSON

final class LookupStage: StageExecution {
    private let specification: LookupSpecification
    private let resources: ExecutionResources
    private var context: EvaluationContext
    private var batch = DocumentBatch()
    /// The joined documents as an array; what they belong to.
    private var joined = DocumentWriter()
    private var joinedInputs: [UInt8]?
    private var inputs = DocumentWriter()
    private var writer = DocumentWriter()

    /// Documents that wait to be joined; nil where each is joined when it comes.
    private var waiting: JoinBatch?
    /// How many may wait.
    private var waitingMax = 1
    /// Documents that are joined, and how many of them are handed on.
    private var leaving: JoinBatch?
    private var leftCount = 0
    /// Whether no document has to come any more.
    private var isInputEnded = false

    /// Most bytes of documents joined to one, as in MongoDB.
    static let joinedBytesMax = 100 * 1024 * 1024
    /// How many bytes of results are handed on for one document that comes.
    private static let leavingBytes = 256 * 1024

    init(
        _ specification: LookupSpecification, _ resources: ExecutionResources,
        _ next: StageExecution
    ) {
        self.specification = specification
        self.resources = resources
        context = EvaluationContext(resources.interrupt)
        let needs = LookupNeeds(
            specification.output, specification.equality, resources.place)
        waiting = JoinBatch(specification, needs)
        leaving = JoinBatch(specification, needs)
        super.init(next)
    }

    override var memoryBytes: Int {
        joined.count + batch.byteCount + (waiting?.byteCount ?? 0) + (leaving?.byteCount ?? 0)
    }

    override func push(_ document: DocumentView, arrayPosition: Int?) throws(DBError) -> Bool {
        guard waiting != nil, let equality = specification.equality else {
            return try joinAlone(document)
        }
        if let value = LookupCondition.scalar(at: equality.localField, in: document),
            JoinBatch.isPlain(value)
        {
            waiting?.append(document, value)
        } else {
            waiting?.append(document)
        }
        guard try passLeaving(atLeast: 2) else { return false }
        guard let count = waiting?.count, let isFull = waiting?.isFull else { return true }
        guard isFull || count >= waitingMax, leftCount == leaving?.count else { return true }
        waitingMax = min(2 * waitingMax, JoinBatch.documentsMax)
        try joinWaiting()
        return try passLeaving(atLeast: 1)
    }

    override func endInput() throws(DBError) {
        isInputEnded = true
    }

    override func drainOne() throws(DBError) -> Bool {
        guard isInputEnded, waiting != nil else { return false }
        if leftCount == leaving?.count {
            guard let count = waiting?.count, count > 0 else { return false }
            try joinWaiting()
        }
        guard try passNext() else {
            waiting?.removeAll()
            leaving?.removeAll()
            leftCount = 0
            return false
        }
        return true
    }

    // MARK: Many at once

    /// Reads what belongs to the documents that wait, which then leave.
    private func joinWaiting() throws(DBError) {
        swap(&waiting, &leaving)
        waiting?.removeAll()
        leftCount = 0
        guard let condition = leaving?.filter else { return }
        leaving?.beginForeign()
        let source = specification.source
        let pipeline = try filtered(source.compiled, condition)
        var isTooMuch = false
        try resources.forEach(source.collection, pipeline, &batch) { document throws(DBError) in
            isTooMuch = try leaving?.take(foreign: document) == false
            return !isTooMuch
        }
        if isTooMuch { leaving?.separate() }
    }

    /// Hands on so many joined documents, more while they are small.
    private func passLeaving(atLeast count: Int) throws(DBError) -> Bool {
        var count = count
        var bytes = 0
        while leftCount < leaving?.count ?? 0, count > 0 || bytes < Self.leavingBytes {
            guard try passNext() else { return false }
            count -= 1
            bytes += writer.count
        }
        return true
    }

    /// Hands on the next joined document.
    private func passNext() throws(DBError) -> Bool {
        let index = leftCount
        leftCount += 1
        // Out of its place, so that what follows may use it.
        guard let local = leaving?.local else { return true }
        guard let value = leaving?.value(of: index) else { return try joinAlone(local[index]) }
        joinedInputs = nil
        joined.removeAll()
        let start = joined.openDocument()
        leaving?.write(joinedTo: value, into: &joined)
        joined.close(start)
        return try passJoined(to: local[index])
    }

    /// Hands a document on with the array in `joined`.
    private func passJoined(to document: DocumentView) throws(DBError) -> Bool {
        writer.removeAll()
        let array = joined.bytes
        writer.write(
            document, setting: specification.output, to: ValueRef(.array, array.span.bytes))
        let bytes = writer.bytes
        return try passOn(DocumentView(bytes.span.bytes), arrayPosition: nil)
    }

    // MARK: One by one

    private func joinAlone(_ document: DocumentView) throws(DBError) -> Bool {
        inputs.removeAll()
        let inputsStart = inputs.openDocument()
        let condition = try specification.equality.map { equality throws(DBError) in
            try LookupCondition.document(
                equality, document, collation: specification.collation)
        }
        if let condition { inputs.append("", condition) }
        let variables = try values(for: document)
        inputs.close(inputsStart)
        if joinedInputs != inputs.bytes {
            joinedInputs = nil
            try read(condition, variables)
            joinedInputs = inputs.bytes
        }
        return try passJoined(to: document)
    }

    /// The values of `let`, which are added to the inputs.
    private func values(
        for document: DocumentView
    ) throws(DBError) -> [(name: String, value: OwnedValue?)] {
        if specification.variables.isEmpty { return [] }
        context.begin(document)
        var values: [(name: String, value: OwnedValue?)] = []
        for variable in specification.variables {
            let value = try variable.value.evaluate(in: &context)
            values.append(
                (variable.name, value.isMissing ? nil : OwnedValue(copying: value.view)))
            if !value.isMissing { inputs.append(variable.name, value.view) }
        }
        return values
    }

    /// Reads the documents to join.
    private func read(
        _ condition: Document?, _ variables: [(name: String, value: OwnedValue?)]
    ) throws(DBError) {
        let source = specification.source
        let pipeline = try pipeline(condition, variables)
        joined.removeAll()
        let start = joined.openDocument()
        var index = 0
        try resources.forEach(source.collection, pipeline, &batch) { document throws(DBError) in
            joined.append(index: index, ValueView(type: .document, bytes: document.bytes))
            index += 1
            guard joined.count <= Self.joinedBytesMax else { throw tooLarge }
            return true
        }
        joined.close(start)
    }

    private func pipeline(
        _ condition: Document?, _ variables: [(name: String, value: OwnedValue?)]
    ) throws(DBError) -> Pipeline {
        let source = specification.source
        if variables.isEmpty {
            guard let condition else { return source.compiled }
            if !source.hasViewStages, !source.compiled.isCollectionless {
                return try filtered(source.compiled, condition)
            }
        }
        return try source.pipeline(binding: variables, condition: condition)
    }

    /// A pipeline over the documents that match a condition.
    private func filtered(
        _ pipeline: Pipeline, _ condition: Document
    ) throws(DBError) -> Pipeline {
        var options = FilterOptions()
        options.collation = specification.collation
        return pipeline.preceded(by: try Filter.parse(condition.view, options))
    }

    private var tooLarge: DBError {
        .location(
            4568,
            "Total size of documents in \(specification.source.collection?.collection ?? "") "
                + "matching pipeline's $lookup stage exceeds \(Self.joinedBytesMax) bytes")
    }
}

/// What documents of the other collection must match to be joined by equality.
enum LookupCondition {
    /// The filter for the values at the local field of `document`.
    ///
    /// Missing, null and an empty array match missing and null; an array matches what any element
    /// does; a regular expression matches itself only.
    static func document(
        _ equality: LookupSpecification.Equality, _ document: DocumentView, collation: Collation?
    ) throws(DBError) -> Document {
        if let value = scalar(at: equality.localField, in: document) {
            return condition(equality.foreignField, value)
        }
        var values = DistinctValues(equality.localField, collation: collation)
        try values.add(document)
        guard values.count > 0 else { return condition(equality.foreignField, .null) }
        var writer = DocumentWriter()
        let start = writer.openDocument()
        values.write(into: &writer)
        writer.close(start)
        return self.document(equality.foreignField, anyOf: writer.bytes)
    }

    /// A value on a path through objects alone that is no array; nil for any other case.
    @_lifetime(copy document)
    static func scalar(at path: FieldPath, in document: DocumentView) -> ValueView? {
        var level = document
        for (index, segment) in path.segments.enumerated() {
            guard let value = level.value(segment.name.span.bytes) else { return nil }
            if index == path.segments.count - 1 { return value.type == .array ? nil : value }
            guard let inner = value.document else { return nil }
            level = inner
        }
        return nil
    }

    private static func condition(_ path: FieldPath, _ value: ValueView) -> Document {
        Document { writer in
            let inner = writer.openDocument(path.dotted)
            writer.append("$eq", value)
            writer.close(inner)
        }
    }

    /// The filter for documents that have one of the values of an array at `path`.
    static func document(_ path: FieldPath, anyOf bytes: [UInt8]) -> Document {
        let values = DocumentView(bytes.span.bytes)
        var hasPattern = false
        var elements = values.makeIterator()
        while let element = elements.next() {
            if element.value.type == .regex { hasPattern = true }
        }
        return Document { writer in
            guard hasPattern else {
                let inner = writer.openDocument(path.dotted)
                writer.append("$in", ValueView(type: .array, bytes: values.bytes))
                writer.close(inner)
                return
            }
            // In $in a regular expression would be a pattern.
            let list = writer.openArray("$or")
            var elements = values.makeIterator()
            var index = 0
            while let element = elements.next() {
                let one = condition(path, element.value)
                writer.append(index: index, .document(one))
                index += 1
            }
            writer.close(list)
        }
    }
}
