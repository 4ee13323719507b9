import CChecksum
import Synchronization

/// Where a backup is in the log: before a record, or within its operations.
package struct ShippedPlace: Hashable, Sendable {
    /// The record's number.
    package var sequence: UInt64
    /// Bytes of its operations that were shipped.
    package var offset: Int

    /// Before the record of that number, or within it.
    package init(sequence: UInt64, offset: Int = 0) {
        self.sequence = sequence
        self.offset = offset
    }
}

/// A piece of a record as it is shipped: a head, then bytes of its operations.
///
///   head       sequence u64, commit u64, kind u32 (1 commit, 2 the one before failed), bytes of all
///              operations u32, offset of the piece u32, bytes of the piece u32; little-endian
package struct ShippedPiece: Equatable, Sendable {
    /// Bytes of a head.
    package static let headBytes = 32

    /// The record's number.
    package var sequence: UInt64
    /// The commit that it makes.
    package var commit: UInt64
    /// Whether it says that the commit of the record before failed.
    package var isAbort: Bool
    /// Bytes of all its operations.
    package var bodyBytes: Int
    /// Where the piece begins in them, and how long it is.
    package var offset: Int
    package var byteCount: Int

    fileprivate var head: [UInt8] {
        Registry.value(sequence) + Registry.value(commit)
            + Registry.value(UInt32(isAbort ? 2 : 1))
            + [bodyBytes, offset, byteCount].flatMap {
                Registry.value(UInt32(truncatingIfNeeded: $0))
            }
    }

    fileprivate init(_ header: RedoHeader, offset: Int, byteCount: Int) {
        sequence = header.sequence
        commit = header.commit
        isAbort = header.kind == .abort
        bodyBytes = header.bodyBytes
        self.offset = offset
        self.byteCount = byteCount
    }

    /// Reads the head at the beginning of `bytes`; nil unless head and piece are whole.
    package init?(_ bytes: ArraySlice<UInt8>) {
        guard bytes.count >= Self.headBytes else { return nil }
        func number<T: FixedWidthInteger>(_ offset: Int, _: T.Type) -> T {
            let start = bytes.startIndex + offset
            return Registry.number(bytes[start..<start + MemoryLayout<T>.size], as: T.self) ?? 0
        }
        sequence = number(0, UInt64.self)
        commit = number(8, UInt64.self)
        let kind = number(16, UInt32.self)
        isAbort = kind == 2
        bodyBytes = Int(number(20, UInt32.self))
        offset = Int(number(24, UInt32.self))
        byteCount = Int(number(28, UInt32.self))
        guard kind == 1 || kind == 2, offset + byteCount <= bodyBytes,
            bytes.count - Self.headBytes >= byteCount
        else { return nil }
    }
}

/// Part of the log as it is shipped.
package struct ShippedLog: Sendable {
    /// Pieces behind each other.
    package var bytes: [UInt8] = []
    /// Where the next part begins.
    package var next: ShippedPlace
    /// The number behind the newest record that can be shipped now.
    package var end: UInt64
}

/// Reads the log for backups, from the segments that are kept for them. Only settled records are
/// shipped: what is durable, and whose commit was made.
///
/// A session of the store begins in a segment of its own, whose first record's chain begins with
/// the segment's salt; within a session records go over segments.
struct LogShipper {
    private let segments: [LogSegment]
    private let end: LogPlace
    private let syncedSequence: UInt64
    private(set) var place: LogPlace

    /// Reads from `from` on, or from where the backup last was.
    init(
        _ found: (
            segments: [LogSegment], from: LogPlace, settled: LogPlace, syncedSequence: UInt64
        ), from: LogPlace?
    ) {
        segments = found.segments
        place = from ?? found.from
        end = found.settled
        syncedSequence = found.syncedSequence
    }

    /// The number behind the newest record that can be shipped.
    var endSequence: UInt64 { min(end.sequence, syncedSequence + 1) }

    /// Reads the record that comes next, without moving on; the place behind it comes along.
    func record() throws(StorageError) -> (header: RedoHeader, body: [UInt8], end: LogPlace) {
        if let index = segments.firstIndex(where: { $0.number == place.segment }) {
            if let found = try read(index, place) { return found }
            for later in segments.indices.dropFirst(index + 1) {
                var start = place
                start.segment = segments[later].number
                start.offset = LogSegment.headerBytes
                if let found = try read(later, start) { return found }
                start.crc = segments[later].salt.seed
                if let found = try read(later, start) { return found }
            }
        }
        throw .logGone
    }

    /// Goes behind a record.
    mutating func move(to place: LogPlace) { self.place = place }

