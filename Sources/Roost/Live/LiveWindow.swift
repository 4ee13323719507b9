// A window over a sorted result, with a spare tail: rows that leave are replaced from the tail, and
// only when that runs short is the result read again.

import BSON

/// The first rows of a sorted result.
struct LiveWindow {
    /// A row and its place in the order.
    struct Entry {
        /// The sort key; no two are equal.
        let key: [UInt8]
        let row: LiveRow
    }

    private let skip: Int
    private let limit: Int
    private(set) var entries: [Entry] = []
    /// Whether these are all rows there are.
    private(set) var isComplete = true

    init(skip: Int, limit: Int) {
        self.skip = skip
        self.limit = limit
    }

    /// Rows kept behind those shown.
    private var spare: Int { min(256, max(16, limit / 2)) }

    /// Most rows kept.
    var capacity: Int { skip + limit + spare }

    /// Whether rows may be missing that are to be shown, or soon will be.
    var needsRefill: Bool { !isComplete && entries.count < skip + limit + spare / 4 }

    /// Whether the rows shown are known.
    var isKnown: Bool { isComplete || entries.count >= skip + limit }

    /// The rows shown.
    var visible: [LiveRow] {
        entries.dropFirst(skip).prefix(limit).map(\.row)
    }

    /// Replaces all rows by the first of the result, in order, at most `capacity`.
    mutating func fill(_ entries: [Entry], isComplete: Bool) {
        self.entries = entries
        self.isComplete = isComplete
    }

    /// A row is in the result now. O(log n + n) in the rows kept.
    mutating func insert(_ key: [UInt8], _ row: @autoclosure () throws(DBError) -> LiveRow)
        throws(DBError)
    {
        let place = place(of: key)
        // What is beyond the tail is not known, so neither is where it stands there.
        if place == entries.count, !isComplete { return }
        entries.insert(Entry(key: key, row: try row()), at: place)
        if entries.count > capacity {
            entries.removeLast(entries.count - capacity)
            isComplete = false
        }
    }

    /// A row is not in the result any more.
    mutating func remove(_ key: [UInt8]) {
        let place = place(of: key)
        if place < entries.count, entries[place].key == key { entries.remove(at: place) }
    }

    /// The first place whose key is not below `key`.
    private func place(of key: [UInt8]) -> Int {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            let other = entries[middle].key
            if other.span.bytes.compareBytes(key.span.bytes) < 0 {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }
}
