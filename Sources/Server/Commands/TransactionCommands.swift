// commitTransaction and abortTransaction.

import BSON
import Roost
import Wire

enum TransactionCommands {
    static let commit = CommandDefinition(
        "commitTransaction", [.isWrite, .inStableAPI, .adminOnly, .inTransaction],
        fields: [FieldSpec("recoveryToken", .document), FieldSpec("commitTimestamp", .timestamp)],
        access: .everyone, help: "makes a transaction durable"
    ) { call, _ throws(DBError) in
        let (statement, retry, session) = try identity(call)
        let ticket = call.ticket()
        let concern = call.special.writeConcern
        let number = statement.number
        let answer = { @Sendable (outcome: Result<Bool, DBError>) in
            ticket.answer { reply throws(DBError) in
                guard try outcome.get() else { throw TransactionTable.aborted(number) }
                WriteReply.appendConcern(concern, &reply)
            }
        }
        if let transaction = try call.core.transactions.find(session, number) {
            transaction.commit(retry) { outcome in answer(outcome.map { true }) }
        } else {
            call.core.engine.findCommit(retry, completion: answer)
        }
        return .deferred
    }

    static let abort = CommandDefinition(
        "abortTransaction", [.isWrite, .inStableAPI, .adminOnly, .inTransaction],
        fields: [FieldSpec("recoveryToken", .document)], access: .everyone,
        help: "gives a transaction up"
    ) { call, reply throws(DBError) in
        let (statement, _, session) = try identity(call)
        let number = statement.number
        guard let transaction = try call.core.transactions.find(session, number) else {
            throw DBError(
                .noSuchTransaction,
                "Given transaction number \(number) does not match any in-progress transactions.")
        }
        switch transaction.phase {
        case .open: transaction.abort()
        case .committing, .committed: throw TransactionTable.committed(number)
        case .aborted: throw TransactionTable.aborted(number)
        }
        WriteReply.appendConcern(call.special.writeConcern, &reply)
        return .done
    }

    private static func identity(
        _ call: borrowing CommandCall
    ) throws(DBError) -> (TransactionStatement, RetryIdentity, SessionID) {
        guard let statement = call.special.statement, let retry = call.special.retry,
            let session = call.special.session
        else {
            throw DBError(
                .commandFailed, "\(call.command.name) must be run within a transaction")
        }
        return (statement, retry, session)
    }
}
