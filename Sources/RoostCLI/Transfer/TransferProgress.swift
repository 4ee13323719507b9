// How far an import or export has come: a line on the terminal, drawn anew now and then.

import Glibc

/// Counts records and shows rate and time left on standard error, where people look at it.
struct TransferProgress {
    private let verb: String
    private let isShown: Bool
    private let begin = ContinuousClock.now
    private var lastShown = ContinuousClock.now
    private(set) var records = 0

    /// A new count of what is, for instance, "imported".
    init(_ verb: String, isQuiet: Bool) {
        self.verb = verb
        isShown = !isQuiet && isatty(STDERR_FILENO) == 1
    }

    /// Counts records; `share` of the work is done, from 0 to 1, where that is known.
    mutating func add(_ count: Int, share: Double?) {
        records += count
        let now = ContinuousClock.now
        guard isShown, lastShown.duration(to: now) > .milliseconds(250) else { return }
        lastShown = now
        var text = "\(records) \(verb), \(rate(to: now)) a second"
        if let share, share > 0.005 {
            let seconds = Self.seconds(begin.duration(to: now))
            text += ", \(Int(share * 100)) %, \(Self.time(seconds * (1 - share) / share)) left"
        }
        // CSI K: what a longer line left behind goes.
        Terminal.writeError("\r\(text)\u{1B}[K")
    }

    /// Ends the line, and says what was done.
    func finish(_ rest: String = "") {
        let now = ContinuousClock.now
        if isShown { Terminal.writeError("\r\u{1B}[K") }
        Terminal.writeError(
            "\(records) \(verb) in \(Self.time(Self.seconds(begin.duration(to: now)))), "
                + "\(rate(to: now)) a second\(rest)\n")
    }

    private func rate(to now: ContinuousClock.Instant) -> Int {
        Int(Double(records) / max(0.001, Self.seconds(begin.duration(to: now))))
    }

    private static func seconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
    }

    private static func time(_ seconds: Double) -> String {
        let whole = Int(seconds.rounded())
        return whole < 60 ? "\(whole) s" : "\(whole / 60) min \(whole % 60) s"
    }
}
