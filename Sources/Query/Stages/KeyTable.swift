// A set of byte strings that numbers its members: open addressing over flat arrays.

import BSON

/// Distinct keys, numbered from 0 in the order in which they were met.
struct KeyTable {
    /// Number + 1 of the key in a slot; 0 for an empty slot. A power of two.
    private var slots: [UInt32] = Array(repeating: 0, count: 64)
    private var hashes: [UInt64] = []
    /// All keys, one behind the other; `ends[i]` is where key i ends.
    private var bytes: [UInt8] = []
    private var ends: [Int] = []

    /// The number of keys.
    var count: Int { ends.count }

    /// Bytes of memory, about.
    var byteCount: Int { bytes.count + ends.count * 16 + slots.count * 4 }

    /// The number of `key`, which is added if it is new. O(bytes of the key), amortised.
    mutating func insert(_ key: [UInt8]) -> (number: Int, isNew: Bool) {
        insert(key.span.bytes)
    }

    /// As for an array, for lent bytes.
    @inline(__always)
    mutating func insert(_ key: RawSpan) -> (number: Int, isNew: Bool) {
        let hash = Self.hash(key)
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != 0 {
            let number = Int(slots[slot]) - 1
            if hashes[number] == hash, equals(number, key) { return (number, false) }
            slot = (slot + 1) & mask
        }
        bytes.append(copying: key)
        ends.append(bytes.count)
        hashes.append(hash)
        slots[slot] = UInt32(ends.count)
        if ends.count * 4 > slots.count * 3 { grow() }
        return (ends.count - 1, true)
    }

    /// The number of a key; nil for one that isn't there. O(bytes of the key).
    func number(of key: RawSpan) -> Int? {
        let hash = Self.hash(key)
        let mask = slots.count - 1
        var slot = Int(truncatingIfNeeded: hash) & mask
        while slots[slot] != 0 {
            let number = Int(slots[slot]) - 1
            if hashes[number] == hash, self.key(number).equals(key) { return number }
            slot = (slot + 1) & mask
        }
        return nil
    }

    /// The key of that number.
    @_lifetime(borrow self)
    func key(_ number: Int) -> RawSpan {
        let start = number == 0 ? 0 : ends[number - 1]
        return bytes.span.bytes.extracting(start..<ends[number])
    }

    /// Appends the key of that number to `bytes`.
    func appendKey(_ number: Int, to bytes: inout [UInt8]) {
        bytes.append(copying: key(number))
    }

    /// The numbers in the order of their keys. O(n log n).
    var order: [Int] {
        (0..<count).sorted { key($0).compareBytes(key($1)) < 0 }
    }

    private func equals(_ number: Int, _ key: RawSpan) -> Bool {
        let start = number == 0 ? 0 : ends[number - 1]
        guard ends[number] - start == key.byteCount else { return false }
        return bytes.span.bytes.extracting(start..<ends[number]).equals(key)
    }

    private mutating func grow() {
        let mask = slots.count * 2 - 1
        var larger = [UInt32](repeating: 0, count: mask + 1)
        for number in 0..<ends.count {
            var slot = Int(truncatingIfNeeded: hashes[number]) & mask
            while larger[slot] != 0 { slot = (slot + 1) & mask }
            larger[slot] = UInt32(number + 1)
        }
        slots = larger
    }

    /// Random for each process, so that clients can't choose keys that collide.
    private static let seed = UInt64.random(in: .min ... .max)

    /// Eight bytes at a time: multiply to 128 bits, fold the halves.
    private static func hash(_ span: RawSpan) -> UInt64 {
        var hash = seed ^ UInt64(span.byteCount)
        var offset = 0
        while offset + 8 <= span.byteCount {
            // SAFETY: the eight bytes lie below `byteCount`.
            let word = span.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self)
            hash = fold(hash ^ word)
            offset += 8
        }
        var tail: UInt64 = 0
        while offset < span.byteCount {
            tail = tail << 8 | UInt64(span.unsafeLoad(fromByteOffset: offset, as: UInt8.self))
            offset += 1
        }
        return fold(hash ^ tail ^ 0x9E37_79B9_7F4A_7C15)
    }

    @inline(__always)
    private static func fold(_ value: UInt64) -> UInt64 {
        let (high, low) = value.multipliedFullWidth(by: 0xD6E8_FEB8_6659_FD93)
        return high ^ low
    }
}

