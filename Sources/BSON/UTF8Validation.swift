// Whether bytes are UTF-8 as Unicode defines it: no overlong forms, no surrogates, nothing above
// U+10FFFF. ASCII goes eight bytes at a time.

extension RawSpan {
    /// The offset of the first byte within `range` that is no part of well-formed UTF-8, or nil.
    /// The range must lie within the span.
    package func firstInvalidUTF8(in range: Range<Int>) -> Int? {
        var index = range.lowerBound
        let end = range.upperBound
        // SAFETY: every offset read is below `end`, which lies within the span.
        while index < end {
            while index + 8 <= end,
                unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self) & 0x8080_8080_8080_8080
                    == 0
            {
                index += 8
            }
            guard index < end else { return nil }
            if index + 8 <= byteCount {
                // The last bytes, with what lies behind them masked off.
                let word = UInt64(
                    littleEndian: unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self))
                let kept = UInt64.max >> UInt64(8 * max(0, 8 - (end - index)))
                if word & kept & 0x8080_8080_8080_8080 == 0, end - index < 8 { return nil }
            }
            let lead = unsafeLoad(fromByteOffset: index, as: UInt8.self)
            if lead < 0x80 {
                index += 1
                continue
            }
            // Unicode 16, table 3-7: the second byte's range depends on the first.
            let length: Int
            var second: ClosedRange<UInt8> = 0x80...0xBF
            switch lead {
            case 0xC2...0xDF: length = 2
            case 0xE0: (length, second) = (3, 0xA0...0xBF)
            case 0xED: (length, second) = (3, 0x80...0x9F)
            case 0xE1...0xEF: length = 3
            case 0xF0: (length, second) = (4, 0x90...0xBF)
            case 0xF1...0xF3: length = 4
            case 0xF4: (length, second) = (4, 0x80...0x8F)
            default: return index
            }
            guard index + length <= end,
                second.contains(unsafeLoad(fromByteOffset: index + 1, as: UInt8.self))
            else { return index }
            for offset in 2..<max(length, 2) {
                let byte = unsafeLoad(fromByteOffset: index + offset, as: UInt8.self)
                guard byte & 0xC0 == 0x80 else { return index }
            }
            index += length
        }
        return nil
    }

    /// Whether all bytes are well-formed UTF-8.
    package var isValidUTF8: Bool { firstInvalidUTF8(in: 0..<byteCount) == nil }
}
