// How wide text is in a terminal, by ICU's character properties.

internal import CICU

/// Columns of a terminal.
package enum ColumnWidth {
    /// The columns of one character as people see it, marks and joined emoji included: 0 to 2.
    package static func of(_ character: Character) -> Int {
        var width = 0
        for scalar in character.unicodeScalars {
            // Asks for a picture where the character alone is text; two of the regional letters
            // make one flag.
            if scalar.value == 0xFE0F || 0x1F1E6...0x1F1FF ~= scalar.value { return 2 }
            width = max(width, Int(cicu_width(scalar.value)))
        }
        return width
    }

    /// The columns of a text. O(n).
    package static func of(_ text: String) -> Int {
        if text.utf8.allSatisfy({ 32..<127 ~= $0 }) { return text.utf8.count }
        return text.reduce(0) { $0 + of($1) }
    }
}
