// Which transaction or retryable write a session is at. A session has one at a time; a higher number
// ends the one before.

import BSON
import Roost
import Synchronization

/// What a command says about the transaction that it belongs to.
struct TransactionStatement: Sendable {
    let number: Int64
    /// Whether it is the first.
    let isFirst: Bool
    /// Whether it is commitTransaction or abortTransaction.
    let isEnd: Bool
    /// Whether the transaction's reads must still hold at its commit.
    var isSerializable = false
}

/// The sessions' transactions.
final class TransactionTable: Sendable {
    private struct Slot {
        var number: Int64
        /// Nil where the number is a retryable write's.
        var transaction: Transaction?
    }

    private let slots = Mutex<[SessionID: Slot]>([:])

    /// Notes a retryable write, which ends an older transaction of the session.
    /// - Throws: 225 where the session has gone on, 217 where the number is a transaction's.
    func noteWrite(_ session: SessionID, _ number: Int64) throws(DBError) {
        let outcome = slots.withLock { slots -> Result<Transaction?, DBError> in
            guard let slot = slots[session] else {
                slots[session] = Slot(number: number, transaction: nil)
                return .success(nil)
            }
            if number < slot.number { return .failure(Self.tooOld(number, slot.number)) }
            guard number > slot.number else {
                guard slot.transaction != nil else { return .success(nil) }
                return .failure(
                    DBError(
                        .incompleteTransactionHistory,
                        "Cannot retry a retryable write with txnNumber \(number): the session has "
                            + "used the number for a transaction"))
            }
            slots[session] = Slot(number: number, transaction: nil)
            return .success(slot.transaction)
        }
        try outcome.get()?.abort()
    }

    /// The transaction that a statement belongs to, begun by the first one.
    /// - Throws: 117, 225, 251, 256 where the number doesn't fit.
    func transaction(
        _ session: SessionID, _ statement: TransactionStatement, _ engine: RoostEngine
    ) throws(DBError) -> Transaction {
        guard statement.isFirst else {
            guard let transaction = try find(session, statement.number) else {
                throw DBError(
                    .noSuchTransaction,
                    "Given transaction number \(statement.number) does not match any in-progress "
                        + "transactions. The active transaction number is "
                        + "\(known(session)?.number ?? -1)")
            }
            try Self.checkIsOpen(transaction, statement.number)
            return transaction
        }
        // What an earlier process committed is not begun again.
        var last: Int64 = -1
        if let slot = known(session) {
            last = slot.number
        } else if let number = try engine.lastNumber(of: session.outcomeName) {
            last = number
        }
        guard statement.number >= last else { throw Self.tooOld(statement.number, last) }
        guard statement.number != last else {
            throw DBError(
                .conflictingOperationInProgress,
                "Only servers in a sharded cluster can start a new transaction at the active "
                    + "transaction number")
        }
        let transaction = try engine.beginTransaction(
            isSerializable: statement.isSerializable)
        let replaced = slots.withLock { slots in
            slots.updateValue(
                Slot(number: statement.number, transaction: transaction), forKey: session)
        }
        replaced?.transaction?.abort()
        return transaction
    }

    /// The transaction of that number; nil where this process knows none.
    /// - Throws: 225 where the session has gone on.
    func find(_ session: SessionID, _ number: Int64) throws(DBError) -> Transaction? {
        guard let slot = slots.withLock({ $0[session] }) else { return nil }
        guard number >= slot.number else { throw Self.tooOld(number, slot.number) }
        return number == slot.number ? slot.transaction : nil
    }

    private func known(_ session: SessionID) -> Slot? {
        slots.withLock { $0[session] }
    }

    private static func checkIsOpen(
        _ transaction: Transaction, _ number: Int64
    ) throws(DBError) {
        switch transaction.phase {
        case .open: return
        case .committing, .committed: throw committed(number)
        case .aborted:
            // Where the server ended it, it says why.
            if let end = transaction.end, end.code == .snapshotUnavailable { throw end }
            throw aborted(number)
        }
    }

    /// The error where a transaction was committed.
    static func committed(_ number: Int64) -> DBError {
        DBError(
            .transactionCommitted, "Transaction with { txnNumber: \(number) } has been committed.")
    }

    /// The error where a transaction was aborted.
    static func aborted(_ number: Int64) -> DBError {
        DBError(
            .noSuchTransaction, "Transaction with { txnNumber: \(number) } has been aborted.")
    }

    private static func tooOld(_ number: Int64, _ last: Int64) -> DBError {
        DBError(
            .transactionTooOld,
            "Cannot start transaction with { txnNumber: \(number) } on the session because a newer "
                + "transaction with txnNumber \(last) has already started on this session.")
    }

    /// Ends the transactions of sessions that end.
    func end(_ sessions: [SessionID]) {
        let ended = slots.withLock { slots in
            sessions.compactMap { slots.removeValue(forKey: $0)?.transaction }
        }
        for transaction in ended { transaction.abort() }
    }
}

extension DBError {
    /// Whether a transaction may succeed when it is run again from its start.
    func isTransient(isEnd: Bool) -> Bool {
        switch code {
        case .writeConflict, .snapshotUnavailable, .snapshotTooOld, .noSuchTransaction,
            .temporarilyUnavailable,
            DBError.Code(rawValue: 24), DBError.Code(rawValue: 267):
            true
        default: !isEnd && code.isRetryableForWrites
        }
    }
}

extension SpecialFields {
    /// Finds or begins what the command belongs to: a transaction, a retryable write, a snapshot.
    mutating func enter(_ core: ServerCore) throws(DBError) {
        if let session, let statement {
            if statement.isEnd { return }
            transaction = try core.transactions.transaction(session, statement, core.engine)
            view = transaction?.view
        } else if let session, let number = transactionNumber {
            try core.transactions.noteWrite(session, number)
        } else if case .some(let time) = snapshotTime {
            view = try core.engine.snapshot(at: time)
        }
    }

    /// Under what the outcome of a retryable write, or a commit, is kept.
    var retry: RetryIdentity? {
        guard let session, let number = transactionNumber ?? statement?.number else { return nil }
        return RetryIdentity(session: session.outcomeName, number: number)
    }

    /// The time of the snapshot that a read outside transactions was given.
    var givenSnapshotTime: Timestamp? { transaction == nil ? view?.time : nil }
}
