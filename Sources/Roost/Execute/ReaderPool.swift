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
// Jobs that are known for such steps (`Weight.whole`: live queries' results) have a queue of their
// own and may hold all threads but one, however many of them come at once.
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

    /// How a job may hold a thread.
    package enum Weight: Sendable {
        /// Each slice ends soon.
        case sliced
        /// It may take long in one piece.
        case whole
    }

    /// A slice of work on a thread's reader.
    package typealias Job = @Sendable (Reader) -> Step

    /// Most jobs of clients that wait or run at once.
    package static let jobsMax = 10_000

    /// Most threads.
    private static let threadsMax = 12
    /// How long waiting jobs may see none of them taken before another thread is started.
    private static let stuckMicros: UInt32 = 20_000

    private let queue: JobQueue
    private let threads = BackgroundThreads()
    /// How many threads may help at once.
    let helpersMax: Int
    /// Readers for those that help, as far as they aren't in use.
    private let helpers = Mutex<[Reader]>([])

    /// Starts `threads` threads, at least one, of which `helpers` may help at once.
    /// - Throws: StorageError when readers can't be had.
    package init(store: Store, threads count: Int, helpers helperCount: Int = 0) throws {
        helpersMax = max(0, min(helperCount, count))
        queue = JobQueue(wholeMax: max(1, count - 1))
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
            while let (job, weight) = queue.take() {
                let step = job(reader)
                if weight == .whole { queue.finishWhole() }
                if step == .again { queue.put(job, weight) }
            }
        }
    }

    /// Runs `body` once, however long the queue is: for work that the engine has accepted.
    package func submit(
        _ weight: Weight = .sliced, _ body: @escaping @Sendable (Reader) -> Void
    ) {
        queue.put(
            { reader in
                body(reader)
                return .done
            }, weight)
    }

    /// Runs `job` until it is done, a slice at a time.
    /// - Throws: `exceededMemoryLimit` (146) when too many jobs wait; `interruptedAtShutdown`.
    package func submitSlices(
        _ weight: Weight = .sliced, _ job: @escaping Job
    ) throws(DBError) {
        switch queue.put(job, weight, countMax: Self.jobsMax) {
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

/// Jobs in the order in which they came.
private struct JobList {
    private var jobs: [ReaderPool.Job?] = []
    /// Jobs before this position were taken.
    private var head = 0

    var count: Int { jobs.count - head }

    mutating func append(_ job: @escaping ReaderPool.Job) {
        jobs.append(job)
    }

    mutating func takeFirst() -> ReaderPool.Job? {
        guard head < jobs.count else { return nil }
        defer {
            jobs[head] = nil
            head += 1
            if head == jobs.count || head > 1_024 {
                jobs.removeFirst(head)
                head = 0
            }
        }
        return jobs[head]
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
    private var sliced = JobList()
    private var whole = JobList()
    /// Most whole jobs that run at once, and how many do.
    private let wholeMax: Int
    private var wholeRunning = 0
    /// Whether a whole job comes before the next sliced one.
    private var isTurnOfWhole = false
    private var isClosed = false
    /// Threads that wait for a job.
    private var idleCount = 0
    /// How many jobs wait for a thread, for looks without the mutex.
    let waitingCount = Atomic<Int>(0)

    init(wholeMax: Int) {
        self.wholeMax = wholeMax
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
    func put(
        _ job: @escaping ReaderPool.Job, _ weight: ReaderPool.Weight = .sliced,
        countMax: Int = .max
    ) -> Acceptance {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        if countMax != .max {
            if isClosed { return .closed }
            if sliced.count + whole.count >= countMax { return .full }
        }
        append(job, weight)
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
        append(job, .sliced)
        return true
    }

    /// With the mutex held.
    private var isThreadIdle: Bool { !isClosed && idleCount > readyCount }

    /// Jobs that a thread may take now. With the mutex held.
    private var readyCount: Int {
        // What is queued when the pool closes is to end, whatever it is.
        sliced.count + (isClosed ? whole.count : min(whole.count, wholeMax - wholeRunning))
    }

    /// With the mutex held.
    private func append(_ job: @escaping ReaderPool.Job, _ weight: ReaderPool.Weight) {
        switch weight {
        case .sliced: sliced.append(job)
        case .whole: whole.append(job)
        }
        wake()
    }

    /// Has a thread look for a job. With the mutex held.
    private func wake() {
        let ready = readyCount
        waitingCount.store(ready, ordering: .relaxed)
        if ready > 0 { pthread_cond_signal(condition) }
        if ready > idleCount { pthread_cond_signal(backlog) }
    }

    /// Waits until a job waits for a thread; nil when the queue is closed. Answers how many were
    /// taken by then.
    func waitForBacklog() -> Int? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while readyCount == 0 {
            if isClosed { return nil }
            pthread_cond_wait(backlog, mutex)
        }
        return isClosed ? nil : takenCount
    }

    /// Whether jobs wait and none was taken since so many were.
    func isStuck(since taken: Int) -> Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return readyCount > 0 && takenCount == taken && !isClosed
    }

    /// Waits for a job; nil when the queue is closed and empty. `finishWhole` must follow one that
    /// is whole.
    func take() -> (job: ReaderPool.Job, weight: ReaderPool.Weight)? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while readyCount == 0 {
            if isClosed { return nil }
            idleCount += 1
            pthread_cond_wait(condition, mutex)
            idleCount -= 1
        }
        takenCount += 1
        defer { waitingCount.store(readyCount, ordering: .relaxed) }
        // Taking turns where there are both, so that neither waits for the other's queue.
        if readyCount > sliced.count, isTurnOfWhole || sliced.count == 0,
            let job = whole.takeFirst()
        {
            isTurnOfWhole = false
            wholeRunning += 1
            return (job, .whole)
        }
        isTurnOfWhole = true
        return sliced.takeFirst().map { ($0, .sliced) }
    }

    /// A whole job has ended: another may begin.
    func finishWhole() {
        pthread_mutex_lock(mutex)
        wholeRunning -= 1
        if whole.count > 0 { wake() }
        pthread_mutex_unlock(mutex)
    }

    func close() {
        pthread_mutex_lock(mutex)
        isClosed = true
        pthread_cond_broadcast(condition)
        pthread_cond_broadcast(backlog)
        pthread_mutex_unlock(mutex)
    }
}
