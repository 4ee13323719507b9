// Reads tokens from a file. Bytes are looked at once, but for paths, which the parser reads anew.

import Query

/// A reader of tokens. Bad text is a `RulesProblem` at its place.
struct RulesLexer {
    let bytes: [UInt8]
    let file: Int32
    private(set) var offset = 0

    init(_ text: String, file: Int32) {
        bytes = Array(text.utf8)
        self.file = file
        // A byte-order mark, as some editors leave it.
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { offset = 3 }
    }

    /// The byte `distance` ahead; 0 behind the end, and 0 begins no token.
    func peek(_ distance: Int = 0) -> UInt8 {
        offset + distance < bytes.count ? bytes[offset + distance] : 0
    }

    /// Goes back, or on.
    mutating func move(to offset: Int) {
        self.offset = min(offset, bytes.count)
    }

    func problem(
        _ code: RulesProblem.Code = .syntax, from start: Int, _ message: String,
        expected: [String] = []
    ) -> RulesProblem {
        RulesProblem(
            code, at: SourceRange(file: file, start, max(start, offset)), message,
            expected: expected)
    }

    /// The next token.
    mutating func next() throws(RulesProblem) -> RulesToken {
        try skipSpace()
        let start = offset
        let kind: RulesToken.Kind
        switch peek() {
        case 0 where offset >= bytes.count: kind = .end
        case UInt8(ascii: "\""), UInt8(ascii: "'"):
            let content = try quoted(isBytes: false)
            guard let text = String(validating: content, as: UTF8.self) else {
                throw problem(from: start, "the escapes of this string don't make up UTF-8")
            }
            kind = .string(text)
        case UInt8(ascii: "b") where peek(1) == UInt8(ascii: "'") || peek(1) == UInt8(ascii: "\""):
            offset += 1
            kind = .bytes(try quoted(isBytes: true))
        case 48...57: kind = try number()
        case UInt8(ascii: ".") where 48...57 ~= peek(1): kind = try number()
        case let byte where Self.isWordStart(byte): kind = .word(word())
        default: kind = .symbol(try symbol())
        }
        return RulesToken(kind: kind, start: start, end: offset)
    }

    // MARK: Space

    /// Skips space, `// …` and `/* … */`.
    mutating func skipSpace() throws(RulesProblem) {
        while offset < bytes.count {
            switch bytes[offset] {
            case 0x20, 0x09, 0x0A, 0x0B, 0x0C, 0x0D: offset += 1
            // A no-break space, as copied from web pages.
            case 0xC2 where peek(1) == 0xA0: offset += 2
            case UInt8(ascii: "/") where peek(1) == UInt8(ascii: "/"):
                while offset < bytes.count, bytes[offset] != 0x0A { offset += 1 }
            case UInt8(ascii: "/") where peek(1) == UInt8(ascii: "*"):
                let start = offset
                offset += 2
                while peek() != UInt8(ascii: "*") || peek(1) != UInt8(ascii: "/") {
                    guard offset < bytes.count else {
                        offset = start + 2
                        throw problem(from: start, "this comment has no closing */")
                    }
                    offset += 1
                }
                offset += 2
            default: return
            }
        }
    }

    // MARK: Words and symbols

    /// Letters and `_`.
    static func isWordStart(_ byte: UInt8) -> Bool {
        switch byte {
        case 65...90, 97...122, UInt8(ascii: "_"): true
        default: false
        }
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        isWordStart(byte) || 48...57 ~= byte
    }

    /// The word at the current place; empty where there is none.
    mutating func word() -> String {
        let start = offset
        while offset < bytes.count, Self.isWord(bytes[offset]) { offset += 1 }
        return String(decoding: bytes[start..<offset], as: UTF8.self)
    }

    private mutating func symbol() throws(RulesProblem) -> RulesToken.Symbol {
        for (text, symbol) in RulesToken.Symbol.bySize
        where bytes[offset...].starts(with: text) {
            offset += text.count
            return symbol
        }
        let start = offset
        offset += 1
        while offset < bytes.count, bytes[offset] & 0xC0 == 0x80 { offset += 1 }
        let character = String(decoding: bytes[start..<offset], as: UTF8.self)
        throw problem(
            from: start,
            character == "&" || character == "|"
                ? "a single '\(character)' means nothing here; write '\(character)\(character)'"
                : "this character means nothing here")
    }

    // MARK: Numbers

