// Base64 (RFC 4648, section 4) with padding.

/// Base64 to and from bytes.
package enum Base64 {
    private static let alphabet: StaticString =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

    /// Appends the text of `content` with padding.
    package static func append(_ content: RawSpan, to text: inout [UInt8]) {
        let letters = RawSpan(alphabet)
        var index = 0
        while index < content.byteCount {
            let taken = min(3, content.byteCount - index)
            var group: UInt32 = 0
            for offset in 0..<3 {
                // SAFETY: `index + offset` is below the span's size where it is read.
                let byte =
                    offset < taken
                    ? content.unsafeLoad(fromByteOffset: index + offset, as: UInt8.self) : 0
                group = group << 8 | UInt32(byte)
            }
            for place in 0..<4 {
                let code = Int(group >> (18 - 6 * UInt32(place)) & 63)
                text.append(
                    place <= taken
                        ? letters.unsafeLoad(fromByteOffset: code, as: UInt8.self)
                        : UInt8(ascii: "="))
            }
            index += 3
        }
    }

    /// The bytes of a padded text; nil for anything else, non-zero bits behind the end included.
    package static func decode(_ text: String) -> [UInt8]? {
        let letters = Array(text.utf8)
        guard letters.count % 4 == 0 else { return nil }
        var content: [UInt8] = []
        content.reserveCapacity(letters.count / 4 * 3)
        for start in stride(from: 0, to: letters.count, by: 4) {
            var group: UInt32 = 0
            var padding = 0
            for place in 0..<4 {
                let letter = letters[start + place]
                if letter == UInt8(ascii: "="), start + 4 == letters.count, place >= 2 {
                    padding += 1
                    group <<= 6
                } else if padding == 0, let code = value(letter) {
                    group = group << 6 | code
                } else {
                    return nil
                }
            }
            guard group & (1 << (8 * UInt32(padding)) - 1) == 0 else { return nil }
            for place in 0..<3 - padding {
                content.append(UInt8(truncatingIfNeeded: group >> (16 - 8 * UInt32(place))))
            }
        }
        return content
    }

    private static func value(_ letter: UInt8) -> UInt32? {
        switch letter {
        case 65...90: UInt32(letter) - 65
        case 97...122: UInt32(letter) - 71
        case 48...57: UInt32(letter) + 4
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
