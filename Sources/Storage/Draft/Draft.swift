// A draft: changes kept in memory over a pinned snapshot.
//
// A reader with a draft reads as if the changes were made: values, cursors and counts merge the
// snapshot with them (DraftTable, DraftWalk). `Reader.edit` lends a write transaction that changes
// the draft only, so what writes to the store writes to a draft in the same way. Nothing is ever
// committed from here: `changes` tells in order what was done, for whoever repeats it.

/// One change of a draft.
package struct DraftChange: Sendable {
    /// The table.
    package let table: TableID
    /// The key.
    package let key: [UInt8]
    /// The value now; nil where the key was removed.
    package let value: [UInt8]?

    /// A change of a table's entry.
    package init(table: TableID, key: [UInt8], value: [UInt8]?) {
        self.table = table
        self.key = key
        self.value = value
    }
}

/// Changes in memory. Confined to the thread that uses its reader.
final class Draft {
    /// What an entry costs beyond its bytes.
    private static let entryBytes = 64
    /// Numbers of tables made in drafts, which no stored table reaches.
    static let firstTable: UInt64 = 1 << 62

    /// All changes in order.
    private(set) var changes: [DraftChange] = []
    /// Memory held, in bytes; roughly.
    private(set) var byteCount = 0
    private let bytesMax: Int
    private var tables: [TableID: DraftTable] = [:]
    private var nextTable = Draft.firstTable

    init(bytesMax: Int) {
        self.bytesMax = bytesMax
    }

    /// What was changed in a table; nil where nothing was.
    func table(_ table: TableID) -> DraftTable? { tables[table] }

    /// Makes a table.
    func createTable() -> TableID {
        let table = TableID(rawValue: nextTable)
        nextTable += 1
        tables[table] = DraftTable(isNew: true)
        return table
    }

    /// Sets or removes a key. `wasThere`: whether the key had a value before.
    /// - Throws: `draftTooLarge`; nothing is changed then.
    func set(
        _ table: TableID, _ key: RawSpan, _ value: RawSpan?, wasThere: Bool
    ) throws(StorageError) {
        let added = key.byteCount + (value?.byteCount ?? 0) + Self.entryBytes
        guard byteCount + added <= bytesMax else { throw .draftTooLarge(bytesMax: bytesMax) }
        byteCount += added
        let changed = tables[table] ?? DraftTable(isNew: false)
        tables[table] = changed
        var bytes: [UInt8]?
        if let value { bytes = [UInt8](copying: value) }
        let change = DraftChange(table: table, key: [UInt8](copying: key), value: bytes)
        changed.set(change.key, change.value)
        changes.append(change)
        if wasThere, value == nil { changed.countChange -= 1 }
        if !wasThere, value != nil { changed.countChange += 1 }
    }
}

/// A cursor's place among a draft's entries, beside its place in the snapshot.
final class DraftWalk {
    /// Where the entry at the cursor comes from.
    enum Side {
        case nowhere, below, draft
    }

    let table: DraftTable
    /// The next entry of the draft in the direction of the walk; nil at its end.
    var place: DraftTable.Place?
    var side = Side.nowhere
    var isForward = true

    init(_ table: DraftTable) {
        self.table = table
    }

    /// The entry at `place`.
    var entry: DraftTable.Entry? { place.map { table.entry(at: $0) } }

    /// Moves one entry on in the direction of the walk.
    func advance() {
        guard let place else { return }
        self.place = isForward ? table.next(place) : table.previous(place)
    }
}

extension [UInt8] {
    /// The bytes of a draft's entry.
    ///
    /// SAFETY: a draft keeps its entries' arrays as they are until it is changed, which the borrow
    /// of the transaction that lends the bytes excludes.
    var lent: UnsafeRawBufferPointer { withUnsafeBytes { $0 } }
}
