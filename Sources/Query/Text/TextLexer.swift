// From text to tokens. Bytes are looked at once; every token knows where it began.

import BSON

/// A token of the text language.
struct TextToken: Sendable {
    enum Kind: Sendable, Equatable {
        /// A bare word: a keyword, a name, or a function.
        case word(String)
        /// A name between backticks: never a keyword.
        case quotedName(String)
        /// `$name`.
        case parameter(String)
        case string(String)
        case int(Int64)
        case double(Double)
        /// Punctuation: `|`, `==`, `(` …
        case symbol(String)
        case end
    }

    let kind: Kind
    /// Offset of the first byte.
    let offset: Int
    /// Offset behind the last byte.
    let end: Int

    /// The token as messages name it.
    var description: String {
        switch kind {
        case .word(let word): "'\(Self.clipped(word))'"
        case .quotedName(let name): "`\(Self.clipped(name))`"
        case .parameter(let name): "the parameter $\(Self.clipped(name))"
        case .string: "a string"
        case .int, .double: "a number"
        case .symbol(let symbol): "'\(symbol)'"
        case .end: "the end of the query"
        }
    }

    private static func clipped(_ text: String) -> String {
        text.unicodeScalars.count <= 40 ? text : String(text.unicodeScalars.prefix(40)) + "…"
    }
}

/// Bounds of the text language.
package enum TextLimits {
    /// Longest query, in bytes.
    package static let queryBytesMax = 1 << 20
    /// Deepest nesting of expressions. Each level becomes up to four of BSON, and those are bounded.
    package static let depthMax = 40
    /// Most tokens of a query.
    package static let tokensMax = 100_000
}

struct TextLexer {
    private let bytes: [UInt8]
    private var offset = 0

    private init(_ text: String) {
        bytes = Array(text.utf8)
    }

    /// All tokens of a text, with `end` last. O(n).
    static func tokens(of text: String) throws(TextError) -> [TextToken] {
        guard text.utf8.count <= TextLimits.queryBytesMax else {
            throw TextError(
                at: TextLimits.queryBytesMax,
                "a query may have at most \(TextLimits.queryBytesMax) bytes; bind large values "
                    + "as parameters")
        }
        var lexer = TextLexer(text)
        var tokens: [TextToken] = []
        while true {
            let token = try lexer.next()
            guard tokens.count < TextLimits.tokensMax else {
                throw TextError(
                    at: token.offset,
                    "a query may have at most \(TextLimits.tokensMax) words and symbols; bind "
                        + "large values as parameters")
            }
            tokens.append(token)
            if token.kind == .end { return tokens }
        }
    }

    /// The byte `distance` ahead; 0 behind the end, and 0 begins no token.
    private func peek(_ distance: Int = 0) -> UInt8 {
        offset + distance < bytes.count ? bytes[offset + distance] : 0
    }

    private mutating func next() throws(TextError) -> TextToken {
        skipSpaceAndComments()
        let start = offset
        let kind: TextToken.Kind
        switch peek() {
        case 0 where offset == bytes.count: kind = .end
        case UInt8(ascii: "\""), UInt8(ascii: "'"): kind = .string(try quoted())
        case UInt8(ascii: "`"):
            let name = try quoted()
            guard !name.isEmpty, !name.utf8.contains(0) else {
                throw TextError(at: start, "a name must not be empty or hold a zero character")
            }
            kind = .quotedName(name)
        case UInt8(ascii: "$"):
            offset += 1
            let name = word()
            guard !name.isEmpty else {
                throw TextError(at: start, "'$' must be followed by a parameter's name")
            }
            kind = .parameter(name)
        case 48...57: kind = try number()
        case let byte where Self.isWord(byte):
            let word = word()
            if let quote = word.unicodeScalars.first, Self.curlyQuotes.contains(quote) {
                throw TextError(at: start, "a text stands between straight quotes: \" or '")
            }
            kind = .word(word)
        default: kind = .symbol(try symbol())
        }
        return TextToken(kind: kind, offset: start, end: offset)
    }

    private mutating func skipSpaceAndComments() {
        while offset < bytes.count {
            switch bytes[offset] {
            case 0x20, 0x09, 0x0A, 0x0D: offset += 1
            case UInt8(ascii: "/") where peek(1) == UInt8(ascii: "/"):
                while offset < bytes.count, bytes[offset] != 0x0A { offset += 1 }
            default: return
            }
        }
    }

