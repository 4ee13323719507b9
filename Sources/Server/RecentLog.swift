// The last lines of the log, for `getLog`.

import Synchronization

/// A bounded list of log lines.
package final class RecentLog: Sendable {
    /// Most lines kept.
    static let linesMax = 1_024

    private let lines = Mutex<[String]>([])

    /// Adds a line; the oldest leaves.
    package func append(_ line: String) {
        lines.withLock { lines in
            // Trimmed in large steps: removing from the front moves the rest.
            if lines.count >= 2 * Self.linesMax { lines.removeFirst(Self.linesMax) }
            lines.append(line)
        }
    }

    /// The lines, oldest first.
    var all: [String] {
        lines.withLock { Array($0.suffix(Self.linesMax)) }
    }
}
