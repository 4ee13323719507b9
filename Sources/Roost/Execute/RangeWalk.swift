// Walking ranges of a table's keys, across snapshots.
//
// A walk remembers the last key that it was done with. Each slice opens a cursor on its own
// snapshot and goes on behind that key, whether or not the entry still exists.

import BSON
import Storage

/// A walk through ranges of keys, in order or against it.
struct RangeWalk {
    let ranges: KeyRanges
    let isBackward: Bool
    /// The range that the walk is in.
    private var range: Int
    /// Where the last slice ended; meaningful when `isResumed`.
    private var mark: [UInt8] = []
    private var isResumed = false
    /// Whether the entry at the mark was done with.
    private var isMarkDone = false

    init(_ ranges: KeyRanges, isBackward: Bool) {
        self.ranges = ranges
        self.isBackward = isBackward
        range = isBackward ? ranges.count - 1 : 0
    }

    /// What is left of a single range that is walked in order; nil for other walks.
    var rest: SplitRange? {
        guard !isBackward, ranges.count == 1, range == 0 else { return nil }
        let high = [UInt8](copying: ranges.high(0))
        guard isResumed else { return SplitRange(low: [UInt8](copying: ranges.low(0)), high: high) }
        return SplitRange(low: isMarkDone ? mark + [0] : mark, high: high)
    }

    /// The same walk through a single range, from `low` on.
    func beginning(at low: [UInt8]) -> RangeWalk {
        let high = [UInt8](copying: ranges.high(0))
        return RangeWalk(KeyRanges(low: low, high: high), isBackward: isBackward)
    }

    /// Whether the walk needn't look at bounds: the whole table.
    private var isUnbounded: Bool { ranges.isAll }

    /// Places a new cursor on the first entry that is left; false at the end.
    mutating func start(_ cursor: inout ReadTransaction.Cursor) throws(StorageError) -> Bool {
        guard ranges.count > 0, range >= 0, range < ranges.count else { return false }
        guard isResumed else {
            let found =
                isBackward
                ? try Self.last(before: ranges.high(range), &cursor)
                : try cursor.seek(to: ranges.low(range))
            return try settle(&cursor, found)
        }
        if isBackward {
            if isMarkDone {
                return try settle(&cursor, try cursor.seek(before: mark.span.bytes))
            }
            let behind = mark + [0]
            return try settle(&cursor, try cursor.seek(before: behind.span.bytes))
        }
        var found = try cursor.seek(to: mark.span.bytes)
        if found, isMarkDone, cursor.key.equals(mark.span.bytes) { found = try cursor.next() }
        return try settle(&cursor, found)
    }

    /// Moves to the next entry in the ranges; false at the end.
    mutating func next(_ cursor: inout ReadTransaction.Cursor) throws(StorageError) -> Bool {
        let found = isBackward ? try cursor.previous() : try cursor.next()
        return isUnbounded ? found : try settle(&cursor, found)
    }

    /// Ends a slice at the cursor's entry. `isDone`: the next slice goes on behind it.
    mutating func suspend(_ cursor: borrowing ReadTransaction.Cursor, isDone: Bool) {
        mark.removeAll(keepingCapacity: true)
        mark.append(copying: cursor.key)
        isResumed = true
        isMarkDone = isDone
    }

    /// Goes on at `key` in the next slice, or behind it, wherever the walk was.
    mutating func resume(at key: [UInt8], isDone: Bool) {
        mark = key
        isResumed = true
        isMarkDone = isDone
        range = isBackward ? ranges.count - 1 : 0
    }

    /// Is done with the entry that the last slice ended at.
    mutating func passMark() {
        isMarkDone = true
    }

    /// From wherever the cursor is, the first entry that lies in a range.
    mutating func settle(
        _ cursor: inout ReadTransaction.Cursor, _ isFound: Bool
    ) throws(StorageError) -> Bool {
        var isFound = isFound
        while isFound {
            if isBackward {
                if cursor.key.compareBytes(ranges.low(range)) >= 0 { return true }
                repeat {
                    range -= 1
                    if range < 0 { return false }
                } while cursor.key.compareBytes(ranges.low(range)) < 0
                if !Self.isBelow(cursor.key, ranges.high(range)) {
                    isFound = try Self.last(before: ranges.high(range), &cursor)
                }
            } else {
                if Self.isBelow(cursor.key, ranges.high(range)) { return true }
                repeat {
                    range += 1
                    if range >= ranges.count { return false }
                } while !Self.isBelow(cursor.key, ranges.high(range))
                if cursor.key.compareBytes(ranges.low(range)) < 0 {
                    isFound = try cursor.seek(to: ranges.low(range))
                }
            }
        }
        range = isBackward ? -1 : ranges.count
        return false
    }

    private static func last(
        before high: RawSpan, _ cursor: inout ReadTransaction.Cursor
    ) throws(StorageError) -> Bool {
        high.isEmpty ? try cursor.last() : try cursor.seek(before: high)
    }

    private static func isBelow(_ key: RawSpan, _ high: RawSpan) -> Bool {
        high.isEmpty || key.compareBytes(high) < 0
    }
}
