// Places in the change log.

package import BSON
import Storage

/// A place in the change log: just behind one event, or behind all of a command.
///
/// Positions compare as the log is ordered. A record's own position has `part == wholeEvent`.
package struct LogPosition: Hashable, Comparable, Sendable {
    /// The command's timestamp.
    package let sequence: Timestamp
    /// The record within the command.
    package let ordinal: UInt32
    /// How much of the record is behind: a number of fragments, the event, or its invalidation.
    package let part: UInt16

    /// Behind the whole event of a record.
    static let wholeEvent: UInt16 = 0xFF00
    /// Behind the `invalidate` that follows the event.
    static let invalidation: UInt16 = 0xFFFF

    init(_ sequence: Timestamp, ordinal: UInt32, part: UInt16 = LogPosition.wholeEvent) {
        self.sequence = sequence
        self.ordinal = ordinal
        self.part = part
    }

    /// Behind all events of the command with that timestamp, and of all before it.
    static func behind(_ sequence: Timestamp) -> LogPosition {
        LogPosition(sequence, ordinal: .max, part: invalidation)
    }

    /// Before the first event whose timestamp is `sequence` or later.
    static func before(_ sequence: Timestamp) -> LogPosition {
        behind(Timestamp(rawValue: sequence.rawValue == 0 ? 0 : sequence.rawValue - 1))
    }

    /// Before everything.
    static let start = LogPosition(Timestamp(rawValue: 0), ordinal: 0, part: 0)

    /// Whether this is no event's own place.
    var isBetweenCommands: Bool { ordinal == .max }

    /// The same record with another part behind.
    func with(part: UInt16) -> LogPosition {
        LogPosition(sequence, ordinal: ordinal, part: part)
    }

    // MARK: Keys

    /// Bytes of a record's key.
    static let keyBytes = 12

    /// Below the keys of all records, above those of the log's own entries.
    static let firstKey = LogPosition(Timestamp(rawValue: 1), ordinal: 0).key

    /// The key of the record: sequence and ordinal, big-endian.
    var key: [UInt8] {
        withUnsafeBytes(of: sequence.rawValue.bigEndian) { Array($0) }
            + withUnsafeBytes(of: ordinal.bigEndian) { Array($0) }
    }

    /// Replaces the bytes of a key.
    func writeKey(into key: inout [UInt8]) {
        for index in 0..<8 {
            key[index] = UInt8(truncatingIfNeeded: sequence.rawValue >> (56 - 8 * index))
        }
        for index in 0..<4 {
            key[8 + index] = UInt8(truncatingIfNeeded: ordinal >> (24 - 8 * index))
        }
    }

    /// The position of the record under that key; nil for segments, and for the log's own entries,
    /// whose keys begin with zeros.
    init?(key: RawSpan) {
        guard key.byteCount == Self.keyBytes else { return nil }
        // SAFETY: the span has the twelve bytes.
        let sequence = UInt64(bigEndian: key.unsafeLoadUnaligned(as: UInt64.self))
        guard sequence != 0 else { return nil }
        self.init(
            Timestamp(rawValue: sequence),
            ordinal: UInt32(
                bigEndian: key.unsafeLoadUnaligned(fromByteOffset: 8, as: UInt32.self)))
    }

    /// The lowest key that a record behind this position can have; the record itself where only
    /// fragments of it are behind.
    var nextKey: [UInt8] {
        if part < Self.wholeEvent { return key }
        if ordinal < .max { return LogPosition(sequence, ordinal: ordinal + 1).key }
        return LogPosition(Timestamp(rawValue: sequence.rawValue &+ 1), ordinal: 0).key
    }

    package static func < (left: LogPosition, right: LogPosition) -> Bool {
        (left.sequence, left.ordinal, left.part) < (right.sequence, right.ordinal, right.part)
    }
}
