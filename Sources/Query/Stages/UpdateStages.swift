// An update's pipeline: stages that make one document of one, without the machinery of streams.

package import BSON

/// The compiled stages of a pipeline update. The update's parser lets only $addFields, $set,
/// $project, $unset, $replaceRoot and $replaceWith through.
package struct UpdateStages: UpdatePipeline {
    private let stages: [PipelineStage]

    /// Compiles the stages; `constants` is the statement's `c`, whose values are taken as they are.
    ///
    /// `$$NOW` is the scope's, so compile with the command's clock.
    package static func parse(
        _ stages: DocumentView, constants: DocumentView?, _ scope: ExpressionScope
    ) throws(DBError) -> UpdateStages {
        var scope = scope
        if let constants {
            var elements = constants.makeIterator()
            while let element = elements.next() {
                let name = element.nameString
                try ExpressionScope.checkUserName(name)
                scope.constants[name] = OwnedValue(copying: element.value)
            }
        }
        return UpdateStages(stages: try Pipeline.parse(stages, scope).stages)
    }

    /// Appends what the stages make of `document`. Throws what their expressions throw.
    package func apply(
        to document: DocumentView, time: WriteTime, into writer: inout DocumentWriter
    ) throws(DBError) {
        var context = EvaluationContext()
        var current = Document(copying: document)
        for stage in stages {
            var next = DocumentWriter(reserving: current.bytes.count)
            switch stage {
            case .project(let projection):
                try projection.apply(
                    current.view, arrayPosition: nil, into: &next, &context)
            case .replaceRoot(let root):
                let value = try root.evaluate(current.view, &context)
                next.appendRaw(copying: try ReplaceRootStage.document(value).bytes)
            default:
                throw DBError(.invalidOptions, "A stage is not allowed to be used within an update")
            }
            current = Document(unchecked: next.take())
        }
        writer.appendRaw(copying: current.view.bytes)
    }
}
