// Evaluating expressions in tests.

import BSON
import Query

/// What an expression gave.
enum ExpressionOutcome: Equatable, CustomStringConvertible {
    case value(Value)
    case missing
    case error(Int32)

    var description: String {
        switch self {
        case .value(let value): "\(value)"
        case .missing: "missing"
        case .error(let code): "error \(code)"
        }
    }
}

/// The value of an expression for a document, or the code of its error.
func evaluate(
    _ expression: Value, _ document: Document = [:], scope: ExpressionScope = ExpressionScope()
) -> ExpressionOutcome {
    do throws(DBError) {
        let parsed = try Expression.parse(OwnedValue(expression).view, scope)
        var context = EvaluationContext()
        let result = try parsed.evaluate(document.view, &context)
        return result.isMissing ? .missing : .value(Value(result.view))
    } catch {
        return .error(error.code.rawValue)
    }
}

extension Decimal128 {
    /// The value of a literal of the tests.
    static func value(_ text: String) -> Value {
        Value(Decimal128(text) ?? .nan)
    }
}

/// The results of a pipeline over documents, or the code of its error.
func aggregate(
    _ stages: Value, over documents: [Document], memoryBytesMax: Int = 100_000_000
) -> Result<[Document], DBError> {
    do throws(DBError) {
        let list = OwnedValue(stages)
        let pipeline = try Pipeline.parse(DocumentView(list.view.bytes), ExpressionScope())
        return .success(try run(pipeline, over: documents, memoryBytesMax: memoryBytesMax))
    } catch {
        return .failure(error)
    }
}

/// Pushes the documents through and takes all results.
func run(
    _ pipeline: Pipeline, over documents: [Document], arrayPosition: Int? = nil,
    memoryBytesMax: Int = 100_000_000
) throws(DBError) -> [Document] {
    let execution = PipelineExecution(pipeline, memoryBytesMax: memoryBytesMax)
    for document in documents {
        guard try execution.push(document.view, arrayPosition: arrayPosition) else { break }
    }
    try execution.finish()
    var results: [Document] = []
    while let next = try execution.withNext({ Document(copying: $0) }) {
        results.append(next)
        execution.removeFirst()
    }
    return results
}
