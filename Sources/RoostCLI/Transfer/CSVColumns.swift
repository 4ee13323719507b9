// CSV: cells of a row (RFC 4180), and columns with types, `total.double()` as mongoimport has them.

import BSON

/// How CSV is read and written.
struct CSVOptions {
    /// What stands between cells.
    var separator = UInt8(ascii: ",")
    /// Whether header cells say types, `NAME.TYPE()`.
    var hasTypes = false
    /// Whether empty cells are left out; else they are empty texts.
    var ignoresBlanks = false
}

/// A cell of a row.
struct CSVCell: Equatable {
    let text: String
    /// Whether it stood in quotes: then it is a text, whatever it looks like.
    let isQuoted: Bool

    /// The cells of a row, without its line break.
    static func cells(of row: [UInt8], separator: UInt8) -> [CSVCell] {
        let quote = UInt8(ascii: "\"")
        var cells: [CSVCell] = []
        var cell: [UInt8] = []
        var wasQuoted = false
        var isQuoted = false
        var offset = 0
        func end() {
            cells.append(
                CSVCell(text: String(decoding: cell, as: UTF8.self), isQuoted: wasQuoted))
            cell.removeAll(keepingCapacity: true)
            wasQuoted = false
        }
        while offset < row.count {
            let byte = row[offset]
            offset += 1
            if isQuoted, byte == quote {
                if offset < row.count, row[offset] == quote {
                    cell.append(quote)
                    offset += 1
                } else {
                    isQuoted = false
                }
            } else if isQuoted {
                cell.append(byte)
            } else if byte == quote, cell.isEmpty, !wasQuoted {
                isQuoted = true
                wasQuoted = true
            } else if byte == separator {
                end()
            } else {
                cell.append(byte)
            }
        }
        end()
        return cells
    }

    /// A text as a cell.
    static func quoted(_ text: String, separator: UInt8 = UInt8(ascii: ",")) -> String {
        let special: [UInt8] = [UInt8(ascii: "\""), separator, 0x0A, 0x0D]
        guard text.utf8.contains(where: special.contains) else { return text }
        return "\""
            + text.split(separator: "\"", omittingEmptySubsequences: false)
            .joined(separator: "\"\"") + "\""
    }
}

/// What a column holds.
enum CSVType: String, CaseIterable {
    /// A number where it is written as JSON has numbers, else a text: `007` and `+49` stay texts.
    case auto
    case string, int32, int64, double, decimal
    /// `true`, `false`, `1` or `0`.
    case boolean
    /// ISO 8601: an instant, or a day.
    case date
    case objectId
    /// Base64.
    case binary
    /// Extended JSON: whatever has no form of its own here, such as lists.
    case json

    /// The value that a cell stands for; nil for cells that don't fit.
    func value(_ cell: CSVCell) -> Value? {
        let text = cell.text
        switch self {
        case .auto:
            guard !cell.isQuoted, Self.isNumber(text) else { return .string(text) }
            if let number = Int32(text) { return .int32(number) }
            if let number = Int64(text) { return .int64(number) }
            guard let number = Double(text), number.isFinite else { return .string(text) }
            return .double(number)
        case .string: return .string(text)
        case .int32: return Int32(text).map { .int32($0) }
        case .int64: return Int64(text).map { .int64($0) }
        case .double: return Double(text).map { .double($0) }
        case .decimal, .binary, .objectId:
            return try? ExtendedJSON.parseValue(wrapped(text))
        case .boolean:
            switch text.lowercased() {
            case "true", "1": return .bool(true)
            case "false", "0": return .bool(false)
            default: return nil
            }
        case .date: return Self.date(text).map { .date($0) }
        case .json: return try? ExtendedJSON.parseValue(text)
        }
    }

    /// Whether a text is a number in JSON (RFC 8259, section 6).
    private static func isNumber(_ text: String) -> Bool {
        var rest = Array(text.utf8)[...]
        func takeDigits() -> Int {
            let count = rest.prefix { 48...57 ~= $0 }.count
            rest = rest.dropFirst(count)
            return count
        }
        if rest.first == UInt8(ascii: "-") { rest = rest.dropFirst() }
        let startsWithZero = rest.first == UInt8(ascii: "0")
        let whole = takeDigits()
        guard whole == 1 || whole > 1 && !startsWithZero else { return false }
        if rest.first == UInt8(ascii: ".") {
            rest = rest.dropFirst()
            guard takeDigits() > 0 else { return false }
        }
        if let letter = rest.first, letter | 0x20 == UInt8(ascii: "e") {
            rest = rest.dropFirst()
            if rest.first == UInt8(ascii: "+") || rest.first == UInt8(ascii: "-") {
                rest = rest.dropFirst()
            }
            guard takeDigits() > 0 else { return false }
        }
        return rest.isEmpty
    }

    /// The Extended JSON of a typed text.
    private func wrapped(_ text: String) -> String {
        let quoted = ExtendedJSON.string(of: OwnedValue(.string(text)).view)
        return switch self {
        case .decimal: "{\"$numberDecimal\": \(quoted)}"
        case .objectId: "{\"$oid\": \(quoted)}"
        default: "{\"$binary\": {\"base64\": \(quoted), \"subType\": \"00\"}}"
        }
    }

    /// An instant, or in UTC a day or a time without zone, also with a space before the time.
    private static func date(_ text: String) -> Int64? {
        let instant = text.replacing(" ", with: "T", maxReplacements: 1)
        return ISODate.parse(instant) ?? ISODate.parse(instant + "Z")
            ?? ISODate.parse(text + "T00:00:00Z")
    }

