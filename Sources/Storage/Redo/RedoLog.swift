import CChecksum
import Glibc
import Synchronization

/// The redo log as it is written: records follow each other over segments, each durable before its
/// commit is acknowledged. The writer's thread appends; the checkpoint's thread uses segments again
/// that no recovery needs, keeps a spare one ready, and syncs for relaxed durability.
///
/// After a failed write the log's end is where it was, and the next record goes over what was
/// written. After a failed sync nothing may be appended any more.
final class RedoLog: @unchecked Sendable {
    // Sendable: `place`, `current` and `syncedHere` belong to the writer's thread; the rest is
    // constant or behind the mutex.

    struct Shared {
        /// Segments that hold records, the current one last.
        var live: [LogSegment] = []
        /// Segments before those that backups still have to ship.
        var kept: [LogSegment] = []
        /// From where on each backup needs the log.
        var holds: [String: LogPlace] = [:]
        /// When each backup last said how far it is, in milliseconds since 1970.
        var heldAt: [String: Int64] = [:]
        /// Whether the file of holds says something else.
        var holdsChanged = false
        /// Where the records end whose commits are made, or undone by their aborts.
        var settled: LogPlace
        /// Those that come next, in order.
        var ready: [LogSegment] = []
        /// Found at opening: to be used again after the first checkpoint.
        var found: [LogSegment] = []
        var nextNumber: UInt64
        /// Whether there was no room for a spare segment since the last checkpoint.
        var hasNoRoom = false
        /// Segments with records that are not synced, and the newest such record.
        var unsynced: [LogSegment] = []
        var writtenSequence: UInt64 = 0
        var syncedSequence: UInt64 = 0

        var byteCount: Int {
            (live + ready + found).reduce(0) { $0 + $1.byteCount }
        }
    }

    /// Room for the abort record that may have to follow.
    private static let abortBytes = RedoHeader.byteCount

    let folder: LogFolder
    private let identity: [UInt8]
    private let limits: RedoLimits
    let shared: Mutex<Shared>
    /// Held while the file of holds is written.
    let holdsFile = Mutex(())
    private var current: LogSegment
    /// Where the next record goes.
    private(set) var place: LogPlace

    /// Begins a new log behind the segments found: `needed` are those that the last checkpoint's
    /// recovery reads, `free` the others. The next record has the number `sequence`.
    init(
        _ folder: LogFolder, identity: [UInt8], limits: RedoLimits, needed: [LogSegment],
        free: [LogSegment], sequence: UInt64
    ) throws(StorageError) {
        let listed = folder.list()
        let newest = (needed + free).map(\.number).max() ?? 0
        let number = max(newest + 1, listed.nextNumber)
        let holds = LogHolds.read(folder)
        let floor = holds.values.map(\.segment).min() ?? .max
        let free = free.filter { $0.number < floor } + free.filter { $0.number >= floor }
        let reusable = free.first.flatMap { $0.number < floor ? $0 : nil }
        if let reused = reusable {
            current = try reused.recycled(number: number, identity: identity)
        } else {
            current = try LogSegment.create(
                folder.segmentPath(number), number: number, byteCount: limits.segmentBytesMin,
                identity: identity)
            try FileSystem.sync(folder.path)
        }
        self.folder = folder
        self.identity = identity
        self.limits = limits
        place = LogPlace(
            segment: number, offset: LogSegment.headerBytes, crc: current.salt.seed,
            sequence: sequence)
        var state = Shared(settled: place, nextNumber: number + 1)
        state.live = [current]
        state.holds = holds
        state.heldAt = holds.mapValues { _ in LogHolds.writtenMillis(folder) }
        let others = needed + free.dropFirst(reusable == nil ? 0 : 1)
        state.kept = others.filter { $0.number >= floor }.sorted { $0.number < $1.number }
        state.found = others.filter { $0.number < floor }
        state.writtenSequence = sequence - 1
        state.syncedSequence = sequence - 1
        shared = Mutex(state)
    }

    // MARK: The writer's thread

    /// Makes sure that a record with so many bytes of operations fits, and its abort.
    /// Throws `diskFull` where a segment would have to be made and can't.
    func makeRoom(bodyBytes: Int) throws(StorageError) {
        let wanted =
            RedoHeader.recordBytes(body: bodyBytes) + Self.abortBytes + 2 * RedoHeader.byteCount
        var room = current.byteCount - place.offset
        room += shared.withLock { state in
            state.ready.reduce(0) { $0 + $1.byteCount - LogSegment.headerBytes }
        }
        while room < wanted {
            room += try makeSegment() - LogSegment.headerBytes
        }
    }

    /// Appends a record, for which there is room, and makes it durable where `syncs`. Throws
    /// `writesStopped` where nobody can know whether it is.
    func append(
        _ buffer: RedoBuffer, kind: RedoHeader.Kind, commit: UInt64, syncs: Bool
    ) throws(StorageError) {
        let touched = try write(buffer, kind, commit)
        let sequence = place.sequence - 1
        if syncs {
            do throws(StorageError) {
                for segment in touched { try segment.file.sync() }
            } catch {
                throw .writesStopped(
                    reason: "syncing the redo log failed (\(error)), so that only the next start "
                        + "shows whether the last writes are kept")
            }
        }
        shared.withLock { state in
            state.writtenSequence = sequence
            if syncs {
                state.syncedSequence = sequence
            } else {
                for segment in touched where !state.unsynced.contains(where: { $0 === segment }) {
                    state.unsynced.append(segment)
                }
            }
        }
    }

