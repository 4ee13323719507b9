import BSON
import Query

@testable import Roost

/// Restores, purges and reads of deleted documents, for tests.
extension ReadFixture {
    /// A restore or purge; how many documents, and what ended it.
    @discardableResult
    func trash(
        _ action: TrashStatement.Action, _ namespace: Namespace, _ filter: Document,
        limit: Int = 0, in transaction: Transaction? = nil
    ) async throws -> (n: Int, error: DBError?) {
        var request = WriteRequest(namespace, time: engine.writeTime)
        request.transaction = transaction
        var scope = ExpressionScope(nowMillis: 0)
        scope.metadata = .deletion
        let options = scope.filterOptions(.find)
        let target = WriteTarget(
            filter: try Filter.parse(filter.view, options), filterDocument: filter)
        request.statements = [.trash(TrashStatement(action, target: target, limit: limit))]
        let begun = request
        let outcome = try await withCheckedThrowingContinuation { continuation in
            engine.write(begun) { continuation.resume(with: $0) }
        }
        return (
            outcome.results.reduce(0) { $0 + $1.n }, outcome.results.compactMap(\.error).first
        )
    }

    /// Documents that match, in the order asked for.
    func find(
        _ scope: ReadScope, _ namespace: Namespace, _ filter: Document = [:],
        sort: Document? = ["_id": 1], batch: Int = 101, slice: Int = .max,
        in transaction: Transaction? = nil
    ) throws -> [Document] {
        var request = try request(namespace, filter, sort: sort)
        request.scope = scope
        request.view = transaction?.view
        return try find(request, batch: batch, slice: slice)
    }

    /// How many documents match.
    func count(
        _ scope: ReadScope, _ namespace: Namespace, _ filter: Document = [:]
    ) throws -> Int {
        var request = CountRequest(namespace, filter: try Self.filter(filter))
        request.scope = scope
        return try engine.count(request, reader)
    }

    /// The change events since the beginning, as `type _id` with `soft` or `restored` behind.
    func changes(_ namespace: Namespace) throws -> [String] {
        let stages = OwnedValue(.array([]))
        let start: Document = ["startAtOperationTime": .timestamp(Timestamp(rawValue: 1))]
        let stream = try ChangeStreamRequest(
            start.view, namespace, .collection(namespace),
            pipeline: try Pipeline.parse(
                DocumentView(stages.view.bytes), ExpressionScope(nowMillis: 0)),
            splitsLargeEvents: false)
        let cursor = engine.openCursor(stream)
        var sink = DocumentCollector()
        _ = try cursor.advance(reader, BatchLimits(documentsMax: 100_000), .slice, into: &sink)
        return sink.documents.map { event in
            var text = ""
            if case .string(let type)? = event["operationType"] { text = type }
            if case .document(let key)? = event["documentKey"], let id = key["_id"] {
                text += " \(ShellNotation.string(OwnedValue(id).view))"
            }
            if event["softDeleted"] == true { text += " soft" }
            if event["restored"] == true { text += " restored" }
            return text
        }
    }
}
