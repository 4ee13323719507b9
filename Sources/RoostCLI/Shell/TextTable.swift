// Tables that fit the terminal: the widest columns give way first; where even narrow columns don't
// fit, each row becomes a list of `name: value`.

import BSON
import Query

/// Rows laid out in columns.
struct TextTable {
    /// What stands above the rows.
    private(set) var header = ""
    /// The rows, each with a newline at its end.
    private(set) var lines: [String] = []

    /// The whole table.
    var text: String { header + lines.joined() }

    /// Narrowest that a column is made to fit the others.
    private static let columnMin = 6
    private static let gap = "  "

    init(_ rows: [Document], terminalColumns: Int) {
        let columns = Self.columns(of: rows)
        guard !columns.isEmpty else {
            lines = rows.map { _ in "{}\n" }
            return
        }
        var cells: [[String]] = []
        var areNumbers = [Bool](repeating: true, count: columns.count)
        var widths = columns.map { ColumnWidth.of($0) }
        for row in rows {
            var line: [String] = []
            for (index, column) in columns.enumerated() {
                let value = row[column]
                if let value, !Cell.isNumber(value) { areNumbers[index] = false }
                let cell = value.map { DisplayWidth.visible(Cell.text($0)) } ?? ""
                widths[index] = max(widths[index], ColumnWidth.of(cell))
                line.append(cell)
            }
            cells.append(line)
        }
        guard Self.fit(&widths, into: terminalColumns) else {
            lines = Self.records(columns, cells, terminalColumns)
            return
        }
        header = Self.line(columns.map(DisplayWidth.visible), widths, areNumbers)
        header +=
            widths.map { String(repeating: "─", count: $0) }.joined(separator: Self.gap) + "\n"
        lines = cells.map { Self.line($0, widths, areNumbers) }
    }

    /// The names of all fields, in the order in which they come up.
    static func columns(of rows: [Document]) -> [String] {
        var columns: [String] = []
        var seen: Set<String> = []
        for row in rows {
            for name in row.keys where seen.insert(name).inserted { columns.append(name) }
        }
        return columns
    }

    /// Narrows the widest columns until all fit; false where they can't.
    private static func fit(_ widths: inout [Int], into total: Int) -> Bool {
        let room = total - gap.count * (widths.count - 1)
        guard room >= widths.reduce(0, { $0 + min($1, columnMin) }) else { return false }
        // The greatest width at which everything fits.
        var low = columnMin
        var high = max(columnMin, widths.max() ?? 0)
        while low < high {
            let middle = (low + high + 1) / 2
            if widths.reduce(0, { $0 + min($1, middle) }) <= room {
                low = middle
            } else {
                high = middle - 1
            }
        }
        widths = widths.map { min($0, low) }
        return true
    }

    private static func line(_ cells: [String], _ widths: [Int], _ right: [Bool]) -> String {
        var line = ""
        for (index, cell) in cells.enumerated() {
            if index > 0 { line += gap }
            let shown = DisplayWidth.clipped(cell, to: widths[index])
            let padding = String(
                repeating: " ", count: max(0, widths[index] - ColumnWidth.of(shown)))
            line += right[index] ? padding + shown : shown + padding
        }
        while line.last == " " { line.removeLast() }
        return line + "\n"
    }

    private static func records(
        _ columns: [String], _ rows: [[String]], _ terminalColumns: Int
    ) -> [String] {
        let nameWidth = min(columns.map { ColumnWidth.of($0) }.max() ?? 0, terminalColumns / 2)
        let valueWidth = max(columnMin, terminalColumns - nameWidth - 2)
        return rows.enumerated().map { number, row in
            var text =
                number > 0 ? String(repeating: "─", count: min(terminalColumns, 40)) + "\n" : ""
            for (column, cell) in zip(columns, row) where !cell.isEmpty {
                let name = DisplayWidth.clipped(column, to: nameWidth)
                text += name
                text += String(repeating: " ", count: nameWidth - ColumnWidth.of(name)) + ": "
                text += DisplayWidth.clipped(cell, to: valueWidth) + "\n"
            }
            return text
        }
    }
}

/// Text that is to be aligned in a terminal.
enum DisplayWidth {
    /// Cut to a width, with an ellipsis where something is missing.
    static func clipped(_ text: String, to width: Int) -> String {
        guard ColumnWidth.of(text) > width else { return text }
        return head(text, columns: width - 1) + "…"
    }

    /// As many characters as fit.
    static func head(_ text: String, columns: Int) -> String {
        var result = ""
        var used = 0
        for character in text {
            used += ColumnWidth.of(character)
            if used > columns { break }
            result.append(character)
        }
        return result
    }

    /// Without characters that would move the cursor or speak to the terminal.
    static func visible(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isControl) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": result += "\\n"
            case "\t": result += "\\t"
            case "\r": result += "\\r"
            default: result.unicodeScalars.append(isControl(scalar) ? "\u{FFFD}" : scalar)
            }
        }
        return result
    }

    /// Control characters, and those that turn the direction of writing.
    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<32, 127..<160, 0x200E, 0x200F, 0x202A...0x202E, 0x2066...0x2069: true
        default: false
        }
    }
}
