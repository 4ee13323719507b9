// Bounds how often something is done for one key in a window of time, whatever comes of it: sign-ups
// from one address, messages to one address. The memory is bounded.

import Synchronization

/// Counts events in fixed windows. Safe from any thread.
final class EventLimiter: Sendable {
    private struct Window {
        var start: Int64
        var count: Int
    }

    /// Most keys remembered.
    private static let keysMax = 100_000

    private let windowMillis: Int64
    private let windows = Mutex<[String: Window]>([:])

    /// Windows of that length, in milliseconds.
    init(windowMillis: Int64) {
        self.windowMillis = windowMillis
    }

    /// Counts an event; false, where there were `limit` in the key's window already.
    func allow(_ key: String, limit: Int, nowMillis: Int64) -> Bool {
        windows.withLock { windows in
            if windows.count >= Self.keysMax {
                windows = windows.filter { nowMillis - $0.value.start < windowMillis }
                // More keys than fit are a flood: nobody gets through until a window ends.
                if windows.count >= Self.keysMax, windows[key] == nil { return false }
            }
            var window = windows[key] ?? Window(start: nowMillis, count: 0)
            if nowMillis - window.start >= windowMillis {
                window = Window(start: nowMillis, count: 0)
            }
            guard window.count < limit else { return false }
            window.count += 1
            windows[key] = window
            return true
        }
    }
}
