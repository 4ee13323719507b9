// An update's pipeline: stages that make one document of one, without the machinery of streams.

package import BSON

/// The compiled stages of a pipeline update. The update's parser lets only $addFields, $set,
/// $project, $unset, $replaceRoot and $replaceWith through.
package struct UpdateStages: UpdatePipeline {
    private let stages: [PipelineStage]
    /// Values of the variables in the scope's first slots; nil for no value.
    private var variables: [OwnedValue?] = []

    private init(_ stages: [PipelineStage]) {
        self.stages = stages
    }

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
        return try parse(stages, scope)
    }

    /// Compiles stages that may use the variables in the scope's slots.
    ///
    /// Throws 72 for a stage that does not make one document of one.
    static func parse(
        _ stages: DocumentView, _ scope: ExpressionScope
    ) throws(DBError) -> UpdateStages {
        let pipeline = try Pipeline.parse(stages, scope)
        for stage in pipeline.stages {
            switch stage {
            case .project, .replaceRoot: continue
            default: throw notAllowed
            }
        }
        guard !pipeline.isCollectionless, pipeline.destination == nil else { throw notAllowed }
        return UpdateStages(pipeline.stages)
    }

    private static var notAllowed: DBError {
        DBError(.invalidOptions, "A stage is not allowed to be used within an update")
    }

    /// The same stages with values for the variables in the scope's slots, from slot 0 on.
    func binding(_ variables: [OwnedValue?]) -> UpdateStages {
        var bound = self
        bound.variables = variables
        return bound
    }

    /// Appends what the stages make of `document`. Throws what their expressions throw.
    package func apply(
        to document: DocumentView, time: WriteTime, _ interrupt: Interrupt?,
        into writer: inout DocumentWriter
    ) throws(DBError) {
        var context = EvaluationContext(interrupt)
        // The references point into `variables`, which this value owns until the call returns.
        for variable in variables {
            context.variables.append(variable.map { ValueRef($0.view) } ?? .missing)
        }
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
            default: throw Self.notAllowed
            }
            current = Document(unchecked: next.take())
        }
        writer.appendRaw(copying: current.view.bytes)
    }
}
