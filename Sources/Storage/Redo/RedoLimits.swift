/// The sizes and times of the redo log and its checkpoints.
struct RedoLimits: Sendable {
    /// The smallest segment; each new one is as large as all others together, up to the largest.
    var segmentBytesMin = 1 << 20
    /// The largest segment.
    var segmentBytesMax = 16 << 20
    /// A checkpoint is due after so much time with a commit in it,
    var checkpointMillis: UInt64 = 1000
    /// or so much log,
    var checkpointLogBytes: UInt64 = 64 << 20
    /// or when the data file grew by so much: pages freed since the last one are not used again.
    var checkpointDataBytes: UInt64 = 256 << 20
    /// The writer waits for the checkpoint under way when log and file grew by so much.
    var waitBytes: UInt64 = 1 << 30
    /// How long relaxed durability leaves records unsynced.
    var relaxedSyncMillis: UInt64 = 50
    /// Bytes of segments that are kept for use again.
    var readyBytesMax = 96 << 20
    /// Bytes of segments that are kept for backups which have not fetched them; beyond, the backup
    /// that is furthest behind has to begin anew.
    var keptBytesMax = 8 << 30

    /// Limits that fit a file system of that size: the log takes a small part of it.
    init(diskBytes: UInt64?) {
        guard let diskBytes else { return }
        let part = Int(clamping: diskBytes / 64) & ~4095
        segmentBytesMax = min(segmentBytesMax, max(part, 256 << 10))
        segmentBytesMin = min(segmentBytesMin, segmentBytesMax)
        checkpointLogBytes = min(checkpointLogBytes, UInt64(segmentBytesMax) * 4)
        readyBytesMax = min(readyBytesMax, segmentBytesMax * 6)
        keptBytesMax = min(keptBytesMax, max(Int(clamping: diskBytes / 8), 1 << 20))
        checkpointDataBytes = min(checkpointDataBytes, max(diskBytes / 16, 1 << 20))
    }
}
