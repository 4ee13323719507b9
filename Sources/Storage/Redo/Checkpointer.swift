import CLMDB
import CPlatform
import Glibc
import Synchronization

/// Takes checkpoints: the writer's thread begins one right after a commit, by pinning that commit
/// and reading the headers that show it; a thread of its own syncs the data file, stores the
/// checkpoint, and then lets go of the snapshot before and of the log up to there.
final class Checkpointer: @unchecked Sendable {
    // Sendable: the state is a monitor; what follows it is the writer's thread's own.

    private struct State {
        var job: Checkpoint?
        /// Bytes of log between the one before and this.
        var jobLogBytes: UInt64 = 0
        /// Whether a checkpoint is under way, from its begin to its end.
        var isBusy = false
        var isClosing = false
    }

    /// What the thread does next.
    private enum Task {
        case checkpoint(Checkpoint)
        case chores
        case end
    }

    private let environment: Environment
    private let redo: Redo
    private let state = Monitor(State())
    private var thread: pthread_t?

    /// The newest commit, and what came since the last checkpoint was begun.
    private var newestCommit: UInt64
    private var begunCommit: UInt64
    private var logBytes: UInt64 = 0
    private var pagesAtBegin: UInt64
    private var begunAt: UInt64
    /// What came before the checkpoint under way.
    private var bytesBefore: UInt64 = 0

    /// The data file is written back in pieces of at least so many bytes, so that the log's syncs
    /// don't wait behind all of it.
    private static let sliceBytesMin = 2 << 20
    private static let slicesMax = 4096

    init(_ environment: Environment, _ redo: Redo) {
        self.environment = environment
        self.redo = redo
        let info = environment.info()
        newestCommit = info.snapshotID
        begunCommit = redo.pins.heldCommit
        pagesAtBegin = info.pages
        begunAt = Clock.nanos()
    }

    // MARK: The writer's thread

    /// Starts the thread.
    func start() throws(StorageError) {
        var id = pthread_t()
        let argument = Unmanaged.passRetained(self)
        let code = pthread_create(
            &id, nil,
            { argument in
                guard let argument else { return nil }
                // SAFETY: retained by `start` for the thread, which takes over that reference here.
                Unmanaged<Checkpointer>.fromOpaque(argument).takeRetainedValue().runThread()
                return nil
            }, argument.toOpaque())
        guard code == 0 else {
            argument.release()
            throw .ioError(operation: "pthread_create", errno: code)
        }
        thread = id
    }

    /// Takes a last checkpoint, so that the next opening has nothing to replay, and ends the thread.
    func stop() {
        if environment.writesStopped == nil { complete() }
        state.withLock { $0.isClosing = true }
        state.wake()
        if let thread { pthread_join(thread, nil) }
        thread = nil
    }

    /// Counts a commit.
    func note(commit: UInt64, recordBytes: Int) {
        newestCommit = commit
        logBytes += UInt64(recordBytes)
        // Somebody must see to a spare segment, or sync the log for relaxed durability.
        if hasChores { state.wake() }
    }

    /// Whether commits have freed pages that a checkpoint would let be used again.
    var keepsPages: Bool { newestCommit > redo.pins.heldCommit }

    /// How long until a checkpoint is due, in milliseconds; nil while there is nothing new.
    var pauseMillis: UInt64? {
        guard newestCommit > begunCommit else { return nil }
        let passed = (Clock.nanos() - begunAt) / 1_000_000
        return redo.limits.checkpointMillis - min(passed, redo.limits.checkpointMillis)
    }

    /// Begins a checkpoint if one is due, and waits where too much has come since the last one.
    func step() {
        guard newestCommit > begunCommit, environment.writesStopped == nil else { return }
        let pages = environment.info().pages
        let grown = (pages - min(pages, pagesAtBegin)) * UInt64(PageFile.pageBytes)
        if logBytes + grown + bytesBefore >= redo.limits.waitBytes { waitUntilIdle() }
        guard
            pauseMillis == 0 || logBytes >= redo.limits.checkpointLogBytes
                || grown >= redo.limits.checkpointDataBytes
        else { return }
        if state.withLock({ !$0.isBusy }) { begin(bytes: logBytes + grown) }
    }

