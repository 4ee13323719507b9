// Making a capped collection of what another holds: convertToCapped and cloneCollectionAsCapped.
//
// One operation on the writer thread, so that no write falls between copy and exchange; its length
// is bounded by the size asked for, since only the newest documents that fit are copied. MongoDB
// locks the database for as long.

import BSON
import Storage

extension RoostEngine {
    /// Copies the newest documents of `source` that fit into a new capped collection `target`; the
    /// same name replaces the collection. Indexes are not copied.
    /// - Throws: through the completion `namespaceNotFound` (26), `namespaceExists` (48),
    ///   `invalidNamespace` (73), `conflictingOperationInProgress` (117) while an index is built.
    package func copyAsCapped(
        _ source: Namespace, to target: Namespace, bytesMax: Int64,
        completion: @escaping Completion<Void>
    ) {
        let writer = writer
        submit { transaction in
            try writer.copyAsCapped(source, to: target, bytesMax: bytesMax, &transaction)
        } completion: {
            completion($0)
        }
    }
}

extension WriterState {
    fileprivate func copyAsCapped(
        _ source: Namespace, to target: Namespace, bytesMax: Int64,
        _ transaction: inout WriteTransaction
    ) throws {
        try source.checkIsNoBuckets()
        try target.checkMayBeCreated()
        guard let entry = catalog[source] else {
            if source.isViewCatalog,
                catalog.collections(of: source.database).contains(where: { $0.view != nil })
            {
                throw DBError(.badValue, "The catalog of views, \(source), can't be capped")
            }
            throw DBError(.namespaceNotFound, "source collection \(source) does not exist")
        }
        try entry.checkIsNoView()
        try entry.checkIsNoTimeSeries()
        try catalog[target]?.checkIsNoView()
        guard source == target || catalog[target] == nil else {
            throw DBError(.namespaceExists, "Collection \(target) already exists")
        }
        guard !builds.isBuilding(entry) else {
            throw DBError(
                .conflictingOperationInProgress,
                "An index of \(source) is being built; convert it when that is done")
        }
        if source == target {
            let deleted = try TrashTable.totals(entry.trash, transaction).count
            guard entry.traits.softDelete == nil, deleted == 0 else {
                throw DBError(
                    .illegalOperation,
                    "\(source) keeps deleted documents (\(deleted) now), which a capped collection "
                        + "can't: first run collMod with {softDelete: false}, and purge them")
            }
        }
        let options = entry.options.capped(bytesMax: bytesMax)
        let copy = CollectionEntry(
            namespace: target, uuid: .random(), table: try transaction.createTable(),
            idTable: try transaction.createTable(), options: options,
            traits: try CollectionTraits(options), indexes: [],
            flags: RecordFlags(hasCutKeys: false))
        if source == target { log.note(.drop, entry) }
        log.note(.create, copy, options)
        var document: [UInt8] = []
        var key = try Self.firstKey(of: entry, within: bytesMax, transaction)
        while let place = key {
            guard try transaction.copyValue(entry.table, place.span.bytes, into: &document) else {
                break
            }
            try copyRecord(document, into: copy, &transaction)
            key = try Self.key(after: place, in: entry, transaction)
        }
        try finishOperation(&transaction)
        if source == target { try remove(tablesOf: entry, &transaction) }
        try save(copy, &transaction)
    }

    /// The key of the oldest document such that it and all newer ones have at most that many bytes.
    private static func firstKey(
        of entry: CollectionEntry, within bytesMax: Int64, _ transaction: borrowing WriteTransaction
    ) throws -> [UInt8]? {
        var first: [UInt8]?
        var total: Int64 = 0
        var cursor = transaction.cursor(entry.table)
        while try cursor.previous() {
            total += Int64(try cursor.value().byteCount)
            if total > bytesMax { break }
            first = [UInt8](copying: cursor.key)
        }
        return first
    }

    private static func key(
        after key: [UInt8], in entry: CollectionEntry, _ transaction: borrowing WriteTransaction
    ) throws -> [UInt8]? {
        var cursor = transaction.cursor(entry.table)
        guard try cursor.seek(to: key.span.bytes), try cursor.next() else { return nil }
        return [UInt8](copying: cursor.key)
    }
}

extension Document {
    /// The options of a collection, capped at that size.
    fileprivate func capped(bytesMax: Int64) -> Document {
        Document { writer in
            writer.append("capped", true)
            writer.append("size", CollectionOptions.number(bytesMax))
            var fields = view.makeIterator()
            while let field = fields.next() {
                switch field.nameString {
                case "capped", "size", "max", "softDelete": continue
                default: writer.append(field)
                }
            }
        }
    }
}
