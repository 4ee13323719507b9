// Rows as text: tables that fit the terminal, JSON lines, CSV.

import BSON

/// How rows are written.
enum RowFormat: String, CaseIterable {
    case table, json, csv
}

/// Writes the rows of one result, a block at a time.
struct RowWriter {
    private let format: RowFormat
    private let columnsMax: Int
    /// The columns, from the first block on.
    private var columns: [String] = []
    private var hasHeader = false
    /// Rows with fields that the CSV's header, made of the first block, lacks.
    private(set) var incompleteRows = 0

    init(_ format: RowFormat, terminalColumns: Int) {
        self.format = format
        columnsMax = terminalColumns
    }

    /// The texts of a block of rows, one for each; the first has the header too.
    mutating func texts(of rows: [Document]) -> [String] {
        switch format {
        case .json: return rows.map { ExtendedJSON.string(of: $0.view) + "\n" }
        case .csv: return [csv(rows)]
        case .table:
            let table = TextTable(rows, terminalColumns: columnsMax)
            return table.lines.enumerated().map { $0 == 0 ? table.header + $1 : $1 }
        }
    }

    /// The text of a block of rows.
    mutating func text(of rows: [Document]) -> String { texts(of: rows).joined() }

    private mutating func csv(_ rows: [Document]) -> String {
        var text = ""
        if !hasHeader {
            hasHeader = true
            columns = TextTable.columns(of: rows)
            text += columns.map { CSVCell.quoted($0) }.joined(separator: ",") + "\r\n"
        }
        let known = Set(columns)
        for row in rows {
            if !row.keys.allSatisfy(known.contains) { incompleteRows += 1 }
            let cells = columns.map { row[$0].map { CSVCell.quoted(Cell.text($0)) } ?? "" }
            text += cells.joined(separator: ",") + "\r\n"
        }
        return text
    }
}

/// Values as cells: what people want to read, without the types' wrapping.
enum Cell {
    static func text(_ value: Value) -> String {
        switch value {
        case .string(let text), .symbol(let text), .code(let text): text
        case .objectID(let id): "\(id)"
        case .null, .undefined: "null"
        case .int64(let number): "\(number)"
        case .double(let number):
            number == number.rounded() && abs(number) < 1e15 ? "\(Int64(number))" : "\(number)"
        case .decimal128(let low, let high): "\(Decimal128(low: low, high: high))"
        case .regex(let pattern, let options): "/\(pattern)/\(options)"
        case .binary(4, let bytes) where bytes.count == 16: uuid(bytes)
        case .date(let millis): ISODate.string(millis: millis) ?? "\(millis) ms"
        default: ExtendedJSON.string(of: OwnedValue(value).view)
        }
    }

    private static func uuid(_ bytes: [UInt8]) -> String {
        var text = ""
        for (index, byte) in bytes.enumerated() {
            if [4, 6, 8, 10].contains(index) { text += "-" }
            text += (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }
        return text
    }

    /// Whether numbers' alignment is right for it.
    static func isNumber(_ value: Value) -> Bool { value.type.isNumeric }
}

/// A document over several lines.
enum PrettyJSON {
    static func text(_ value: Value, indent: String = "") -> String {
        let inner = indent + "  "
        switch value {
        case .document(let document):
            if document.isEmpty { return "{}" }
            let fields = document.keys.map { name in
                inner + ExtendedJSON.string(of: OwnedValue(.string(name)).view) + ": "
                    + text(document[name] ?? .null, indent: inner)
            }
            return "{\n" + fields.joined(separator: ",\n") + "\n\(indent)}"
        case .array(let values):
            if values.isEmpty { return "[]" }
            let elements = values.map { inner + text($0, indent: inner) }
            return "[\n" + elements.joined(separator: ",\n") + "\n\(indent)]"
        default: return ExtendedJSON.string(of: OwnedValue(value).view)
        }
    }
}
