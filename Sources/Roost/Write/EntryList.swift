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
    mutating func append(parts: RawSpan, record: RawSpan, ordinal: Int, multikeyParts: UInt64) {
        let start = bytes.count
        let isCut = IndexEntryKey.append(parts: parts, record: record, to: &bytes)
        items.append(
            Item(
                start: start, end: bytes.count, ordinal: ordinal, table: nil,
                multikeyParts: multikeyParts, isCut: isCut))
    }

    /// Adds the entry at `position` of another list, to go into `table`.
    mutating func append(_ other: borrowing EntryList, _ position: Int, table: TableID) {
        let start = bytes.count
        bytes.append(copying: other.key(position))
        items.append(
            Item(
                start: start, end: bytes.count, ordinal: 0, table: table, multikeyParts: 0,
                isCut: false))
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
    static func removeCommon(_ left: inout EntryList, _ right: inout EntryList) {
        var isCommonRight = [Bool](repeating: false, count: right.count)
        var kept: [Item] = []
        for position in 0..<left.count {
            let match = (0..<right.count).first {
                !isCommonRight[$0] && left.ordinal(position) == right.ordinal($0)
                    && left.key(position).equals(right.key($0))
            }
            if let match { isCommonRight[match] = true } else { kept.append(left.items[position]) }
        }
        left.items = kept
        right.items = right.items.indices.filter { !isCommonRight[$0] }.map { right.items[$0] }
    }

    /// Removes the entries that `other` holds too.
    mutating func removeAll(in other: borrowing EntryList) {
        var kept: [Item] = []
        for position in 0..<count {
            var isShared = false
            for candidate in 0..<other.count
            where ordinal(position) == other.ordinal(candidate)
                && key(position).equals(other.key(candidate))
            {
                isShared = true
                break
            }
            if !isShared { kept.append(items[position]) }
        }
        items = kept
    }
}
