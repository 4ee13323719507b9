/// Reads the log's records from a place on, and tells its end from damage.
///
/// A record that isn't whole is where the power failed, unless a later one says that it was
/// durable: then the log is damaged, and nothing behind that place can be trusted.
struct LogReader {
    /// One record.
    struct Record {
        let header: RedoHeader
        /// The whole record, header and padding included.
        let bytes: [UInt8]
        /// Where it begins.
        let place: LogPlace
    }

    /// In the order of their numbers, which may have gaps.
    private let segments: [LogSegment]
    private let path: String
    private(set) var place: LogPlace
    /// Whole files, the current one's and the one before.
    private var loaded: [(number: UInt64, bytes: [UInt8])] = []

    /// Reads from `place` on; `path` is the folder's, for messages.
    init(_ segments: [LogSegment], from place: LogPlace, path: String) {
        self.segments = segments.sorted { $0.number < $1.number }
        self.place = place
        self.path = path
    }

    /// The next record; nil at the log's end. Throws `cannotOpen` where the log is damaged.
    mutating func next() throws(StorageError) -> Record? {
        guard let segment = try enter() else { return nil }
        let bytes = try contents(of: segment)
        let header = bytes.withUnsafeBytes { bytes in
            RedoHeader(UnsafeRawBufferPointer(rebasing: bytes[place.offset...]), segment.salt)
        }
        guard let header, header.sequence == place.sequence, header.previousCRC == place.crc,
            let found = try record(header, at: place, segment)
        else {
            try checkEnd()
            return nil
        }
        let record = Record(header: header, bytes: found.bytes, place: place)
        place = LogPlace(
            segment: found.segment, offset: found.end, crc: found.crc,
            sequence: place.sequence + 1)
        return record
    }

    /// Moves on to the next segment where this one is full; nil where there is none.
    private mutating func enter() throws(StorageError) -> LogSegment? {
        guard let segment = segments.first(where: { $0.number == place.segment }) else {
            throw .cannotOpen(
                path: path,
                reason: "segment \(place.segment) of the redo log is missing or its header is "
                    + "damaged; restore a backup")
        }
        if segment.byteCount - place.offset >= RedoHeader.byteCount { return segment }
        guard let next = self.segment(after: segment) else { return nil }
        place.segment = next.number
        place.offset = LogSegment.headerBytes
        return next
    }

    private func segment(after segment: LogSegment) -> LogSegment? {
        segments.first { $0.number > segment.number }
    }

    private mutating func contents(of segment: LogSegment) throws(StorageError) -> [UInt8] {
        if let found = loaded.first(where: { $0.number == segment.number }) { return found.bytes }
        let bytes = try segment.file.read(segment.byteCount, at: 0)
        guard bytes.count == segment.byteCount else {
            throw .cannotOpen(
                path: path, reason: "segment \(segment.number) of the redo log was cut")
        }
        if loaded.count > 1 { loaded.removeFirst() }
        loaded.append((segment.number, bytes))
        return bytes
    }

    /// An intact record, its CRC, and where it ends.
    private struct Whole {
        let bytes: [UInt8]
        let crc: UInt32
        let segment: UInt64
        let end: Int
    }

    /// The whole record that begins somewhere, and where it ends; nil unless it is intact.
    private mutating func record(
        _ header: RedoHeader, at start: LogPlace, _ first: LogSegment
    ) throws(StorageError) -> Whole? {
        var record: [UInt8] = []
        var segment = first
        var offset = start.offset
        while true {
            let bytes = try contents(of: segment)
            let end = min(offset + header.recordBytes - record.count, bytes.count)
            record += bytes[offset..<end]
            offset = end
            if record.count == header.recordBytes { break }
            guard let next = self.segment(after: segment) else { return nil }
            segment = next
            offset = LogSegment.headerBytes
        }
        let crc = record.withUnsafeBytes { RedoHeader.checksum($0, first.salt) }
        let stored = record.withUnsafeBytes { RedoHeader.storedChecksum($0) }
        guard crc == stored else { return nil }
        return Whole(bytes: record, crc: crc, segment: segment.number, end: offset)
    }

    /// Throws where a record behind the log's end says that the one missing there was durable.
    private mutating func checkEnd() throws(StorageError) {
        for segment in segments where segment.number >= place.segment {
            let isHere = segment.number == place.segment
            let start = isHere ? place.offset + RedoHeader.alignment : 0
            guard let found = try laterRecord(in: segment, from: start) else { continue }
            throw .cannotOpen(
                path: path,
                reason: "the redo log is damaged: record \(place.sequence) in segment "
                    + "\(place.segment) at byte \(place.offset) is not whole, though record "
                    + "\(found) says that it was durable; restore a backup")
        }
    }

    /// The sequence of an intact record that knew the missing one to be durable.
    private mutating func laterRecord(
        in segment: LogSegment, from start: Int
    ) throws(StorageError) -> UInt64? {
        let bytes = try contents(of: segment)
        var offset = max(start, LogSegment.headerBytes)
        while offset + RedoHeader.byteCount <= bytes.count {
            let found = bytes.withUnsafeBytes { bytes -> RedoHeader? in
                let mark = segment.salt.mark.littleEndian
                while offset + RedoHeader.byteCount <= bytes.count {
                    if bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self) == mark {
                        return RedoHeader(
                            UnsafeRawBufferPointer(rebasing: bytes[offset...]), segment.salt)
                    }
                    offset += RedoHeader.alignment
                }
                return nil
            }
            if let found, found.syncedSequence >= place.sequence {
                let start = LogPlace(
                    segment: segment.number, offset: offset, crc: 0, sequence: found.sequence)
                if try record(found, at: start, segment) != nil { return found.sequence }
            }
            offset += RedoHeader.alignment
        }
        return nil
    }
}
