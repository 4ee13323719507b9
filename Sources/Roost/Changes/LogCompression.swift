// Compressing old records of the log, beside its trimming.
//
// The retention's thread reads a run of records, deflates them, and has the writer exchange them for
// one segment: the log takes less room, and its tree stays shallow, which saves page writes in every
// commit. Recent records stay as they are: streams are mostly there, and open transactions too.

import BSON
import Storage

extension RoostEngine {
    /// Records younger than this stay as they are, in milliseconds.
    static let plainMillis: Int64 = 5 * 60 * 1_000
    /// A segment holds about so many bytes of records; fewer than a quarter of it wait for more.
    static let segmentBytes = 1 << 20
    /// Most records of a segment, but for the rest of a command.
    private static let segmentRecordsMax = 4_000

    /// Compresses what is old at that time, in milliseconds since 1970, and answers how many segments
    /// were made. Waits for the writer thread, so never from there.
    @discardableResult
    package func compressLog(at millis: Int64, bytesMin: Int = segmentBytes / 4) -> Int {
        var made = 0
        do {
            let reader = try makeReader()
            while !retention.isStopped {
                let builder = try reader.read { transaction in
                    try oldRecords(before: millis - Self.plainMillis, transaction)
                }
                guard let last = builder.keys.last.flatMap({ LogPosition(key: $0.span.bytes) }),
                    builder.records.count >= bytesMin
                else { return made }
                if let (key, value) = builder.make() {
                    let keys = builder.keys
                    try submitAndWait(OperationOptions(mayUseReserve: true)) { transaction in
                        try Self.exchange(keys, key, value, &transaction)
                    }
                    made += 1
                }
                retention.note(compressedUntil: last)
            }
        } catch {
            noteRetentionFailure(error)
        }
        return made
    }

    /// The oldest plain records, whole commands.
    private func oldRecords(
        before cutoff: Int64, _ transaction: borrowing ReadTransaction
    ) throws -> LogSegmentBuilder {
        var builder = LogSegmentBuilder()
        // The newest command stays, and what open transactions may have to look at.
        let end = min(clock.newest, transactions.oldest ?? clock.newest)
        var last: LogPosition?
        var entries = transaction.cursor(.changeLog)
        let start = max(retention.compressedUntil.nextKey, LogPosition.firstKey) { left, right in
            left.lexicographicallyPrecedes(right)
        }
        var isFound = try entries.seek(to: start.span.bytes)
        while isFound {
            if let place = LogPosition(key: entries.key) {
                let bytes = try entries.value()
                let record = try ChangeRecordView(place, bytes)
                if place.sequence != last?.sequence {
                    let isFull =
                        builder.records.count >= Self.segmentBytes
                        || builder.keys.count >= Self.segmentRecordsMax
                    guard !isFull, place.sequence < end, record.wallMillis < cutoff else { break }
                }
                builder.add(record, bytes)
                last = place
            } else if LogSegmentView.isKey(entries.key), last != nil {
                // Between segments that compression gained nothing for.
                break
            }
            isFound = try entries.next()
        }
        return builder
    }

    /// Puts a segment in the place of its records, if none was trimmed meanwhile.
    private static func exchange(
        _ keys: [[UInt8]], _ key: [UInt8], _ value: [UInt8],
        _ transaction: inout WriteTransaction
    ) throws {
        guard let first = keys.first,
            try transaction.value(.changeLog, first.span.bytes) != nil
        else { return }
        for key in keys { _ = try transaction.delete(.changeLog, key: key.span.bytes) }
        try transaction.put(.changeLog, key: key.span.bytes, value: value.span.bytes)
    }
}

/// The greater of two by an order of theirs.
private func max<T>(_ left: T, _ right: T, by precedes: (T, T) -> Bool) -> T {
    precedes(left, right) ? right : left
}
