// The documents that rules look up, read one after another from the request's snapshot.
//
// An evaluation can't hold a transaction. It runs on the documents that are known; where it lacks
// one it ends, the document is read, and it runs again: as many times as it looks documents up.

import BSON
import Query
import Rules
import Storage
import Synchronization

/// What rules looked up in one snapshot.
final class KnownDocuments: RuleDocuments {
    /// A document that rules ask for.
    struct Place: Hashable {
        let database: String
        let segments: [String]
        /// Whether it is as everything that the request writes will leave it.
        var isAfter = false
    }

    private struct State {
        var known: [Place: Document?] = [:]
        var missing: Place?
    }

    private let state = Mutex(State())

    func document(
        at segments: ArraySlice<String>, in database: String, after: Bool
    ) throws(DBError) -> Document? {
        let place = Place(database: database, segments: Array(segments), isAfter: after)
        let known: Document?? = state.withLock { state in
            if let known = state.known[place] { return known }
            state.missing = place
            return nil
        }
        guard let known else {
            throw DBError(
                .internalError,
                "The document \(segments.joined(separator: "/")) is yet "
                    + "to be read")
        }
        return known
    }

    /// The document that the last evaluation lacked.
    func takeMissing() -> Place? {
        state.withLock { state in
            defer { state.missing = nil }
            return state.missing
        }
    }

    /// Notes what was read.
    func note(_ place: Place, _ document: Document?) {
        state.withLock { $0.known[place] = .some(document) }
    }

    /// What is known of that database, as it is.
    func lookups(in database: String) -> [RecordedRequest.Lookup] {
        state.withLock { state in
            state.known.filter { $0.key.database == database && !$0.key.isAfter }.map {
                RecordedRequest.Lookup(
                    path: $0.key.segments.joined(separator: "/"), document: $0.value)
            }
        }
    }

    /// Whether documents were looked up as they will be.
    var hasAfter: Bool { state.withLock { $0.known.keys.contains(where: \.isAfter) } }

    /// Forgets documents as they will be: more was written.
    func forgetAfter() {
        state.withLock { state in state.known = state.known.filter { !$0.key.isAfter } }
    }

    /// Forgets everything: the snapshot is another one.
    func removeAll() {
        state.withLock { $0 = State() }
    }

    /// Reads a document. O(log n).
    static func read<T: ReadableTransaction & ~Copyable>(
        _ place: Place, _ catalog: CatalogSnapshot, _ transaction: borrowing T
    ) throws(StorageError) -> Document? {
        let (namespace, ids) = CollectionPath.target(of: place.segments, in: place.database)
        return try read(ids, of: namespace, catalog, transaction)
    }

    /// The first document that is there, of those with these `_id`s. O(log n).
    static func read<T: ReadableTransaction & ~Copyable>(
        _ ids: [OwnedValue], of namespace: Namespace, _ catalog: CatalogSnapshot,
        _ transaction: borrowing T
    ) throws(StorageError) -> Document? {
        guard CollectionPath(namespace) != nil, let entry = catalog[namespace], entry.hasKeysOfIDs
        else { return nil }
        // A collection that is newer than the snapshot has no documents in it.
        do throws(StorageError) {
            return try read(ids, in: entry, transaction)
        } catch .noSuchTable {
            return nil
        }
    }

    private static func read<T: ReadableTransaction & ~Copyable>(
        _ ids: [OwnedValue], in entry: CollectionEntry, _ transaction: borrowing T
    ) throws(StorageError) -> Document? {
        for id in ids {
            var key = KeyEncoder()
            _ = RecordKey.encode(id.view, entry.collation, into: &key)
            var table = entry.table
            var place = key.bytes
            if let idTable = entry.idTable {
                guard let found = try transaction.value(idTable, place.span.bytes) else {
                    continue
                }
                place = [UInt8](copying: found)
                table = entry.table
            }
            guard let found = try transaction.value(table, place.span.bytes) else { continue }
            let document = DocumentView(found)
            // Cut keys, and those of a collation, may be those of another `_id`.
            guard let stored = document.value("_id"), stored.equals(id.view) else { continue }
            return Document(copying: document)
        }
        return nil
    }
}