    /// What word processors make of quotes.
    private static let curlyQuotes: Set<Unicode.Scalar> = ["“", "”", "„", "‘", "’", "‚"]

    /// Letters, digits, `_`, and everything beyond ASCII.
    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case 48...57, 65...90, 97...122, UInt8(ascii: "_"), 128...255: true
        default: false
        }
    }

    private mutating func word() -> String {
        let start = offset
        while offset < bytes.count, Self.isWord(bytes[offset]) { offset += 1 }
        return String(decoding: bytes[start..<offset], as: UTF8.self)
    }

    private mutating func number() throws(TextError) -> TextToken.Kind {
        let start = offset
        let isWhole = NumberSyntax.skip(bytes, &offset)
        guard !Self.isWord(peek()) else {
            throw TextError(
                at: offset, expected: ["an operator behind the number"], found: "'\(word())'")
        }
        let text = String(decoding: bytes[start..<offset], as: UTF8.self)
        if isWhole {
            guard let value = Int64(text) else {
                throw TextError(
                    at: start, "\(text.prefix(40)) does not fit 64 bits; write decimal(\"…\")")
            }
            return .int(value)
        }
        guard let value = Double(text), value.isFinite else {
            throw TextError(at: start, "\(text.prefix(40)) is beyond a double's range")
        }
        return .double(value)
    }

    /// Text between quotes or backticks, with JSON's escapes.
    private mutating func quoted() throws(TextError) -> String {
        let start = offset
        let quote = bytes[offset]
        offset += 1
        var content: [UInt8] = []
        while offset < bytes.count {
            let byte = bytes[offset]
            offset += 1
            if byte == quote { return String(decoding: content, as: UTF8.self) }
            if byte == UInt8(ascii: "\\") {
                content.append(contentsOf: String(try escape()).utf8)
            } else {
                content.append(byte)
            }
        }
        throw TextError(at: start, "there is no closing \(Character(Unicode.Scalar(quote)))")
    }

    private mutating func escape() throws(TextError) -> Character {
        let start = offset - 1
        let byte = peek()
        offset += 1
        switch byte {
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "`"), UInt8(ascii: "\\"),
            UInt8(ascii: "/"):
            return Character(Unicode.Scalar(byte))
        case UInt8(ascii: "u"):
            var code = try hexUnit(start)
            if 0xD800...0xDBFF ~= code, peek() == UInt8(ascii: "\\"), peek(1) == UInt8(ascii: "u") {
                offset += 2
                let low = try hexUnit(start)
                if 0xDC00...0xDFFF ~= low {
                    code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
                }
            }
            guard let scalar = Unicode.Scalar(code) else {
                throw TextError(at: start, "half of a surrogate pair")
            }
            return Character(scalar)
        default:
            throw TextError(
                at: start, expected: ["\\n, \\t, \\r, \\b, \\f, \\u or an escaped quote"],
                found: "another escape")
        }
    }

    private mutating func hexUnit(_ start: Int) throws(TextError) -> UInt32 {
        let end = min(offset + 4, bytes.count)
        let digits = String(decoding: bytes[min(offset, end)..<end], as: UTF8.self)
        guard digits.utf8.count == 4, digits.utf8.first != UInt8(ascii: "+"),
            let unit = UInt32(digits, radix: 16)
        else { throw TextError(at: start, "\\u must be followed by four hexadecimal digits") }
        offset = end
        return unit
    }

    private static let symbols = [
        "==", "!=", "<=", ">=", "&&", "||", "|", "<", ">", "!", "=", "+", "-", "*", "/", "%", "?",
        ":", ".", ",", "(", ")", "[", "]", "{", "}", ";",
    ]

    private mutating func symbol() throws(TextError) -> String {
        if peek() == UInt8(ascii: "<"), peek(1) == UInt8(ascii: ">") {
            throw TextError(at: offset, expected: ["'!='"], found: "'<>'")
        }
        for symbol in Self.symbols where bytes[offset...].starts(with: symbol.utf8) {
            offset += symbol.utf8.count
            return symbol
        }
        throw TextError(at: offset, "unexpected character")
    }
}
