// The change log's own entries, before the first record: who the log is and what it has lost.
//
//     8 zero bytes, 0         epoch UInt64, random: changes when history was replaced;
//                             place UInt64 and UInt32: the last record that was trimmed
//     8 zero bytes, 1, ns     place UInt64 and UInt32: the last record of that collection (or, with
//                             an empty collection's name, database) that was trimmed
//     8 zero bytes, 2, ns     nothing: live queries follow that collection, or did of late
//                             (ObservedNames)
//
// Integers are little-endian; ns is the database's name, a zero byte, the collection's name.

import BSON
import Storage

/// What the log says about itself.
struct LogHeader: Sendable, Equatable {
    /// Names this history; tokens carry it.
    var epoch: UInt64
    /// The last record that was trimmed; `start` while none was.
    var trimmed: LogPosition

    /// A new history.
    static func make() -> LogHeader {
        LogHeader(epoch: .random(in: 1 ... .max), trimmed: .start)
    }

    static let key = [UInt8](repeating: 0, count: 9)

    var bytes: [UInt8] {
        withUnsafeBytes(of: epoch.littleEndian) { Array($0) } + trimmed.entryBytes
    }

    /// Reads the header.
    /// - Throws: `dataCorruptionDetected`.
    init(_ bytes: RawSpan) throws(DBError) {
        guard bytes.byteCount == 8 + LogPosition.keyBytes,
            let trimmed = LogPosition(entry: bytes.extracting(8..<bytes.byteCount))
        else {
            throw DBError(
                .dataCorruptionDetected,
                "The change log's header is damaged; run 'roost verify' on the folder")
        }
        // SAFETY: the span's size was checked.
        epoch = UInt64(littleEndian: bytes.unsafeLoadUnaligned(as: UInt64.self))
        self.trimmed = trimmed
    }

    private init(epoch: UInt64, trimmed: LogPosition) {
        self.epoch = epoch
        self.trimmed = trimmed
    }

    /// Reads the header of a log that has one.
    static func read(_ transaction: borrowing ReadTransaction) throws -> LogHeader {
        guard let bytes = try transaction.value(.changeLog, key.span.bytes) else {
            return LogHeader(epoch: 0, trimmed: .start)
        }
        return try LogHeader(bytes)
    }
}

/// How far the records of single collections were trimmed.
enum TrimmedNames {
    private static let prefix = [UInt8](repeating: 0, count: 8) + [1]

    /// The entry's key.
    static func key(_ namespace: Namespace) -> [UInt8] {
        prefix + Array(namespace.database.utf8) + [0] + Array(namespace.collection.utf8)
    }

    /// The last record of the scope that was trimmed; `start` where none was.
    static func last(
        in scope: ChangeScope, _ transaction: borrowing ReadTransaction
    ) throws -> LogPosition {
        switch scope {
        case .server: return try LogHeader.read(transaction).trimmed
        case .collection(let namespace):
            guard let bytes = try transaction.value(.changeLog, key(namespace).span.bytes) else {
                return .start
            }
            return LogPosition(entry: bytes) ?? .start
        case .database(let database):
            let first = prefix + Array(database.utf8) + [0]
            var last = LogPosition.start
            var cursor = transaction.cursor(.changeLog)
            var isFound = try cursor.seek(to: first.span.bytes)
            while isFound, cursor.key.starts(with: first.span.bytes) {
                if let place = LogPosition(entry: try cursor.value()) { last = max(last, place) }
                isFound = try cursor.next()
            }
            return last
        }
    }
}

extension LogPosition {
    /// The place as the log's own entries hold it.
    var entryBytes: [UInt8] {
        withUnsafeBytes(of: sequence.rawValue.littleEndian) { Array($0) }
            + withUnsafeBytes(of: ordinal.littleEndian) { Array($0) }
    }

    /// Reads a place from one of the log's own entries.
    init?(entry bytes: RawSpan) {
        guard bytes.byteCount == Self.keyBytes else { return nil }
        // SAFETY: the span has the twelve bytes.
        let sequence = UInt64(littleEndian: bytes.unsafeLoadUnaligned(as: UInt64.self))
        let ordinal = UInt32(
            littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: 8, as: UInt32.self))
        self.init(
            Timestamp(rawValue: sequence), ordinal: ordinal,
            part: sequence == 0 ? 0 : Self.wholeEvent)
    }
}

/// What a change stream watches.
package enum ChangeScope: Hashable, Sendable {
    /// Everything but the server's own databases.
    case server
    case database(String)
    case collection(Namespace)

    /// Whether a collection's changes are in it.
    func contains(database: RawSpan, collection: RawSpan) -> Bool {
        switch self {
        case .server:
            return !database.equals("admin") && !database.equals("config")
                && !database.equals("local") && !collection.starts(with: RawSpan("system."))
        case .database(let name):
            return name.hasSameBytes(as: database)
                && !collection.starts(with: RawSpan("system."))
        case .collection(let namespace):
            return namespace.collection.hasSameBytes(as: collection)
                && namespace.database.hasSameBytes(as: database)
        }
    }
}

extension String {
    /// Whether the string's UTF-8 is those bytes.
    func hasSameBytes(as bytes: RawSpan) -> Bool {
        let utf8 = utf8
        guard utf8.count == bytes.byteCount else { return false }
        return bytes.withUnsafeBytes { utf8.elementsEqual($0) }
    }
}

extension RoostEngine {
    /// Reads where the log ends, and gives a new log its header.
    static func openLog(_ store: Store) throws -> (end: ChangeLog.End, header: LogHeader) {
        let reader = try store.makeReader()
        let found = try reader.read { transaction in
            var end = ChangeLog.End()
            var cursor = transaction.cursor(.changeLog)
            if try cursor.last(), let position = LogPosition(key: cursor.key) {
                let record = try ChangeRecordView(position, try cursor.value())
                end = ChangeLog.End(
                    position: position, chain: record.chain,
                    offset: record.offset + UInt64(record.byteCount))
            }
            return (end: end, header: try LogHeader.read(transaction))
        }
        if found.header.epoch != 0 { return found }
        let header = LogHeader.make()
        try store.perform(OperationOptions(mayUseReserve: true)) { transaction in
            try transaction.put(
                .changeLog, key: LogHeader.key.span.bytes, value: header.bytes.span.bytes)
        }
        return (found.end, header)
    }
}
