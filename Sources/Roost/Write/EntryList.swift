// Index entries on their way into or out of the store: keys laid out in one buffer.

import BSON
import Storage

/// A list of index entry keys without an allocation for each.
struct EntryList: ~Copyable {
    private struct Item {
        let start: Int
        let end: Int
        /// Position of the index in its collection's list.
        let ordinal: Int
        let table: TableID?
        let multikeyParts: UInt64
        let inexactParts: UInt64
        let isCut: Bool
    }

    private var bytes: [UInt8] = []
    private var items: [Item] = []

    init() {}

    /// The number of entries.
    var count: Int { items.count }

    /// Forgets the entries, keeps the memory.
    mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        items.removeAll(keepingCapacity: true)
    }

    /// Adds the entry of one key of a document.
    mutating func append(
        parts: RawSpan, record: RawSpan, ordinal: Int, multikeyParts: UInt64, inexactParts: UInt64
    ) {
        let start = bytes.count
        let isCut = IndexEntryKey.append(parts: parts, record: record, to: &bytes)
        items.append(
            Item(
                start: start, end: bytes.count, ordinal: ordinal, table: nil,
                multikeyParts: multikeyParts, inexactParts: inexactParts, isCut: isCut))
    }

    /// Adds the entry at `position` of another list, to go into `table`.
    mutating func append(_ other: borrowing EntryList, _ position: Int, table: TableID) {
        let start = bytes.count
        bytes.append(copying: other.key(position))
        items.append(
            Item(
                start: start, end: bytes.count, ordinal: 0, table: table, multikeyParts: 0,
                inexactParts: 0, isCut: false))
    }

    /// Puts every entry: into its own table, or that of its index.
    func put(
        in indexes: [IndexEntry] = [], _ transaction: inout WriteTransaction
    ) throws {
        for position in items.indices {
            let table = items[position].table ?? indexes[items[position].ordinal].table
            try transaction.put(table, key: key(position), value: RawSpan())
        }
    }

    /// Deletes every entry from its index.
    func delete(from indexes: [IndexEntry], _ transaction: inout WriteTransaction) throws {
        for position in items.indices {
            _ = try transaction.delete(
                indexes[items[position].ordinal].table, key: key(position))
        }
    }

    /// The key of an entry.
    @_lifetime(borrow self)
    func key(_ position: Int) -> RawSpan {
        let item = items[position]
        return bytes.span.bytes.extracting(item.start..<item.end)
    }

    /// Position of an entry's index in its collection's list.
    func ordinal(_ position: Int) -> Int { items[position].ordinal }

    /// The parts that went through arrays in the document an entry is of.
    func multikeyParts(_ position: Int) -> UInt64 { items[position].multikeyParts }

    /// The parts whose values their keys don't give back.
    func inexactParts(_ position: Int) -> UInt64 { items[position].inexactParts }

    /// Whether an entry's parts were cut.
    func isCut(_ position: Int) -> Bool { items[position].isCut }

    /// Sorts by table, then key.
    mutating func sort() {
        let sorted = bytes.withUnsafeBytes { bytes in
            // SAFETY: the pointer stays in this closure; items lie within the buffer.
            items.sorted { left, right in
                if left.table != right.table {
                    return (left.table?.rawValue ?? 0) < (right.table?.rawValue ?? 0)
                }
                return bytes[left.start..<left.end]
                    .lexicographicallyPrecedes(bytes[right.start..<right.end])
            }
        }
        items = sorted
    }

    /// Removes from both lists what both hold: entries that a change leaves as they are.
    ///
    /// Both lists must ascend by ordinal and key, as entries derived from documents do. O(n + m).
    static func removeCommon(_ left: inout EntryList, _ right: inout EntryList) {
        var keptLeft: [Item] = []
        var keptRight: [Item] = []
        var (i, j) = (0, 0)
        while i < left.count, j < right.count {
            let order = left.compare(i, right, j)
            if order == 0 {
                i += 1
                j += 1
            } else if order < 0 {
                keptLeft.append(left.items[i])
                i += 1
            } else {
                keptRight.append(right.items[j])
                j += 1
            }
        }
        keptLeft += left.items[i...]
        keptRight += right.items[j...]
        left.items = keptLeft
        right.items = keptRight
    }

    /// Order of an entry and one of another list: by ordinal, then key.
    private func compare(_ position: Int, _ other: borrowing EntryList, _ otherPosition: Int) -> Int
    {
        let (own, others) = (ordinal(position), other.ordinal(otherPosition))
        return own != others
            ? own - others : key(position).compareBytes(other.key(otherPosition))
    }

    /// Removes the entries that `other` holds too. Both must ascend, as above. O(n + m).
    mutating func removeAll(in other: borrowing EntryList) {
        var kept: [Item] = []
        var next = 0
        for position in 0..<count {
            while next < other.count, compare(position, other, next) > 0 { next += 1 }
            if next == other.count || compare(position, other, next) != 0 {
                kept.append(items[position])
            }
        }
        items = kept
    }
}
