// The catalog: which collections and indexes there are.
//
// On disk it is one BSON document a collection, in the catalog table, keyed by database, zero byte,
// collection. In memory it is an immutable snapshot. The writer thread edits its own copy inside a
// commit group and publishes it after the commit; a failed group throws the copy away.
//
//     {uuid, table, idTable?, trash?, options, cut, indexes: [{spec, table, ready, multikey, cut, inexact}]}

import BSON
import Query
import Storage

/// One version of the catalog.
package struct CatalogSnapshot: Sendable {
    /// All collections by name.
    package private(set) var collections: [Namespace: CollectionEntry] = [:]
    /// Grows with each change.
    private(set) var version = 0

    /// The collection of that name.
    package subscript(_ namespace: Namespace) -> CollectionEntry? { collections[namespace] }

    /// The names of databases that have a collection, sorted.
    package var databases: [String] {
        var names: [String] = []
        for name in collections.keys.map(\.database).sorted(by: Self.precedes) {
            if let last = names.last, last.hasSameBytes(as: name) { continue }
            names.append(name)
        }
        return names
    }

    /// A database's collections, sorted by name.
    package func collections(of database: String) -> [CollectionEntry] {
        collections.values.filter { $0.namespace.database.hasSameBytes(as: database) }
            .sorted { Self.precedes($0.namespace.collection, $1.namespace.collection) }
    }

    private static func precedes(_ one: String, _ other: String) -> Bool {
        one.utf8.lexicographicallyPrecedes(other.utf8)
    }

    /// Adds a collection or replaces the entry of its name.
    mutating func put(_ entry: CollectionEntry) {
        collections[entry.namespace] = entry
        version += 1
    }

    /// Removes a name.
    mutating func remove(_ namespace: Namespace) {
        collections[namespace] = nil
        version += 1
    }
}

/// The catalog's records on disk.
enum CatalogRecord {
    /// The record's key.
    static func key(_ namespace: Namespace) -> [UInt8] {
        Array(namespace.database.utf8) + [0] + Array(namespace.collection.utf8)
    }

    /// The name in a record's key; nil where the key is damaged.
    static func namespace(_ key: RawSpan) -> Namespace? {
        let bytes = [UInt8](copying: key)
        guard let split = bytes.firstIndex(of: 0) else { return nil }
        return Namespace(
            String(decoding: bytes[..<split], as: UTF8.self),
            String(decoding: bytes[(split + 1)...], as: UTF8.self))
    }

    /// The record of a collection, flags as they are now.
    static func encode(_ entry: CollectionEntry) -> Document {
        Document { writer in
            writer.append("uuid", entry.uuid.value)
            writer.append("table", Int64(bitPattern: entry.table.rawValue))
            if let table = entry.idTable {
                writer.append("idTable", Int64(bitPattern: table.rawValue))
            }
            if entry.trash.rawValue != entry.table.rawValue {
                writer.append("trash", Int64(bitPattern: entry.trash.rawValue))
            }
            writer.append("options", entry.options)
            writer.append("cut", entry.flags.hasCutKeys)
            if entry.hasCollatedKeys { writer.append("collationKeys", Collation.keyVersion) }
            let list = writer.openArray("indexes")
            for (position, index) in entry.indexes.enumerated() {
                writer.appendHeader(.document, index: position)
                let item = writer.openDocument()
                writer.append("spec", index.specification)
                writer.append("table", Int64(bitPattern: index.table.rawValue))
                writer.append("ready", index.isReady)
                writer.append("multikey", Int64(bitPattern: index.flags.multikeyParts))
                writer.append("cut", index.flags.hasCutKeys)
                writer.append("inexact", Int64(bitPattern: index.flags.inexactParts))
                writer.close(item)
            }
            writer.close(list)
        }
    }

    /// Reads a record back.
    /// - Throws: `internalError` naming the collection where the record makes no sense.
    static func decode(_ namespace: Namespace, _ record: DocumentView) throws(DBError)
        -> CollectionEntry
    {
        guard let binary = record.value("uuid")?.binary,
            let uuid = UUIDBytes([UInt8](copying: binary.content)),
            let table = record.value("table")?.int64,
            let options = record.value("options")?.document,
            let list = record.value("indexes")?.array
        else { throw damaged(namespace) }
        if let version = record.value("collationKeys")?.int64, version != Collation.keyVersion {
            throw DBError(
                .internalError,
                "The keys of \(namespace) were ordered by a collation of another version of ICU "
                    + "(\(version); this one is \(Collation.keyVersion)); open the folder with that "
                    + "version to dump it, and restore the dump here")
        }
        var indexes: [IndexEntry] = []
        var elements = list.makeIterator()
        while let element = elements.next() {
            guard let item = element.value.document else { throw damaged(namespace) }
            indexes.append(try decodeIndex(namespace, item))
        }
        let idTable = record.value("idTable")?.int64
        return CollectionEntry(
            namespace: namespace, uuid: uuid, table: TableID(rawValue: UInt64(bitPattern: table)),
            idTable: idTable.map { TableID(rawValue: UInt64(bitPattern: $0)) },
            options: Document(copying: options),
            traits: try CollectionTraits(Document(copying: options)), indexes: indexes,
            flags: RecordFlags(hasCutKeys: record.value("cut")?.bool ?? false),
            trash: record.value("trash")?.int64.map { TrashID(rawValue: UInt64(bitPattern: $0)) })
    }

    private static func decodeIndex(
        _ namespace: Namespace, _ item: DocumentView
    ) throws(DBError) -> IndexEntry {
        guard let view = item.value("spec")?.document, let table = item.value("table")?.int64,
            let multikey = item.value("multikey")?.int64
        else { throw damaged(namespace) }
        let specification = try IndexSpecification(view)
        return IndexEntry(
            specification, table: TableID(rawValue: UInt64(bitPattern: table)),
            isReady: item.value("ready")?.bool ?? false,
            flags: IndexFlags(
                multikeyParts: UInt64(bitPattern: multikey),
                hasCutKeys: item.value("cut")?.bool ?? false,
                // Older records don't say.
                inexactParts: UInt64(bitPattern: item.value("inexact")?.int64 ?? -1)))
    }

    private static func damaged(_ namespace: Namespace) -> DBError {
        DBError(
            .internalError,
            "The catalog's record of \(namespace) is damaged; run 'roost verify' on the folder")
    }
}

extension IndexEntry {
    /// An entry for a checked specification.
    convenience init(
        _ specification: IndexSpecification, table: TableID, isReady: Bool, flags: IndexFlags
    ) {
        self.init(
            name: specification.name, specification: specification.document,
            pattern: specification.pattern, table: table, isUnique: specification.isUnique,
            preparesUnique: specification.preparesUnique,
            isSparse: specification.isSparse, partialFilter: specification.partialFilter,
            isHidden: specification.isHidden, isReady: isReady, flags: flags)
    }
}