    private func read(
        _ index: Int, _ start: LogPlace
    ) throws(StorageError) -> (header: RedoHeader, body: [UInt8], end: LogPlace)? {
        let first = segments[index]
        guard first.byteCount - start.offset >= RedoHeader.byteCount else { return nil }
        var record = try first.file.read(RedoHeader.byteCount, at: start.offset)
        guard
            let header = record.withUnsafeBytes({ RedoHeader($0, first.salt) }),
            header.sequence == start.sequence, header.previousCRC == start.crc
        else { return nil }
        var index = index
        var offset = start.offset + record.count
        while record.count < header.recordBytes {
            if offset == segments[index].byteCount {
                index += 1
                offset = LogSegment.headerBytes
            }
            guard index < segments.count else { return nil }
            let wanted = min(header.recordBytes - record.count, segments[index].byteCount - offset)
            let bytes = try segments[index].file.read(wanted, at: offset)
            guard bytes.count == wanted, wanted > 0 else { return nil }
            record += bytes
            offset += wanted
        }
        let crc = record.withUnsafeBytes { RedoHeader.checksum($0, first.salt) }
        guard crc == record.withUnsafeBytes({ RedoHeader.storedChecksum($0) }) else { return nil }
        let end = LogPlace(
            segment: segments[index].number, offset: offset, crc: crc,
            sequence: start.sequence + 1)
        let body = Array(record[RedoHeader.byteCount..<RedoHeader.byteCount + header.bodyBytes])
        return (header, body, end)
    }
}

extension LMDBStore {
    /// Keeps the log from now on for the backup of that name, over restarts too, and answers where
    /// it begins. The name has no spaces. Throws `tooManyHolds`.
    package func holdLog(_ name: String) throws(StorageError) -> ShippedPlace {
        let log = try openLog()
        forgetPlace(name)
        return ShippedPlace(sequence: try log.hold(name))
    }

    /// Lets the log before a place go, all of which the backup of that name has; nil ends the hold.
    package func moveHold(_ name: String, to place: ShippedPlace?) throws(StorageError) {
        let log = try openLog()
        guard let place else {
            forgetPlace(name)
            return try log.moveHold(name, to: nil)
        }
        guard let found = log.shippable(name) else { throw .logGone }
        try log.moveHold(
            name, to: try shipper(found, name, at: place.sequence).place)
    }

    /// Reads records from a place on, for the backup of that name, until there are `bytesMax` bytes
    /// or the log ends; long ones come in pieces. `observe` sees each whole record's operations
    /// once, when its last piece is read. Throws `logGone` where the log is no longer kept.
    package func shipLog(
        _ name: String, from start: ShippedPlace, bytesMax: Int,
        observe: (RawSpan) throws(StorageError) -> Void
    ) throws(StorageError) -> ShippedLog {
        guard let found = try openLog().shippable(name) else { throw .logGone }
        var shipper = try shipper(found, name, at: start.sequence)
        var shipped = ShippedLog(next: start, end: shipper.endSequence)
        while shipper.place.sequence < shipped.end, shipped.bytes.count < bytesMax {
            let (header, body, end) = try shipper.record()
            let offset = min(shipped.next.offset, body.count)
            let room = max(bytesMax - shipped.bytes.count, 1 << 12)
            let count = min(body.count - offset, room)
            shipped.bytes += ShippedPiece(header, offset: offset, byteCount: count).head
            shipped.bytes += body[offset..<offset + count]
            if offset + count < body.count {
                shipped.next.offset = offset + count
                break
            }
            try observe(body.span.bytes)
            shipper.move(to: end)
            shipped.next = ShippedPlace(sequence: end.sequence)
        }
        let place = shipper.place
        shippedPlaces.withLock { $0[name] = place }
        return shipped
    }

    /// A shipper before the record of that number: from where the last one was, or else over all
    /// that is kept.
    private func shipper(
        _ found: (
            segments: [LogSegment], from: LogPlace, settled: LogPlace, syncedSequence: UInt64
        ), _ name: String, at sequence: UInt64
    ) throws(StorageError) -> LogShipper {
        let last = shippedPlaces.withLock { $0[name] }
        if let last, last.sequence == sequence { return LogShipper(found, from: last) }
        guard sequence >= found.from.sequence, sequence <= found.settled.sequence else {
            throw .logGone
        }
        var shipper = LogShipper(found, from: nil)
        while shipper.place.sequence < sequence { shipper.move(to: try shipper.record().end) }
        return shipper
    }

    private func openLog() throws(StorageError) -> RedoLog {
        guard let environment else { throw .closed }
        guard let redo = environment.redo else {
            throw .writesStopped(reason: environment.writesStopped ?? "the folder is read only")
        }
        return redo.log
    }

    private func forgetPlace(_ name: String) {
        shippedPlaces.withLock { $0[name] = nil }
    }
}
