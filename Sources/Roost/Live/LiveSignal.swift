// Waking the matcher's thread without waiting for it.

import Glibc
import Synchronization

/// A signal that is raised by many and waited for by one.
// Unchecked: `isStopped` and `isRaised` are touched under `mutex` only.
final class LiveSignal: @unchecked Sendable {
    // SAFETY: both are allocated in init and freed in deinit, when no thread holds the signal.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var isRaised = false
    private var isStopped = false
    /// Whether it is raised and not yet seen: raising again does nothing then.
    private let isPending = Atomic<Bool>(false)

    init() {
        mutex = .allocate(capacity: 1)
        condition = .allocate(capacity: 1)
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Wakes who waits, or lets the next wait return at once.
    func raise() {
        if isPending.exchange(true, ordering: .acquiringAndReleasing) { return }
        pthread_mutex_lock(mutex)
        isRaised = true
        pthread_cond_signal(condition)
        pthread_mutex_unlock(mutex)
    }

    /// Waits until it is raised, or until `endMillis` since 1970 is there; false once it is stopped.
    func wait(until endMillis: Int64? = nil) -> Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        var end = timespec()
        if let endMillis {
            end.tv_sec = Int(clamping: endMillis / 1_000)
            end.tv_nsec = Int(clamping: endMillis % 1_000 * 1_000_000)
        }
        while !isRaised, !isStopped {
            if endMillis == nil {
                pthread_cond_wait(condition, mutex)
            } else if pthread_cond_timedwait(condition, mutex, &end) != 0 {
                break
            }
        }
        isRaised = false
        isPending.store(false, ordering: .releasing)
        return !isStopped
    }

    /// Ends the waiting.
    func stop() {
        pthread_mutex_lock(mutex)
        isStopped = true
        pthread_cond_broadcast(condition)
        pthread_mutex_unlock(mutex)
    }
}
