// setParameter: the settings that can be changed while the server runs.

import BSON
import Roost
import Synchronization
import Wire

enum SetParameter {
    static let definition = CommandDefinition(
        "setParameter", [.adminOnly, .takesAnyField], help: "changes a setting", run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let expiry = call.core.engine.expiry
        var fields = call.body.makeIterator()
        _ = fields.next()
        guard let field = fields.next() else {
            throw DBError(.invalidOptions, "no option found to set, use help:true to see options")
        }
        switch field.nameString {
        case "ttlMonitorSleepSecs":
            guard let seconds = field.value.truncatedInteger, seconds > 0 else {
                throw DBError(
                    .badValue,
                    "Invalid value for parameter ttlMonitorSleepSecs: it must be a number greater "
                        + "than 0")
            }
            reply.append("was", Int32(clamping: expiry.sleepSeconds))
            expiry.set(sleepSeconds: Int(clamping: seconds))
        case "ttlMonitorEnabled":
            guard field.value.type == .bool || field.value.isNumeric else {
                throw DBError(
                    .badValue, "Invalid value for parameter ttlMonitorEnabled: it must be a bool")
            }
            reply.append("was", expiry.isEnabled)
            expiry.set(isEnabled: field.value.isTruthy)
        case "transactionLifetimeLimitSeconds":
            let transactions = call.core.engine.transactions
            guard let seconds = field.value.truncatedInteger, (1...86_400).contains(seconds) else {
                throw DBError(
                    .badValue,
                    "Invalid value for parameter transactionLifetimeLimitSeconds: it must be a "
                        + "number between 1 and 86400")
            }
            reply.append("was", Int32(transactions.secondsMax.rounded()))
            transactions.secondsMax = Double(seconds)
        case "unreadReplyMillis" where call.core.options.offersTestCommands:
            guard let millis = field.value.truncatedInteger, (1...3_600_000).contains(millis) else {
                throw DBError(
                    .badValue,
                    "Invalid value for parameter unreadReplyMillis: it must be a number between 1 "
                        + "and 3600000")
            }
            reply.append("was", call.core.unreadMillisMax)
            call.core.unreadMillis.store(millis, ordering: .relaxed)
        default:
            throw DBError(
                .invalidOptions,
                "attempted to set unrecognized parameter [\(field.nameString)], use help:true to "
                    + "see options")
        }
        return .done
    }
}
