// How long changes are kept. (How old ones are compressed: LogCompression.)
//
// A thread wakes now and then and removes the oldest records: those older than the age, beyond the
// size all but the last five minutes, and whatever is beyond twice the size. It does so in
// operations on the writer thread that each remove a bounded number of records, whole commands at
// a time, and never the newest command. Each notes, in the same commit, how far the log is gone,
// and how far for each collection it met: so a token stays good while nothing behind it is missing
// from its own collection.

import BSON
import Storage
import Synchronization

/// How long, and how much, the change log keeps.
public struct LogLimits: Sendable, Equatable {
    /// Records older than this many seconds go.
    public var ageSecondsMax: Int64 = 24 * 3_600
    /// Beyond this many bytes the oldest records go; nil for a tenth of the quota, or of the disk
    /// and 4 GiB at most.
    public var bytesMax: UInt64?
    /// Records of the last seconds stay, whatever their size.
    public var ageSecondsMin: Int64 = 300

    /// A day, and a tenth of the room.
    public init() {}
}

/// When the log is trimmed, and what was.
package final class LogRetention: Sendable {
    private let limits: Mutex<LogLimits>
    private let defaultBytesMax: UInt64
    private struct State {
        var isStopped = false
        /// Whether the log has grown so much that the next pass should not wait.
        var isDue = false
    }

    private let state = Monitor(State())
    /// Where the log ended when a pass was last called for.
    private let noted = Atomic<UInt64>(0)
    private let trimmedCount = Atomic<Int>(0)
    /// How long the log has become.
    private let end = Atomic<UInt64>(0)
    private let compressed = Mutex(LogPosition.start)

    /// How often it is looked whether there is something to trim.
    private static let sleepMillis: UInt64 = 10_000

    /// - Parameter diskBytes: the file system's size.
    init(_ limits: LogLimits, quotaBytes: UInt64?, diskBytes: UInt64?) {
        self.limits = Mutex(limits)
        let most: UInt64 = 4 << 30
        defaultBytesMax = quotaBytes.map { $0 / 10 } ?? min(most, (diskBytes ?? .max) / 10)
    }

    /// What is kept; the next pass minds a change.
    package var current: LogLimits {
        get { limits.withLock { $0 } }
        set { limits.withLock { $0 = newValue } }
    }

    /// Most bytes of records.
    var bytesMax: UInt64 { current.bytesMax ?? defaultBytesMax }

    /// Records trimmed since the folder was opened.
    package var trimmed: Int { trimmedCount.load(ordering: .relaxed) }

    /// Bytes ever logged, as of the last commit since the folder was opened; 0 before.
    var loggedBytes: UInt64 { end.load(ordering: .relaxed) }

    func note(trimmed count: Int) {
        trimmedCount.add(count, ordering: .relaxed)
    }

    /// Behind the last record that was compressed, or was found not to be worth it.
    var compressedUntil: LogPosition { compressed.withLock { $0 } }

    func note(compressedUntil place: LogPosition) {
        compressed.withLock { $0 = place }
    }

    /// Notes how long the log has become, in bytes ever logged; after each commit.
    func note(logEnd: UInt64) {
        end.store(logEnd, ordering: .relaxed)
        let last = noted.load(ordering: .relaxed)
        guard logEnd &- last > min(Self.bytesBetweenPasses, bytesMax / 4) else { return }
        noted.store(logEnd, ordering: .relaxed)
        state.withLock { $0.isDue = true }
        state.wake()
    }

    /// How much the log may grow between two passes, unless a quarter of its size is less.
    private static let bytesBetweenPasses: UInt64 = 64 << 20

    func stop() {
        state.withLock { $0.isStopped = true }
        state.wake()
    }

    /// Waits for the next pass; false when there will be none.
    func waitForPass() -> Bool {
        let isLast = state.wait(timeoutMillis: Self.sleepMillis) { state -> Bool? in
            if state.isStopped { return true }
            return state.isDue ? false : nil
        }
        state.withLock { $0.isDue = false }
        return isLast != true
    }

    var isStopped: Bool { state.withLock { $0.isStopped } }
}

/// What one operation of trimming does.
struct LogTrim: Sendable {
    /// Most records that one operation removes, but for the rest of a command.
    static let recordsMax = 2_000
    /// Records written before this go, in milliseconds since 1970.
    let cutoffMillis: Int64
    /// Records whose bytes end at or before this offset go, if they are older than `keptMillis`.
    let cutoffOffset: UInt64
    let keptMillis: Int64
    /// Records whose bytes end at or before this offset go: the log may not fill the disk.
    let hardCutoffOffset: UInt64

    /// What is due at that time, in milliseconds since 1970, in a log that ends there.
    init(_ limits: LogLimits, bytesMax: UInt64, at millis: Int64, end: UInt64) {
        cutoffMillis = millis - limits.ageSecondsMax * 1_000
        keptMillis = millis - limits.ageSecondsMin * 1_000
        cutoffOffset = end > bytesMax ? end - bytesMax : 0
        let most = bytesMax.multipliedReportingOverflow(by: Self.hardFactor)
        hardCutoffOffset = !most.overflow && end > most.partialValue ? end - most.partialValue : 0
    }

