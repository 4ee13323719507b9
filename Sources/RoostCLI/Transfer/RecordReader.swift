// Records of a file, one at a time: where each begins, and its document or what is wrong with it.

import BSON

/// One record of a file.
struct TransferRecord {
    /// Its line, from 1; for BSON its number.
    let line: Int
    /// Its document; a record that can't be read is named and left out.
    let document: Result<Document, DBError>
    /// The record as it lies in the file, for the file of errors; nil for BSON.
    let text: String?
}

/// Reads records of one format from a stream of bytes.
struct RecordReader {
    /// Longest record: what a document may have, as JSON at its widest.
    private static let recordBytesMax = 256 << 20

    private let input: ByteInput
    private let format: TransferFormat
    private var columns: CSVColumns?
    private let csv: CSVOptions
    /// Bytes read and not yet taken begin at `start`.
    private var buffer: [UInt8] = []
    private var start = 0
    private var isAtEnd = false
    private var line = 1
    /// Whether JSON documents lie in an array.
    private var isArray: Bool?

    init(_ input: ByteInput, _ format: TransferFormat, csv: CSVOptions) {
        self.input = input
        self.format = format
        self.csv = csv
    }

    /// The next record; nil at the end.
    /// - Throws: where nothing more can be read.
    mutating func next() throws(TransferFailure) -> TransferRecord? {
        switch format {
        case .ndjson: try nextLine()
        case .json: try nextObject()
        case .csv: try nextRow()
        case .bson: try nextDocument()
        }
    }

    // MARK: Bytes

    /// Reads on; false at the end of the file.
    private mutating func fill() throws(TransferFailure) -> Bool {
        if isAtEnd { return false }
        guard buffer.count - start <= Self.recordBytesMax else {
            throw TransferFailure(
                "line \(line): a record of more than \(Self.recordBytesMax >> 20) MiB; is the "
                    + "format \(format.rawValue)?")
        }
        buffer.removeSubrange(..<start)
        start = 0
        isAtEnd = try !input.read(into: &buffer)
        return !isAtEnd
    }

    /// Takes the bytes up to `end`, counting their lines.
    private mutating func take(to end: Int) -> (line: Int, bytes: [UInt8]) {
        let bytes = Array(buffer[start..<end])
        let first = line
        for byte in bytes where byte == 0x0A { line += 1 }
        start = end
        return (first, bytes)
    }

    private static func record(_ line: Int, json bytes: [UInt8]) -> TransferRecord {
        let document: Result<Document, DBError>
        do throws(DBError) {
            document = .success(try ExtendedJSON.parse(utf8: bytes.span.bytes))
        } catch {
            document = .failure(error)
        }
        return TransferRecord(
            line: line, document: document, text: String(decoding: bytes, as: UTF8.self))
    }

    // MARK: JSON

    private mutating func nextLine() throws(TransferFailure) -> TransferRecord? {
        while true {
            var seen = start
            var end = buffer[seen...].firstIndex(of: 0x0A)
            while end == nil {
                let unseen = buffer.count - start
                guard try fill() else { break }
                seen = start + unseen
                end = buffer[seen...].firstIndex(of: 0x0A)
            }
            guard end != nil || start < buffer.count else { return nil }
            let (number, bytes) = take(to: end.map { $0 + 1 } ?? buffer.count)
            let trimmed = Self.trimmed(bytes, isFirst: number == 1)
            if !trimmed.isEmpty { return Self.record(number, json: trimmed) }
        }
    }

    /// Without space around it, and without the mark that some editors put before UTF-8.
    private static func trimmed(_ bytes: [UInt8], isFirst: Bool) -> [UInt8] {
        var slice = bytes[...]
        if isFirst, slice.starts(with: [0xEF, 0xBB, 0xBF]) { slice = slice.dropFirst(3) }
        while let first = slice.first, isSpace(first) { slice = slice.dropFirst() }
        while let last = slice.last, isSpace(last) { slice = slice.dropLast() }
        return Array(slice)
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || 0x09...0x0D ~= byte }

    /// The next object of an array, or of objects behind each other.
    private mutating func nextObject() throws(TransferFailure) -> TransferRecord? {
        guard let first = try objectStart() else { return nil }
        var offset = first - start
        var depth = 0
        var isQuoted = false
        var isEscaped = false
        while true {
            while start + offset < buffer.count {
                let byte = buffer[start + offset]
                offset += 1
                if isQuoted {
                    if isEscaped {
                        isEscaped = false
                    } else if byte == UInt8(ascii: "\\") {
                        isEscaped = true
                    } else if byte == UInt8(ascii: "\"") {
                        isQuoted = false
                    }
                    continue
                }
                switch byte {
                case UInt8(ascii: "\""): isQuoted = true
                case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
                case UInt8(ascii: "}"), UInt8(ascii: "]"):
                    depth -= 1
                    guard depth == 0 else { continue }
                    let (number, bytes) = take(to: start + offset)
                    return Self.record(number, json: bytes)
                default: break
                }
            }
            guard try fill() else {
                throw TransferFailure("line \(line): the file ends within a document")
            }
        }
    }

