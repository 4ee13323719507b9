// getParameter: the few settings that drivers and their tests look at.

import BSON
import Roost
import Wire

enum GetParameter {
    static let definition = CommandDefinition(
        "getParameter", aliases: ["getparameter"], [.adminOnly, .takesAnyField],
        fields: [FieldSpec("allParameters", .any)], help: "says the values of settings", run: run)

    private static func settings(_ core: ServerCore) -> [(name: String, value: Value)] {
        let topology = core.topology
        return [
            ("authSchemaVersion", 5),
            ("authenticationMechanisms", []),
            ("cursorTimeoutMillis", .int64(Int64(core.options.timeouts.cursorSeconds * 1_000))),
            ("enableTestCommands", .bool(core.options.offersTestCommands)),
            ("featureCompatibilityVersion", ["version": .string(Version.featureCompatibility)]),
            ("localLogicalSessionTimeoutMinutes", .int32(SessionTable.timeoutMinutes)),
            ("logLevel", 0),
            ("maxBSONDepth", .int32(Int32(Limits.nestingDepthMax))),
            ("quiet", false),
            ("requireApiVersion", false),
            ("transactionLifetimeLimitSeconds", 60),
            ("ttlMonitorEnabled", .bool(core.engine.expiry.isEnabled)),
            ("ttlMonitorSleepSecs", .int32(Int32(clamping: core.engine.expiry.sleepSeconds))),
            ("replicaSetName", topology.setName.map { .string($0) } ?? ""),
        ]
    }

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let settings = settings(call.core)
        let command = call.commandValue
        let wantsAll =
            command.string == "*"
            || command.document?.value("allParameters")?.isTruthy == true
        var found = 0
        var fields = call.body.makeIterator()
        _ = fields.next()
        let answer = Document { writer in
            if wantsAll {
                for (name, value) in settings { writer.append(name, value) }
                found = settings.count
                return
            }
            while let field = fields.next() {
                let name = field.nameString
                guard let setting = settings.first(where: { $0.name == name }) else { continue }
                writer.append(name, setting.value)
                found += 1
            }
        }
        guard found > 0 else {
            throw DBError(.invalidOptions, "no option found to get")
        }
        reply.appendFields(of: answer.view)
        return .done
    }
}
