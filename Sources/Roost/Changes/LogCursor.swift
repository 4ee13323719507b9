// Going over the change log: plain records, and those in compressed segments, as one sequence.

import BSON
import Storage

/// A place among the log's records. What it lends lives until it moves.
struct LogCursor: ~Copyable, ~Escapable {
    private var entries: ReadTransaction.Cursor
    /// The records of the segment at hand, inflated; empty at a plain record.
    private var segment: [UInt8] = []
    /// The record in it.
    private var record = 0..<0
    /// The record's place; `start` before the first move.
    private(set) var place = LogPosition.start

    @_lifetime(borrow transaction)
    init(_ transaction: borrowing ReadTransaction) {
        entries = transaction.cursor(.changeLog)
    }

    /// Moves to the first record behind a position, or the one that is only partly behind it; false
    /// at the end. O(log n), and a segment's inflation.
    @_lifetime(self: copy self)
    mutating func seek(behind position: LogPosition) throws -> Bool {
        let key = position.nextKey
        segment = []
        var isFound = try entries.seek(to: key.span.bytes)
        while isFound {
            if try enter() {
                while place.key.lexicographicallyPrecedes(key) {
                    guard try nextInSegment() else { break }
                }
                if !place.key.lexicographicallyPrecedes(key) { return true }
            }
            isFound = try entries.next()
        }
        return false
    }

    /// Moves one record on; false at the end.
    @_lifetime(self: copy self)
    mutating func next() throws -> Bool {
        if try nextInSegment() { return true }
        segment = []
        while try entries.next() {
            if try enter() { return true }
        }
        return false
    }

    /// Moves to the newest record, which is never compressed; false in an empty log.
    @_lifetime(self: copy self)
    mutating func last() throws -> Bool {
        segment = []
        guard try entries.last() else { return false }
        return try enter()
    }

    /// The record's bytes.
    @_lifetime(borrow self)
    func value() throws -> RawSpan {
        if segment.isEmpty { return try entries.value() }
        return segment.span.bytes.extracting(record)
    }

    /// Takes in the entry at hand; false for the log's own.
    @_lifetime(self: copy self)
    private mutating func enter() throws -> Bool {
        if let plain = LogPosition(key: entries.key) {
            place = plain
            segment = []
            return true
        }
        guard LogSegmentView.isKey(entries.key) else { return false }
        segment = try LogSegmentView(try entries.value()).inflate()
        record = 0..<0
        return try nextInSegment()
    }

    /// Moves to the next record of the segment; false where there is none.
    @_lifetime(self: copy self)
    private mutating func nextInSegment() throws -> Bool {
        let start = record.upperBound
        guard start < segment.count else { return false }
        let bytes = start + LogPosition.keyBytes + 4
        guard bytes <= segment.count else { throw LogSegmentView.damaged }
        let length = Int(
            segment.span.bytes.number(at: start + LogPosition.keyBytes, as: UInt32.self))
        guard bytes + length <= segment.count,
            let next = LogPosition(
                key: segment.span.bytes.extracting(start..<start + LogPosition.keyBytes))
        else { throw LogSegmentView.damaged }
        record = bytes..<bytes + length
        place = next
        return true
    }
}
