// The time of commits: a BSON timestamp that only grows (design: the change log's sequence).

package import BSON
import Glibc
import Synchronization

/// Hands out timestamps: wall-clock seconds, counted within the second, never going back.
package final class LogicalClock: Sendable {
    private let issued: Atomic<UInt64>
    private let published: Atomic<UInt64>
    private let wallSeconds: @Sendable () -> Int64

    /// Goes on from a timestamp; `wallSeconds` tells seconds since 1970 and may step, also back.
    init(startingAt timestamp: Timestamp, wallSeconds: @escaping @Sendable () -> Int64) {
        issued = Atomic(timestamp.rawValue)
        published = Atomic(timestamp.rawValue)
        self.wallSeconds = wallSeconds
    }

    /// The timestamp of the newest commit: all that has it or an earlier one can be read. Clients
    /// are told this one, never one whose commit is still to come.
    package var newest: Timestamp { Timestamp(rawValue: published.load(ordering: .acquiring)) }

    /// A new timestamp: max(last + 1, now << 32 | 1).
    func advance() -> Timestamp {
        let now = UInt64(clamping: wallSeconds()) << 32 | 1
        var current = issued.load(ordering: .relaxed)
        while true {
            let next = max(current &+ 1, now)
            let (exchanged, seen) = issued.compareExchange(
                expected: current, desired: next, ordering: .acquiringAndReleasing)
            if exchanged { return Timestamp(rawValue: next) }
            current = seen
        }
    }

    /// Makes a timestamp whose commit is done the newest. Writer thread only.
    func publish(_ timestamp: Timestamp) {
        published.store(
            max(published.load(ordering: .relaxed), timestamp.rawValue), ordering: .releasing)
    }

    /// Seconds since 1970 by the system's clock.
    static let systemSeconds: @Sendable () -> Int64 = { Int64(time(nil)) }

    /// Milliseconds since 1970 by the system's clock.
    package static var wallMillis: Int64 {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return Int64(now.tv_sec) * 1_000 + Int64(now.tv_nsec) / 1_000_000
    }
}