    /// Goes to the next `{`, over what may stand before it; nil at the end.
    private mutating func objectStart() throws(TransferFailure) -> Int? {
        while true {
            while start < buffer.count {
                let byte = buffer[start]
                switch byte {
                case UInt8(ascii: "{"): return start
                case UInt8(ascii: "[") where isArray == nil: isArray = true
                case UInt8(ascii: ",") where isArray == true: break
                case UInt8(ascii: "]") where isArray == true: isArray = false
                case 0x0A: line += 1
                case 0xEF, 0xBB, 0xBF: break
                case _ where Self.isSpace(byte): break
                default:
                    throw TransferFailure(
                        "line \(line): expected a document in braces, found "
                            + "'\(String(decoding: [byte], as: UTF8.self))'; --format says what "
                            + "the file holds")
                }
                start += 1
            }
            guard try fill() else {
                if isArray == true { throw TransferFailure("line \(line): there is no closing ]") }
                return nil
            }
        }
    }

    // MARK: BSON

    private mutating func nextDocument() throws(TransferFailure) -> TransferRecord? {
        while buffer.count - start < 4 {
            guard try fill() else {
                if start == buffer.count { return nil }
                throw TransferFailure("document \(line): the file ends within a document")
            }
        }
        let size = (0..<4).reduce(0) { $0 | Int(buffer[start + $1]) << (8 * $1) }
        guard (5...Limits.documentBytesMax + Limits.documentOverheadBytesMax).contains(size) else {
            throw TransferFailure(
                "document \(line): a length of \(size) bytes; the file isn't BSON, or damaged")
        }
        while buffer.count - start < size {
            guard try fill() else {
                throw TransferFailure("document \(line): the file ends within a document")
            }
        }
        let bytes = Array(buffer[start..<start + size])
        start += size
        defer { line += 1 }
        let document: Result<Document, DBError>
        do throws(DBError) {
            try validate(document: bytes.span.bytes)
            document = .success(Document(copying: DocumentView(bytes.span.bytes)))
        } catch {
            document = .failure(error)
        }
        return TransferRecord(line: line, document: document, text: nil)
    }

    // MARK: CSV

    private mutating func nextRow() throws(TransferFailure) -> TransferRecord? {
        if columns == nil {
            guard let (number, row) = try row() else { return nil }
            guard row.span.bytes.isValidUTF8 else {
                throw TransferFailure("line \(number): the header is no UTF-8 text")
            }
            columns = try CSVColumns(
                header: CSVCell.cells(of: row, separator: csv.separator).map(\.text), csv)
        }
        guard let columns, let (number, row) = try row() else { return nil }
        let document: Result<Document, DBError> =
            row.span.bytes.isValidUTF8
            ? columns.document(CSVCell.cells(of: row, separator: csv.separator))
            : .failure(DBError(.badValue, "the row is no UTF-8 text"))
        return TransferRecord(
            line: number, document: document, text: String(decoding: row, as: UTF8.self))
    }

    /// The next row that isn't empty (RFC 4180), with its line.
    private mutating func row() throws(TransferFailure) -> (line: Int, bytes: [UInt8])? {
        while true {
            var isQuoted = false
            var offset = 0
            var end: Int?
            while end == nil {
                while start + offset < buffer.count {
                    let byte = buffer[start + offset]
                    offset += 1
                    if byte == UInt8(ascii: "\"") { isQuoted.toggle() }
                    if byte == 0x0A, !isQuoted {
                        end = start + offset
                        break
                    }
                }
                if end == nil, try !fill() {
                    guard !isQuoted else {
                        throw TransferFailure("line \(line): there is no closing quote")
                    }
                    end = buffer.count
                }
            }
            guard let end, end > start else { return nil }
            let (number, bytes) = take(to: end)
            let row = Self.trimmedEnd(bytes, isFirst: number == 1)
            if !row.isEmpty { return (number, row) }
        }
    }

    private static func trimmedEnd(_ bytes: [UInt8], isFirst: Bool) -> [UInt8] {
        var slice = bytes[...]
        if isFirst, slice.starts(with: [0xEF, 0xBB, 0xBF]) { slice = slice.dropFirst(3) }
        if slice.last == 0x0A { slice = slice.dropLast() }
        if slice.last == 0x0D { slice = slice.dropLast() }
        return Array(slice)
    }
}
