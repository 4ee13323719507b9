import Glibc

/// State behind a mutex with a condition to wait on. Swift's `Mutex` has no condition, and a
/// waiting OS thread is what the writer is.
package final class Monitor<State>: @unchecked Sendable {
    // Sendable: `state` is touched only with `mutex` held.
    private var state: State
    // SAFETY: both cells are allocated here, live at fixed addresses as pthread demands, and are
    // freed by deinit, when no thread can hold or wait on them any more.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>

    /// Guards `state`.
    package init(_ state: State) {
        self.state = state
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Runs `body` with the lock held; `wake` there to let one waiting thread look again.
    package func withLock<R>(_ body: (inout State) -> R) -> R {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return body(&state)
    }

    /// Wakes the threads that wait.
    package func wake() {
        pthread_cond_broadcast(condition)
    }

    /// Waits until `body`, run with the lock held after each wake, answers something; nil after
    /// `timeoutMillis`.
    package func wait<R>(timeoutMillis: UInt64?, _ body: (inout State) -> R?) -> R? {
        var deadline = timespec()
        if let timeoutMillis {
            let nanos = Clock.nanos() + timeoutMillis * 1_000_000
            deadline.tv_sec = Int(nanos / 1_000_000_000)
            deadline.tv_nsec = Int(nanos % 1_000_000_000)
        }
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while true {
            if let answer = body(&state) { return answer }
            if timeoutMillis == nil {
                pthread_cond_wait(condition, mutex)
            } else if pthread_cond_timedwait(condition, mutex, &deadline) == ETIMEDOUT {
                return body(&state)
            }
        }
    }
}

/// The monotonic clock.
enum Clock {
    /// Nanoseconds since some fixed instant; costs about 20 ns.
    static func nanos() -> UInt64 {
        read(CLOCK_MONOTONIC)
    }

    /// The same, exact to a few milliseconds; costs about 5 ns.
    static func coarseNanos() -> UInt64 {
        read(CLOCK_MONOTONIC_COARSE)
    }

    /// Milliseconds since 1970.
    static func wallMillis() -> Int64 {
        Int64(read(CLOCK_REALTIME) / 1_000_000)
    }

    private static func read(_ clock: clockid_t) -> UInt64 {
        var now = timespec()
        clock_gettime(clock, &now)
        return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
    }
}
