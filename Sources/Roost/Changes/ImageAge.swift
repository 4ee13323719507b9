// How long change streams show images of documents.

import Synchronization

/// The age at which the images of a change are no longer shown, though the log still holds them. It
/// lasts until the engine is closed; without it images are shown as long as their change.
package final class ImageAge: Sendable {
    /// 0: no limit.
    private let seconds = Atomic<Int64>(0)

    package init() {}

    /// The limit in seconds; nil where there is none.
    package var secondsMax: Int64? {
        let value = seconds.load(ordering: .relaxed)
        return value > 0 ? value : nil
    }

    /// Sets the limit in seconds, at least 1; nil takes it away.
    package func set(secondsMax: Int64?) {
        seconds.store(secondsMax.map { max(1, $0) } ?? 0, ordering: .relaxed)
    }

    /// Whether images of a change of that time, in milliseconds since 1970, are too old.
    func isPast(_ wallMillis: Int64) -> Bool {
        guard let secondsMax else { return false }
        return (LogicalClock.wallMillis - wallMillis) / 1_000 >= secondsMax
    }
}
