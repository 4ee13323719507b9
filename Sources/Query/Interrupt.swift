// How running work is ended from outside: by its time limit, or by another thread.
//
// One document can be work for minutes ($unwind of two arrays, loops inside expressions), so asking
// between documents is not enough. Whatever multiplies work counts its steps on an InterruptMeter,
// which looks at the flag and the clock once in some thousand of them.

package import BSON
import Synchronization

/// The end of one operation, shared by the thread that runs it and those that may end it.
package final class Interrupt: Sendable {
    /// The time limit; time in which the operation waits for its client doesn't count.
    private enum Limit {
        case none
        case runs(until: ContinuousClock.Instant)
        case rests(left: Duration)
    }

    private let limit: Mutex<Limit>
    private let expiryMessage: StaticString
    /// The code of the error that ends the operation; 0 while it may go on.
    private let code = Atomic<Int32>(0)
    /// Wakes the operation where it waits.
    private let waking = Mutex<(@Sendable () -> Void)?>(nil)

    /// An operation that may go on until `deadline`; nil for no limit. `expiryMessage` is what the
    /// error says behind it.
    package init(
        deadline: ContinuousClock.Instant? = nil,
        expiryMessage: StaticString = "operation exceeded time limit"
    ) {
        limit = Mutex(deadline.map { .runs(until: $0) } ?? .none)
        self.expiryMessage = expiryMessage
    }

    /// Whether there is a time limit.
    package var hasTimeLimit: Bool {
        limit.withLock { if case .none = $0 { false } else { true } }
    }

    /// Stops the clock: the operation waits for its client.
    package func rest() {
        limit.withLock { limit in
            if case .runs(let end) = limit {
                limit = .rests(left: ContinuousClock.now.duration(to: end))
            }
        }
    }

    /// Lets the clock go on.
    package func goOn() {
        limit.withLock { limit in
            if case .rests(let left) = limit { limit = .runs(until: ContinuousClock.now + left) }
        }
    }

    /// Makes the operation fail with `code` at its next check. The first call decides.
    package func kill(_ code: DBError.Code = .cursorKilled) {
        let (isFirst, _) = self.code.compareExchange(
            expected: 0, desired: code.rawValue, ordering: .acquiringAndReleasing)
        if isFirst { wake() }
    }

    /// Calls `body` once when the operation is killed, or now if it was: for an operation that waits,
    /// and so makes no check. Takes the place of what was given before.
    package func whenKilled(_ body: @escaping @Sendable () -> Void) {
        waking.withLock { $0 = body }
        if isKilled { wake() }
    }

    private func wake() {
        let body = waking.withLock { waking in
            defer { waking = nil }
            return waking
        }
        body?()
    }

    /// Whether the operation was killed, ended or not.
    package var isKilled: Bool { code.load(ordering: .relaxed) != 0 }

    /// - Throws: the error of `kill`; `maxTimeMSExpired` (50) behind the deadline.
    package func check() throws(DBError) {
        let code = code.load(ordering: .acquiring)
        if code != 0 { throw Self.error(DBError.Code(rawValue: code)) }
        if limit.withLock({
            if case .runs(let end) = $0 { ContinuousClock.now > end } else { false }
        }) {
            throw DBError(.maxTimeMSExpired, "\(expiryMessage)")
        }
    }

    private static func error(_ code: DBError.Code) -> DBError {
        switch code {
        case .cursorKilled: DBError(code, "the cursor was killed")
        case .interruptedAtShutdown: DBError(code, "The server is shutting down")
        default: DBError(code, "operation was interrupted")
        }
    }
}

extension DBError.Code {
    /// Whether the error ends a whole command: its time is up, it was killed, the server stops. Of
    /// a command with several statements none follows, and what was done before stands.
    package var endsCommand: Bool {
        switch self {
        case .maxTimeMSExpired, .interrupted, .interruptedAtShutdown, .cursorKilled: true
        default: false
        }
    }
}

/// Counts steps between looks at an interrupt: a subtraction each.
package struct InterruptMeter: Sendable {
    /// Nil for work that nothing ends.
    let interrupt: Interrupt?
    private var left = InterruptMeter.stride

    /// Steps between two looks; a step is some nanoseconds.
    private static let stride = 16_384

    /// A meter for one thread's part of the operation.
    package init(_ interrupt: Interrupt? = nil) {
        self.interrupt = interrupt
    }

    /// Counts steps of work.
    /// - Throws: what `Interrupt.check` throws.
    @inline(__always)
    package mutating func spend(_ steps: Int = 1) throws(DBError) {
        left &-= steps
        if left < 0 { try lookSlowPath() }
    }

    @inline(never)
    private mutating func lookSlowPath() throws(DBError) {
        left = Self.stride
        try interrupt?.check()
    }
}
