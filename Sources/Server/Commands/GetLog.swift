// getLog: the last lines of the log.

import BSON
import Wire

enum GetLog {
    static let definition = CommandDefinition(
        "getLog", .adminOnly, access: .cluster([.getLog]), help: "shows the last lines of the log"
    ) { call, reply throws(DBError) in
        guard let which = call.commandValue.string else {
            throw DBError(
                call.commandValue.type == .null ? .idlMissingField : .typeMismatch,
                "Argument to getLog must be of type String; found "
                    + "\(call.commandValue.type.alias)")
        }
        switch which {
        case "*":
            reply.append("names", ["global", "startupWarnings"])
        case "global":
            let lines = call.core.recentLogs.all
            reply.append("totalLinesWritten", Int32(lines.count))
            reply.append("log", .array(lines.map { .string($0) }))
        case "startupWarnings":
            reply.append("totalLinesWritten", Int32(0))
            reply.append("log", [])
        default:
            throw DBError(.operationFailed, "no RamLog named: \(which)")
        }
        return .done
    }
}
