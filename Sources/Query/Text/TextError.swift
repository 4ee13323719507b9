// Errors of the text language: where, what was expected, and the line with a caret under it.

package import BSON

/// What is wrong at which byte of a query's text.
package struct TextError: Error, Sendable {
    /// Offset of the first byte of what is wrong; the text's size where it ends too early.
    package let offset: Int
    /// What is wrong, without the place.
    package let message: String
    /// What could stand there; empty where something else is wrong.
    package let expected: [String]

    init(at offset: Int, _ message: String) {
        self.offset = offset
        self.message = message
        expected = []
    }

    init(at offset: Int, expected: [String], found: String) {
        self.offset = offset
        self.expected = expected
        message = "expected \(Self.alternatives(expected)), found \(found)"
    }

    /// The error for the client: `failedToParse` with the line and a caret in its message, and
    /// `line`, `column`, `offset` and `expected` as fields.
    package func located(in text: String) -> DBError {
        DBError(.failedToParse, message).located(at: offset, in: text, expected: expected)
    }

    /// `a, b or c`.
    private static func alternatives(_ list: [String]) -> String {
        guard let last = list.last, list.count > 1 else { return list.first ?? "nothing" }
        return list.dropLast().joined(separator: ", ") + " or " + last
    }
}

/// A byte's line and column, both from 1; columns count Unicode scalars.
package struct TextPlace: Sendable {
    package let line: Int
    package let column: Int
    /// The line, cut to the neighbourhood of the place, and a second line with a caret under it.
    package let marked: String

    /// Most characters of a line that are shown on either side of the place.
    private static let neighbourhood = 60

    /// The place of the byte at `offset`. O(n).
    package init(of offset: Int, in text: String) {
        let bytes = Array(text.utf8)
        let offset = min(offset, bytes.count)
        var line = 1
        var start = 0
        for index in 0..<offset where bytes[index] == UInt8(ascii: "\n") {
            line += 1
            start = index + 1
        }
        let end = bytes[offset...].firstIndex(of: UInt8(ascii: "\n")) ?? bytes.count
        let scalars = Array(String(decoding: bytes[start..<offset], as: UTF8.self).unicodeScalars)
        let after = Array(String(decoding: bytes[offset..<end], as: UTF8.self).unicodeScalars)
        self.line = line
        column = scalars.count + 1
        // Control characters would move the caret away from its place.
        func visible(_ scalars: some Sequence<Unicode.Scalar>) -> String {
            var result = ""
            for scalar in scalars {
                result.unicodeScalars.append(
                    scalar.value < 32 || scalar.value == 127 ? " " : scalar)
            }
            return result
        }
        let shown = scalars.suffix(Self.neighbourhood)
        let before = visible(shown)
        marked =
            before + visible(after.prefix(Self.neighbourhood)) + "\n"
            + String(repeating: " ", count: ColumnWidth.of(before)) + "^"
    }
}
