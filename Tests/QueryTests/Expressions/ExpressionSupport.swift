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

/// The results of a pipeline over documents, or the code of its error. `others` are the collections
/// that its stages may read.
func aggregate(
    _ stages: Value, over documents: [Document], memoryBytesMax: Int = 100_000_000,
    others: [String: [Document]] = [:], spillFolder: String? = nil
) -> Result<[Document], DBError> {
    do throws(DBError) {
        let list = OwnedValue(stages)
        let pipeline = try Pipeline.parse(DocumentView(list.view.bytes), ExpressionScope())
        var resources = ExecutionResources()
        resources.memoryBytesMax = memoryBytesMax
        resources.foreign = OtherCollections(others)
        resources.spillFolder = spillFolder
        return .success(try run(pipeline, over: documents, resources))
    } catch {
        return .failure(error)
    }
}

/// Pushes the documents through and takes all results.
func run(
    _ pipeline: Pipeline, over documents: [Document],
    _ resources: ExecutionResources = ExecutionResources(), arrayPosition: Int? = nil
) throws(DBError) -> [Document] {
    let execution = PipelineExecution(pipeline, resources)
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

/// Collections in memory for the stages that read others.
final class OtherCollections: ForeignReader {
    private let collections: [String: [Document]]
    /// How many reads there were.
    private(set) var openedCount = 0

    init(_ collections: [String: [Document]]) {
        self.collections = collections
    }

    func open(
        _ collection: ForeignCollection, _ pipeline: Pipeline
    ) throws(DBError) -> any ForeignCursor {
        openedCount += 1
        var resources = ExecutionResources()
        resources.foreign = self
        let documents = collections[collection.collection] ?? []
        return Cursor(try run(pipeline, over: documents, resources))
    }

    /// Hands one result out at a time, so that boundaries of batches are everywhere.
    private final class Cursor: ForeignCursor {
        private var results: ArraySlice<Document>

        init(_ results: [Document]) {
            self.results = results[...]
        }

        func next(into batch: inout DocumentBatch) throws(DBError) -> Bool {
            guard let first = results.popFirst() else { return false }
            batch.append(first.view)
            return true
        }
    }
}
