// The stages that look at one document at a time: $match, $project and its kin, $skip, $limit,
// $replaceRoot; and $count, which keeps a number.

import BSON

/// $match.
final class MatchStage: StageExecution {
    private let filter: Filter
    private var scratch: MatchScratch

    init(_ filter: Filter, _ interrupt: Interrupt?, _ next: StageExecution) {
        self.filter = filter
        scratch = MatchScratch(interrupt)
        super.init(next)
    }

    override func push(_ document: DocumentView, arrayPosition: Int?) throws(DBError) -> Bool {
        guard try filter.matches(document, &scratch) else { return true }
        return try passOn(document, arrayPosition: scratch.arrayPosition)
    }
}

/// $project, $addFields, $set, $unset and find's projection.
final class ProjectStage: StageExecution {
    private let projection: Projection
    private var context: EvaluationContext
    private var writer = DocumentWriter()
    /// The next stage if it is the end: then results are written where they will lie.
    private let sink: ResultSink?

    init(_ projection: Projection, _ interrupt: Interrupt?, _ next: StageExecution) {
        self.projection = projection
        context = EvaluationContext(interrupt)
        sink = next as? ResultSink
        super.init(next)
    }

    override func push(_ document: DocumentView, arrayPosition: Int?) throws(DBError) -> Bool {
        if let sink {
            try sink.append { writer throws(DBError) in
                try projection.apply(
                    document, arrayPosition: arrayPosition, into: &writer, &context)
            }
            return true
        }
        writer.removeAll()
        try projection.apply(document, arrayPosition: arrayPosition, into: &writer, &context)
        let bytes = writer.bytes
        return try passOn(DocumentView(bytes.span.bytes), arrayPosition: arrayPosition)
    }
}

/// $skip.
final class SkipStage: StageExecution {
    private var left: Int

    init(_ count: Int, _ next: StageExecution) {
        left = count
        super.init(next)
    }

    override func push(_ document: DocumentView, arrayPosition: Int?) throws(DBError) -> Bool {
        if left > 0 {
            left -= 1
            return true
        }
        return try passOn(document, arrayPosition: arrayPosition)
    }
}

/// $limit.
final class LimitStage: StageExecution {
    private var left: Int

    init(_ count: Int, _ next: StageExecution) {
        left = count
        super.init(next)
    }

    override func push(_ document: DocumentView, arrayPosition: Int?) throws(DBError) -> Bool {
        guard left > 0 else { return false }
        left -= 1
        let wantsMore = try passOn(document, arrayPosition: arrayPosition)
        return wantsMore && left > 0
    }
}

/// $replaceRoot and $replaceWith.
final class ReplaceRootStage: StageExecution {
    private let root: Expression
    private var context: EvaluationContext

    init(_ root: Expression, _ interrupt: Interrupt?, _ next: StageExecution) {
        self.root = root
        context = EvaluationContext(interrupt)
        super.init(next)
    }

    override func push(_ document: DocumentView, arrayPosition: Int?) throws(DBError) -> Bool {
        let value = try root.evaluate(document, &context)
        let replacement = try Self.document(value)
        return try passOn(replacement, arrayPosition: nil)
    }

    /// The document that a new root must be; 40228 for anything else.
    @_lifetime(immortal)
    static func document(_ value: ValueRef) throws(DBError) -> DocumentView {
        guard value.isType(.document) else {
            throw .location(
                40228,
                "'newRoot' expression must evaluate to an object, but resulting value was "
                    + "of type: \(value.typeName)")
        }
        return value.nested
    }
}

/// $count.
final class CountStage: StageExecution {
    private let name: String
    private var count = 0

    init(_ name: String, _ next: StageExecution) {
        self.name = name
        super.init(next)
    }

    override func push(_ document: DocumentView, arrayPosition: Int?) throws(DBError) -> Bool {
        count += 1
        return true
    }

    override var takesParts: Bool { true }

    override func append(_ later: StageExecution) throws(DBError) -> Bool {
        guard let later = later as? CountStage else { return false }
        count += later.count
        return true
    }

    /// An empty input gives no document.
    override func drainOne() throws(DBError) -> Bool {
        guard count > 0 else { return false }
        let result = Document { writer in
            if let small = Int32(exactly: count) {
                writer.append(name, small)
            } else {
                writer.append(name, Int64(count))
            }
        }
        count = 0
        _ = try passOn(result.view, arrayPosition: nil)
        return true
    }
}
