// Lines to statements: a statement goes on while brackets are open, while it ends too early, and
// where the next line begins with `|`; `;` ends one; comments alone are none.

import Query

/// Gathers lines until they are statements.
struct StatementBuffer {
    private(set) var text = ""

    /// Whether nothing is gathered.
    var isEmpty: Bool { text.isEmpty }

    /// Adds a line.
    mutating func append(_ line: String) {
        text = text.isEmpty ? line : text + "\n" + line
    }

    /// Hands the statements out.
    mutating func take() -> [Statement] {
        defer { text = "" }
        return StatementSplitter.pieces(of: text)
    }

    /// Whether more lines must follow. An empty line ends every statement.
    var needsMore: Bool {
        if text.hasSuffix("\n") { return false }
        // Longer than the server takes: let it say so.
        if text.utf8.count > TextLimits.queryBytesMax { return false }
        let pieces = StatementSplitter.pieces(of: text)
        guard let last = pieces.last, !last.isEnded else { return false }
        return Self.isIncomplete(last.text)
    }

    /// Whether a line goes on with what is gathered.
    static func continues(_ line: String) -> Bool {
        line.drop { $0 == " " || $0 == "\t" }.hasPrefix("|")
    }

    /// The statements of a whole text, with their lines in it.
    static func statements(of text: String) -> [Statement] {
        var statements: [Statement] = []
        var buffer = StatementBuffer()
        // The line of the text that the buffer begins with.
        var start = 0
        func taken() -> [Statement] {
            buffer.take().map { statement in
                var statement = statement
                statement.linesBefore += start
                return statement
            }
        }
        // Comments and empty lines behind a statement that may go on.
        var waiting: [String] = []
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        for (number, line) in lines.enumerated() {
            let line = String(line)
            let isEmpty = StatementSplitter.pieces(of: line).isEmpty
            if !buffer.isEmpty, !buffer.needsMore {
                if isEmpty {
                    waiting.append(line)
                    continue
                }
                if continues(line) {
                    for line in waiting { buffer.append(line) }
                } else {
                    statements += taken()
                }
                waiting = []
            }
            if buffer.isEmpty {
                if isEmpty { continue }
                start = number
            }
            buffer.append(line)
        }
        return statements + taken()
    }

    private static func isIncomplete(_ statement: String) -> Bool {
        if statement.hasPrefix(".") || statement.hasPrefix("show ") || statement.hasPrefix("use ") {
            return false
        }
        guard ScriptParser.isScript(statement) else { return TextQuery.isIncomplete(statement) }
        if statement == "db" { return false }
        do throws(ScriptError) {
            _ = try ScriptParser.parse(statement)
            return false
        } catch {
            return error.isIncomplete
        }
    }
}

/// One statement of a text.
struct Statement: Equatable {
    /// Without space and `;` around it.
    let text: String
    /// What stands before it on its first line.
    let lead: String
    /// Whether a `;` ended it.
    let isEnded: Bool
    /// How many lines stand before the one that it begins on.
    var linesBefore = 0
}

/// Cuts a text at each `;` that is not in quotes, comments, patterns or brackets.
enum StatementSplitter {
    static func pieces(of text: String) -> [Statement] {
        let bytes = Array(text.utf8)
        var scan = Scan(bytes)
        var pieces: [Statement] = []
        var start = 0
        while true {
            let end = scan.nextEnd()
            if scan.hasContent, let piece = piece(bytes, start..<end, isEnded: end < bytes.count) {
                pieces.append(piece)
            }
            guard end < bytes.count else { return pieces }
            start = end + 1
        }
    }

    private static func piece(
        _ bytes: [UInt8], _ range: Range<Int>, isEnded: Bool
    ) -> Statement? {
        var range = range
        while let first = range.first, isSpace(bytes[first]) { range.removeFirst() }
        while let last = range.last, isSpace(bytes[last]) { range.removeLast() }
        guard !range.isEmpty else { return nil }
        let line = bytes[..<range.lowerBound].lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
        return Statement(
            text: String(decoding: bytes[range], as: UTF8.self),
            lead: String(decoding: bytes[line..<range.lowerBound], as: UTF8.self),
            isEnded: isEnded,
            linesBefore: bytes[..<range.lowerBound].count { $0 == 0x0A })
    }

    fileprivate static func isSpace(_ byte: UInt8) -> Bool {
        byte == 0x20 || 0x09...0x0D ~= byte
    }

    /// A walk over a text, from one `;` to the next.
    private struct Scan {
        private let bytes: [UInt8]
        private var offset = 0
        private var depth = 0
        /// The last byte that was no space, 0 at the start: tells a pattern from a division.
        private var last: UInt8 = 0
        /// Whether the piece that was walked over has anything but space and comments.
        private(set) var hasContent = false

        init(_ bytes: [UInt8]) {
            self.bytes = bytes
        }

        /// The offset of the next `;`, or of the end.
        mutating func nextEnd() -> Int {
            hasContent = false
            depth = 0
            last = 0
            while offset < bytes.count {
                let byte = bytes[offset]
                switch byte {
                case UInt8(ascii: ";") where depth == 0:
                    offset += 1
                    return offset - 1
                case UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "`"): skip(to: byte)
                case UInt8(ascii: "/") where next == UInt8(ascii: "/"):
                    while offset < bytes.count, bytes[offset] != 0x0A { offset += 1 }
                    continue
                case UInt8(ascii: "/") where depth > 0 && ":,([".utf8.contains(last): skip(to: byte)
                case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
                case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"):
                    depth = max(0, depth - 1)
                default: break
                }
                if !isSpace(byte) {
                    hasContent = true
                    last = byte
                }
                offset += 1
            }
            return bytes.count
        }

        private var next: UInt8 { offset + 1 < bytes.count ? bytes[offset + 1] : 0 }

        /// Goes to the closing quote; `\` keeps the next byte from being one.
        private mutating func skip(to quote: UInt8) {
            offset += 1
            while offset < bytes.count, bytes[offset] != quote {
                offset += bytes[offset] == UInt8(ascii: "\\") ? 2 : 1
            }
            offset = min(offset, bytes.count - 1)
        }
    }
}
