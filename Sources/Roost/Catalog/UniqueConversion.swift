// Turning an index into a unique one, without building it anew.
//
// First the index is prepared (`prepareUnique`): from then on the writer refuses entries that share
// their key with another document's. Then this search walks the entries on a thread of its own, in
// short snapshots. What it has passed can't become wrong, as long as the index stays the same
// version of itself, which the writer checks before it makes the index unique.

import BSON
import Query
import Storage

/// Looks for documents that share a key in an index.
struct DuplicateSearch {
    /// Most documents that are named.
    static let documentsMax = 1_000
    /// Entries looked at in one snapshot.
    static let entriesPerSnapshot = 10_000

    let entry: CollectionEntry
    let index: IndexEntry
    /// The last entry looked at, where the next snapshot goes on.
    private var last: [UInt8] = []
    /// The record keys of the documents that share the last entry's parts, the last one's too.
    private var group: [[UInt8]] = []
    /// The `_id`s of each group of documents that share a key.
    private var violations: [Value] = []
    private var documents = 0

    init(_ index: IndexEntry, of entry: CollectionEntry) {
        self.entry = entry
        self.index = index
    }

    /// Looks at every entry.
    /// - Throws: `cannotConvertIndexToUnique` (359) that lists the documents; `StorageError`.
    mutating func run(_ reader: Reader) throws {
        var isAtEnd = false
        while !isAtEnd, documents < Self.documentsMax {
            isAtEnd = try reader.read { transaction in try walk(transaction) }
        }
        guard violations.isEmpty else {
            let violations = violations
            throw DBError(
                .cannotConvertIndexToUnique,
                "Cannot convert the index \(index.name) to unique: documents share a key; see "
                    + "'violations'. Change or remove them and try again",
                details: Document { writer in writer.append("violations", .array(violations)) })
        }
    }

    /// Goes on for one snapshot; true at the end of the index.
    private mutating func walk(_ transaction: borrowing ReadTransaction) throws -> Bool {
        var cursor = transaction.cursor(index.table)
        var found = last.isEmpty ? try cursor.first() : try cursor.seek(to: last.span.bytes)
        if found, !last.isEmpty, cursor.key.equals(last.span.bytes) { found = try cursor.next() }
        var entries = 0
        while found, entries < Self.entriesPerSnapshot {
            try take(cursor.key, transaction)
            entries += 1
            found = try cursor.next()
        }
        if !found { try endGroup(transaction) }
        return !found
    }

    private mutating func take(
        _ key: RawSpan, _ transaction: borrowing ReadTransaction
    ) throws {
        guard let parts = IndexEntryKey.parts(in: key), let record = IndexEntryKey.record(in: key)
        else { return }
        if !lastHas(parts) { try endGroup(transaction) }
        if group.count < Self.documentsMax { group.append([UInt8](copying: record)) }
        last = [UInt8](copying: key)
    }

    private func lastHas(_ parts: RawSpan) -> Bool {
        guard let before = IndexEntryKey.parts(in: last.span.bytes) else { return false }
        return before.equals(parts)
    }

    private mutating func endGroup(_ transaction: borrowing ReadTransaction) throws {
        defer { group.removeAll(keepingCapacity: true) }
        guard group.count > 1, documents < Self.documentsMax else { return }
        var ids: [Value] = []
        for record in group {
            // One removed since then stands in nobody's way any more.
            guard let bytes = try transaction.value(entry.table, record.span.bytes),
                let id = DocumentView(bytes).value("_id")
            else { continue }
            ids.append(Value(id))
        }
        guard ids.count > 1 else { return }
        documents += ids.count
        violations.append(["ids": .array(ids)])
    }
}

extension RoostEngine {
    /// Checks on a background thread that an index may become unique, and answers there.
    func checkUniqueness(
        _ index: IndexEntry, of entry: CollectionEntry, completion: @escaping Completion<Void>
    ) {
        background.start { [self] in
            do {
                var search = DuplicateSearch(index, of: entry)
                try search.run(try store.makeReader())
                completion(.success(()))
            } catch {
                completion(.failure(DBError(engineFailure: error)))
            }
        }
    }
}
