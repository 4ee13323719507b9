// Finding fields by name, fast: what filters, sorts and projections do for every document.
//
// A name is prepared once as its first eight bytes (ending zero included) and a mask, so that
// looking at a field is one load and one comparison; the same load finds where the name ends.
// Several names can be looked up in one walk (`locate`).

/// A field's name prepared for lookups. Its bytes lie in a pool that the lookup is given.
package struct FieldName: Sendable {
    /// The first eight bytes of name and ending zero, in little-endian order.
    let word: UInt64
    /// Which bytes of a word belong to the name and its ending zero.
    let mask: UInt64
    /// The length in bytes.
    package let count: Int
    /// Where the name lies in the pool.
    package let offset: Int

    /// A name of `count` bytes at `offset` of `pool`.
    package init(at offset: Int, count: Int, in pool: [UInt8]) {
        var word: UInt64 = 0
        for index in 0..<min(count, 8) {
            word |= UInt64(pool[offset + index]) << UInt64(8 * index)
        }
        self.word = word
        mask = count < 7 ? (1 << UInt64(8 * (count + 1))) - 1 : .max
        self.count = count
        self.offset = offset
    }
}

/// Where up to eight fields of one document lie: the result of `DocumentView.locate`.
package struct FieldSlots: Sendable {
    /// Most names of one walk.
    package static let countMax = 8
    /// Offset of the element's type byte; zero where the field is missing.
    var starts: InlineArray<8, Int32> = .init(repeating: 0)
    /// Offset of the value.
    var values: InlineArray<8, Int32> = .init(repeating: 0)
    /// Size of the value, which the walk had to know anyway.
    var sizes: InlineArray<8, Int32> = .init(repeating: 0)

    /// All missing.
    package init() {}
}

/// Size of a payload that begins at `offset`, for stepping over it: at least zero, or negative
/// where the bytes make no sense. It is not compared with the end of the bytes.
@inline(__always)
private func skipSize(_ bytes: RawSpan, _ typeByte: UInt8, at offset: Int) -> Int {
    switch typeByte {
    case 0x01, 0x09, 0x11, 0x12: return 8
    case 0x10: return 4
    case 0x08: return 1
    case 0x07: return 12
    case 0x02, 0x03, 0x04, 0x05, 0x0D, 0x0E, 0x0F:
        guard bytes.byteCount - offset >= 4 else { return -1 }
        // SAFETY: four bytes at `offset` lie within the span.
        let length = Int(
            Int32(
                littleEndian: bytes.unsafeLoadUnaligned(
                    fromUncheckedByteOffset: offset, as: Int32.self)))
        guard length >= 0 else { return -1 }
        if typeByte == 0x02 || typeByte == 0x0D || typeByte == 0x0E { return length + 4 }
        return typeByte == 0x05 ? length + 5 : length
    default:
        guard let type = BSONType(rawValue: typeByte) else { return -1 }
        return bytes.payloadSize(of: type, at: offset)
    }
}