    /// Writes a record and moves the log's end behind it; answers the segments that hold it.
    private func write(
        _ buffer: RedoBuffer, _ kind: RedoHeader.Kind, _ commit: UInt64
    ) throws(StorageError) -> [LogSegment] {
        if current.byteCount - place.offset < RedoHeader.byteCount {
            guard let next = shared.withLock({ $0.ready.first }) else { throw .diskFull }
            enter(next)
        }
        let header = RedoHeader(
            bodyBytes: buffer.bodyBytes, previousCRC: place.crc, sequence: place.sequence,
            syncedSequence: shared.withLock { $0.syncedSequence }, commit: commit, kind: kind)
        let salt = current.salt
        let written = try buffer.withRecord {
            record throws(StorageError) -> (crc: UInt32, segments: [LogSegment], end: Int) in
            let crc = header.write(to: record, salt)
            let (segments, end) = try write(UnsafeRawBufferPointer(record))
            return (crc, segments, end)
        }
        for segment in written.segments.dropFirst() { enter(segment) }
        place.offset = written.end
        place.crc = written.crc
        place.sequence += 1
        return written.segments
    }

    /// Writes bytes from the log's end on, over as many segments as it takes; answers those and
    /// where the bytes end in the last.
    private func write(
        _ record: UnsafeRawBufferPointer
    ) throws(StorageError) -> (segments: [LogSegment], end: Int) {
        var segments = [current]
        let ready = shared.withLock { $0.ready }
        var offset = place.offset
        var written = 0
        while true {
            let segment = segments[segments.count - 1]
            let count = min(record.count - written, segment.byteCount - offset)
            let piece = UnsafeRawBufferPointer(rebasing: record[written..<written + count])
            try segment.file.write(piece, at: offset)
            written += count
            offset += count
            if written == record.count { return (segments, offset) }
            guard segments.count <= ready.count else { throw .diskFull }
            segments.append(ready[segments.count - 1])
            offset = LogSegment.headerBytes
        }
    }

    /// Makes a ready segment the current one.
    private func enter(_ segment: LogSegment) {
        shared.withLock { state in
            // What came to stand before it meanwhile has missed its turn.
            state.found += state.ready.filter { $0.number < segment.number }
            state.ready.removeAll { $0.number <= segment.number }
            state.live.append(segment)
        }
        current = segment
        place.segment = segment.number
        place.offset = LogSegment.headerBytes
    }

    /// Notes that the commit of the last record is made, or that its abort is in the log: what is
    /// in the log up to here is what the store shows.
    func settle() {
        shared.withLock { $0.settled = place }
    }

    // MARK: Any thread

    /// Makes a segment, as large as all that there are together; answers its size.
    private func makeSegment() throws(StorageError) -> Int {
        let (number, total) = shared.withLock { state in
            defer { state.nextNumber += 1 }
            return (state.nextNumber, state.byteCount)
        }
        let byteCount = max(limits.segmentBytesMin, min(limits.segmentBytesMax, total))
        let made = try LogSegment.create(
            folder.segmentPath(number), number: number, byteCount: byteCount, identity: identity)
        try FileSystem.sync(folder.path)
        add(made)
        return byteCount
    }

    /// Adds a segment in the order of numbers: two threads may have made one each, and where the
    /// log has gone on behind this one, it waits for its next use.
    private func add(_ segment: LogSegment) {
        shared.withLock { state in
            if let last = state.live.last, last.number > segment.number {
                return state.found.append(segment)
            }
            let index = state.ready.firstIndex { $0.number > segment.number }
            state.ready.insert(segment, at: index ?? state.ready.count)
        }
    }

    // MARK: The checkpoint's thread

    /// Uses the segments before this one again, which no recovery reads any more, or removes them
    /// where there are enough.
    func release(before segment: UInt64) throws(StorageError) {
        let free = shared.withLock { state in
            state.kept += state.live.filter { $0.number < segment }
            let free = state.found + state.takeUnneeded(keptBytesMax: limits.keptBytesMax)
            state.found = []
            state.hasNoRoom = false
            state.live.removeAll { $0.number < segment }
            state.unsynced.removeAll { $0.number < segment }
            return free
        }
        try storeHolds()
        // Large ones first: they are the ones to keep.
        for old in free.sorted(by: { $0.byteCount > $1.byteCount }) {
            let (number, readyBytes) = shared.withLock { state in
                defer { state.nextNumber += 1 }
                return (state.nextNumber, state.ready.reduce(0) { $0 + $1.byteCount })
            }
            if readyBytes >= limits.readyBytesMax {
                unlink(old.file.path)
            } else {
                add(try old.recycled(number: number, identity: identity))
            }
        }
    }

    /// Whether the next segment is still to be made.
    var needsSpare: Bool {
        shared.withLock { $0.ready.isEmpty && !$0.hasNoRoom }
    }

    /// Makes sure that there is a segment to go on in.
    /// Where there is no room it is for the next checkpoint to give one back, and for the writer to
    /// say so when it needs one.
    func makeSpare() {
        guard needsSpare else { return }
        do throws(StorageError) {
            _ = try makeSegment()
        } catch {
            shared.withLock { state in
                state.hasNoRoom = true
                // Writes go before backups, which then begin anew.
                state.dropHolds()
            }
        }
    }

    /// Whether records wait to be synced.
    var hasUnsynced: Bool {
        shared.withLock { !$0.unsynced.isEmpty }
    }

    /// Makes all records durable that were appended before.
    func sync() throws(StorageError) {
        let (segments, sequence) = shared.withLock { state in
            defer { state.unsynced = [] }
            return (state.unsynced, state.writtenSequence)
        }
        for segment in segments { try segment.file.sync() }
        shared.withLock { $0.syncedSequence = max($0.syncedSequence, sequence) }
    }

    /// Bytes of all segments.
    var byteCount: Int {
        shared.withLock { $0.byteCount }
    }
}
