// Positions in UTF-8: by byte and by code point.

import BSON

// SAFETY (all loads in this file): every offset is compared with the size before it is read.

extension RawSpan {
    /// Whether the byte at `offset`, which is in bounds, continues a code point.
    @inline(__always)
    private func isContinuation(_ offset: Int) -> Bool {
        unsafeLoad(fromByteOffset: offset, as: UInt8.self) & 0xC0 == 0x80
    }

    /// Where the code point `count` after the one at `start` begins; the end where there is none.
    func offset(ofCodePoint count: Int, from start: Int) -> Int {
        var offset = start
        var left = count
        while left > 0, offset < byteCount {
            offset += 1
            while offset < byteCount, isContinuation(offset) { offset += 1 }
            left -= 1
        }
        return offset
    }

    /// Where `needle` begins first at or after `start`; nil if nowhere. An empty one begins at once.
    /// Linear in both sizes, whatever they hold.
    func firstOffset(of needle: RawSpan, from start: Int) -> Int? {
        let last = byteCount - needle.byteCount
        guard start <= last else { return nil }
        guard needle.byteCount > 0 else { return start }
        let first = needle.unsafeLoad(as: UInt8.self)
        // Comparing at each place is fastest for ordinary texts, and quadratic for others.
        var left = Self.comparedMax
        var offset = start
        while offset <= last {
            if unsafeLoad(fromByteOffset: offset, as: UInt8.self) == first {
                if extracting(unchecked: offset..<offset + needle.byteCount).equals(needle) {
                    return offset
                }
                left -= needle.byteCount
                if left < 0 { return firstOffsetSlowPath(of: needle, from: offset + 1) }
            }
            offset += 1
        }
        return nil
    }

    /// Bytes that may be compared in vain before the search goes over to the steady way.
    private static let comparedMax = 1 << 20

    /// The search of Knuth, Morris and Pratt: no byte of the text is looked at twice.
    @inline(never)
    private func firstOffsetSlowPath(of needle: RawSpan, from start: Int) -> Int? {
        let borders = needle.borders
        var matched = 0
        for offset in start..<max(start, byteCount) {
            let byte = unsafeLoad(fromByteOffset: offset, as: UInt8.self)
            while matched > 0, needle.unsafeLoad(fromByteOffset: matched, as: UInt8.self) != byte {
                matched = Int(borders[matched - 1])
            }
            if needle.unsafeLoad(fromByteOffset: matched, as: UInt8.self) == byte { matched += 1 }
            if matched == needle.byteCount { return offset + 1 - matched }
        }
        return nil
    }

    /// For each prefix of this the length of its longest proper prefix that also ends it.
    private var borders: [Int32] {
        var borders = [Int32](repeating: 0, count: byteCount)
        var matched = 0
        for offset in 1..<max(1, byteCount) {
            let byte = unsafeLoad(fromByteOffset: offset, as: UInt8.self)
            while matched > 0, unsafeLoad(fromByteOffset: matched, as: UInt8.self) != byte {
                matched = Int(borders[matched - 1])
            }
            if unsafeLoad(fromByteOffset: matched, as: UInt8.self) == byte { matched += 1 }
            borders[offset] = Int32(truncatingIfNeeded: matched)
        }
        return borders
    }
}