    /// How many times the size the log may have at most.
    private static let hardFactor: UInt64 = 2

    /// Whether records may go of which the last was written then and ends there.
    private func takes(wallMillis: Int64, end: UInt64) -> Bool {
        wallMillis < cutoffMillis || end <= hardCutoffOffset
            || end <= cutoffOffset && wallMillis < keptMillis
    }

    /// Removes the oldest records; answers how many, 0 when there is nothing left to remove.
    func run(newest: Timestamp, _ transaction: inout WriteTransaction) throws -> Int {
        var batch = Batch()
        do {
            let first = LogPosition.firstKey
            var cursor = transaction.cursor(.changeLog)
            var isFound = try cursor.seek(to: first.span.bytes)
            while isFound {
                if let place = LogPosition(key: cursor.key) {
                    guard place.sequence < newest,
                        try add(place, try cursor.value(), to: &batch)
                    else { break }
                } else if let last = LogSegmentView.last(in: cursor.key) {
                    let segment = try LogSegmentView(try cursor.value())
                    guard last.sequence < newest, batch.keys.count < Self.recordsMax,
                        takes(wallMillis: segment.wallMillis, end: segment.end)
                    else { break }
                    batch.keys.append([UInt8](copying: cursor.key))
                    batch.names.merge(try segment.names()) { $1 }
                    batch.last = last
                }
                isFound = try cursor.next()
            }
        }
        guard let last = batch.last else { return 0 }
        for key in batch.keys { _ = try transaction.delete(.changeLog, key: key.span.bytes) }
        try note(last, batch.names, &transaction)
        return batch.keys.count
    }

    /// What one operation removes.
    private struct Batch {
        var keys: [[UInt8]] = []
        var last: LogPosition?
        /// The last record of each collection.
        var names: [Namespace: LogPosition] = [:]
    }

    /// Adds a record that may go; false where the operation ends before it.
    private func add(
        _ place: LogPosition, _ bytes: RawSpan, to batch: inout Batch
    ) throws(DBError) -> Bool {
        let isSameCommand = batch.last?.sequence == place.sequence
        if !isSameCommand, batch.keys.count >= Self.recordsMax { return false }
        let record = try ChangeRecordView(place, bytes)
        let end = record.offset + UInt64(record.byteCount)
        guard isSameCommand || takes(wallMillis: record.wallMillis, end: end) else {
            return false
        }
        batch.keys.append(place.key)
        for namespace in record.namespaces { batch.names[namespace] = place }
        batch.last = place
        return true
    }

    private func note(
        _ last: LogPosition, _ names: [Namespace: LogPosition],
        _ transaction: inout WriteTransaction
    ) throws {
        var header = try Self.header(transaction)
        header.trimmed = last
        let (headerKey, headerBytes) = (LogHeader.key, header.bytes)
        try transaction.put(
            .changeLog, key: headerKey.span.bytes, value: headerBytes.span.bytes)
        for (namespace, place) in names {
            let (key, value) = (TrimmedNames.key(namespace), place.entryBytes)
            try transaction.put(.changeLog, key: key.span.bytes, value: value.span.bytes)
        }
    }

    private static func header(
        _ transaction: borrowing WriteTransaction
    ) throws -> LogHeader {
        let key = LogHeader.key
        guard let bytes = try transaction.value(.changeLog, key.span.bytes) else {
            throw DBError(
                .dataCorruptionDetected,
                "The change log has no header; run 'roost verify' on the folder")
        }
        return try LogHeader(bytes)
    }
}

extension RoostEngine {
    /// Starts the thread; `close` ends it.
    func startRetention() {
        background.start { [weak self, retention] in
            while retention.waitForPass() {
                guard let self else { return }
                self.trimLog(at: LogicalClock.wallMillis)
                self.compressLog(at: LogicalClock.wallMillis)
            }
        }
    }

    /// Removes what the limits say should be gone at that time, in milliseconds since 1970, and
    /// answers how many records. Waits for the writer thread, so never from there.
    @discardableResult
    package func trimLog(at millis: Int64) -> Int {
        var removed = 0
        let limits = retention.current
        let (writer, transactions) = (writer, transactions)
        while !retention.isStopped {
            let bytesMax = retention.bytesMax
            do {
                let count = try submitAndWait(OperationOptions(mayUseReserve: true)) {
                    transaction in
                    let trim = LogTrim(
                        limits, bytesMax: bytesMax, at: millis, end: writer.log.endOffset)
                    // What open transactions may have to look at stays.
                    let newest = min(writer.log.newest, transactions.oldest ?? writer.log.newest)
                    return try trim.run(newest: newest, &transaction)
                }
                removed += count
                retention.note(trimmed: count)
                if count == 0 { break }
            } catch {
                noteRetentionFailure(error)
                break
            }
        }
        return removed
    }
}
