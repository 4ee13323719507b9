// Strict JSON (RFC 8259) into a small tree. For commands typed by people, imports and tests; no
// stored document goes through it.
//
// Strict: UTF-8 only, no comments, no trailing commas, no lone surrogates. Numbers keep their text,
// so that the caller decides what they become. Nesting is bounded.

/// A JSON value and where it began.
struct JSONNode {
    indirect enum Kind {
        case null
        case bool(Bool)
        /// The number as it was written.
        case number(String)
        case string(String)
        case array([JSONNode])
        /// Fields in the order written, repeated names kept.
        case object([JSONField])
    }

    let kind: Kind
    /// Offset of the first byte.
    let offset: Int
}

/// A field of a JSON object.
struct JSONField {
    let name: String
    let node: JSONNode
}

/// What is wrong at which byte.
struct JSONError: Error {
    let message: String
    let offset: Int
}

struct JSONParser: ~Escapable {
    private let text: RawSpan
    private var offset = 0
    private var depth = 0
    private let depthMax: Int

    @_lifetime(copy text)
    init(_ text: RawSpan, depthMax: Int) {
        self.text = text
        self.depthMax = depthMax
    }

    /// The one value that the text holds.
    static func parse(_ text: RawSpan, depthMax: Int) throws(JSONError) -> JSONNode {
        if let offset = text.firstInvalidUTF8(in: 0..<text.byteCount) {
            throw JSONError(message: "the text is not UTF-8", offset: offset)
        }
        var parser = JSONParser(text, depthMax: depthMax)
        let node = try parser.value()
        parser.skipSpace()
        guard parser.offset == text.byteCount else {
            throw parser.error("unexpected text after the end of the value")
        }
        return node
    }

    // SAFETY: every load compares the offset with the span's size first.

    /// The byte at the current place; 0 at the end, and 0 is no part of JSON.
    private var current: UInt8 {
        offset < text.byteCount ? text.unsafeLoad(fromByteOffset: offset, as: UInt8.self) : 0
    }

    private func error(_ message: String) -> JSONError {
        JSONError(
            message: offset < text.byteCount ? message : "the text ends too early", offset: offset)
    }

    @_lifetime(self: copy self)
    private mutating func skipSpace() {
        while [0x20, 0x0A, 0x0D, 0x09].contains(current) { offset += 1 }
    }

    @_lifetime(self: copy self)
    private mutating func take(_ byte: UInt8) -> Bool {
        guard current == byte else { return false }
        offset += 1
        return true
    }

    @_lifetime(self: copy self)
    private mutating func value() throws(JSONError) -> JSONNode {
        skipSpace()
        let start = offset
        let kind: JSONNode.Kind
        switch current {
        case UInt8(ascii: "{"): kind = .object(try object())
        case UInt8(ascii: "["): kind = .array(try array())
        case UInt8(ascii: "\""): kind = .string(try string())
        case UInt8(ascii: "-"), 48...57: kind = .number(try number())
        case UInt8(ascii: "t"): kind = try word("true", .bool(true))
        case UInt8(ascii: "f"): kind = try word("false", .bool(false))
        case UInt8(ascii: "n"): kind = try word("null", .null)
        default: throw error("expected a value")
        }
        return JSONNode(kind: kind, offset: start)
    }

    @_lifetime(self: copy self)
    private mutating func word(
        _ word: StaticString, _ kind: JSONNode.Kind
    ) throws(JSONError) -> JSONNode.Kind {
        let end = offset + word.utf8CodeUnitCount
        guard end <= text.byteCount, text.extracting(offset..<end).equals(word) else {
            throw error("expected a value")
        }
        offset = end
        return kind
    }

    @_lifetime(self: copy self)
    private mutating func enter() throws(JSONError) {
        depth += 1
        guard depth <= depthMax else { throw error("nested more than \(depthMax) levels deep") }
        offset += 1
        skipSpace()
    }

