import BSON
import Glibc
import Query
import Storage
import TestSupport

@testable import Roost

/// A temporary folder with an engine and a reader.
final class ReadFixture {
    let engine: RoostEngine
    let reader: Reader
    private let path: String

    init(_ change: (inout EngineOptions) -> Void = { _ in }) throws {
        path = "/tmp/roost-reads-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        var options = EngineOptions()
        options.durability = .relaxed
        options.quotaBytes = 1 << 30
        // All tests run at once: a step of one may wait for minutes.
        options.transactions.secondsMax = 1_800
        change(&options)
        engine = try RoostEngine(path: path, options: options)
        reader = try engine.store.makeReader()
    }

    deinit {
        engine.close()
        removeFolder(path)
    }

    /// Inserts documents, leaving out those that are refused.
    @discardableResult
    func insert(_ namespace: Namespace, _ documents: [Document]) async throws -> Int {
        var request = WriteRequest(
            namespace, isOrdered: false,
            time: WriteTime(millis: 0, timestamp: Timestamp(rawValue: 1)))
        for document in documents { try request.insert(document.view) }
        let outcome = try await withCheckedThrowingContinuation { continuation in
            engine.write(request) { continuation.resume(with: $0) }
        }
        return outcome.results.count { $0.error == nil }
    }

    /// Creates an index and waits until it is built.
    func createIndex(_ namespace: Namespace, _ specification: Document) async throws {
        let parsed = try IndexSpecification(specification.view)
        _ = try await withCheckedThrowingContinuation { continuation in
            engine.createIndexes(namespace, [parsed]) { continuation.resume(with: $0) }
        }
    }

    func create(_ namespace: Namespace, _ options: Document) async throws {
        try await withCheckedThrowingContinuation { continuation in
            engine.createCollection(namespace, options: options) { continuation.resume(with: $0) }
        }
    }

    @discardableResult
    func modify(
        _ namespace: Namespace, _ modification: CollectionModification
    ) async throws -> Document {
        try await withCheckedThrowingContinuation { continuation in
            engine.modifyCollection(namespace, modification) { continuation.resume(with: $0) }
        }
    }

    /// Updates one document; answers the error's code.
    @discardableResult
    func update(
        _ namespace: Namespace, _ filter: Document, _ change: Document, isUpsert: Bool = false,
        bypassesValidation: Bool = false
    ) async throws -> DBError.Code? {
        let update = Document { $0.append("u", change) }
        guard let value = update.view.value("u") else { return nil }
        let statement = UpdateStatement(
            target: WriteTarget(filter: try Self.filter(filter), filterDocument: filter),
            update: try Update.parse(value),
            isMulti: false, isUpsert: isUpsert,
            bypassesValidation: bypassesValidation)
        return try await run(.update(statement), namespace)
    }

    /// Deletes all matches; answers the error's code.
    @discardableResult
    func delete(_ namespace: Namespace, _ filter: Document) async throws -> DBError.Code? {
        let target = WriteTarget(filter: try Self.filter(filter), filterDocument: filter)
        return try await run(.delete(DeleteStatement(target: target, isMulti: true)), namespace)
    }

    private func run(
        _ statement: WriteStatement, _ namespace: Namespace
    ) async throws -> DBError.Code? {
        var request = WriteRequest(
            namespace, time: WriteTime(millis: 0, timestamp: Timestamp(rawValue: 1)))
        request.statements = [statement]
        let outcome = try await withCheckedThrowingContinuation { continuation in
            engine.write(request) { continuation.resume(with: $0) }
        }
        return outcome.results.first?.error?.code
    }

    func drop(_ namespace: Namespace) async throws {
        _ = try await withCheckedThrowingContinuation { continuation in
            engine.dropCollection(namespace) { continuation.resume(with: $0) }
        }
    }

    static func filter(_ document: Document) throws -> Filter {
        try Filter.parse(document.view, FilterOptions())
    }

    func request(
        _ namespace: Namespace, _ filter: Document = [:], sort: Document? = nil,
        hint: Value? = nil, skip: Int = 0, limit: Int = 0
    ) throws -> FindRequest {
        var request = FindRequest(namespace, filter: try Self.filter(filter))
        request.sort = sort
        request.hint = hint
        request.skip = skip
        request.limit = limit
        return request
    }

    /// All results, in batches of `batch` documents and slices of `slice` entries.
    func find(
        _ request: FindRequest, batch: Int = 101, slice: Int = .max
    ) throws -> [Document] {
        try run(engine.openCursor(request), batch: batch, slice: slice)
    }

    func run(_ cursor: QueryCursor, batch: Int = 101, slice: Int = .max) throws -> [Document] {
        var sink = DocumentCollector()
        let budget = ReadBudget(examinedMax: slice, nanosecondsMax: 10_000_000)
        while try cursor.advance(reader, BatchLimits(documentsMax: batch), budget, into: &sink)
            != .exhausted
        {}
        return sink.documents
    }

    func count(
        _ namespace: Namespace, _ filter: Document = [:], hint: Value? = nil
    ) throws -> Int {
        var request = CountRequest(namespace, filter: try Self.filter(filter))
        request.hint = hint
        return try engine.count(request, reader)
    }

    func explain(
        _ request: FindRequest, filter: Document = [:],
        _ verbosity: ExplainVerbosity = .executionStats
    ) throws -> Document {
        let read = engine.explain(request, filter: filter, projection: nil, verbosity)
        while try !read.advance(reader, .slice) {}
        return Document { read.write(into: &$0) }
    }
}

/// Copies what a cursor yields.
struct DocumentCollector: DocumentSink {
    private(set) var documents: [Document] = []

    mutating func append(_ document: DocumentView) {
        documents.append(Document(copying: document))
    }
}
