// Fail points' modes, and `onPrimaryTransactionalWrite`, with which drivers' own tests lose the
// answers of retryable writes. Only with --test-commands.

import BSON
import Synchronization

/// How often a fail point strikes.
struct FailPointMode: Sendable {
    /// How many more strikes; nil for any number.
    var times: Int64?
    /// How many pass before the first.
    var skip: Int64 = 0

    /// Reads `mode`; nil for `off`.
    init?(_ mode: Value) throws(DBError) {
        switch mode {
        case .string("off"): return nil
        case .string("alwaysOn"): return
        case .document(let document):
            if let times = document.view.value("times")?.truncatedInteger {
                guard times > 0 else { return nil }
                self.times = times
            } else if let skip = document.view.value("skip")?.truncatedInteger {
                self.skip = skip
            } else if document.view.value("activationProbability") == nil {
                throw DBError(.badValue, "unknown fail point mode")
            }
        default: throw DBError(.badValue, "unknown fail point mode")
        }
    }

    /// Counts one occasion; whether it strikes.
    mutating func strikes() -> Bool {
        if skip > 0 {
            skip -= 1
            return false
        }
        guard let times else { return true }
        self.times = times - 1
        return times > 0
    }

    /// Whether it will never strike again.
    var isSpent: Bool { times.map { $0 <= 0 } ?? false }
}

/// `onPrimaryTransactionalWrite`: strikes when a retryable write's statement is committed for the
/// first time.
final class WriteFailPoint: Sendable {
    private struct Configuration {
        var mode: FailPointMode
        /// Refuses the write with that code before it is committed.
        var code: Int32?
        var closesConnection = true
    }

    /// What happens to a write.
    struct Strike {
        let error: DBError?
        let closesConnection: Bool
    }

    private let active = Atomic<Bool>(false)
    private let configuration = Mutex<Configuration?>(nil)

    /// Whether anything may happen: read on each retryable write.
    var isActive: Bool { active.load(ordering: .relaxed) }

    /// Reads the command `configureFailPoint`.
    func configure(mode: Value, data: Document?) throws(DBError) {
        var new = try FailPointMode(mode).map { Configuration(mode: $0) }
        if let code = data?.view.value("failBeforeCommitExceptionCode")?.truncatedInteger {
            new?.code = Int32(clamping: code)
        }
        if let closes = data?.view.value("closeConnection") {
            new?.closesConnection = closes.isTruthy
        }
        let final = new
        configuration.withLock { $0 = final }
        active.store(final != nil, ordering: .relaxed)
    }

    /// What happens to a write of so many statements; `isCommitted`: after its commit or before.
    func take(statements: Int, isCommitted: Bool) -> Strike? {
        configuration.withLock { configuration in
            guard var current = configuration, (current.code == nil) == isCommitted else {
                return nil
            }
            var isStruck = false
            for _ in 0..<statements where current.mode.strikes() { isStruck = true }
            configuration = current
            guard isStruck else { return nil }
            let error = current.code.map { code in
                DBError(
                    DBError.Code(rawValue: code),
                    "Failing write for onPrimaryTransactionalWrite fail point")
            }
            return Strike(error: error, closesConnection: current.closesConnection)
        }
    }
}

extension CommandCall {
    /// Refuses a retryable write where a test asks for that.
    func failBeforeWrite(statements: Int) throws(DBError) {
        guard core.failPoints.write.isActive, special.transactionNumber != nil,
            let strike = core.failPoints.write.take(statements: statements, isCommitted: false)
        else { return }
        if strike.closesConnection { connection.abort() }
        if let error = strike.error { throw error }
    }
}

extension ReplyTicket {
    /// Whether a test asks for the answer of a retryable write to be lost; the connection is closed
    /// then. `statements`: those that were not repetitions.
    func losesAnswer(_ core: ServerCore, statements: Int) -> Bool {
        guard core.failPoints.write.isActive, special.transactionNumber != nil,
            let strike = core.failPoints.write.take(statements: statements, isCommitted: true),
            strike.closesConnection
        else { return false }
        closeConnection()
        return true
    }
}
