import BSON
import Query

@testable import Roost

/// A read that tests explain.
enum ExplainedRead: Sendable {
    case find(
        Document, sort: Document? = nil, limit: Int = 0, fields: Document? = nil,
        hint: Value? = nil, collation: Document? = nil)
    case count(Document)
    case distinct(String, Document = [:])
    case aggregate([Value])
    case write(Document, ExplainedWrite)

    /// What explain answers.
    func explain(
        _ names: Namespace, _ fixture: ReadFixture, _ verbosity: ExplainVerbosity
    ) throws -> Document {
        let explained = try open(names, fixture, verbosity)
        while try !explained.advance(fixture.reader, .slice) {}
        return Document { explained.write(into: &$0) }
    }

    private func open(
        _ names: Namespace, _ fixture: ReadFixture, _ verbosity: ExplainVerbosity
    ) throws -> ExplainRead {
        let engine = fixture.engine
        switch self {
        case .find(let filter, let sort, let limit, let fields, let hint, let collation):
            var options = FilterOptions()
            if let collation {
                options = FilterOptions(collation: try Collation.parse(collation.view))
            }
            var request = FindRequest(names, filter: try Filter.parse(filter.view, options))
            request.sort = sort
            request.limit = limit
            request.hint = hint
            if let fields {
                var scope = ExpressionScope()
                scope.metadata = request.filter.metadata
                if sort != nil { scope.metadata.insert(.sortKey) }
                request.projection = try Projection.parse(fields.view, for: .find, scope)
            }
            return engine.explain(request, filter: filter, projection: fields, verbosity)
        case .count(let filter):
            let request = CountRequest(names, filter: try ReadFixture.filter(filter))
            return engine.explain(request, filter: filter, verbosity)
        case .distinct(let path, let filter):
            let request = DistinctRequest(
                names, path: FieldPath(path), filter: try ReadFixture.filter(filter))
            return engine.explain(request, filter: filter, verbosity)
        case .aggregate(let stages):
            let list = OwnedValue(.array(stages))
            var scope = ExpressionScope()
            scope.collections = EngineCollections(engine, database: names.database)
            let pipeline = try Pipeline.parse(DocumentView(list.view.bytes), scope)
            return engine.explain(
                AggregateRequest(names, pipeline: pipeline), stages: stages, verbosity)
        case .write(let filter, let write):
            return engine.explain(
                try fixture.request(names, filter), filter: filter, write: write, verbosity)
        }
    }
}

/// What an explanation says, in short.
struct PlanOutline: Equatable {
    /// The nested stages' names, each scan with its index, and those of a pipeline behind them:
    /// `FETCH(IXSCAN a_1)`, `OR(IXSCAN a_1, IXSCAN b_1)`, `FETCH(IXSCAN a_1) | $group`.
    var plan = ""
    var keys = 0
    var documents = 0

    init(_ explanation: Document) {
        var read = Value.document(explanation)
        var behind: [String] = []
        if case .array(let stages)? = explanation["stages"] {
            read = stages.first?.field("$cursor") ?? read
            behind = stages.dropFirst().compactMap { stage in
                if case .document(let document) = stage { document.keys.first } else { nil }
            }
        }
        if let winner = read.field("queryPlanner")?.field("winningPlan") {
            plan = ([Self.text(winner)] + behind).joined(separator: " | ")
        }
        let statistics = read.field("executionStats")
        keys = Self.number(statistics?.field("totalKeysExamined"))
        documents = Self.number(statistics?.field("totalDocsExamined"))
    }

    static func number(_ value: Value?) -> Int {
        switch value {
        case .int32(let number)?: Int(number)
        case .int64(let number)?: Int(number)
        default: 0
        }
    }

    private static func text(_ stage: Value) -> String {
        guard case .string(var text)? = stage.field("stage") else { return "?" }
        if case .string(let index)? = stage.field("indexName"), text.hasSuffix("SCAN") {
            text += " " + index
            if stage.field("direction") == .string("backward") { text += " backward" }
        }
        if let input = stage.field("inputStage") { return "\(text)(\(Self.text(input)))" }
        if case .array(let inputs)? = stage.field("inputStages") {
            var parts: [String] = []
            for part in inputs.map(Self.text) where parts.last != part { parts.append(part) }
            text += "(" + parts.joined(separator: ", ") + ")"
        }
        return text
    }
}
