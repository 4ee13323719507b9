// Updates by pipeline: the stages that change one document into one document.

package import BSON

/// The stages of an update by pipeline.
package struct StagedUpdate: UpdatePipeline {
    private let pipeline: Pipeline

    /// Parses the stages; `constants` are the statement's `c`, which the stages see as variables.
    ///
    /// - Throws: `invalidOptions` (72) for a stage that is not for updates, and what
    ///   `Pipeline.parse` throws.
    package init(
        _ stages: DocumentView, constants: DocumentView?, _ scope: ExpressionScope
    ) throws(DBError) {
        var elements = stages.makeIterator()
        while let element = elements.next() {
            guard let stage = element.value.document?.first else { continue }
            let name = stage.nameString
            guard Self.allowed.contains(name) || !name.hasPrefix("$") else {
                throw DBError(
                    .invalidOptions, "\(name) is not allowed to be used within an update")
            }
        }
        var scope = scope
        if let constants {
            var fields = constants.makeIterator()
            while let field = fields.next() {
                scope.constants[field.nameString] = OwnedValue(copying: field.value)
            }
        }
        pipeline = try Pipeline.parse(stages, scope)
    }

    private static let allowed: Set<String> = [
        "$addFields", "$set", "$project", "$unset", "$replaceRoot", "$replaceWith",
    ]

    package func apply(
        to document: DocumentView, time: WriteTime, into writer: inout DocumentWriter
    ) throws(DBError) {
        let execution = PipelineExecution(pipeline)
        _ = try execution.push(document, arrayPosition: nil)
        try execution.finish()
        _ = try execution.withNext { result throws(DBError) in
            writer.appendRaw(copying: result.bytes)
        }
    }
}
