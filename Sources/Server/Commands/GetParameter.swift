// getParameter: the few settings that drivers and their tests look at.

import BSON
import Roost
import Wire

enum GetParameter {
    static let definition = CommandDefinition(
        "getParameter", aliases: ["getparameter"], [.adminOnly, .takesAnyField],
        fields: [FieldSpec("allParameters", .any)], access: .cluster([.getParameter]),
        help: "says the values of settings", run: run)

    static func settings(_ core: ServerCore) -> [(name: String, value: Value)] {
        let topology = core.topology
        let values = core.settings.values
        return [
            ("allowDiskUseByDefault", true),
            ("authSchemaVersion", 5),
            ("authenticationMechanisms", []),
            ("automationServiceDescriptor", .string(values.automationServiceDescriptor)),
            ("cursorTimeoutMillis", .int64(Int64(core.options.timeouts.cursorSeconds * 1_000))),
            ("enableTestCommands", .bool(core.options.offersTestCommands)),
            ("featureCompatibilityVersion", ["version": .string(values.featureCompatibility)]),
            ("localLogicalSessionTimeoutMinutes", .int32(SessionTable.timeoutMinutes)),
            ("logComponentVerbosity", .document(LogComponents.document(values.verbosity))),
            ("logLevel", .int32(values.verbosity[""] ?? 0)),
            ("maxBSONDepth", .int32(Int32(Limits.nestingDepthMax))),
            ("quiet", .bool(values.isQuiet)),
            ("requireApiVersion", false),
            (
                "transactionLifetimeLimitSeconds",
                .int32(Int32(core.engine.transactions.secondsMax.rounded()))
            ),
            ("ttlMonitorEnabled", .bool(core.engine.expiry.isEnabled)),
            ("ttlMonitorSleepSecs", .int32(Int32(clamping: core.engine.expiry.sleepSeconds))),
            ("unreadReplyMillis", .int64(core.unreadMillisMax)),
            ("replicaSetName", topology.setName.map { .string($0) } ?? ""),
        ]
    }

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let settings = settings(call.core)
        let command = call.commandValue
        if let form = command.document { try check(form) }
        let wantsAll =
            command.string == "*"
            || command.document?.value("allParameters")?.isTruthy == true
        let showsDetails = command.document?.value("showDetails")?.isTruthy == true
        var found = 0
        var fields = call.body.makeIterator()
        _ = fields.next()
        let answer = Document { writer in
            if wantsAll {
                for (name, value) in settings { append(name, value, showsDetails, &writer) }
                found = settings.count
                return
            }
            while let field = fields.next() {
                let name = field.nameString
                guard let setting = settings.first(where: { $0.name == name }) else { continue }
                append(name, setting.value, showsDetails, &writer)
                found += 1
            }
        }
        guard found > 0 else {
            throw DBError(.invalidOptions, "no option found to get")
        }
        reply.appendFields(of: answer.view)
        return .done
    }

    /// With details: none can be set at the start under MongoDB's name for it.
    private static func append(
        _ name: String, _ value: Value, _ showsDetails: Bool, _ writer: inout DocumentWriter
    ) {
        guard showsDetails else { return writer.append(name, value) }
        let details = writer.openDocument(name)
        writer.append("value", value)
        writer.append("settableAtRuntime", SetParameter.names.contains(name))
        writer.append("settableAtStartup", false)
        writer.close(details)
    }

    /// Checks the form `{getParameter: {showDetails, allParameters, setAt}}`.
    private static func check(_ form: DocumentView) throws(DBError) {
        try StatementReader.check(
            form, "getParameter",
            [
                FieldSpec("showDetails", .truth), FieldSpec("allParameters", .truth),
                FieldSpec("setAt", .string),
            ])
        guard let time = form.value("setAt")?.string, !["startup", "runtime"].contains(time)
        else { return }
        throw DBError(
            .badValue,
            "Enumeration value '\(time)' for field 'getParameter.setAt' is not a valid value.")
    }
}
