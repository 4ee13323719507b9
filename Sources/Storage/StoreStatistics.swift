/// Counters of a store since it was opened, and gauges of now.
package struct StoreStatistics: Sendable {
    /// Counts by powers of two: bucket i holds values v with 2^i <= v < 2^(i+1); bucket 0 also 0.
    package struct Histogram: Sendable {
        /// The counts; values beyond the last bucket are in it.
        package private(set) var buckets = [UInt64](repeating: 0, count: 32)
        /// How many values.
        package private(set) var count: UInt64 = 0
        /// Their sum.
        package private(set) var sum: UInt64 = 0
        /// The greatest.
        package private(set) var max: UInt64 = 0

        mutating func record(_ value: UInt64) {
            let bucket = value < 2 ? 0 : 63 - value.leadingZeroBitCount
            buckets[Swift.min(bucket, buckets.count - 1)] += 1
            count += 1
            sum &+= value
            max = Swift.max(max, value)
        }
    }

    /// Operations in each commit.
    package internal(set) var groupSizes = Histogram()
    /// Time of a commit, the log's sync included, in microseconds.
    package internal(set) var commitMicros = Histogram()
    /// The redo log and its checkpoints.
    package internal(set) var redo = RedoStatistics()
    /// Operations that threw.
    package internal(set) var operationsFailed: UInt64 = 0
    /// Groups undone, whose operations then ran one by one; above 0, look for an operation that
    /// throws after its first change.
    package internal(set) var groupsRerun: UInt64 = 0
    /// Dropped tables whose space is not yet given back.
    package internal(set) var tablesDropping = 0
    /// Operations waiting.
    package internal(set) var queuedOperations = 0
    /// Live tables.
    package internal(set) var tables = 0
    /// The newest commit.
    package internal(set) var lastSnapshotID: UInt64 = 0
    /// Readers made and not yet released.
    package internal(set) var readers = 0
    /// Age of the oldest snapshot in use, in milliseconds; 0 without one.
    package internal(set) var oldestReaderMillis: UInt64 = 0
    /// Commits since the oldest snapshot in use.
    package internal(set) var oldestReaderLag: UInt64 = 0
    /// Snapshots held longer than `Options.readerMillisMax`.
    package internal(set) var readersOverdue = 0
    /// Size of the data file in bytes, up to the last page ever used.
    package internal(set) var fileBytes: UInt64 = 0
    /// The most that the data file may hold, in bytes.
    package internal(set) var quotaBytes: UInt64 = 0
    /// Whether the bound was set, and is not just what the map holds.
    package internal(set) var hasQuota = false
    /// The file system's size, and what it has left for us, in bytes; nil if it doesn't say.
    package internal(set) var disk: (totalBytes: UInt64, freeBytes: UInt64)?
    /// When each backup that the log is kept for last said how far it is, in milliseconds since 1970.
    package internal(set) var backups: [String: Int64] = [:]
    /// Why writes are refused; nil while they work.
    package internal(set) var writesStoppedReason: String?
}
