// The change log: what every command changed, in the same commit as the change.
//
//   writing   RecordWriter and the catalog's operations note events here while an operation runs;
//             at its end `finish` gives them one timestamp, chains them and appends them to the
//             log's table. Nothing is written for an operation that failed.
//   reading   ChangeFollower goes over the records behind a position, whenever it wants; TailWatch
//             tells it when there are new ones in its scope.
//   old ones  LogCompression puts old records together, deflated; LogCursor goes over both kinds.
//   trimming  LogRetention removes the oldest records, by age and size, and keeps for each
//             collection how far they are gone.
//
// A timestamp is the cluster time: max(the last + 1, seconds since 1970 << 32 | 1). The log's table
// holds records by position (LogPosition), and before them its own entries (LogEntries).

import BSON
import Storage

/// The writing end of the log. Confined to the writer thread.
final class ChangeLog {
    /// Where the log ends.
    struct End: Sendable {
        /// The last record's place; `start` in an empty log.
        var position = LogPosition.start
        /// The last record's chain.
        var chain: UInt32 = 0
        /// Bytes of all records ever logged.
        var offset: UInt64 = 0
    }

    /// A transaction's identity, which its events carry.
    struct Session {
        /// The session's id, a document.
        var id: Document
        /// The transaction's number in it.
        var transactionNumber: Int64
    }

    /// A record must stay below what the store takes for one value.
    private static let recordBytesMax = Limits.documentBytesMax + 512 * 1024
    /// How much memory is kept between commands.
    private static let keptBytesMax = 1 << 20

    /// Whose transaction the operation under way is; reset by `discard` and `finish`.
    var session: Session?

    /// Collections whose deleted documents live queries ask for.
    let observed: ObservedNames
    private let clock: LogicalClock
    private var end: End
    private var committed: End
    /// The records of the operation under way, one after another, and where each begins.
    private var pending: [UInt8] = []
    private var starts: [Int] = []
    /// The time of the operation under way, in milliseconds since 1970; set by its first event.
    private(set) var wallMillis: Int64 = 0
    /// Collections that the operation under way, and the group, have records of.
    private var touched: [Namespace] = []
    private var groupTouched: Set<Namespace> = []
    private var key = [UInt8](repeating: 0, count: LogPosition.keyBytes)

    init(_ clock: LogicalClock, end: End, _ observed: ObservedNames = ObservedNames()) {
        self.clock = clock
        self.observed = observed
        self.end = end
        committed = end
    }

    // MARK: Events

    /// A document was stored, or came back from the trash.
    func insert(_ document: DocumentView, _ entry: CollectionEntry, isRestored: Bool = false) {
        var flags = Self.flags(entry)
        if isRestored { flags.insert(.movesTrash) }
        begin(.insert, entry, flags)
        pending.append(copying: document.bytes)
    }

    /// A document was changed.
    func update(
        from before: RawSpan, to after: RawSpan, isReplacement: Bool, _ entry: CollectionEntry
    ) {
        let delta = ChangeDelta(from: before, to: after)
        var flags = Self.flags(entry)
        if before.byteCount + delta.middle.count > Self.recordBytesMax {
            begin(.image, entry, flags)
            pending.append(copying: before)
            flags.insert(.imageIsApart)
        }
        begin(isReplacement ? .replace : .update, entry, flags)
        append(UInt32(truncatingIfNeeded: delta.prefix))
        append(UInt32(truncatingIfNeeded: delta.suffix))
        append(UInt32(truncatingIfNeeded: delta.middle.count))
        pending.append(copying: after.extracting(delta.middle))
        if !flags.contains(.imageIsApart) { pending.append(copying: before) }
    }

    /// A document was removed, or moved to the trash where its collection keeps what is deleted.
    func delete(_ document: RawSpan, _ entry: CollectionEntry) {
        var flags = Self.flags(entry)
        if observed.contains(entry.namespace) { flags.insert(.keepsDocument) }
        if entry.traits.softDelete != nil { flags.insert(.movesTrash) }
        begin(.delete, entry, flags)
        // Deletes must pass when space is short: only what is asked for is kept.
        if !flags.isDisjoint(with: [.showsImages, .keepsDocument]) {
            pending.append(copying: document)
        } else {
            appendKey(of: document)
        }
    }

    /// A document that holds just the `_id` of another.
    private func appendKey(of document: RawSpan) {
        guard let id = DocumentView(document).value("_id") else {
            return pending.append(contentsOf: Document().bytes)
        }
        append(UInt32(truncatingIfNeeded: 4 + 1 + 4 + id.bytes.byteCount + 1))
        append(id.type.rawValue)
        pending.append(copying: RawSpan("_id"))
        append(UInt8(0))
        pending.append(copying: id.bytes)
        append(UInt8(0))
    }

    /// The catalog's entry of a collection was changed.
    func note(_ kind: ChangeKind, _ entry: CollectionEntry, _ details: Document = Document()) {
        begin(kind, entry, Self.flags(entry))
        pending.append(contentsOf: details.bytes)
    }

    /// A collection was renamed, over another where there was one.
    func rename(_ entry: CollectionEntry, to target: Namespace, over occupant: CollectionEntry?) {
        note(
            .rename, entry,
            Document { writer in
                let to = writer.openDocument("to")
                writer.append("db", target.database)
                writer.append("coll", target.collection)
                writer.close(to)
                if let occupant { writer.append("dropTarget", occupant.uuid.value) }
            })
        touch(target)
    }