/// A value for each group, kept as BSON bytes.
struct ValueColumn {
    private struct Slot {
        var offset: Int
        var capacity: Int32
        var length: Int32
        /// The type byte; 0 for no value.
        var kind: UInt8
    }

    private var slots: [Slot] = []
    private var bytes: [UInt8] = []

    /// Bytes of memory, about.
    var byteCount: Int { bytes.count + slots.count * MemoryLayout<Slot>.stride }

    /// Whether there is no group.
    var isEmpty: Bool { slots.isEmpty }

    /// Adds a group with this value, or with none if it is missing.
    mutating func append(_ value: ValueRef) {
        slots.append(Slot(offset: bytes.count, capacity: 0, length: 0, kind: 0))
        if !value.isMissing { set(slots.count - 1, value) }
    }

    /// Replaces a group's value: in place if it fits, so that memory grows only with larger ones.
    mutating func set(_ group: Int, _ value: ValueRef) {
        let length = value.length
        if length > slots[group].capacity {
            slots[group].offset = bytes.count
            slots[group].capacity = length
            bytes.append(copying: value.bytes)
        } else {
            let source = value.bytes
            let start = slots[group].offset
            for index in 0..<Int(length) {
                bytes[start + index] = source.unsafeLoad(fromByteOffset: index, as: UInt8.self)
            }
        }
        slots[group].length = length
        slots[group].kind = value.view.type.rawValue
    }

    /// Whether the group has a value.
    func hasValue(_ group: Int) -> Bool { slots[group].kind != 0 }

    /// The group's value, lent; nil for none.
    @_lifetime(borrow self)
    func view(_ group: Int) -> ValueView? {
        let slot = slots[group]
        guard let type = BSONType(rawValue: slot.kind) else { return nil }
        return ValueView(
            type: type,
            bytes: bytes.span.bytes.extracting(slot.offset..<slot.offset + Int(slot.length)))
    }

    /// The group's value, or missing; lent until the column changes.
    func reference(_ group: Int) -> ValueRef {
        guard let view = view(group) else { return .missing }
        return ValueRef(view)
    }

    /// The order of the group's value, which it has, against another.
    func compare(_ group: Int, _ other: ValueRef, _ collation: Collation?) -> Int {
        let slot = slots[group]
        guard let type = BSONType(rawValue: slot.kind) else { return 0 }
        let span = bytes.span.bytes.extracting(slot.offset..<slot.offset + Int(slot.length))
        return ValueView(type: type, bytes: span).compare(other.view, collation)
    }

    /// Writes the group's value in an array of its own, which is empty if there is none.
    func writeState(_ group: Int, index: Int, _ writer: inout DocumentWriter) {
        writer.appendHeader(.array, index: index)
        let start = writer.openDocument()
        if hasValue(group) { write("0", group, &writer) }
        writer.close(start)
    }

    /// Forgets all groups.
    mutating func removeAll() {
        slots.removeAll(keepingCapacity: true)
        bytes.removeAll(keepingCapacity: true)
    }

    /// Writes the group's value as field `name`; null for none.
    func write(_ name: String, _ group: Int, _ writer: inout DocumentWriter) {
        let slot = slots[group]
        guard let type = BSONType(rawValue: slot.kind) else { return writer.appendNull(name) }
        writer.appendHeader(type, name)
        writer.appendRaw(
            copying: bytes.span.bytes.extracting(slot.offset..<slot.offset + Int(slot.length)))
    }
}
