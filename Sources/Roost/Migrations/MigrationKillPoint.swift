// Where tests end the process: just before and just behind each commit that a group of migrations
// makes. A server takes such orders only with --test-commands.

import Glibc
import Synchronization

/// Kills the process at a point of a migration that was named before.
package final class MigrationKillPoint: Sendable {
    /// How many points are still passed; below zero for all.
    private let left = Atomic<Int64>(-1)

    /// Ends the process at the point behind so many others; nil to let all pass.
    package func arm(skipping count: Int64?) {
        left.store(count.map { max(0, $0) } ?? -1, ordering: .relaxed)
    }

    /// Passes a point, or ends the process here as a crash would: without clearing up.
    ///
    /// Called by the thread of migrations alone, so that no two points are counted as one.
    func pass() {
        let before = left.load(ordering: .relaxed)
        guard before >= 0 else { return }
        left.store(before - 1, ordering: .relaxed)
        if before == 0 { kill(getpid(), SIGKILL) }
    }
}
