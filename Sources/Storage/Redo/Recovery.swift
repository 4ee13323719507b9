import CLMDB
import Glibc

/// Opens a folder's data as of its last durable checkpoint and replays the log from there. It runs
/// at every opening, also after a clean stop, and may itself be cut short at any instant: until the
/// next checkpoint is durable it changes nothing that the last one needs.
struct Recovery {
    private let folder: String
    private let checkpoints: CheckpointFile
    /// The checkpoint to begin from; nil in a folder that never had one.
    let checkpoint: Checkpoint?
    private let segments: [LogSegment]
    /// Files of the log that never came into use.
    private let unused: [String]
    private let data: File
    /// Segments with one copy of the header alone.
    private let halfHeaded: [LogSegment]

    /// Reads what recovery needs and puts the checkpoint's headers back into the data file, so that
    /// this holds the checkpoint's snapshot. LMDB must not be open yet.
    init(folder: String) throws(StorageError) {
        self.folder = folder
        checkpoints = try CheckpointFile(folder: folder)
        checkpoint = checkpoints.newest
        let logFolder = LogFolder(of: folder)
        var found: [LogSegment] = []
        var halfHeaded: [LogSegment] = []
        var unused: [String] = []
        if let checkpoint {
            for path in logFolder.list().paths {
                let file = try LogSegment.open(path, identity: checkpoint.identity)
                guard let segment = file.segment else {
                    unused.append(path)
                    continue
                }
                found.append(segment)
                if file.lacksCopy { halfHeaded.append(segment) }
            }
        }
        segments = found
        self.unused = unused
        self.halfHeaded = halfHeaded
        data = try File("\(folder)/\(Environment.dataName)")
        guard let checkpoint else { return }
        guard try data.byteCount() >= checkpoint.metas.count else {
            throw .damaged(reason: "the file ends within its headers")
        }
        try data.write(checkpoint.metas, at: 0)
        try data.sync()
    }

    /// What is wrong with single copies of what is stored twice, in words. Of the segments those
    /// count that hold records: the others are what a cut left while they were made ready.
    private func faults(_ needed: [LogSegment]) -> [String] {
        checkpoints.faults
            + halfHeaded.filter { half in needed.contains { $0 === half } }.map {
                "the file \($0.file.path): a copy of its header is damaged"
            }
    }

    /// What a replay did.
    struct Outcome {
        /// What was wrong with single copies of what is stored twice, in words.
        var faults: [String] = []
        var commits: UInt64 = 0
        var byteCount: UInt64 = 0
        var nanos: UInt64 = 0
    }

    /// Replays the log into LMDB, opened on the checkpoint's snapshot and not written to since, and
    /// answers what commits go through from now on, its snapshot pinned.
    func run(
        _ environment: OpaquePointer, identity: [UInt8], _ options: LMDBStore.Options
    ) throws(StorageError) -> (redo: Redo, outcome: Outcome) {
        let pins = try SnapshotPins(environment)
        do throws(StorageError) {
            let commit = try pins.hold()
            let replayed = try replay(environment, identity: identity, commit: commit)
            let limits = options.redoLimits ?? RedoLimits(diskBytes: LMDBCode.diskBytes(folder))
            let logFolder = LogFolder(of: folder)
            try logFolder.make()
            // A process that was killed may have made any of the files and not their names durable.
            for path in [logFolder.path, folder, FileSystem.parent(of: folder)] {
                try FileSystem.sync(path)
            }
            // Without a checkpoint they are what an opening left that was cut short.
            if checkpoint == nil { logFolder.clear() }
            let log = try RedoLog(
                logFolder, identity: identity, limits: limits,
                needed: replayed.needed,
                free: segments.filter { segment in
                    !replayed.needed.contains { $0 === segment }
                }, sequence: replayed.sequence)
            for path in unused { unlink(path) }
            let redo = Redo(
                folder: folder, log: log, checkpoints: checkpoints, pins: pins, data: data,
                limits: limits, syncs: options.durability == .full)
            return (redo, replayed.outcome)
        } catch {
            pins.close()
            throw error
        }
    }

    /// For a folder that can't be written to: throws where the log has what the data lacks.
    func checkNothingToReplay() throws(StorageError) {
        guard let checkpoint else { return }
        var reader = LogReader(segments, from: checkpoint.place, path: folder)
        guard try reader.next() == nil else {
            throw .cannotOpen(
                path: folder,
                reason: "writes since the last checkpoint wait in the redo log, and the data can't "
                    + "be written to; make room on the disk, or restore a backup")
        }
    }

    private struct Replayed {
        var outcome = Outcome()
        /// The segments that the next opening needs too until there is a new checkpoint.
        var needed: [LogSegment] = []
        /// The next record's.
        var sequence: UInt64 = 1
    }

    private func replay(
        _ environment: OpaquePointer, identity: [UInt8], commit: UInt64
    ) throws(StorageError) -> Replayed {
        var replayed = Replayed()
        guard let checkpoint else { return replayed }
        guard checkpoint.identity == identity, checkpoint.commit == commit else {
            throw .cannotOpen(
                path: folder, reason: "the file checkpoint belongs to other data than data.mdb")
        }
        let began = Clock.nanos()
        replayed.needed = segments.filter { $0.number >= checkpoint.place.segment }
        var reader = LogReader(replayed.needed, from: checkpoint.place, path: folder)
        var replay = Replay(environment, path: folder)
        try replay.run(&reader)
        replayed.sequence = reader.place.sequence
        replayed.needed.removeAll { $0.number > reader.place.segment }
        replayed.outcome = Outcome(
            faults: faults(replayed.needed), commits: replay.commits, byteCount: replay.byteCount,
            nanos: Clock.nanos() - began)
        return replayed
    }
}
