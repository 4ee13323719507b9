// What a serializable transaction has read, and whether that still is what it was.
//
// A read is kept as its predicate: the filter by which documents were chosen, or one record key. At
// the commit the change log says which documents were changed since the snapshot. A document that
// differs between the snapshot and now, and that a predicate matches in either form, was read as it
// no longer is, or would be read now: the transaction must run again. So transactions that commit
// have the effect of running one after another in the order of their commits.

import BSON
import Query
import Storage
import Synchronization

/// The predicates of a transaction's reads.
final class ReadSet: Sendable {
    /// What was read of one collection.
    struct Reads: Sendable {
        var filters: [Filter] = []
        var keys: Set<[UInt8]> = []
    }

    /// Beyond so many filters of one collection all of it counts as read.
    private static let filtersMax = 256
    private static let keysMax = 10_000

    private let reads = Mutex<[Namespace: Reads]>([:])

    /// Notes that the documents which match the filter were looked for.
    func note(_ namespace: Namespace, _ filter: Filter) {
        reads.withLock { reads in
            let count = reads[namespace]?.filters.count ?? 0
            if count >= Self.filtersMax {
                reads[namespace] = Reads(filters: [.everything])
            } else if count == 0 || reads[namespace]?.filters.first !== Filter.everything {
                reads[namespace, default: Reads()].filters.append(filter)
            }
        }
    }

    /// Notes that the document with that record key was looked for.
    func note(_ namespace: Namespace, key: [UInt8]) {
        let isTooMuch = reads.withLock { reads in
            reads[namespace, default: Reads()].keys.insert(key)
            return reads[namespace].map { $0.keys.count > Self.keysMax } ?? false
        }
        if isTooMuch { note(all: namespace) }
    }

    private func note(all namespace: Namespace) {
        reads.withLock { $0[namespace] = Reads(filters: [.everything]) }
    }

    /// What was read so far, to be checked; nil where nothing was.
    var check: ReadCheck? {
        let reads = reads.withLock { $0 }
        return reads.isEmpty ? nil : ReadCheck(reads: reads)
    }
}

/// The check of what a transaction read against what was changed since.
struct ReadCheck: Sendable {
    fileprivate let reads: [Namespace: ReadSet.Reads]

    /// Looks at the changes behind a place in the log.
    /// - Parameters:
    ///   - recordsMax: where more records are behind it, none is looked at.
    ///   - catalog: that of `now`.
    ///   - reader: shows the transaction's snapshot, whose catalog is `start`.
    /// - Returns: the end of what was looked at; nil where there was too much.
    /// - Throws: `writeConflict` (112) where a read would find something else now.
    func check<Now: ReadableTransaction & ~Copyable>(
        since place: LogPosition, atMost recordsMax: Int = .max, _ catalog: CatalogSnapshot,
        _ now: borrowing Now, _ reader: Reader, from start: CatalogSnapshot
    ) throws -> LogPosition? {
        let headerKey = LogHeader.key
        if let header = try now.value(.changeLog, headerKey.span.bytes),
            try LogHeader(header).trimmed > place
        {
            throw Transaction.conflict
        }
        var changed: [Namespace: Set<[UInt8]>] = [:]
        var last = place
        var count = 0
        var log = now.cursor(.changeLog)
        var isFound = try log.seek(to: place.nextKey.span.bytes)
        while isFound {
            if let position = LogPosition(key: log.key) {
                count += 1
                if count > recordsMax { return nil }
                let record = try ChangeRecordView(position, try log.value())
                try note(record, catalog, &changed)
                last = position
            }
            isFound = try log.next()
        }
        for (namespace, keys) in changed {
            try check(namespace, keys, catalog, now, reader, from: start)
        }
        return last
    }

    /// Notes which document of a collection that was read a record is about.
    private func note(
        _ record: borrowing ChangeRecordView, _ catalog: CatalogSnapshot,
        _ changed: inout [Namespace: Set<[UInt8]>]
    ) throws(DBError) {
        if record.kind == .dropDatabase {
            let database = String(utf8: record.database)
            let isRead = reads.keys.contains { $0.database.hasSameBytes(as: database) }
            if isRead { throw Transaction.conflict }
            return
        }
        let namespace = record.namespace
        if record.kind == .rename, let to = record.document.value("to")?.document {
            let target = Namespace(to.value("db")?.text ?? "", to.value("coll")?.text ?? "")
            if reads[target] != nil { throw Transaction.conflict }
        }
        guard reads[namespace] != nil else { return }
        switch record.kind {
        case .drop, .rename: throw Transaction.conflict
        case .create, .createIndexes, .dropIndexes, .modify, .dropDatabase: return
        case .insert, .update, .replace, .delete, .image:
            // Where an image is apart, its record names the document.
            guard let id = try record.documentID() else { return }
            var key = KeyEncoder()
            _ = RecordKey.encode(id, catalog[namespace]?.collation, into: &key)
            changed[namespace, default: []].insert(key.bytes)
        }
    }

    /// Compares the documents that were changed with what was read.
    private func check<Now: ReadableTransaction & ~Copyable>(
        _ namespace: Namespace, _ keys: Set<[UInt8]>, _ catalog: CatalogSnapshot,
        _ now: borrowing Now, _ reader: Reader, from start: CatalogSnapshot
    ) throws {
        guard let reads = reads[namespace] else { return }
        let (before, after) = (start[namespace], catalog[namespace])
        if let before, let after {
            // Capped collections keep documents under other keys.
            guard before.uuid == after.uuid, after.isClustered else { throw Transaction.conflict }
        }
        guard let entry = after ?? before else { return }
        let filters = try reads.filters.map { filter throws(DBError) in
            try filter.bound(to: entry)
        }
        var scratch = MatchScratch()
        var (old, new): ([UInt8], [UInt8]) = ([], [])
        for key in keys {
            let bytes = key.span.bytes
            let wasThere =
                try before.map { entry in
                    try reader.read { base in try base.copyValue(entry.table, bytes, into: &old) }
                } ?? false
            let isThere =
                try after.map { entry in
                    try now.copyValue(entry.table, bytes, into: &new)
                } ?? false
            if wasThere == isThere, !isThere || old == new { continue }
            if reads.keys.contains(key) { throw Transaction.conflict }
            for filter in filters {
                if wasThere, try filter.matches(DocumentView(old.span.bytes), &scratch) {
                    throw Transaction.conflict
                }
                if isThere, try filter.matches(DocumentView(new.span.bytes), &scratch) {
                    throw Transaction.conflict
                }
            }
        }
    }
}
