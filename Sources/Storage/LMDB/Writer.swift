import CLMDB
import Glibc
import Synchronization

/// The one thread that writes. It takes all operations that wait (at most `groupMax`) into one
/// transaction, runs them, commits once and completes each; it never waits for a fuller group, so a
/// lone write is as fast as it can be and a busy server shares each sync among many.
///
/// A failing operation undoes only itself: it threw before its first change, or it ran in a nested
/// transaction. Where neither holds, or LMDB gave a code that is no plain answer, the whole group
/// is undone and its operations run again, each in a transaction of its own.
final class Writer: @unchecked Sendable {
    // Sendable: the queue is a monitor, the hooks are behind a mutex; `context` and `reclaimer` are
    // touched by the writer's thread only.

    struct Queue {
        var jobs: [WriteJob] = []
        var byteCount = 0
        var isClosing = false
        /// Whether the thread waits and must be woken.
        var isWaiting = false
        /// How many have asked that nothing be written for now.
        var locks = 0
        /// Whether, under such a lock, all is in a checkpoint and nothing more is written.
        var isAtRest = false
    }

    let environment: Environment
    let queue = Monitor(Queue())
    let hooks = Mutex(GroupHooks<LMDBStore.WriteTransaction>())
    private let context: WriteContext
    private let reclaimer: Reclaimer
    private let checkpointer: Checkpointer?
    /// Whether a group that found no room may be tried once more, after a checkpoint.
    private var mayMakeRoom = false
    /// A commit of nothing itself frees some pages; fewer than this are not worth one.
    private static let pagesWorthACommit: UInt64 = 32
    private let thread = Mutex<pthread_t?>(nil)

    /// How often slots of dead processes are looked for.
    private static let housekeepingMillis: UInt64 = 30_000

    init(_ environment: Environment) {
        self.environment = environment
        context = WriteContext(environment)
        reclaimer = Reclaimer(environment)
        checkpointer = environment.redo.map { Checkpointer(environment, $0) }
    }

    // MARK: Any thread

    /// Starts the thread.
    func start() throws(StorageError) {
        try checkpointer?.start()
        var id = pthread_t()
        let argument = Unmanaged.passRetained(self)
        let code = pthread_create(
            &id, nil,
            { argument in
                guard let argument else { return nil }
                // SAFETY: retained by `start` for the thread, which takes over that reference here.
                let writer = Unmanaged<Writer>.fromOpaque(argument).takeRetainedValue()
                writer.runThread()
                return nil
            }, argument.toOpaque())
        guard code == 0 else {
            argument.release()
            checkpointer?.stop()
            throw .ioError(operation: "pthread_create", errno: code)
        }
        thread.withLock { $0 = id }
    }

    /// Queues a job; the error if it can't be.
    func enqueue(_ job: WriteJob) -> StorageError? {
        if let reason = environment.writesStopped { return .writesStopped(reason: reason) }
        let options = environment.options
        let outcome: (error: StorageError?, mustWake: Bool) = queue.withLock { queue in
            if queue.isClosing { return (.closed, false) }
            guard queue.jobs.count < options.queuedOperationsMax,
                queue.byteCount + job.options.byteCount <= options.queuedBytesMax
                    || queue.jobs.isEmpty
            else { return (.busy, false) }
            queue.jobs.append(job)
            queue.byteCount += job.options.byteCount
            defer { queue.isWaiting = false }
            return (nil, queue.isWaiting)
        }
        if outcome.mustWake { queue.wake() }
        return outcome.error
    }

    /// Whether the caller is the writer's thread.
    var isCurrentThread: Bool {
        thread.withLock { $0.map { pthread_equal($0, pthread_self()) != 0 } ?? false }
    }

    /// Refuses new jobs, and waits until the queued ones are done (unless called by one of them).
    func stop() {
        queue.withLock { $0.isClosing = true }
        queue.wake()
        let isOwn = isCurrentThread
        let id = thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        guard let id else { return }
        if isOwn { pthread_detach(id) } else { pthread_join(id, nil) }
    }