    /// Makes all commits part of a durable checkpoint, and waits for it; false where it failed.
    @discardableResult
    func complete() -> Bool {
        waitUntilIdle()
        if keepsPages, environment.writesStopped == nil {
            begin(bytes: logBytes)
            waitUntilIdle()
        }
        return !keepsPages
    }

    private func waitUntilIdle() {
        _ = state.wait(timeoutMillis: nil) { $0.isBusy ? nil : true }
    }

    /// Pins the newest commit and hands its headers to the thread.
    private func begin(bytes: UInt64) {
        do throws(StorageError) {
            guard redo.pins.isListed else {
                throw .writesStopped(
                    reason: "the last checkpoint's snapshot is no longer protected: something "
                        + "opened the file lock.mdb")
            }
            let commit = try redo.pins.take()
            let job = try redo.makeCheckpoint(of: commit, identity: environment.identity)
            begunCommit = commit
            let jobLogBytes = logBytes
            bytesBefore = bytes
            logBytes = 0
            pagesAtBegin = environment.info().pages
            begunAt = Clock.nanos()
            state.withLock { state in
                state.job = job
                state.jobLogBytes = jobLogBytes
                state.isBusy = true
            }
            state.wake()
        } catch {
            redo.pins.giveUp()
            fail(error)
        }
    }

    // MARK: The checkpoint's thread

    private func runThread() {
        blockSignals()
        while true {
            let task = state.wait(timeoutMillis: nil) { state -> Task? in
                if let job = state.job {
                    state.job = nil
                    return .checkpoint(job)
                }
                if state.isClosing { return .end }
                return hasChores ? .chores : nil
            }
            switch task {
            case .checkpoint(let checkpoint): run(checkpoint)
            case .chores: doChores()
            case .end, nil:
                doChores()
                return
            }
        }
    }

    private var hasChores: Bool {
        environment.writesStopped == nil && (redo.log.hasUnsynced || redo.log.needsSpare)
    }

    private func doChores() {
        guard environment.writesStopped == nil else { return }
        redo.log.makeSpare()
        guard redo.log.hasUnsynced else { return }
        if state.withLock({ !$0.isClosing }) {
            usleep(UInt32(redo.limits.relaxedSyncMillis) * 1000)
        }
        do throws(StorageError) {
            try redo.log.sync()
        } catch {
            environment.stopWrites("syncing the redo log failed: \(error)")
        }
    }

    private func run(_ checkpoint: Checkpoint) {
        let began = Clock.nanos()
        let bytes = state.withLock { $0.jobLogBytes }
        do throws(StorageError) {
            try writeBack()
            try redo.store(checkpoint)
        } catch {
            fail(error)
        }
        let ended = Clock.nanos()
        environment.statistics.withLock { statistics in
            statistics.redo.checkpointMicros.record((ended - began) / 1000)
            statistics.redo.checkpointedAt = ended
            statistics.redo.checkpointLogBytes = bytes
            statistics.redo.segmentBytes = UInt64(redo.log.byteCount)
        }
        state.withLock { $0.isBusy = false }
        state.wake()
    }

    /// Has the data file's changed pages written, some at a time.
    private func writeBack() throws(StorageError) {
        let byteCount = try redo.data.byteCount()
        let slice = max(Self.sliceBytesMin, byteCount / Self.slicesMax)
        for offset in stride(from: 0, to: byteCount, by: slice) {
            // What this doesn't do, the sync does.
            if redo.log.hasUnsynced { try redo.log.sync() }
            _ = roost_write_back(redo.data.descriptor, Int64(offset), Int64(slice))
        }
    }

    /// A checkpoint that failed can't be tried again: after a failed sync nobody knows what of the
    /// file is on the disk. The log has everything since the last one.
    private func fail(_ error: StorageError) {
        environment.stopWrites("a checkpoint failed: \(error.reason)")
    }
}
