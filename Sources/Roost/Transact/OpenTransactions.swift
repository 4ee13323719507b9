// Which transactions are open, and what ends them when they don't end themselves.
//
// Each holds a snapshot, which takes a reader's slot and keeps every page that was freed since. So
// there are at most so many, each lasts at most so long, and when the pages kept for the oldest
// snapshot are too many it ends before its time. A thread looks twice a second while there are any.

import BSON
import Query
import Storage
import Synchronization

/// What transactions may take.
public struct TransactionLimits: Sendable {
    /// How long a transaction may last, in seconds.
    public var secondsMax: Double = 60
    /// Most transactions open at once: half of the readers that a store has.
    public var countMax = 512
    /// The most that one's changes may take in memory, in bytes.
    public var bytesMax = 64 << 20
    /// The most that pages kept for the oldest snapshot may take, in bytes; nil for a tenth of the
    /// quota, at least 1 GiB, but not more than half of the quota.
    public var keptBytesMax: UInt64?

    /// A minute, 512 transactions of 64 MiB.
    public init() {}
}

/// The transactions that have not ended.
package final class OpenTransactions: Sendable {
    private struct State {
        var open: [UInt64: Transaction] = [:]
        /// The time before which each one's snapshot was not taken.
        var starts: [UInt64: Timestamp] = [:]
        var lastNumber: UInt64 = 0
        var isStopped = false
        /// Grows with what the thread should look at.
        var changes = 0
    }

    /// What they may take; how long each may last is `secondsMax`.
    let limits: TransactionLimits
    /// The most bytes of pages kept for the oldest snapshot.
    package let keptBytesMax: UInt64
    private let state = Monitor(State())
    private let seconds: Mutex<Double>

    /// How often the thread looks while there are any.
    private static let passMillis: UInt64 = 500
    /// How often it looks whether a write that waits is to end.
    private static let interruptMillis: UInt64 = 10

    init(_ limits: TransactionLimits, quotaBytes: UInt64?) {
        self.limits = limits
        seconds = Mutex(limits.secondsMax)
        keptBytesMax =
            limits.keptBytesMax
            ?? min(max(1 << 30, (quotaBytes ?? 0) / 10), (quotaBytes ?? .max) / 2)
    }

    /// How long one may last, in seconds; a change counts for those that are open too.
    package var secondsMax: Double {
        get { seconds.withLock { $0 } }
        set { seconds.withLock { $0 = newValue } }
    }

    /// How many there are.
    package var count: Int { state.withLock { $0.starts.count } }

    /// All of them.
    var all: [Transaction] { state.withLock { Array($0.open.values) } }

    /// The time of the oldest one's snapshot, or an earlier one; nil while there are none.
    var oldest: Timestamp? { state.withLock { $0.starts.values.min() } }

    /// Counts one in, whose snapshot is yet to be taken, and gives it its number.
    /// - Throws: 365 where there are too many.
    func admit(at time: Timestamp) throws(DBError) -> UInt64 {
        let number = state.withLock { state -> UInt64? in
            guard state.starts.count < limits.countMax else { return nil }
            state.lastNumber += 1
            state.starts[state.lastNumber] = time
            state.changes += 1
            return state.lastNumber
        }
        guard let number else {
            throw DBError(
                .temporarilyUnavailable,
                "\(limits.countMax) transactions are open, which is the most there may be; run "
                    + "this one again when others have ended")
        }
        state.wake()
        return number
    }

    func add(_ transaction: Transaction, _ number: UInt64) {
        state.withLock { $0.open[number] = transaction }
    }

    func remove(_ number: UInt64) {
        state.withLock { state in
            state.open[number] = nil
            state.starts[number] = nil
        }
    }

    /// Has the thread look anew at who waits, and at the snapshots that are held.
    func lookAnew() {
        state.withLock { $0.changes += 1 }
        state.wake()
    }

    /// Ends the thread.
    func stop() {
        state.withLock { $0.isStopped = true }
        state.wake()
    }

    /// Waits for the next pass; false when there will be none.
    /// - Parameters:
    ///   - mayBeInterrupted: whether a write waits that may be told to end.
    ///   - holdsSnapshots: whether others hold snapshots as well.
    func waitForPass(_ mayBeInterrupted: () -> Bool, _ holdsSnapshots: () -> Bool) -> Bool {
        let seen = state.withLock { $0.changes }
        var pause: UInt64? = count == 0 && !holdsSnapshots() ? nil : Self.passMillis
        if mayBeInterrupted() { pause = Self.interruptMillis }
        return state.wait(timeoutMillis: pause) { state -> Bool? in
            if state.isStopped { return false }
            return state.changes != seen ? true : nil
        } ?? true
    }
}

extension RoostEngine {
    /// Starts the thread; `close` ends it.
    func startTransactionKeeper() {
        let (transactions, intents, snapshots) = (transactions, intents, snapshots)
        background.start { [weak self] in
            while transactions.waitForPass(
                { intents.hasInterruptible }, { !snapshots.isEmpty })
            {
                guard let self else { return }
                intents.resumeInterrupted()
                self.endExpiredTransactions()
                if transactions.count > 0 || !self.snapshots.isEmpty {
                    self.readerPool.submit { reader in self.endCostlySnapshots(reader) }
                }
            }
        }
    }

    /// Runs `resume` when the transaction has ended, or when the write is to end.
    func wait(
        for transaction: UInt64, _ interrupt: Interrupt?,
        resume: @escaping @Sendable () -> Void
    ) {
        intents.wait(for: transaction, interrupt, resume: resume)
        if interrupt != nil { transactions.lookAnew() }
    }

    /// Ends the transactions that last too long.
    package func endExpiredTransactions() {
        for transaction in transactions.all where transaction.isExpired {
            transaction.end(.tooOld(secondsMax: transactions.secondsMax))
        }
    }

    /// Ends the oldest snapshots as long as too many pages are kept for them.
    func endCostlySnapshots(_ reader: Reader) {
        let most = transactions.keptBytesMax
        while true {
            let transaction = transactions.all.filter { $0.phase == .open }
                .min { $0.view.snapshotID < $1.view.snapshotID }
            let snapshot = snapshots.oldest
            let ids = [transaction?.view.snapshotID, snapshot?.snapshotID].compactMap(\.self)
            // What can't be counted now is counted in the next pass.
            guard let oldest = ids.min(),
                let kept = try? reader.keptBytes(since: oldest, atMost: most), kept >= most
            else { return }
            if let transaction, transaction.view.snapshotID == oldest {
                transaction.end(.costly(bytesMax: most))
            } else if let snapshot {
                snapshots.remove(snapshot)
            }
        }
    }
}

extension DBError {
    /// Why a transaction was ended by the server: it lasted too long.
    fileprivate static func tooOld(secondsMax: Double) -> DBError {
        DBError(
            .snapshotUnavailable,
            "The transaction's snapshot has ended: a transaction may last \(secondsMax) "
                + "seconds. Run it again, in smaller parts if it takes that long")
    }

    /// Why a transaction was ended by the server: its snapshot kept too many pages.
    fileprivate static func costly(bytesMax: UInt64) -> DBError {
        DBError(
            .snapshotUnavailable,
            "The transaction's snapshot has ended: while it was the oldest, other writes replaced "
                + "more than \(bytesMax) bytes that had to be kept for it. Run it again, and keep "
                + "transactions short")
    }
}