    /// A database was dropped, behind its collections.
    func dropDatabase(_ database: String) {
        begin(.dropDatabase, Namespace(database, ""), nil, [])
        pending.append(contentsOf: Document().bytes)
    }

    private static func flags(_ entry: CollectionEntry) -> ChangeFlags {
        if !entry.hasKeysOfIDs, entry.traits.timeSeries != nil { return .isMeasurement }
        return entry.traits.showsImages ? .showsImages : []
    }

    private func begin(_ kind: ChangeKind, _ entry: CollectionEntry, _ flags: ChangeFlags) {
        begin(kind, entry.namespace, entry.uuid, flags)
    }

    private func begin(
        _ kind: ChangeKind, _ namespace: Namespace, _ uuid: UUIDBytes?, _ flags: ChangeFlags
    ) {
        if starts.isEmpty { wallMillis = LogicalClock.wallMillis }
        starts.append(pending.count)
        touch(namespace)
        // `finish` fills in chain and offset.
        append(UInt32(0))
        append(UInt64(0))
        append(wallMillis)
        pending.append(kind.rawValue)
        pending.append((session == nil ? flags : flags.union(.hasSession)).rawValue)
        if let uuid {
            pending.append(contentsOf: uuid.bytes)
        } else {
            append(UInt64(0))
            append(UInt64(0))
        }
        // Names are at most 255 bytes together (Namespace.bytesMax).
        pending.append(UInt8(truncatingIfNeeded: namespace.database.utf8.count))
        pending.append(UInt8(truncatingIfNeeded: namespace.collection.utf8.count))
        pending.append(contentsOf: namespace.database.utf8)
        pending.append(contentsOf: namespace.collection.utf8)
        if let session {
            pending.append(contentsOf: session.id.bytes)
            append(session.transactionNumber)
        }
    }

    private func touch(_ namespace: Namespace) {
        if touched.last != namespace { touched.append(namespace) }
    }

    private func append<T: FixedWidthInteger>(_ number: T) {
        withUnsafeBytes(of: number.littleEndian) { pending.append(contentsOf: $0) }
    }

    // MARK: Operations

    /// Forgets what an operation noted; before each operation.
    func discard() {
        session = nil
        guard !starts.isEmpty else { return }
        starts.removeAll(keepingCapacity: true)
        touched.removeAll(keepingCapacity: true)
        if pending.capacity > Self.keptBytesMax {
            pending = []
        } else {
            pending.removeAll(keepingCapacity: true)
        }
    }

    /// Appends what the operation noted to the log under one new timestamp; after each operation.
    /// - Throws: `StorageError`.
    func finish(_ transaction: inout WriteTransaction) throws {
        guard !starts.isEmpty else { return }
        let sequence = clock.advance()
        for (index, start) in starts.enumerated() {
            let stop = index + 1 < starts.count ? starts[index + 1] : pending.count
            let position = LogPosition(sequence, ordinal: UInt32(truncatingIfNeeded: index))
            try put(start..<stop, at: position, &transaction)
        }
        for namespace in touched { groupTouched.insert(namespace) }
        discard()
    }

    private func put(
        _ range: Range<Int>, at position: LogPosition, _ transaction: inout WriteTransaction
    ) throws {
        position.writeKey(into: &key)
        write(end.offset, at: range.lowerBound + ChangeLayout.offset)
        let chain = Self.chain(
            after: end.chain, key,
            pending, range.lowerBound + ChangeLayout.offset..<range.upperBound)
        write(chain, at: range.lowerBound + ChangeLayout.chain)
        try Self.append(key, pending, range, &transaction)
        end = End(
            position: position, chain: chain, offset: end.offset + UInt64(range.count))
    }

    // Static, so that the buffers are lent for the call.

    private static func chain(
        after previous: UInt32, _ key: [UInt8], _ pending: [UInt8], _ range: Range<Int>
    ) -> UInt32 {
        ChangeChain.next(previous, key: key, pending.span.bytes.extracting(range))
    }

    private static func append(
        _ key: [UInt8], _ pending: [UInt8], _ range: Range<Int>,
        _ transaction: inout WriteTransaction
    ) throws(StorageError) {
        try transaction.append(
            .changeLog, key: key.span.bytes, value: pending.span.bytes.extracting(range))
    }

    private func write<T: FixedWidthInteger>(_ number: T, at offset: Int) {
        var rest = number
        for index in offset..<offset + MemoryLayout<T>.size {
            pending[index] = UInt8(truncatingIfNeeded: rest)
            rest >>= 8
        }
    }

    // MARK: Groups

    /// Bytes of all records ever logged.
    var endOffset: UInt64 { end.offset }

    /// The timestamp of the newest command in the group, committed or not.
    var newest: Timestamp { end.position.sequence }

    /// After the group's commit: lets clients see its time.
    /// - Returns: the collections that it has records of.
    func commit() -> Set<Namespace> {
        committed = end
        if groupTouched.isEmpty { return [] }
        clock.publish(end.position.sequence)
        defer { groupTouched.removeAll(keepingCapacity: true) }
        return groupTouched
    }

    /// After the group was undone.
    func rollBack() {
        discard()
        groupTouched.removeAll(keepingCapacity: true)
        end = committed
    }
}
