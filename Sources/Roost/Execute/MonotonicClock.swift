// The monotonic clock as a plain number: two comparisons a slice need no Duration arithmetic.

import Glibc

enum MonotonicClock {
    /// Nanoseconds since some fixed moment.
    static var nanoseconds: UInt64 {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return UInt64(now.tv_sec) &* 1_000_000_000 &+ UInt64(now.tv_nsec)
    }
}