    @_lifetime(self: copy self)
    private mutating func object() throws(JSONError) -> [JSONField] {
        try enter()
        var fields: [JSONField] = []
        if !take(UInt8(ascii: "}")) {
            repeat {
                skipSpace()
                guard current == UInt8(ascii: "\"") else {
                    throw error("expected a field's name in double quotes")
                }
                let name = try string()
                skipSpace()
                guard take(UInt8(ascii: ":")) else { throw error("expected ':'") }
                fields.append(JSONField(name: name, node: try value()))
                skipSpace()
            } while take(UInt8(ascii: ","))
            guard take(UInt8(ascii: "}")) else { throw error("expected ',' or '}'") }
        }
        depth -= 1
        return fields
    }

    @_lifetime(self: copy self)
    private mutating func array() throws(JSONError) -> [JSONNode] {
        try enter()
        var elements: [JSONNode] = []
        if !take(UInt8(ascii: "]")) {
            repeat {
                elements.append(try value())
                skipSpace()
            } while take(UInt8(ascii: ","))
            guard take(UInt8(ascii: "]")) else { throw error("expected ',' or ']'") }
        }
        depth -= 1
        return elements
    }

    @_lifetime(self: copy self)
    private mutating func number() throws(JSONError) -> String {
        let start = offset
        _ = take(UInt8(ascii: "-"))
        if !take(UInt8(ascii: "0")) { try digits() }
        if take(UInt8(ascii: ".")) { try digits() }
        if current | 0x20 == UInt8(ascii: "e") {
            offset += 1
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            try digits()
        }
        return String(utf8: text.extracting(start..<offset))
    }

    @_lifetime(self: copy self)
    private mutating func digits() throws(JSONError) {
        guard current >= 48, current <= 57 else { throw error("expected a digit") }
        while current >= 48, current <= 57 { offset += 1 }
    }

    @_lifetime(self: copy self)
    private mutating func string() throws(JSONError) -> String {
        offset += 1
        var result = ""
        while true {
            let start = offset
            while current >= 0x20, current != UInt8(ascii: "\""), current != UInt8(ascii: "\\") {
                offset += 1
            }
            if offset > start { result += String(utf8: text.extracting(start..<offset)) }
            if take(UInt8(ascii: "\"")) { return result }
            guard take(UInt8(ascii: "\\")) else {
                throw error("a control character in a string must be escaped")
            }
            result.unicodeScalars.append(try escape())
        }
    }

    @_lifetime(self: copy self)
    private mutating func escape() throws(JSONError) -> Unicode.Scalar {
        let byte = current
        let scalar: Unicode.Scalar
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"):
            scalar = Unicode.Scalar(byte)
        case UInt8(ascii: "b"): scalar = "\u{8}"
        case UInt8(ascii: "f"): scalar = "\u{C}"
        case UInt8(ascii: "n"): scalar = "\n"
        case UInt8(ascii: "r"): scalar = "\r"
        case UInt8(ascii: "t"): scalar = "\t"
        case UInt8(ascii: "u"):
            offset += 1
            return try unicodeEscape()
        default: throw error("unknown escape in a string")
        }
        offset += 1
        return scalar
    }

    @_lifetime(self: copy self)
    private mutating func unicodeEscape() throws(JSONError) -> Unicode.Scalar {
        let start = offset
        let first = try hexUnit()
        if let scalar = Unicode.Scalar(first) { return scalar }
        if first < 0xDC00, take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) {
            let second = try hexUnit()
            if 0xDC00...0xDFFF ~= second {
                let code = 0x10000 + (UInt32(first - 0xD800) << 10) + UInt32(second - 0xDC00)
                if let scalar = Unicode.Scalar(code) { return scalar }
            }
        }
        throw JSONError(message: "half of a surrogate pair", offset: start)
    }

    @_lifetime(self: copy self)
    private mutating func hexUnit() throws(JSONError) -> UInt16 {
        var unit: UInt16 = 0
        for _ in 0..<4 {
            guard let digit = hexDigitValue(current) else {
                throw error("expected four hexadecimal digits")
            }
            unit = unit << 4 | UInt16(digit)
            offset += 1
        }
        return unit
    }
}