    private static func base64(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        Base64.append(bytes.span.bytes, to: &text)
        return String(decoding: text, as: UTF8.self)
    }

    /// A value as a cell's text; nil for values of another type.
    func text(_ value: Value) -> String? {
        switch (self, value) {
        case (.auto, _): Cell.text(value)
        case (.json, _): ExtendedJSON.string(of: OwnedValue(value).view, canonical: true)
        case (.string, .string(let text)): text
        case (.int32, .int32(let number)): "\(number)"
        case (.int64, .int64(let number)): "\(number)"
        case (.int64, .int32(let number)): "\(number)"
        case (.double, .double(let number)): "\(number)"
        case (.decimal, .decimal128(let low, let high)): "\(Decimal128(low: low, high: high))"
        case (.boolean, .bool(let truth)): "\(truth)"
        case (.date, .date(let millis)): ISODate.string(millis: millis)
        case (.objectId, .objectID(let id)): "\(id)"
        case (.binary, .binary(0, let bytes)): Self.base64(bytes)
        default: nil
        }
    }
}

/// The columns of a file: names, which may be dotted, with types.
struct CSVColumns {
    struct Column {
        let path: [String]
        let type: CSVType

        /// The name with dots.
        var name: String { path.joined(separator: ".") }
    }

    let columns: [Column]
    private let options: CSVOptions
    /// The columns below a field each, in the order of their first.
    private let tree: Tree

    /// Columns of a header.
    /// - Throws: where a name is empty, occurs twice, lies within another, or a type isn't known.
    init(header: [String], _ options: CSVOptions) throws(TransferFailure) {
        self.options = options
        var columns: [Column] = []
        for cell in header { columns.append(try Self.column(cell, options)) }
        self.columns = columns
        tree = try Tree(columns.map(\.path))
    }

    private static func column(
        _ text: String, _ options: CSVOptions
    ) throws(TransferFailure) -> Column {
        var name = text
        var type = CSVType.auto
        if options.hasTypes {
            guard text.hasSuffix("()"), let dot = text.lastIndex(of: "."),
                let known = CSVType(rawValue: String(text[text.index(after: dot)...].dropLast(2)))
            else {
                throw TransferFailure(
                    "the header's '\(text)' has no type: write NAME.TYPE() with one of "
                        + CSVType.allCases.map(\.rawValue).joined(separator: ", "))
            }
            name = String(text[..<dot])
            type = known
        }
        let path = name.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard !path.contains("") else {
            throw TransferFailure("the header's '\(text)' is no field's name")
        }
        guard path.count <= Limits.nestingDepthMax / 2 else {
            throw TransferFailure("the header's '\(text.prefix(60))…' is nested too deeply")
        }
        return Column(path: path, type: type)
    }

    /// The value at a path, whose numbers are also places in lists; nil where there is none.
    static func value(
        of document: Document, at path: some Sequence<some StringProtocol>
    ) -> Value? {
        var value = Value.document(document)
        for name in path {
            switch value {
            case .document(let nested):
                guard let found = nested[String(name)] else { return nil }
                value = found
            case .array(let list):
                guard let place = Int(name), list.indices.contains(place) else { return nil }
                value = list[place]
            default: return nil
            }
        }
        return value
    }

    /// The document of a row.
    func document(_ cells: [CSVCell]) -> Result<Document, DBError> {
        guard cells.count <= columns.count else {
            return .failure(
                DBError(
                    .badValue, "\(cells.count) cells, but the header has \(columns.count)"))
        }
        var values: [Value?] = []
        for (cell, column) in zip(cells, columns) {
            if cell.text.isEmpty, !cell.isQuoted,
                options.ignoresBlanks || column.type != .auto && column.type != .string
            {
                values.append(nil)
                continue
            }
            guard let value = column.type.value(cell) else {
                return .failure(
                    DBError(
                        .badValue,
                        "column \(column.name): '\(cell.text.prefix(80))' is no "
                            + column.type.rawValue))
            }
            values.append(value)
        }
        while values.count < columns.count { values.append(nil) }
        return .success(Document { tree.write(values, to: &$0) })
    }

    /// Fields and what lies below them.
    private struct Tree {
        private var fields: [(name: String, column: Int?, below: Tree)] = []

        private init() {}

        init(_ paths: [[String]]) throws(TransferFailure) {
            self.init()
            for (column, path) in paths.enumerated() {
                guard insert(path[...], column) else {
                    throw TransferFailure(
                        "the header has '\(path.joined(separator: "."))' twice, or within another "
                            + "column")
                }
            }
        }

        private mutating func insert(_ path: ArraySlice<String>, _ column: Int) -> Bool {
            guard let name = path.first else { return false }
            let place = fields.firstIndex { $0.name == name }
            if path.count == 1 {
                guard place == nil else { return false }
                fields.append((name, column, Tree()))
                return true
            }
            if let place {
                guard fields[place].column == nil else { return false }
                return fields[place].below.insert(path.dropFirst(), column)
            }
            var below = Tree()
            let isNew = below.insert(path.dropFirst(), column)
            fields.append((name, nil, below))
            return isNew
        }

        private func hasValue(_ values: [Value?]) -> Bool {
            fields.contains { field in
                if let column = field.column {
                    values[column] != nil
                } else {
                    field.below.hasValue(values)
                }
            }
        }

        func write(_ values: [Value?], to writer: inout DocumentWriter) {
            for field in fields {
                if let column = field.column {
                    if let value = values[column] { writer.append(field.name, value) }
                } else if field.below.hasValue(values) {
                    let start = writer.openDocument(field.name)
                    field.below.write(values, to: &writer)
                    writer.close(start)
                }
            }
        }
    }
}
