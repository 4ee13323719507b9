import BSON
import Query
import Synchronization

@testable import Roost

/// Statements in transactions, for tests.
extension ReadFixture {
    /// The statement that a document describes: `{insert: document}`, `{delete: filter}` or
    /// `{q: filter, u: update, upsert, multi}`.
    static func statement(
        _ form: Document, into request: inout WriteRequest
    ) throws {
        if let document = form.view.value("insert")?.document {
            return try request.insert(document)
        }
        let isMulti = form["multi"] == true
        var document: Document = [:]
        if let given = form.view.value("delete")?.document { document = Document(copying: given) }
        if let given = form.view.value("q")?.document { document = Document(copying: given) }
        let target = WriteTarget(filter: try filter(document), filterDocument: document)
        guard let change = form.view.value("u") else {
            return request.statements.append(
                .delete(DeleteStatement(target: target, isMulti: isMulti)))
        }
        request.statements.append(
            .update(
                UpdateStatement(
                    target: target, update: try Update.parse(change), isMulti: isMulti,
                    isUpsert: form["upsert"] == true)))
    }

    /// Runs statements, in a transaction or without one; the first error's code.
    @discardableResult
    func write(
        _ namespace: Namespace, _ forms: [Document], in transaction: Transaction? = nil,
        seconds: Double? = nil
    ) async throws -> DBError.Code? {
        try await begin(namespace, forms, in: transaction, seconds: seconds).value
    }

    /// Begins what `write` does.
    func begin(
        _ namespace: Namespace, _ forms: [Document], in transaction: Transaction? = nil,
        seconds: Double? = nil
    ) throws -> Task<DBError.Code?, Never> {
        var request = WriteRequest(namespace, time: engine.writeTime)
        request.transaction = transaction
        request.deadline = seconds.map { .now + .seconds($0) }
        for form in forms { try Self.statement(form, into: &request) }
        _ = request.prepareInterrupt(engine)
        let (engine, begun) = (engine, request)
        return Task {
            let result = await withCheckedContinuation { continuation in
                engine.write(begun) { continuation.resume(returning: $0) }
            }
            switch result {
            case .failure(let error): return error.code
            case .success(let outcome): return outcome.results.compactMap(\.error).first?.code
            }
        }
    }

    /// Commits; the error's code.
    func commit(_ transaction: Transaction) async -> DBError.Code? {
        let retry = RetryIdentity(session: [UInt8](repeating: 1, count: 16), number: 1)
        let result = await withCheckedContinuation { continuation in
            transaction.commit(retry) { continuation.resume(returning: $0) }
        }
        return if case .failure(let error) = result { error.code } else { nil }
    }

    /// The documents that match, as a transaction sees them.
    func find(
        _ namespace: Namespace, _ filter: Document = [:], in transaction: Transaction?
    ) throws -> [Document] {
        var request = try request(namespace, filter)
        request.view = transaction?.view
        return try find(request)
    }
}
