// Tables that fit the terminal: the widest columns give way first; where even narrow columns don't
// fit, each row becomes a list of `name: value`.

import BSON

/// Rows laid out in columns.
struct TextTable {
    /// The whole table, with a newline at its end.
    let text: String

    /// Narrowest that a column is made to fit the others.
    private static let columnMin = 6
    private static let gap = "  "

    init(_ rows: [Document], terminalColumns: Int) {
        let columns = Self.columns(of: rows)
        guard !columns.isEmpty else {
            text = rows.map { _ in "{}\n" }.joined()
            return
        }
        var cells: [[String]] = []
        var areNumbers = [Bool](repeating: true, count: columns.count)
        var widths = columns.map(DisplayWidth.of)
        for row in rows {
            var line: [String] = []
            for (index, column) in columns.enumerated() {
                let value = row[column]
                if let value, !Cell.isNumber(value) { areNumbers[index] = false }
                let cell = value.map { DisplayWidth.visible(Cell.text($0)) } ?? ""
                widths[index] = max(widths[index], DisplayWidth.of(cell))
                line.append(cell)
            }
            cells.append(line)
        }
        guard Self.fit(&widths, into: terminalColumns) else {
            text = Self.records(columns, cells, terminalColumns)
            return
        }
        var text = Self.line(columns, widths, areNumbers)
        text += widths.map { String(repeating: "─", count: $0) }.joined(separator: Self.gap) + "\n"
        for line in cells { text += Self.line(line, widths, areNumbers) }
        self.text = text
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
                repeating: " ", count: max(0, widths[index] - DisplayWidth.of(shown)))
            line += right[index] ? padding + shown : shown + padding
        }
        while line.last == " " { line.removeLast() }
        return line + "\n"
    }

    private static func records(
        _ columns: [String], _ rows: [[String]], _ terminalColumns: Int
    ) -> String {
        let nameWidth = min(columns.map(DisplayWidth.of).max() ?? 0, terminalColumns / 2)
        let valueWidth = max(columnMin, terminalColumns - nameWidth - 2)
        var text = ""
        for (number, row) in rows.enumerated() {
            if number > 0 { text += String(repeating: "─", count: min(terminalColumns, 40)) + "\n" }
            for (column, cell) in zip(columns, row) where !cell.isEmpty {
                let name = DisplayWidth.clipped(column, to: nameWidth)
                text += name
                text += String(repeating: " ", count: nameWidth - DisplayWidth.of(name)) + ": "
                text += DisplayWidth.clipped(cell, to: valueWidth) + "\n"
            }
        }
        return text
    }
}

/// How many columns of a terminal text takes.
enum DisplayWidth {
    static func of(_ text: String) -> Int {
        text.unicodeScalars.reduce(0) { $0 + width($1) }
    }

    /// Cut to a width, with an ellipsis where something is missing.
    static func clipped(_ text: String, to width: Int) -> String {
        guard of(text) > width else { return text }
        var result = ""
        var used = 1
        for scalar in text.unicodeScalars {
            used += self.width(scalar)
            if used > width { break }
            result.unicodeScalars.append(scalar)
        }
        return result + "…"
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

    private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 32 || 127..<160 ~= scalar.value
    }

    private static func width(_ scalar: Unicode.Scalar) -> Int {
        if scalar.value < 0x300 { return 1 }
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format: return 0
        default: break
        }
        // East Asian wide characters and emoji.
        switch scalar.value {
        case 0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF,
            0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1FAFF,
            0x20000...0x3FFFD:
            return 2
        default: return 1
        }
    }
}