extension DocumentView {
    /// The first field of that name. O(n) in the bytes before it.
    @_lifetime(copy self)
    package func value(_ name: FieldName, in pool: RawSpan) -> ValueView? {
        let limit = bytes.byteCount
        var offset = 4
        // SAFETY (all loads here and below): offsets are compared with `limit` before the load.
        while offset < limit {
            let typeByte = bytes.unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)
            if typeByte == 0 { return nil }
            let nameStart = offset + 1
            let (nameEnd, matches) = compareName(name, pool, at: nameStart)
            let valueStart = nameEnd + 1
            guard valueStart <= limit else { return nil }
            if matches { return checkedValue(typeByte, at: valueStart) }
            let size = skipSize(bytes, typeByte, at: valueStart)
            guard size >= 0 else { return nil }
            offset = valueStart + size
        }
        return nil
    }

    /// Finds the first fields of up to `FieldSlots.countMax` different names in one walk, which
    /// ends at the last of them. O(n).
    package func locate(_ names: Span<FieldName>, in pool: RawSpan) -> FieldSlots {
        var slots = FieldSlots()
        let limit = bytes.byteCount
        let count = min(names.count, FieldSlots.countMax)
        var missing = count
        // A bit for the first byte of each name: most fields are none of them, and are told so by it.
        var firstBytes: UInt64 = 0
        for slot in 0..<count { firstBytes |= 1 << (names[slot].word & 63) }
        var offset = 4
        while offset < limit, missing > 0 {
            let typeByte = bytes.unsafeLoad(fromUncheckedByteOffset: offset, as: UInt8.self)
            if typeByte == 0 { break }
            let nameStart = offset + 1
            let (word, nameEnd) = nameWord(at: nameStart)
            guard nameEnd < limit else { break }
            let size = skipSize(bytes, typeByte, at: nameEnd + 1)
            guard size >= 0 else { break }
            let mayBeWanted = firstBytes & (1 << (word & 63)) != 0
            for slot in 0..<(mayBeWanted ? count : 0) {
                let name = names[slot]
                if word & name.mask != name.word || slots.starts[slot] != 0 { continue }
                if name.count >= 8, !isLongName(name, pool, nameStart..<nameEnd) { continue }
                slots.starts[slot] = Int32(truncatingIfNeeded: offset)
                slots.values[slot] = Int32(truncatingIfNeeded: nameEnd + 1)
                slots.sizes[slot] = Int32(truncatingIfNeeded: size)
                missing -= 1
            }
            offset = nameEnd + 1 + size
        }
        return slots
    }

    /// The value that `locate` found for the name at `slot`; nil where the field is missing.
    @_lifetime(copy self)
    package func value(_ slots: FieldSlots, _ slot: Int) -> ValueView? {
        let start = Int(slots.starts[slot])
        let valueStart = Int(slots.values[slot])
        let size = Int(slots.sizes[slot])
        guard start > 0, start < bytes.byteCount, valueStart <= bytes.byteCount - size,
            let type = BSONType(
                rawValue: bytes.unsafeLoad(fromUncheckedByteOffset: start, as: UInt8.self))
        else { return nil }
        return ValueView(
            type: type, bytes: bytes.extracting(unchecked: valueStart..<valueStart + size))
    }

    /// The value at `offset`, if the bytes hold one.
    @inline(__always)
    @_lifetime(copy self)
    private func checkedValue(_ typeByte: UInt8, at offset: Int) -> ValueView? {
        guard let type = BSONType(rawValue: typeByte) else { return nil }
        let size = bytes.payloadSize(of: type, at: offset)
        guard size >= 0, size <= bytes.byteCount - offset else { return nil }
        return ValueView(type: type, bytes: bytes.extracting(unchecked: offset..<offset + size))
    }

    /// The first eight bytes of the name that begins at `start` (fewer at the document's end, the
    /// rest zero), and where the name ends.
    @inline(__always)
    private func nameWord(at start: Int) -> (word: UInt64, end: Int) {
        guard start + 8 <= bytes.byteCount else { return nameWordSlowPath(at: start) }
        let word = UInt64(
            littleEndian: bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: start, as: UInt64.self)
        )
        let zeros = (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080
        if zeros != 0 { return (word, start + zeros.trailingZeroBitCount >> 3) }
        return (word, bytes.indexOfZero(from: start + 8))
    }

    @inline(never)
    private func nameWordSlowPath(at start: Int) -> (word: UInt64, end: Int) {
        var word: UInt64 = 0
        for index in start..<bytes.byteCount {
            word |=
                UInt64(bytes.unsafeLoad(fromUncheckedByteOffset: index, as: UInt8.self))
                << UInt64(8 * (index - start))
        }
        return (word, bytes.indexOfZero(from: start))
    }

    /// Where the name that begins at `start` ends, and whether it is `name`.
    @inline(__always)
    private func compareName(
        _ name: FieldName, _ pool: RawSpan, at start: Int
    ) -> (end: Int, matches: Bool) {
        let (word, end) = nameWord(at: start)
        guard word & name.mask == name.word else { return (end, false) }
        return (end, name.count < 8 || isLongName(name, pool, start..<end))
    }

    @inline(never)
    private func isLongName(_ name: FieldName, _ pool: RawSpan, _ range: Range<Int>) -> Bool {
        guard range.count == name.count, range.upperBound < bytes.byteCount else { return false }
        return bytes.extracting(unchecked: range).equals(
            pool.extracting(name.offset..<name.offset + name.count))
    }
}
