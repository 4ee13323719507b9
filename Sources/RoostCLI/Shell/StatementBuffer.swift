// Lines to statements: a statement goes on while brackets are open, while it ends too early, and
// where the next line begins with `|`.

import Query

/// Gathers lines until they are a statement.
struct StatementBuffer {
    private(set) var text = ""

    /// Whether nothing is gathered.
    var isEmpty: Bool { text.isEmpty }

    /// Adds a line.
    mutating func append(_ line: String) {
        text = text.isEmpty ? line : text + "\n" + line
    }

    /// Hands the statement out, without space and `;` around it.
    mutating func take() -> String {
        defer { text = "" }
        return Self.trimmed(text)
    }

    /// Whether more lines must follow. An empty line ends every statement.
    var needsMore: Bool {
        let statement = Self.trimmed(text)
        if statement.isEmpty { return false }
        if Self.endsWithSemicolon(text) || text.hasSuffix("\n") { return false }
        // Longer than the server takes: let it say so.
        if text.utf8.count > TextLimits.queryBytesMax { return false }
        return Self.isIncomplete(statement)
    }

    /// Whether a line goes on with what is gathered.
    static func continues(_ line: String) -> Bool {
        line.drop { $0 == " " || $0 == "\t" }.hasPrefix("|")
    }

    /// The statements of a whole text.
    static func statements(of text: String) -> [String] {
        var statements: [String] = []
        var buffer = StatementBuffer()
        func finish() {
            let statement = buffer.take()
            if !statement.isEmpty { statements.append(statement) }
        }
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if !buffer.isEmpty, !buffer.needsMore, !continues(String(line)) { finish() }
            if buffer.isEmpty, trimmed(String(line)).isEmpty { continue }
            buffer.append(String(line))
        }
        finish()
        return statements
    }

    private static func isIncomplete(_ statement: String) -> Bool {
        if statement.hasPrefix(".") || statement.hasPrefix("show ") || statement.hasPrefix("use ") {
            return false
        }
        guard ScriptParser.isScript(statement) else { return TextQuery.isIncomplete(statement) }
        do throws(ScriptError) {
            _ = try ScriptParser.parse(statement)
            return false
        } catch {
            return error.isIncomplete
        }
    }

    private static func endsWithSemicolon(_ text: String) -> Bool {
        text.last { $0 != " " && $0 != "\n" && $0 != "\t" } == ";"
    }

    private static func trimmed(_ text: String) -> String {
        var text = Substring(text)
        while let last = text.last, last.isWhitespace || last == ";" { text.removeLast() }
        return String(text.drop { $0.isWhitespace })
    }
}