    // MARK: The writer's thread

    private func runThread() {
        blockSignals()
        var jobs: [WriteJob] = []
        while true {
            jobs.removeAll(keepingCapacity: true)
            let pause = min(
                reclaimer.pauseMillis ?? Self.housekeepingMillis,
                checkpointer?.pauseMillis ?? Self.housekeepingMillis)
            let isOpen = queue.wait(timeoutMillis: pause) { takeGroup(&$0, &jobs) }
            if isOpen == false {
                checkpointer?.stop()
                return
            }
            if jobs.isEmpty, rest() { continue }
            if !jobs.isEmpty { run(jobs) }
            housekeep()
        }
    }

    /// Moves the next group out of the queue: nil to wait on, false at the end.
    private func takeGroup(_ queue: inout Queue, _ jobs: inout [WriteJob]) -> Bool? {
        if queue.locks > 0, !queue.isClosing {
            queue.isWaiting = false
            return queue.isAtRest ? nil : true
        }
        if queue.jobs.isEmpty {
            queue.isWaiting = !queue.isClosing
            return queue.isClosing ? false : nil
        }
        queue.isWaiting = false
        var byteCount = 0
        for job in queue.jobs.prefix(environment.options.groupMax) {
            if byteCount >= environment.options.groupBytesMax { break }
            byteCount += job.options.byteCount
            jobs.append(job)
        }
        queue.jobs.removeFirst(jobs.count)
        queue.byteCount -= byteCount
        return true
    }

    /// Makes all commits part of a durable checkpoint.
    func settle() {
        noteCommits()
        if environment.writesStopped == nil { checkpointer?.complete() }
    }

    private func housekeep() {
        if environment.writesStopped == nil, reclaimer.isDue {
            reclaimer.step(context)
        }
        noteCommits()
        checkpointer?.step()
        environment.readers.checkDead(environment, everyMillis: Self.housekeepingMillis)
    }

    private func run(_ jobs: [WriteJob]) {
        mayMakeRoom = true
        if runGroup(jobs) { return complete(jobs) }
        environment.statistics.withLock { $0.groupsRerun += 1 }
        for job in jobs {
            mayMakeRoom = true
            if !runGroup([job]) { _ = runGroup([job]) }
            complete([job])
        }
    }

    /// Tells the checkpointer of what was committed.
    private func noteCommits() {
        guard let commit = environment.takeCommitted() else { return }
        checkpointer?.note(commit: commit.number, recordBytes: commit.recordBytes)
    }

    /// Takes a checkpoint, so that pages freed before it can be used again; false where there are
    /// none.
    private func makeRoom() -> Bool {
        noteCommits()
        guard let checkpointer else { return false }
        let isNewer = checkpointer.keepsPages && checkpointer.complete()
        guard SpaceBudget.pagesKept(environment) >= Self.pagesWorthACommit, commitNothing() else {
            return isNewer
        }
        noteCommits()
        return checkpointer.complete()
    }

    /// A checkpoint keeps the pages that its own commit freed. Where that was the last commit for
    /// want of room, only a further one lets go of them.
    private func commitNothing() -> Bool {
        let redo = RedoBuffer()
        do throws(StorageError) {
            let handle = try Registry.begin(environment.handle, flags: 0)
            do throws(StorageError) {
                try Registry.rewrite(handle, environment.registryHandle, redo)
            } catch {
                mdb_txn_abort(handle)
                throw error
            }
            try environment.commit(handle, redo)
            return true
        } catch {
            if LMDBCode.stopsWrites(error) { environment.stopWrites(error.reason) }
            return false
        }
    }

