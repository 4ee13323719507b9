// How running work is ended from outside: by its time limit, or by another thread.
//
// One document can be work for minutes ($unwind of two arrays, loops inside expressions), so asking
// between documents is not enough. Whatever multiplies work counts its steps on an InterruptMeter,
// which looks at the flag and the clock once in some thousand of them.

package import BSON
import Synchronization

/// The end of one operation, shared by the thread that runs it and those that may end it.
package final class Interrupt: Sendable {
    private let start = ContinuousClock.now
    /// The deadline in nanoseconds after `start`; the greatest number for none.
    private let nanosecondsMax = Atomic<Int64>(.max)
    /// The code of the error that ends the operation; 0 while it may go on.
    private let code = Atomic<Int32>(0)

    /// An operation that may go on until `deadline`; nil for no limit.
    package init(deadline: ContinuousClock.Instant? = nil) {
        if let deadline { setDeadline(deadline) }
    }

    /// Moves the deadline: time between a cursor's batches doesn't count.
    package func setDeadline(_ deadline: ContinuousClock.Instant) {
        let (seconds, attoseconds) = start.duration(to: deadline).components
        let (nanoseconds, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        nanosecondsMax.store(
            overflow ? .max : nanoseconds &+ attoseconds / 1_000_000_000, ordering: .relaxed)
    }

    /// Makes the operation fail with `code` at its next check. The first call decides.
    package func kill(_ code: DBError.Code = .cursorKilled) {
        _ = self.code.compareExchange(
            expected: 0, desired: code.rawValue, ordering: .acquiringAndReleasing)
    }

    /// - Throws: the error of `kill`; `maxTimeMSExpired` (50) behind the deadline.
    package func check() throws(DBError) {
        let code = code.load(ordering: .acquiring)
        if code != 0 { throw Self.error(DBError.Code(rawValue: code)) }
        let limit = nanosecondsMax.load(ordering: .relaxed)
        if limit != .max, start.duration(to: .now) > .nanoseconds(limit) {
            throw DBError(.maxTimeMSExpired, "operation exceeded time limit")
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
