/// Where each table lives, as of one commit: immutable, published whole by the writer, looked up on
/// every read. Open addressing over a power of two: a look-up is one multiplication and, nearly
/// always, one probe.
final class TableMap: Sendable {
    /// Where one table lives.
    struct Entry: Sendable {
        /// The table's number.
        var id: UInt64
        /// LMDB's handle: the table's own, or that of the shared one.
        var handle: UInt32
        /// Whether its keys carry the id as an 8-byte prefix.
        var isShared: Bool
        /// The commit that dropped it; `UInt64.max` while it lives.
        var droppedIn: UInt64 = .max

        var table: TableID { TableID(rawValue: id) }
        var isLive: Bool { droppedIn == .max }
    }

    private let slots: [Entry]
    private let shift: UInt64
    /// All entries by id, dropped ones included.
    let entries: [Entry]

    static let empty = TableMap([])

    init(_ entries: [Entry]) {
        self.entries = entries.sorted { $0.id < $1.id }
        var bits: UInt64 = 3
        while entries.count * 2 > 1 << bits { bits += 1 }
        shift = 64 - bits
        var slots = [Entry](
            repeating: Entry(id: .max, handle: 0, isShared: false), count: 1 << Int(bits))
        for entry in entries {
            var index = Self.slot(entry.id, shift)
            while slots[index].id != .max { index = (index + 1) & (slots.count - 1) }
            slots[index] = entry
        }
        self.slots = slots
    }

    private static func slot(_ id: UInt64, _ shift: UInt64) -> Int {
        Int(truncatingIfNeeded: (id &* 0x9E37_79B9_7F4A_7C15) >> shift)
    }

    /// The entry that a snapshot sees under `table`; nil if there is none.
    @inline(__always)
    func find(_ table: TableID, at snapshot: UInt64) -> Entry? {
        var index = Self.slot(table.rawValue, shift)
        while true {
            let entry = slots[index]
            if entry.id == table.rawValue { return entry.droppedIn > snapshot ? entry : nil }
            if entry.id == .max { return nil }
            index = (index + 1) & (slots.count - 1)
        }
    }

    /// This map with one entry more, or replaced.
    func setting(_ entry: Entry) -> TableMap {
        TableMap(entries.filter { $0.id != entry.id } + [entry])
    }

    /// This map without a table.
    func removing(_ id: UInt64) -> TableMap {
        TableMap(entries.filter { $0.id != id })
    }
}
