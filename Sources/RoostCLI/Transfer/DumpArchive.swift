// mongodump's archive, and the names in its folders.
//
//     archive    magic 6d e2 99 81; header document; a document for each collection with its
//                metadata; terminator; segments
//     segment    {db, collection, EOF: false, CRC: 0}; documents; terminator
//     end        {db, collection, EOF: true, CRC}; terminator
//
// The terminator is ff ff ff ff, where a document's length would stand. CRC is the CRC-64 (ECMA-182,
// reflected) of all documents of the collection.

import BSON

/// A collection's name in a dump.
struct DumpName: Hashable {
    let database: String
    let collection: String

    /// The name as a file's: what a path gives a meaning to is written as %XX.
    var fileName: String {
        var name = ""
        for byte in collection.utf8 {
            switch byte {
            case 48...57, 65...90, 97...122: name.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                if "-_.~$&+=:@".utf8.contains(byte) {
                    name.unicodeScalars.append(Unicode.Scalar(byte))
                } else {
                    name += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
                }
            }
        }
        return name
    }

    /// The collection's name that a file has; nil for what is none.
    static func collection(fileName: String) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(fileName.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            guard digits.utf8.count == 2, let value = UInt8(digits, radix: 16) else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}

/// CRC-64 as archives have it.
struct CRC64 {
    private(set) var value: UInt64 = 0

    private static let table: [UInt64] = (0..<256).map { byte in
        (0..<8).reduce(UInt64(byte)) { value, _ in
            value & 1 == 1 ? value >> 1 ^ 0xC96C_5795_D787_0F42 : value >> 1
        }
    }

    mutating func add(_ bytes: [UInt8]) {
        var crc = ~value
        for byte in bytes {
            crc = Self.table[Int((crc ^ UInt64(byte)) & 0xFF)] ^ crc >> 8
        }
        value = ~crc
    }
}

/// The pieces of an archive.
enum ArchivePiece {
    static let magic: [UInt8] = [0x6D, 0xE2, 0x99, 0x81]
    static let terminator: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF]

    /// What stands before the documents of a collection, or behind the last of them.
    static func header(_ name: DumpName, end: CRC64?) -> [UInt8] {
        ([
            "db": .string(name.database), "collection": .string(name.collection),
            "EOF": .bool(end != nil), "CRC": .int64(Int64(bitPattern: end?.value ?? 0)),
        ] as Document).bytes
    }
}

/// Reads an archive.
struct ArchiveReader {
    /// What comes next.
    enum Item {
        case metadata(DumpName, Document)
        case document(DumpName, Document)
        case end(DumpName)
    }

    private let input: ByteInput
    private var buffer: [UInt8] = []
    private var start = 0
    private var isInPrelude = true
    private var current: DumpName?
    private var sums: [DumpName: CRC64] = [:]

    /// Reads the magic number and the header.
    init(_ input: ByteInput) throws(TransferFailure) {
        self.input = input
        guard try take(4) == ArchivePiece.magic else {
            throw TransferFailure("the file is no archive of mongodump's")
        }
        guard try document() != nil else { throw Self.broken }
    }

    /// The next item; nil at the end.
    mutating func next() throws(TransferFailure) -> Item? {
        while true {
            guard let current else {
                guard try fill(1) else {
                    if isInPrelude { throw Self.broken }
                    return nil
                }
                guard let header = try document() else {
                    guard isInPrelude else { throw Self.broken }
                    isInPrelude = false
                    continue
                }
                guard case .string(let database)? = header["db"],
                    case .string(let collection)? = header["collection"]
                else { throw Self.broken }
                let name = DumpName(database: database, collection: collection)
                if isInPrelude { return .metadata(name, try Self.metadata(header)) }
                guard header["EOF"] == .bool(true) else {
                    self.current = name
                    continue
                }
                guard try document() == nil,
                    header["CRC"] == .int64(Int64(bitPattern: sums[name]?.value ?? 0))
                else {
                    throw TransferFailure("\(database).\(collection): the checksum is wrong")
                }
                return .end(name)
            }
            guard let found = try document() else {
                self.current = nil
                continue
            }
            sums[current, default: CRC64()].add(found.bytes)
            return .document(current, found)
        }
    }

    private static func metadata(_ header: Document) throws(TransferFailure) -> Document {
        guard case .string(let text)? = header["metadata"] else { throw broken }
        if text.isEmpty { return Document() }
        let bytes = Array(text.utf8)
        guard let metadata = try? ExtendedJSON.parse(utf8: bytes.span.bytes) else { throw broken }
        return metadata
    }

    /// The next document; nil for a terminator.
    private mutating func document() throws(TransferFailure) -> Document? {
        let head = try take(4)
        if head == ArchivePiece.terminator { return nil }
        let size = head.reversed().reduce(0) { $0 << 8 | Int($1) }
        guard (5...Limits.documentBytesMax + Limits.documentOverheadBytesMax).contains(size) else {
            throw Self.broken
        }
        let bytes = head + (try take(size - 4))
        return try Self.checked(bytes)
    }

    private static func checked(_ bytes: [UInt8]) throws(TransferFailure) -> Document {
        do throws(DBError) {
            try validate(document: bytes.span.bytes)
        } catch {
            throw TransferFailure("a document is damaged: \(error.message)")
        }
        return Document(copying: DocumentView(bytes.span.bytes))
    }

    private mutating func take(_ count: Int) throws(TransferFailure) -> [UInt8] {
        guard try fill(count) else { throw Self.broken }
        defer { start += count }
        return Array(buffer[start..<start + count])
    }

    private mutating func fill(_ count: Int) throws(TransferFailure) -> Bool {
        while buffer.count - start < count {
            buffer.removeFirst(start)
            start = 0
            guard try input.read(into: &buffer) else { return false }
        }
        return true
    }

    private static let broken = TransferFailure("the archive is damaged, or was cut")
}
