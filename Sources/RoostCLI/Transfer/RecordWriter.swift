// Documents as a format's bytes.

import BSON

/// Lays documents out as one format has them.
struct RecordWriter {
    private let format: TransferFormat
    private let isCanonical: Bool
    private let separator: UInt8
    private let columns: CSVColumns?
    private let header: [String]
    private var isFirst = true

    /// A writer; `fields` are the columns of CSV, with types where `csv` says so.
    init(
        _ format: TransferFormat, isCanonical: Bool, fields: [String], csv: CSVOptions
    ) throws(TransferFailure) {
        self.format = format
        self.isCanonical = isCanonical
        separator = csv.separator
        header = fields
        columns = format == .csv ? try CSVColumns(header: fields, csv) : nil
    }

    /// What stands before the first document.
    var head: [UInt8] {
        switch format {
        case .json: Array("[".utf8)
        case .csv: line(header)
        case .ndjson, .bson: []
        }
    }

    /// What stands behind the last document.
    var foot: [UInt8] { format == .json ? Array("\n]\n".utf8) : [] }

    /// One document.
    /// - Throws: where a value doesn't fit the type of its column.
    mutating func bytes(of document: Document) throws(TransferFailure) -> [UInt8] {
        defer { isFirst = false }
        switch format {
        case .bson: return document.bytes
        case .ndjson:
            return Array(ExtendedJSON.string(of: document.view, canonical: isCanonical).utf8)
                + [0x0A]
        case .json:
            return Array((isFirst ? "\n" : ",\n").utf8)
                + Array(ExtendedJSON.string(of: document.view, canonical: isCanonical).utf8)
        case .csv:
            var cells: [String] = []
            for column in columns?.columns ?? [] { cells.append(try Self.cell(column, document)) }
            return line(cells)
        }
    }

    private func line(_ cells: [String]) -> [UInt8] {
        let separator = String(decoding: [separator], as: UTF8.self)
        let text = cells.map { CSVCell.quoted($0, separator: self.separator) }
            .joined(separator: separator)
        return Array((text + "\r\n").utf8)
    }

    private static func cell(
        _ column: CSVColumns.Column, _ document: Document
    ) throws(TransferFailure) -> String {
        guard let value = CSVColumns.value(of: document, at: column.path) else { return "" }
        // As in mongoexport and psql; a column of type json keeps the difference.
        if value == .null, column.type != .json { return "" }
        guard let text = column.type.text(value) else {
            let id = document["_id"].map { Cell.text($0) } ?? "none"
            throw TransferFailure(
                "column \(column.name): the document with _id \(id) has no "
                    + "\(column.type.rawValue) there; name the column "
                    + "\(column.name).json() to keep values of all types")
        }
        return text
    }
}