    private mutating func number() throws(RulesProblem) -> RulesToken.Kind {
        let start = offset
        if peek() == UInt8(ascii: "0"), peek(1) | 0x20 == UInt8(ascii: "x") {
            offset += 2
            let digits = word()
            guard let value = UInt64(digits, radix: 16), value <= 1 << 63 else {
                throw problem(from: start, "this is no hexadecimal number of 64 bits")
            }
            return .int(value)
        }
        let isWhole = NumberSyntax.skip(bytes, &offset)
        let text = String(decoding: bytes[start..<offset], as: UTF8.self)
        if Self.isWord(peek()) {
            _ = word()
            throw problem(from: start, "a number must not run on into a word")
        }
        if isWhole {
            guard let value = UInt64(text), value <= 1 << 63 else {
                throw problem(from: start, "this number does not fit 64 bits")
            }
            return .int(value)
        }
        guard let value = Double(text), value.isFinite else {
            throw problem(from: start, "this number is beyond a float's range")
        }
        return .float(value)
    }

    // MARK: Strings

    private mutating func quoted(isBytes: Bool) throws(RulesProblem) -> [UInt8] {
        let start = offset
        let quote = bytes[offset]
        offset += 1
        var content: [UInt8] = []
        while offset < bytes.count, bytes[offset] != 0x0A {
            let byte = bytes[offset]
            offset += 1
            if byte == quote { return content }
            if byte == UInt8(ascii: "\\") {
                try appendEscape(to: &content, isBytes: isBytes)
            } else {
                content.append(byte)
            }
        }
        let closing = String(decoding: [quote], as: UTF8.self)
        throw problem(
            from: start, "there is no closing \(closing) on this line", expected: [closing])
    }

    private mutating func appendEscape(
        to content: inout [UInt8], isBytes: Bool
    ) throws(RulesProblem) {
        let start = offset - 1
        let byte = peek()
        offset += 1
        switch byte {
        case UInt8(ascii: "n"): content.append(0x0A)
        case UInt8(ascii: "t"): content.append(0x09)
        case UInt8(ascii: "r"): content.append(0x0D)
        case UInt8(ascii: "b"): content.append(0x08)
        case UInt8(ascii: "f"): content.append(0x0C)
        case UInt8(ascii: "v"): content.append(0x0B)
        case UInt8(ascii: "a"): content.append(0x07)
        case UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "`"), UInt8(ascii: "\\"),
            UInt8(ascii: "/"), UInt8(ascii: "?"):
            content.append(byte)
        case UInt8(ascii: "x"), UInt8(ascii: "X"):
            let code = try digits(2, radix: 16, from: start)
            append(code, to: &content, isBytes: isBytes)
        case UInt8(ascii: "u"):
            try appendScalar(digits(4, radix: 16, from: start), to: &content, from: start)
        case UInt8(ascii: "U"):
            try appendScalar(digits(8, radix: 16, from: start), to: &content, from: start)
        case UInt8(ascii: "0")...UInt8(ascii: "3"):
            offset -= 1
            append(try digits(3, radix: 8, from: start), to: &content, isBytes: isBytes)
        default:
            throw problem(
                from: start,
                "this escape is none; to have a backslash, as regular expressions need, write two",
                expected: ["\\\\, \\', \\\", \\n, \\r, \\t, \\/ or \\u with four digits"])
        }
    }

    /// A code below 256: a byte of bytes, a character of a string.
    private func append(_ code: UInt32, to content: inout [UInt8], isBytes: Bool) {
        if isBytes {
            content.append(UInt8(truncatingIfNeeded: code))
        } else if let scalar = Unicode.Scalar(code) {
            content.append(contentsOf: String(scalar).utf8)
        }
    }

    private mutating func appendScalar(
        _ first: UInt32, to content: inout [UInt8], from start: Int
    ) throws(RulesProblem) {
        var code = first
        if 0xD800...0xDBFF ~= code, peek() == UInt8(ascii: "\\"), peek(1) == UInt8(ascii: "u") {
            offset += 2
            let low = try digits(4, radix: 16, from: start)
            if 0xDC00...0xDFFF ~= low { code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00) }
        }
        guard let scalar = Unicode.Scalar(code) else {
            throw problem(from: start, "this escape names no character")
        }
        content.append(contentsOf: String(scalar).utf8)
    }

    private mutating func digits(
        _ count: Int, radix: Int, from start: Int
    ) throws(RulesProblem) -> UInt32 {
        let end = min(offset + count, bytes.count)
        let text = String(decoding: bytes[min(offset, end)..<end], as: UTF8.self)
        guard text.utf8.count == count, text.utf8.first != UInt8(ascii: "+"),
            text.utf8.first != UInt8(ascii: "-"), let value = UInt32(text, radix: radix)
        else {
            throw problem(
                from: start,
                "this escape needs \(count) \(radix == 8 ? "octal" : "hexadecimal") digits")
        }
        offset = end
        return value
    }
}
