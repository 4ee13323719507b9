// The time of commits: a BSON timestamp that only grows (design: the change log's sequence).

package import BSON
import Glibc
import Synchronization

/// Hands out timestamps: wall-clock seconds, counted within the second, never going back.
package final class LogicalClock: Sendable {
    private let last: Atomic<UInt64>

    init(startingAt timestamp: Timestamp) {
        last = Atomic(timestamp.rawValue)
    }

    /// The newest timestamp handed out.
    package var newest: Timestamp { Timestamp(rawValue: last.load(ordering: .acquiring)) }

    /// A new timestamp: max(last + 1, now << 32).
    func advance() -> Timestamp {
        let now = UInt64(time(nil)) << 32 | 1
        var current = last.load(ordering: .relaxed)
        while true {
            let next = max(current &+ 1, now)
            let (exchanged, seen) = last.compareExchange(
                expected: current, desired: next, ordering: .acquiringAndReleasing)
            if exchanged { return Timestamp(rawValue: next) }
            current = seen
        }
    }

    /// Milliseconds since 1970 by the wall clock.
    package static var wallMillis: Int64 {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return Int64(now.tv_sec) * 1_000 + Int64(now.tv_nsec) / 1_000_000
    }
}
