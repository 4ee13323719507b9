// What the engine knows of a collection. Entries are immutable; each change of the catalog makes
// new ones and publishes them after its commit. Only the flags inside are mutable, and they only
// ever go from false to true.

package import BSON
package import Query
package import Storage
import Synchronization

/// A collection as one version of the catalog has it.
package final class CollectionEntry: Sendable {
    /// Its name.
    package let namespace: Namespace
    /// A random identity that survives renames.
    package let uuid: UUIDBytes
    /// Where its documents lie: keyed by `RecordKey`, or in a capped collection by
    /// `CappedRecords.key`, in the order they came.
    package let table: TableID
    /// In a capped collection, where a document's key in `table` is found by its `_id`'s
    /// `RecordKey`; nil where `table` itself has that key.
    package let idTable: TableID?
    /// Its part of the trash.
    package let trash: TrashID
    /// The options of `create`, as given; without `uuid`.
    package let options: Document
    /// What the options make it do.
    package let traits: CollectionTraits
    /// The order of strings of queries and indexes that name none; from `options`.
    package var collation: Collation? { traits.collation }
    /// The secondary indexes, in order of creation; the `_id` index is the table itself.
    package let indexes: [IndexEntry]
    /// What the collection shows, if it is a view: then its table stays empty.
    package let view: ViewDefinition?
    /// Whether an `_id` leads to the one document that has it: not in views and time series.
    package let hasKeysOfIDs: Bool
    /// Whether documents lie in the order of their `_id`.
    package let isClustered: Bool
    /// Flags that all versions of this collection share.
    package let flags: RecordFlags

    package init(
        namespace: Namespace, uuid: UUIDBytes, table: TableID, idTable: TableID?,
        options: Document, traits: CollectionTraits, indexes: [IndexEntry], flags: RecordFlags,
        trash: TrashID? = nil
    ) {
        self.namespace = namespace
        self.uuid = uuid
        self.table = table
        self.idTable = idTable
        self.trash = trash ?? TrashID(rawValue: table.rawValue)
        self.options = options
        self.traits = traits
        self.indexes = indexes
        self.flags = flags
        view = ViewDefinition(options)
        let isTimeSeries = traits.timeSeries != nil
        hasKeysOfIDs = view == nil && !isTimeSeries
        isClustered = idTable == nil && !isTimeSeries
    }

    /// Refuses views.
    /// - Throws: `commandNotSupportedOnView` (166).
    package func checkIsNoView() throws(DBError) {
        if view != nil {
            throw DBError(
                .commandNotSupportedOnView, "Namespace \(namespace) is a view, not a collection")
        }
    }

    /// Whether record or index keys hold sort keys of a collation.
    var hasCollatedKeys: Bool {
        collation != nil || indexes.contains { $0.pattern.collation != nil }
    }

    /// The same collection with other indexes.
    package func with(indexes: [IndexEntry]) -> CollectionEntry {
        CollectionEntry(
            namespace: namespace, uuid: uuid, table: table, idTable: idTable, options: options,
            traits: traits, indexes: indexes, flags: flags, trash: trash)
    }

    /// The same collection under another name.
    package func renamed(_ namespace: Namespace) -> CollectionEntry {
        CollectionEntry(
            namespace: namespace, uuid: uuid, table: table, idTable: idTable, options: options,
            traits: traits, indexes: indexes, flags: flags, trash: trash)
    }

    /// The same collection with other options.
    /// - Throws: where the options make no sense.
    package func with(options: Document) throws(DBError) -> CollectionEntry {
        CollectionEntry(
            namespace: namespace, uuid: uuid, table: table, idTable: idTable, options: options,
            traits: try CollectionTraits(options), indexes: indexes, flags: flags, trash: trash)
    }

    /// The same collection with another's part of the trash, in whose place it comes.
    func with(trashOf other: CollectionEntry) -> CollectionEntry {
        CollectionEntry(
            namespace: namespace, uuid: uuid, table: table, idTable: idTable, options: options,
            traits: traits, indexes: indexes, flags: flags, trash: other.trash)
    }

    /// Whether the order of keys in `table` is that of `_id` throughout.
    var hasOrderedRecords: Bool { isClustered && !flags.hasCutKeys }

    /// The secondary index of that name.
    package func index(named name: String) -> IndexEntry? {
        indexes.first { $0.name.hasSameBytes(as: name) }
    }
}

/// Sixteen bytes of a UUID.
package struct UUIDBytes: Hashable, Sendable {
    /// The bytes in network order.
    package let bytes: [UInt8]

    /// Takes 16 bytes; nil for any other count.
    package init?(_ bytes: [UInt8]) {
        guard bytes.count == 16 else { return nil }
        self.bytes = bytes
    }

    /// A random UUID of version 4 (RFC 9562).
    package static func random() -> UUIDBytes {
        var generator = SystemRandomNumberGenerator()
        var bytes = (0..<16).map { _ in UInt8.random(in: 0...255, using: &generator) }
        bytes[6] = bytes[6] & 0x0F | 0x40
        bytes[8] = bytes[8] & 0x3F | 0x80
        return UUIDBytes(unchecked: bytes)
    }

    private init(unchecked bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// The value as BSON has it: binary of subtype 4.
    package var value: Value { .binary(subtype: 4, bytes) }
}

/// What has ever been stored in a collection's table.
///
/// A reader loads a flag after it took its snapshot. The writer sets a flag before the commit that
/// makes it necessary, so whatever a snapshot holds, its reader sees the flags for it. An aborted
/// commit leaves a flag set, which costs speed only.
package final class RecordFlags: Sendable {
    private let cut: Atomic<Bool>

    package init(hasCutKeys: Bool) {
        cut = Atomic(hasCutKeys)
    }

    /// Whether some record key was cut, so that key order isn't `_id` order throughout.
    package var hasCutKeys: Bool { cut.load(ordering: .acquiring) }

    /// Notes a cut key; true when this is news.
    package func noteCutKey() -> Bool { !cut.exchange(true, ordering: .acquiringAndReleasing) }
}
