// The engine's figures as numbers, for those who plot them.

package import BSON
import Storage

/// Figures of an engine at one moment.
package struct EngineFigures: Sendable {
    /// Counts by powers of two: bucket i holds values below 2^(i+1) that none before holds.
    package struct Histogram: Sendable {
        package let buckets: [UInt64]
        package let count: UInt64
        package let sum: UInt64

        init(_ histogram: StoreStatistics.Histogram) {
            buckets = histogram.buckets
            count = histogram.count
            sum = histogram.sum
        }
    }

    /// The data file and what may be.
    package let fileBytes: UInt64
    package let quotaBytes: UInt64
    package let disk: (totalBytes: UInt64, freeBytes: UInt64)?
    package let tables: Int
    package let tablesDropping: Int

    /// Snapshots in use.
    package let readers: Int
    package let oldestReaderMillis: UInt64
    package let oldestReaderLag: UInt64
    package let readersOverdue: Int

    /// Writes.
    package let queuedOperations: Int
    package let operationsFailed: UInt64
    package let groupsRerun: UInt64
    package let groupSizes: Histogram
    package let commitMicros: Histogram

    /// The redo log.
    package let redoLogBytes: UInt64
    package let redoSegmentBytes: UInt64
    package let redoSyncMicros: Histogram
    package let checkpointMicros: Histogram
    package let checkpointLogBytes: UInt64
    package let checkpointAgeMillis: UInt64
    package let replayedCommits: UInt64
    package let replayedBytes: UInt64
    package let replayMillis: UInt64

    /// Backups that the log is kept for: when each last said how far it is, in milliseconds since
    /// 1970.
    package let backups: [String: Int64]
    /// The change log: bytes ever logged (0 before the first commit since the start), records
    /// trimmed since the start, most bytes kept, and the newest commit's time.
    package let changeLogBytes: UInt64
    package let changeLogTrimmed: Int
    package let changeLogBytesMax: UInt64
    package let newest: Timestamp
    /// Open transactions.
    package let transactions: Int
    /// Index builds under way.
    package let indexBuilds: Int
    /// Requests that the security rules denied.
    package let denials: Int
    /// Deleted documents purged because their time was over.
    package let purged: Int
    package let collections: Int
}

extension RoostEngine {
    /// The figures of now; costs microseconds, and some more where the disk is asked for its room.
    package var figures: EngineFigures {
        let store = store.statistics()
        return EngineFigures(
            fileBytes: store.fileBytes, quotaBytes: store.quotaBytes, disk: store.disk,
            tables: store.tables, tablesDropping: store.tablesDropping, readers: store.readers,
            oldestReaderMillis: store.oldestReaderMillis, oldestReaderLag: store.oldestReaderLag,
            readersOverdue: store.readersOverdue, queuedOperations: store.queuedOperations,
            operationsFailed: store.operationsFailed, groupsRerun: store.groupsRerun,
            groupSizes: EngineFigures.Histogram(store.groupSizes),
            commitMicros: EngineFigures.Histogram(store.commitMicros),
            redoLogBytes: store.redo.logBytes, redoSegmentBytes: store.redo.segmentBytes,
            redoSyncMicros: EngineFigures.Histogram(store.redo.syncMicros),
            checkpointMicros: EngineFigures.Histogram(store.redo.checkpointMicros),
            checkpointLogBytes: store.redo.checkpointLogBytes,
            checkpointAgeMillis: store.redo.checkpointAgeMillis,
            replayedCommits: store.redo.replayedCommits, replayedBytes: store.redo.replayedBytes,
            replayMillis: store.redo.replayMillis, backups: store.backups,
            changeLogBytes: retention.loggedBytes, changeLogTrimmed: retention.trimmed,
            changeLogBytesMax: retention.bytesMax, newest: clock.newest,
            transactions: transactions.count, indexBuilds: builds.all.count,
            denials: rules.denials.count, purged: expiry.purged,
            collections: catalog.collections.count)
    }
}
