// Threads for reads that take longer than an event loop should wait.
//
// One queue, first in first out. A long read is a job that runs one slice and goes to the back of
// the queue, so that many of them share the threads evenly. Each thread has its own reader, and
// runs at a lower priority than the event loops, which answer short reads.
//
// Some steps of a read can't be cut into slices: an expression over one large document, a sort. When
// no job was taken for a while though some wait, another thread is started, so that a few such steps
// don't keep everybody waiting.
//
// A thread that has nothing to do may help a read that another one runs (`help`). Such work is never
// waited for: it is begun only where a thread is idle, and gives way to jobs.

package import BSON
import Glibc
import Storage
import Synchronization

/// Reader threads: so many, and more where those are stuck.
package final class ReaderPool: Sendable {
    /// What a job wants after a slice.
    package enum Step: Sendable {
        /// Another slice, when its turn comes.
        case again
        /// Nothing more.
        case done
    }

    /// A slice of work on a thread's reader.
    package typealias Job = @Sendable (Reader) -> Step

    /// Most jobs of clients that wait or run at once.
    package static let jobsMax = 10_000

    /// Most threads.
    private static let threadsMax = 12
    /// How long waiting jobs may see none of them taken before another thread is started.
    private static let stuckMicros: UInt32 = 20_000

    private let queue = JobQueue()
    private let threads = BackgroundThreads()
    /// How many threads may help at once.
    let helpersMax: Int
    /// Readers for those that help, as far as they aren't in use.
    private let helpers = Mutex<[Reader]>([])

    /// Starts `threads` threads, at least one, of which `helpers` may help at once.
    /// - Throws: StorageError when readers can't be had.
    package init(store: Store, threads count: Int, helpers helperCount: Int = 0) throws {
        helpersMax = max(0, min(helperCount, count))
        let readers = try (0..<helpersMax).map { _ in try store.makeReader() }
        helpers.withLock { $0 = readers }
        for _ in 0..<max(1, count) { Self.start(try store.makeReader(), threads, queue) }
        threads.start { [threads, queue] in
            var count = max(1, count)
            while count < Self.threadsMax, let taken = queue.waitForBacklog() {
                usleep(Self.stuckMicros)
                // Without a reader it is tried again.
                guard queue.isStuck(since: taken), let reader = try? store.makeReader() else {
                    continue
                }
                Self.start(reader, threads, queue)
                count += 1
            }
        }
    }

    private static func start(_ reader: Reader, _ threads: BackgroundThreads, _ queue: JobQueue) {
        threads.start {
            lowerPriority()
            while let job = queue.take() {
                if job(reader) == .again { queue.put(job) }
            }
        }
    }

    /// Runs `body` once, however long the queue is: for work that the engine has accepted.
    package func submit(_ body: @escaping @Sendable (Reader) -> Void) {
        queue.put { reader in
            body(reader)
            return .done
        }
    }

    /// Runs `job` until it is done, a slice at a time.
    /// - Throws: `exceededMemoryLimit` (146) when too many jobs wait; `interruptedAtShutdown`.
    package func submitSlices(_ job: @escaping Job) throws(DBError) {
        switch queue.put(job, countMax: Self.jobsMax) {
        case .accepted: break
        case .full:
            throw DBError(
                .exceededMemoryLimit, "\(Self.jobsMax) reads are waiting already; try again later")
        case .closed: throw DBError(.interruptedAtShutdown, "The server is shutting down")
        }
    }

    /// Has an idle thread run `body` with a reader that shows the snapshot `snapshotID`; false, and
    /// nothing will be run, where none is idle, enough help already, or that snapshot is no longer
    /// the newest. `body` should end soon once `hasWaitingJobs`.
    func help(_ snapshotID: UInt64, _ body: @escaping @Sendable (Reader) -> Void) -> Bool {
        guard queue.hasIdleThread, let reader = helpers.withLock({ $0.popLast() }) else {
            return false
        }
        if let pinned = try? reader.pin(), pinned == snapshotID {
            let isAccepted = queue.putIfIdle { [self] _ in
                body(reader)
                giveBack(reader)
                return .done
            }
            if isAccepted { return true }
        }
        giveBack(reader)
        return false
    }

    private func giveBack(_ reader: Reader) {
        reader.invalidate()
        helpers.withLock { $0.append(reader) }
    }

    /// Whether a job waits for a thread.
    var hasWaitingJobs: Bool { queue.waitingCount.load(ordering: .relaxed) > 0 }

    /// Finishes what is queued (jobs should see that they were killed) and ends the threads.
    package func close() {
        queue.close()
        threads.join()
        helpers.withLock { $0 = [] }
    }

    private static func lowerPriority() {
        // On Linux the priority belongs to the thread. Where it can't be set, nothing is lost but
        // evenness.
        _ = setpriority(__priority_which_t(0), 0, 5)
    }
}

