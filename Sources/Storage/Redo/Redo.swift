// Durable commits at the cost of one sequential write.
//
// LMDB is used without its own syncs. A commit is one record of the redo log (`RedoLog`), durable
// before LMDB shows the commit to readers and before anybody is told of it. Every second or so a
// checkpoint (`Checkpointer`) makes the data file durable as it was after some commit and stores
// that commit's headers in the file `checkpoint`; a pinned read transaction (`SnapshotPins`) keeps
// LMDB from using that snapshot's pages again until the next checkpoint is durable. Opening, always
// (`Recovery`), puts those headers back, so that the file shows just that snapshot, whatever else
// the power left in it, and replays the log from there.
//
// Files: data.mdb; checkpoint (`CheckpointFile`); redo/N.log (`LogSegment`, `RedoRecord`).

import CLMDB

/// What an open store commits through. Used by the writer's thread, but for what its parts say.
final class Redo {
    let log: RedoLog
    let checkpoints: CheckpointFile
    let pins: SnapshotPins
    /// The data file, to sync it and to read its headers.
    let data: File
    let limits: RedoLimits
    private let folder: String
    private let syncs: Bool
    private let abortRecord = RedoBuffer()

    init(
        folder: String, log: RedoLog, checkpoints: CheckpointFile, pins: SnapshotPins, data: File,
        limits: RedoLimits, syncs: Bool
    ) {
        self.folder = folder
        self.log = log
        self.checkpoints = checkpoints
        self.pins = pins
        self.data = data
        self.limits = limits
        self.syncs = syncs
    }

    /// What a commit cost.
    struct Cost {
        var recordBytes = 0
        var logNanos: UInt64 = 0
    }

    /// Commits a transaction, durably unless durability is relaxed; ends it in any case. Throws
    /// what failed, and `writesStopped` where the outcome isn't known.
    func commit(
        _ transaction: OpaquePointer, _ operations: RedoBuffer
    ) throws(StorageError) -> Cost {
        // What is undone may count as a change; LMDB gives a commit without one no number.
        guard operations.bodyBytes > 0 else {
            mdb_txn_abort(transaction)
            return Cost()
        }
        let commit = UInt64(mdb_txn_id(transaction))
        let began = Clock.nanos()
        do throws(StorageError) {
            guard operations.bodyBytes <= RedoBuffer.bodyBytesMax else {
                throw .transactionTooLarge
            }
            try log.makeRoom(bodyBytes: operations.bodyBytes)
            try log.append(operations, kind: .commit, commit: commit, syncs: syncs)
        } catch {
            mdb_txn_abort(transaction)
            throw error
        }
        let cost = Cost(
            recordBytes: RedoHeader.recordBytes(body: operations.bodyBytes),
            logNanos: Clock.nanos() - began)
        let code = mdb_txn_commit(transaction)
        guard code == 0 else { throw aborted(commit, code) }
        log.settle()
        return cost
    }

    /// Notes that a commit in the log failed after all; answers its error.
    private func aborted(_ commit: UInt64, _ code: Int32) -> StorageError {
        let error = LMDBCode.commitError(code, folder: folder)
        abortRecord.reset()
        do throws(StorageError) {
            try log.append(abortRecord, kind: .abort, commit: commit, syncs: true)
            log.settle()
        } catch {
            return .writesStopped(
                reason: "a commit failed (\(LMDBCode.text(code))) and the redo log can't say so "
                    + "(\(error)), so that the next start makes it good")
        }
        return error
    }

    /// Makes a checkpoint whose snapshot is pinned durable, and lets go of the one before and of the
    /// log up to there.
    func store(_ checkpoint: Checkpoint) throws(StorageError) {
        try data.sync()
        try checkpoints.store(checkpoint)
        pins.advance()
        try log.release(before: checkpoint.place.segment)
    }

    /// A checkpoint of the commit just pinned, still to be stored. Right after that commit.
    func makeCheckpoint(of commit: UInt64, identity: [UInt8]) throws(StorageError) -> Checkpoint {
        Checkpoint(
            generation: (checkpoints.newest?.generation ?? 0) + 1, commit: commit,
            place: log.place, identity: identity, metas: try readMetas())
    }

    /// The data file's two headers as they are now.
    private func readMetas() throws(StorageError) -> [UInt8] {
        let metas = try data.read(2 * PageFile.pageBytes, at: 0)
        guard metas.count == 2 * PageFile.pageBytes else {
            throw .damaged(reason: "the file ends within its headers")
        }
        return metas
    }
}
