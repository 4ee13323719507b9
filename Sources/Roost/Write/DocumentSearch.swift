// Finding the documents that a write is about, on the reader pool, a slice at a time.

import BSON
import Query
import Storage

/// A search for record keys; goes on from chunk to chunk.
// Unchecked: the pool runs one slice at a time, and its owner asks for the next chunk only after
// the answer.
final class DocumentSearch: @unchecked Sendable {
    /// A chunk of what was found.
    struct Found {
        /// The documents' record keys, in the plan's order.
        let keys: [[UInt8]]
        /// Whether there are no more.
        let isLast: Bool
    }

    private let cursor: QueryCursor
    private let limits: BatchLimits
    private var sink: RecordKeySink

    /// - Parameters:
    ///   - interrupt: what ends the search; nil for nothing.
    ///   - chunkMax: most documents found at once.
    ///   - view: the snapshot to search; nil for the newest at each slice.
    ///   - access: what an app user may see.
    ///   - trash: the statement, where it is about deleted documents; nil for live ones.
    /// - Throws: what planning throws.
    init(
        _ engine: RoostEngine, _ namespace: Namespace, _ target: WriteTarget, isMulti: Bool,
        interrupt: Interrupt?, chunkMax: Int, view: ReadView? = nil,
        among trash: TrashStatement? = nil, for access: RequestAccess?
    ) throws(DBError) {
        var find = FindRequest(namespace, filter: target.filter)
        find.sort = target.sort
        find.hint = target.hint
        if !isMulti { find.limit = 1 }
        if let trash {
            find.limit = trash.limit
            find.scope = .onlyDeleted
            find.showsDeletion = trash.readsDeletion
        }
        find.view = view
        find.access = access
        sink = RecordKeySink(engine.collection(namespace)?.traits)
        cursor = try engine.openCursor(find, partOf: interrupt)
        limits = BatchLimits(documentsMax: chunkMax)
    }

    /// Finds the next chunk; answers on a pool thread, or here when the pool refuses.
    func next(
        _ pool: ReaderPool, completion: @escaping @Sendable (Result<Found, DBError>) -> Void
    ) {
        do throws(DBError) {
            try pool.submitSlices { reader in
                do throws(DBError) {
                    guard let found = try self.slice(reader) else { return .again }
                    completion(.success(found))
                } catch {
                    completion(.failure(error))
                }
                return .done
            }
        } catch {
            completion(.failure(error))
        }
    }

    /// Finds all documents on this thread.
    func all(_ reader: Reader) throws(DBError) -> [[UInt8]] {
        while true {
            if let found = try slice(reader) { return found.keys }
        }
    }

    private func slice(_ reader: Reader) throws(DBError) -> Found? {
        let status = try cursor.advance(reader, limits, .slice, into: &sink)
        guard status != .budgetSpent else { return nil }
        return Found(keys: sink.take(), isLast: status == .exhausted)
    }
}

/// Collects the record keys of documents that a cursor yields; of a time series, the first key that
/// each may have.
private struct RecordKeySink: DocumentSink {
    private var keys: [[UInt8]] = []
    /// The collection, where it is a time series.
    private let timeSeries: TimeSeries?
    /// The order of strings in the collection's record keys.
    private let collation: Collation?
    private var encoder = KeyEncoder()

    init(_ traits: CollectionTraits?) {
        timeSeries = traits?.timeSeries
        collation = traits?.collation
    }

    mutating func append(_ document: DocumentView) {
        if let timeSeries {
            let made: Void? = try? timeSeries.encodeKey(of: document, collation, into: &encoder)
            if made != nil { keys.append(encoder.bytes) }
            return
        }
        guard let id = document.value("_id") else { return }
        _ = RecordKey.encode(id, collation, into: &encoder)
        keys.append(encoder.bytes)
    }

    /// Hands the keys over.
    mutating func take() -> [[UInt8]] {
        defer { keys = [] }
        return keys
    }
}