    /// Hands the jobs' results out. What may complete elsewhere is also freed there: both take as
    /// long as the operations themselves.
    private func complete(_ jobs: [WriteJob]) {
        let completer = hooks.withLock { $0 }.completer
        var places: [[WriteJob]] = []
        for job in jobs {
            guard let place = job.options.completionPlace, completer != nil, place >= 0 else {
                job.complete(environment)
                continue
            }
            while places.count <= place { places.append([]) }
            places[place].append(job)
        }
        guard let completer else { return }
        let environment = environment
        for (place, group) in places.enumerated() where !group.isEmpty {
            completer(place) { for job in group { job.complete(environment) } }
        }
    }

    /// Runs jobs in one transaction and gives each its result. False if the group was undone and
    /// its jobs must run one by one; a single job always gets its result here.
    private func runGroup(_ jobs: [WriteJob]) -> Bool {
        if let reason = environment.writesStopped {
            for job in jobs { job.fail(StorageError.writesStopped(reason: reason)) }
            return true
        }
        context.reset()
        context.space.refresh(environment)
        if context.space.isTight, makeRoom() { context.space.refresh(environment) }
        let handle: OpaquePointer
        do throws(StorageError) {
            handle = try Registry.begin(environment.handle, flags: 0)
        } catch {
            return undone(jobs, error)
        }
        var transaction = LMDBStore.WriteTransaction(context, handle)
        for job in jobs {
            if let error = attempt(job, &transaction, isAlone: jobs.count == 1) {
                mdb_txn_abort(handle)
                return undone(jobs, error)
            }
        }
        if context.changes == 0 {
            mdb_txn_abort(handle)
            return true
        }
        do {
            try hooks.withLock { $0 }.willCommit?(&transaction)
            try transaction.recordCounts()
            if let failure = context.failure { throw failure }
        } catch {
            mdb_txn_abort(handle)
            return undone(jobs, error)
        }
        return commit(handle, jobs)
    }

    /// Runs one job; an error that spoils the transaction is answered, others become its result.
    private func attempt(
        _ job: WriteJob, _ transaction: inout LMDBStore.WriteTransaction, isAlone: Bool
    ) -> (any Error)? {
        if let refusal = context.space.refusal(mayUseReserve: job.options.mayUseReserve) {
            job.fail(refusal)
            return nil
        }
        let changesBefore = context.changes
        do {
            // Alone, the transaction itself is what would be undone.
            if job.options.mode == .nested, !isAlone {
                try transaction.nested { transaction in try job.run(&transaction) }
            } else {
                try job.run(&transaction)
            }
        } catch {
            if let failure = context.failure { return failure }
            if job.options.mode == .nested, !isAlone {
                job.fail(error)
                return nil
            }
            if context.changes != changesBefore { return error }
            job.fail(error)
            return nil
        }
        return context.failure
    }

    private func commit(_ handle: OpaquePointer, _ jobs: [WriteJob]) -> Bool {
        let began = Clock.nanos()
        let tables = context.undoable.tables
        let snapshot = UInt64(mdb_txn_id(handle))
        do throws(StorageError) {
            try environment.commit(handle, context.redo)
        } catch {
            if case .quotaExceeded = error { return undone(jobs, context.space.exceeded) }
            return undone(jobs, error)
        }
        let micros = (Clock.nanos() - began) / 1000
        if tables !== environment.tables {
            environment.publish(tables)
            reclaimer.lookForDropped(tables)
        }
        environment.statistics.withLock { statistics in
            statistics.groupSizes.record(UInt64(jobs.count))
            statistics.commitMicros.record(micros)
        }
        hooks.withLock { $0 }.didCommit?(snapshot)
        return true
    }

    /// Decides what follows a transaction that was undone.
    private func undone(_ jobs: [WriteJob], _ error: any Error) -> Bool {
        hooks.withLock { $0 }.didAbort?()
        if let error = error as? StorageError, LMDBCode.stopsWrites(error) {
            environment.stopWrites(error.reason)
        } else if jobs.count > 1 {
            return false
        } else if mayMakeRoom, LMDBCode.isFull(error) {
            mayMakeRoom = false
            if makeRoom() { return false }
        }
        for job in jobs { job.fail(error) }
        return true
    }
}
