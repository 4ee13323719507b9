// What the engine knows of a secondary index.

package import BSON
package import Query
package import Storage
import Synchronization

/// A secondary index as one version of the catalog has it.
package final class IndexEntry: Sendable {
    /// Its name, unique within the collection.
    package let name: String
    /// The specification as `listIndexes` shows it: v, key, name and options.
    package let specification: Document
    /// The key pattern as it was given.
    package var key: Document {
        if case .document(let key) = specification["key"] { key } else { Document() }
    }
    /// The paths and directions of its keys.
    package let pattern: IndexKeyPattern
    /// Where its entries lie; see `IndexEntryKey` for their form.
    package let table: TableID
    /// Whether two documents may not share a key.
    package let isUnique: Bool
    /// Whether it is on its way to be unique: new entries may not share a key, old ones may.
    package let preparesUnique: Bool
    /// Whether documents that have none of the paths are left out.
    package let isSparse: Bool
    /// Documents that don't match are left out; nil where all are in.
    package let partialFilter: Filter?
    /// Whether the planner must not choose it.
    package let isHidden: Bool
    /// Whether every document has its entries, so that reads may use it. Writes keep it up to date
    /// from the start of its build.
    package let isReady: Bool
    /// Flags that all versions of this index share.
    package let flags: IndexFlags

    package init(
        name: String, specification: Document, pattern: IndexKeyPattern, table: TableID,
        isUnique: Bool, preparesUnique: Bool, isSparse: Bool, partialFilter: Filter?,
        isHidden: Bool, isReady: Bool, flags: IndexFlags
    ) {
        self.name = name
        self.specification = specification
        self.pattern = pattern
        self.table = table
        self.isUnique = isUnique
        self.preparesUnique = preparesUnique
        self.isSparse = isSparse
        self.partialFilter = partialFilter
        self.isHidden = isHidden
        self.isReady = isReady
        self.flags = flags
    }

    /// Whether a new entry must be alone with its key.
    var refusesDuplicates: Bool { isUnique || preparesUnique }

    /// The same index, its build finished.
    package func ready() -> IndexEntry {
        IndexEntry(
            name: name, specification: specification, pattern: pattern, table: table,
            isUnique: isUnique, preparesUnique: preparesUnique, isSparse: isSparse,
            partialFilter: partialFilter, isHidden: isHidden, isReady: true, flags: flags)
    }
}

/// What has ever been stored in an index. Set before the commit that needs it, never unset; a
/// reader loads it after it took its snapshot (see `RecordFlags`).
package final class IndexFlags: Sendable {
    private let multikey: Atomic<UInt64>
    private let inexact: Atomic<UInt64>
    private let cut: Atomic<Bool>

    package init(multikeyParts: UInt64, hasCutKeys: Bool, inexactParts: UInt64 = 0) {
        multikey = Atomic(multikeyParts)
        inexact = Atomic(inexactParts)
        cut = Atomic(hasCutKeys)
    }

    /// Bit n is set when some document has an array along the path of part n.
    package var multikeyParts: UInt64 { multikey.load(ordering: .acquiring) }

    /// Whether some document has more than one entry, or an array along a path.
    package var isMultikey: Bool { multikeyParts != 0 }

    /// Whether some key was cut, so that key order isn't value order throughout.
    package var hasCutKeys: Bool { cut.load(ordering: .acquiring) }

    /// Bit n is set when the value of part n of some document isn't the one that its key decodes
    /// to (`KeyDecoder`).
    package var inexactParts: UInt64 { inexact.load(ordering: .acquiring) }

    /// Notes values whose keys don't give them back; true when this is news.
    package func note(inexactParts parts: UInt64) -> Bool {
        // Mostly nothing is new, and a look costs less than a write.
        if parts & ~inexact.load(ordering: .relaxed) == 0 { return false }
        let before = inexact.bitwiseOr(parts, ordering: .acquiringAndReleasing).oldValue
        return before | parts != before
    }

    /// Notes arrays along the paths of these parts; true when this is news.
    package func note(multikeyParts parts: UInt64) -> Bool {
        let before = multikey.bitwiseOr(parts, ordering: .acquiringAndReleasing).oldValue
        return before | parts != before
    }

    /// Notes a cut key; true when this is news.
    package func noteCutKey() -> Bool { !cut.exchange(true, ordering: .acquiringAndReleasing) }
}
