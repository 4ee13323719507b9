// The groups of values met last, by the values' own bytes, so that a key that comes often is encoded
// once. Bounded: what doesn't fit, or was pushed out, goes the long way.

import BSON

/// A small direct-mapped cache from a value's bytes to its group's number.
struct RecentKeys {
    private static let slotCount = 256
    private static let valueBytesMax = 32

    /// Plain memory, so that reading it counts no references.
    private struct Slot {
        /// -1 for none.
        var group: Int32 = -1
        var length: UInt8 = 0
        var type: UInt8 = 0
    }

    private var slots = [Slot](repeating: Slot(), count: slotCount)
    private var bytes = [UInt8](repeating: 0, count: slotCount * valueBytesMax)

    /// Where a value belongs; nil for one that is too long to be kept.
    func slot(of value: ValueView) -> Int? {
        let span = value.bytes
        let count = span.byteCount
        guard count <= Self.valueBytesMax else { return nil }
        var word = UInt64(value.type.rawValue) &+ UInt64(count) << 8
        // SAFETY: the loads lie below `count`; a value's end differs more often than its beginning.
        if count >= 8 {
            word ^= span.unsafeLoadUnaligned(fromByteOffset: 0, as: UInt64.self) &* 3
            word ^= span.unsafeLoadUnaligned(fromByteOffset: count - 8, as: UInt64.self)
        } else if count >= 4 {
            word ^= UInt64(span.unsafeLoadUnaligned(fromByteOffset: 0, as: UInt32.self)) << 32
            word ^= UInt64(span.unsafeLoadUnaligned(fromByteOffset: count - 4, as: UInt32.self))
        } else if count > 0 {
            word ^= UInt64(span.unsafeLoad(fromByteOffset: 0, as: UInt8.self)) << 32
        }
        return Int(truncatingIfNeeded: (word &* 0x9E37_79B9_7F4A_7C15) >> 56)
    }

    /// The group of the value kept in `slot`, if it is this one.
    func group(_ slot: Int, _ value: ValueView) -> Int? {
        let kept = slots[slot]
        guard kept.group >= 0, kept.type == value.type.rawValue,
            Int(kept.length) == value.bytes.byteCount
        else { return nil }
        let start = slot * Self.valueBytesMax
        guard
            bytes.span.bytes.extracting(start..<start + Int(kept.length)).equals(value.bytes)
        else { return nil }
        return Int(kept.group)
    }

    /// Keeps a value's group in place of what `slot` held.
    mutating func keep(_ value: ValueView, _ group: Int, in slot: Int) {
        guard let number = Int32(exactly: group) else { return }
        let span = value.bytes
        for index in 0..<span.byteCount {
            bytes[slot * Self.valueBytesMax + index] = span.unsafeLoad(
                fromByteOffset: index, as: UInt8.self)
        }
        slots[slot] = Slot(
            group: number, length: UInt8(truncatingIfNeeded: span.byteCount),
            type: value.type.rawValue)
    }
}
