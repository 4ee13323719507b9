/// Figures of the redo log and its checkpoints since the store was opened.
package struct RedoStatistics: Sendable {
    /// Bytes of records written.
    package internal(set) var logBytes: UInt64 = 0
    /// Bytes of all segments, as of the last checkpoint.
    package internal(set) var segmentBytes: UInt64 = 0
    /// Time to write a record and sync it, in microseconds.
    package internal(set) var syncMicros = StoreStatistics.Histogram()
    /// Time of each checkpoint, in microseconds; its count is theirs.
    package internal(set) var checkpointMicros = StoreStatistics.Histogram()
    /// Bytes of log before the last checkpoint, since the one before.
    package internal(set) var checkpointLogBytes: UInt64 = 0
    /// Age of the last durable checkpoint, in milliseconds.
    package internal(set) var checkpointAgeMillis: UInt64 = 0
    /// What opening replayed: commits, bytes of their records, and the time it took.
    package internal(set) var replayedCommits: UInt64 = 0
    package internal(set) var replayedBytes: UInt64 = 0
    package internal(set) var replayMillis: UInt64 = 0

    /// When the last checkpoint was durable.
    var checkpointedAt: UInt64 = 0

    /// Works out what depends on the time of day.
    mutating func lookAtClock() {
        let now = Clock.nanos()
        guard checkpointedAt > 0, now > checkpointedAt else { return }
        checkpointAgeMillis = (now - checkpointedAt) / 1_000_000
    }
}
