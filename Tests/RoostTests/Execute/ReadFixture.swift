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

    init() throws {
        path = "/tmp/roost-reads-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        var options = EngineOptions()
        options.durability = .relaxed
        engine = try RoostEngine(path: path, options: options)
        reader = try engine.store.makeReader()
    }

    deinit {
        engine.close()
        for name in ["data.mdb", "lock.mdb", "LOCK", "roost.lock"] { unlink("\(path)/\(name)") }
        rmdir("\(path)/tmp")
        rmdir(path)
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
