// Base64 for URLs without padding (RFC 4648, section 5), as JOSE uses it.

import BSON

/// Base64url to and from bytes.
package enum Base64URL {
    /// The text of the bytes.
    package static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        Base64.append(bytes.span.bytes, to: &text)
        return String(
            decoding: text.lazy.filter { $0 != UInt8(ascii: "=") }.map { letter in
                switch letter {
                case UInt8(ascii: "+"): UInt8(ascii: "-")
                case UInt8(ascii: "/"): UInt8(ascii: "_")
                default: letter
                }
            }, as: UTF8.self)
    }

    /// The bytes of a text; nil for anything that `encode` does not write.
    package static func decode(_ text: some StringProtocol) -> [UInt8]? {
        var letters: [UInt8] = []
        for letter in text.utf8 {
            switch letter {
            case UInt8(ascii: "-"): letters.append(UInt8(ascii: "+"))
            case UInt8(ascii: "_"): letters.append(UInt8(ascii: "/"))
            case UInt8(ascii: "+"), UInt8(ascii: "/"), UInt8(ascii: "="): return nil
            default: letters.append(letter)
            }
        }
        while letters.count % 4 != 0 { letters.append(UInt8(ascii: "=")) }
        return Base64.decode(String(decoding: letters, as: UTF8.self))
    }
}
