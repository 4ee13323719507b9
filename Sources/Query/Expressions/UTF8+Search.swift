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
    func firstOffset(of needle: RawSpan, from start: Int) -> Int? {
        let last = byteCount - needle.byteCount
        guard needle.byteCount > 0 else { return start <= byteCount ? start : nil }
        let first = needle.unsafeLoad(as: UInt8.self)
        var offset = start
        while offset <= last {
            if unsafeLoad(fromByteOffset: offset, as: UInt8.self) == first,
                extracting(unchecked: offset..<offset + needle.byteCount).equals(needle)
            {
                return offset
            }
            offset += 1
        }
        return nil
    }
}
