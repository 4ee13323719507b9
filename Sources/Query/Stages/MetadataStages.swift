// Stages between those that a client gives: what documents carry beside their fields is laid behind
// them where a `{$meta: …}` asks for it, and taken off at the end.

import BSON

/// Adds the values that a document was sorted by, for `{$meta: "sortKey"}`.
struct SortKeyAddition: StagePlan {
    private let pattern: SortPattern

    /// The stage behind a sort by `pattern`.
    static func stage(_ pattern: SortPattern) -> PipelineStage {
        .other(StagePlanBox(plan: SortKeyAddition(pattern: pattern)))
    }

    func execution(_ next: StageExecution, _ resources: ExecutionResources) -> StageExecution {
        Stage(pattern, next)
    }

    private final class Stage: StageExecution {
        private let pattern: SortPattern
        private var writer = DocumentWriter()

        init(_ pattern: SortPattern, _ next: StageExecution) {
            self.pattern = pattern
            super.init(next)
        }

        override func push(_ document: DocumentView, arrayPosition: Int?) throws(DBError) -> Bool {
            writer.removeAll()
            let start = writer.openDocument()
            var elements = document.makeIterator()
            // The key of a sort before this one is of no interest any more.
            while let element = elements.next() {
                if !MetadataField.isSortKey(element.name) { writer.append(element) }
            }
            try pattern.appendValues(of: document, named: MetadataField.sortKey, to: &writer)
            writer.close(start)
            let bytes = writer.bytes
            return try passOn(DocumentView(bytes.span.bytes), arrayPosition: arrayPosition)
        }
    }
}

/// Keeps what documents carry beside their fields, over a stage that makes others of them.
struct MetadataCarriage: StagePlan {
    private let stage: PipelineStage

    /// The stage, so that it keeps metadata.
    static func around(_ stage: PipelineStage) -> PipelineStage {
        switch stage {
        case .project, .replaceRoot: .other(StagePlanBox(plan: MetadataCarriage(stage: stage)))
        default: stage
        }
    }

    var isPerDocument: Bool { true }

    func execution(_ next: StageExecution, _ resources: ExecutionResources) -> StageExecution {
        let after = After(next)
        return Before(after, stage.execution(after, resources))
    }

    /// Puts the metadata of the document under way behind what the stage makes of it.
    private final class After: StageExecution {
        /// The bytes of the fields.
        var metadata = DocumentWriter()
        private var writer = DocumentWriter()

        override func push(_ document: DocumentView, arrayPosition: Int?) throws(DBError) -> Bool {
            writer.removeAll()
            let start = writer.openDocument()
            MetadataField.append(of: document, areCarried: false, to: &writer)
            let carried = metadata.bytes
            writer.appendFields(of: DocumentView(carried.span.bytes))
            writer.close(start)
            let bytes = writer.bytes
            return try passOn(DocumentView(bytes.span.bytes), arrayPosition: arrayPosition)
        }
    }

    /// Takes note of a document's metadata.
    private final class Before: StageExecution {
        private let after: After

        init(_ after: After, _ stage: StageExecution) {
            self.after = after
            super.init(stage)
        }

        override func push(_ document: DocumentView, arrayPosition: Int?) throws(DBError) -> Bool {
            after.metadata.removeAll()
            let start = after.metadata.openDocument()
            MetadataField.append(of: document, areCarried: true, to: &after.metadata)
            after.metadata.close(start)
            return try passOn(document, arrayPosition: arrayPosition)
        }
    }
}

/// Takes off what documents carry beside their fields, at the end of a pipeline.
struct MetadataRemoval: StagePlan {
    func execution(_ next: StageExecution, _ resources: ExecutionResources) -> StageExecution {
        Stage(next)
    }

    private final class Stage: StageExecution {
        private var writer = DocumentWriter()

        override func push(_ document: DocumentView, arrayPosition: Int?) throws(DBError) -> Bool {
            writer.removeAll()
            let start = writer.openDocument()
            MetadataField.append(of: document, areCarried: false, to: &writer)
            writer.close(start)
            let bytes = writer.bytes
            return try passOn(DocumentView(bytes.span.bytes), arrayPosition: arrayPosition)
        }
    }
}