/// A blocking queue.
// Unchecked: all that varies is touched under `mutex` only.
private final class JobQueue: @unchecked Sendable {
    enum Acceptance {
        case accepted
        case full
        case closed
    }

    // SAFETY: all three are allocated in init and freed in deinit, when no thread holds the queue.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    /// Signalled when a job comes that no thread waits for.
    private let backlog: UnsafeMutablePointer<pthread_cond_t>
    /// How many jobs were taken.
    private var takenCount = 0
    private var waiting: [ReaderPool.Job?] = []
    /// Jobs before this position were taken.
    private var head = 0
    private var isClosed = false
    /// Threads that wait for a job.
    private var idleCount = 0
    /// How many jobs wait, for looks without the mutex.
    let waitingCount = Atomic<Int>(0)

    init() {
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        backlog = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
        pthread_cond_init(backlog, nil)
    }

    deinit {
        pthread_cond_destroy(backlog)
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        backlog.deallocate()
        condition.deallocate()
        mutex.deallocate()
    }

    @discardableResult
    func put(_ job: @escaping ReaderPool.Job, countMax: Int = .max) -> Acceptance {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        if countMax != .max {
            if isClosed { return .closed }
            if waiting.count - head >= countMax { return .full }
        }
        append(job)
        return .accepted
    }

    /// Whether a thread waits that no job is there for.
    var hasIdleThread: Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return isThreadIdle
    }

    /// As `put` where a thread waits that no job is there for, else false.
    func putIfIdle(_ job: @escaping ReaderPool.Job) -> Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        guard isThreadIdle else { return false }
        append(job)
        return true
    }

    /// With the mutex held.
    private var isThreadIdle: Bool { !isClosed && idleCount > waiting.count - head }

    /// With the mutex held.
    private func append(_ job: @escaping ReaderPool.Job) {
        waiting.append(job)
        waitingCount.store(waiting.count - head, ordering: .relaxed)
        pthread_cond_signal(condition)
        if waiting.count - head > idleCount { pthread_cond_signal(backlog) }
    }

    /// Waits until a job waits; nil when the queue is closed. Answers how many were taken by then.
    func waitForBacklog() -> Int? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while head == waiting.count {
            if isClosed { return nil }
            pthread_cond_wait(backlog, mutex)
        }
        return isClosed ? nil : takenCount
    }

    /// Whether jobs wait and none was taken since so many were.
    func isStuck(since taken: Int) -> Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return head < waiting.count && takenCount == taken && !isClosed
    }

    /// Waits for a job; nil when the queue is closed and empty.
    func take() -> ReaderPool.Job? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while head == waiting.count {
            if isClosed { return nil }
            idleCount += 1
            pthread_cond_wait(condition, mutex)
            idleCount -= 1
        }
        let job = waiting[head]
        waiting[head] = nil
        head += 1
        takenCount += 1
        if head == waiting.count || head > 1_024 {
            waiting.removeFirst(head)
            head = 0
        }
        waitingCount.store(waiting.count - head, ordering: .relaxed)
        return job
    }

    func close() {
        pthread_mutex_lock(mutex)
        isClosed = true
        pthread_cond_broadcast(condition)
        pthread_cond_broadcast(backlog)
        pthread_mutex_unlock(mutex)
    }
}
