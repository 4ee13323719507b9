// The record keys that a scan has met, so that a document with several entries comes out once.

import BSON

/// A set of byte strings in one buffer: no allocation for each.
struct RecordKeySet {
    private var bytes: [UInt8] = []
    /// Where each key begins in `bytes`; a length byte comes first (record keys have at most 128).
    private var slots: [Int32] = []
    private(set) var count = 0

    /// Memory held, in bytes.
    var byteCount: Int { bytes.capacity + slots.count * 4 }

    /// Whether the key was added before.
    func contains(_ key: RawSpan) -> Bool {
        if slots.isEmpty { return false }
        var slot = Self.hash(key) & (slots.count - 1)
        while slots[slot] >= 0 {
            if matches(key, at: Int(slots[slot])) { return true }
            slot = (slot + 1) & (slots.count - 1)
        }
        return false
    }

    /// Adds a key of at most 255 bytes; false where it was there.
    mutating func insert(_ key: RawSpan) -> Bool {
        if count * 4 >= slots.count * 3 { grow() }
        var slot = Self.hash(key) & (slots.count - 1)
        while slots[slot] >= 0 {
            if matches(key, at: Int(slots[slot])) { return false }
            slot = (slot + 1) & (slots.count - 1)
        }
        slots[slot] = Int32(truncatingIfNeeded: bytes.count)
        bytes.append(UInt8(truncatingIfNeeded: key.byteCount))
        bytes.append(copying: key)
        count += 1
        return true
    }

    private func matches(_ key: RawSpan, at start: Int) -> Bool {
        let length = Int(bytes[start])
        return length == key.byteCount
            && bytes.span.bytes.extracting(start + 1..<start + 1 + length).equals(key)
    }

    private mutating func grow() {
        let old = slots
        var slots = [Int32](repeating: -1, count: max(64, old.count * 2))
        for start in old where start >= 0 {
            let length = Int(bytes[Int(start)])
            let key = bytes.span.bytes.extracting(Int(start) + 1..<Int(start) + 1 + length)
            var slot = Self.hash(key) & (slots.count - 1)
            while slots[slot] >= 0 { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = start
        }
        self.slots = slots
    }

    private static func hash(_ key: RawSpan) -> Int {
        var hasher = Hasher()
        key.withUnsafeBytes { hasher.combine(bytes: $0) }
        return hasher.finalize() & Int.max
    }
}
