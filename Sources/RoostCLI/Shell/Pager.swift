// Output a screenful at a time: counts the lines that the terminal shows, long ones that it breaks
// included.

import CEditLine
import Glibc
import Query

/// Shows text and stops where the screen is full.
struct Pager {
    private let columns: Int
    private let linesMax: Int
    private var lines = 0

    /// `nil` columns and rows: the output never stops.
    init(isOn: Bool) {
        let size = Terminal.size
        columns = size.columns
        // The last line is for the question.
        linesMax = isOn ? max(4, size.rows - 1) : Int.max
    }

    /// Shows one row's text.
    /// - Parameter shown: the rows before it.
    /// - Returns: whether more is wanted.
    mutating func show(_ text: String, after shown: Int) -> Bool {
        guard linesMax < Int.max else {
            Terminal.write(text)
            return true
        }
        var pieces = text.split(separator: "\n", omittingEmptySubsequences: false)
        if pieces.last?.isEmpty == true { pieces.removeLast() }
        let height = pieces.reduce(0) { $0 + self.height($1) }
        // A row that fits a screen is not torn apart.
        if lines > 0, lines + height > linesMax, height <= linesMax {
            guard goesOn(after: shown) else { return false }
        }
        for piece in pieces {
            if lines >= linesMax, !goesOn(after: shown) { return false }
            Terminal.write(piece + "\n")
            lines += self.height(piece)
        }
        return true
    }

    /// The lines that a text without line ends takes.
    private func height(_ text: Substring) -> Int {
        max(1, (ColumnWidth.of(String(text)) + columns - 1) / columns)
    }

    /// Asks whether more is wanted; pasted lines that wait already are no answer.
    private mutating func goesOn(after shown: Int) -> Bool {
        lines = 0
        if roost_line_has_input(0) != 0 { return true }
        let question =
            "-- \(shown) row\(shown == 1 ? "" : "s") so far; Space shows more, q stops --"
        Terminal.write(question)
        defer { Terminal.write("\r" + String(repeating: " ", count: question.count) + "\r") }
        while true {
            switch roost_key_read() {
            case 0x20, 0x0D, 0x0A, 0x66: return true
            // q, Q, the interrupt key, the end of input, Escape, none to be had.
            case 0x71, 0x51, 0x03, 0x04, 0x1B, -1: return false
            default: continue
            }
        }
    }
}
