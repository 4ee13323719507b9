// What open transactions mean to change: documents, and keys of unique indexes.
//
// The second transaction that means to change a document fails at once and not only at its commit.
// A write outside of transactions doesn't fail: it is put aside here, off the writer thread, and
// goes on when the transaction has ended.

import BSON
import Query
import Storage
import Synchronization

/// A key of a table.
struct TableKey: Hashable, Sendable {
    let table: TableID
    let key: [UInt8]
}

/// What stops a write outside of transactions, before it has changed anything.
struct BlockedByTransaction: Error {
    /// The number of the transaction that means to change the same.
    let owner: UInt64
}

/// Who means to change what, and who waits for that.
final class IntentTable: Sendable {
    fileprivate struct Waiter {
        let interrupt: Interrupt?
        let resume: @Sendable () -> Void
    }

    private struct State {
        var owners: [TableKey: UInt64] = [:]
        /// The transactions that have not ended, each with who waits for it.
        var waiters: [UInt64: [Waiter]] = [:]
    }

    private let state = Mutex(State())
    /// Lets the writer thread pass without the lock while nothing is claimed. It may lag behind: a
    /// claim that was just made loses against a write that began before.
    private let claimCount = Atomic<Int>(0)

    /// Whether nobody claims anything. O(1), without a lock.
    var isEmpty: Bool { claimCount.load(ordering: .acquiring) == 0 }

    /// Notes a transaction, which may claim from now on.
    func begin(_ owner: UInt64) {
        state.withLock { $0.waiters[owner] = [] }
    }

    /// Claims a key; false where another open transaction has.
    func claim(_ key: TableKey, by owner: UInt64) -> Bool {
        state.withLock { state in
            if let other = state.owners[key] { return other == owner }
            state.owners[key] = owner
            claimCount.store(state.owners.count, ordering: .releasing)
            return true
        }
    }

    /// Stops a write to what another transaction than `owner` claims.
    /// - Throws: `BlockedByTransaction`.
    func check(_ table: TableID, _ key: RawSpan, for owner: UInt64) throws {
        guard !isEmpty else { return }
        let key = TableKey(table: table, key: [UInt8](copying: key))
        if let other = state.withLock({ $0.owners[key] }), other != owner {
            throw BlockedByTransaction(owner: other)
        }
    }

    /// Ends a transaction: gives its claims up, and lets those go on who wait for it.
    func end(_ owner: UInt64, _ claims: Set<TableKey>) {
        let waiters = state.withLock { state in
            for key in claims { state.owners[key] = nil }
            claimCount.store(state.owners.count, ordering: .releasing)
            return state.waiters.removeValue(forKey: owner)
        }
        for waiter in waiters ?? [] { waiter.resume() }
    }

    // MARK: Waiting

    /// Runs `resume` when the transaction has ended, on the thread that ends it, or at once where it
    /// has ended before; also when the write is to end, which it must check.
    func wait(
        for owner: UInt64, _ interrupt: Interrupt?,
        resume: @escaping @Sendable () -> Void
    ) {
        let isWaiting = state.withLock { state in
            guard state.waiters[owner] != nil else { return false }
            state.waiters[owner]?.append(Waiter(interrupt: interrupt, resume: resume))
            return true
        }
        if !isWaiting { resume() }
    }

    /// Lets those go on that are to end: their time is up, or they were killed.
    func resumeInterrupted() {
        let overdue = state.withLock { state in
            var overdue: [Waiter] = []
            for (owner, waiters) in state.waiters {
                let due = waiters.filter(\.isInterrupted)
                guard !due.isEmpty else { continue }
                overdue += due
                state.waiters[owner] = waiters.filter { !$0.isInterrupted }
            }
            return overdue
        }
        for waiter in overdue { waiter.resume() }
    }

    /// Whether anybody waits who may be told to end.
    var hasInterruptible: Bool {
        state.withLock { state in
            state.waiters.values.contains { $0.contains { $0.interrupt != nil } }
        }
    }

    /// How many writes wait.
    var waitingCount: Int {
        state.withLock { $0.waiters.values.reduce(0) { $0 + $1.count } }
    }
}

extension IntentTable.Waiter {
    fileprivate var isInterrupted: Bool {
        do throws(DBError) {
            try interrupt?.check()
            return false
        } catch {
            return true
        }
    }
}
