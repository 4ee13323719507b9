// getClusterParameter and setClusterParameter: settings that MongoDB keeps for a whole cluster. Here
// they last until the server ends.

import BSON
import Roost
import Wire

/// What is known by these commands.
enum ClusterParameters {
    /// All of them with their values.
    static func all(_ core: ServerCore) -> [(name: String, fields: Document)] {
        let values = core.settings.values
        let age = core.engine.imageAge.secondsMax.map { Value.int64($0) } ?? "off"
        return [
            ("changeStreamOptions", ["preAndPostImages": ["expireAfterSeconds": age]]),
            ("changeStreams", ["expireAfterSeconds": .int64(values.tenantImageSeconds)]),
            ("defaultMaxTimeMS", ["readOperations": .int64(0)]),
            (
                "pauseMigrationsDuringMultiUpdates",
                ["enabled": .bool(values.pausesMigrations)]
            ),
        ]
    }

    static func unknown(_ name: String) -> DBError {
        DBError(.noSuchKey, "Unknown server parameter: \(name)")
    }
}

enum GetClusterParameter {
    static let definition = CommandDefinition(
        "getClusterParameter", [.adminOnly, .takesAnyField],
        access: .cluster([.getClusterParameter]), help: "shows settings of a whole cluster"
    ) { call, reply throws(DBError) in
        let parameters = ClusterParameters.all(call.core)
        var found: [Value] = []
        for name in try names(call.commandValue) ?? parameters.map(\.name) {
            guard let parameter = parameters.first(where: { $0.name == name }) else {
                throw ClusterParameters.unknown(name)
            }
            let document = Document { writer in
                writer.append("_id", name)
                writer.appendFields(of: parameter.fields.view)
            }
            found.append(.document(document))
        }
        reply.append("clusterParameters", .array(found))
        return .done
    }

    /// The names that are asked for, each once; nil for all.
    private static func names(_ value: ValueView) throws(DBError) -> [String]? {
        if let name = value.string { return name == "*" ? nil : [name] }
        guard let list = value.array else {
            throw DBError(
                .typeMismatch,
                "getClusterParameter takes a name, a list of names or '*', not a value of type "
                    + value.type.alias)
        }
        var names: [String] = []
        var elements = list.makeIterator()
        while let element = elements.next() {
            guard let name = element.value.string else {
                throw DBError(
                    .typeMismatch,
                    "getClusterParameter takes names, not a value of type "
                        + element.value.type.alias)
            }
            if !names.contains(name) { names.append(name) }
        }
        guard !names.isEmpty else {
            throw DBError(.badValue, "Must supply at least one cluster parameter's name")
        }
        return names
    }
}

enum SetClusterParameter {
    static let definition = CommandDefinition(
        "setClusterParameter", [.adminOnly, .isWrite, .takesAnyField],
        access: .cluster([.setClusterParameter]), help: "changes a setting of a whole cluster",
        run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        guard let given = call.commandValue.document else {
            throw DBError(
                .typeMismatch,
                "BSON field 'setClusterParameter.setClusterParameter' is the wrong type "
                    + "'\(call.commandValue.type.alias)', expected type 'object'")
        }
        guard let parameter = given.first, given.count == 1 else {
            throw DBError(
                .invalidOptions, "setClusterParameter changes exactly one parameter at a time")
        }
        let name = parameter.nameString
        guard let fields = parameter.value.document else {
            throw DBError(
                .typeMismatch,
                "The value of a cluster parameter must be an object, not of type "
                    + parameter.value.type.alias)
        }
        switch name {
        case "changeStreamOptions": try setImageAge(fields, call.core.engine.imageAge)
        case "changeStreams":
            // For several tenants in one cluster, which there are never here.
            try StatementReader.check(fields, name, [FieldSpec("expireAfterSeconds", .number)])
            let seconds = fields.value("expireAfterSeconds")?.truncatedInteger
            if let seconds, seconds < 1 { throw tooSmall(seconds) }
            guard !fields.isEmpty else { return .done }
            try call.core.settings.change { values throws(DBError) in
                values.tenantImageSeconds = seconds ?? 3_600
            }
        case "pauseMigrationsDuringMultiUpdates":
            // Nothing migrates: there are no shards.
            try StatementReader.check(fields, name, [FieldSpec("enabled", .bool)])
            let pauses = fields.value("enabled")?.bool ?? false
            try call.core.settings.change { values throws(DBError) in
                values.pausesMigrations = pauses
            }
        case "defaultMaxTimeMS":
            try StatementReader.check(fields, name, [FieldSpec("readOperations", .number)])
            guard fields.value("readOperations")?.truncatedInteger ?? 0 == 0 else {
                throw DBError(
                    .notImplemented,
                    "There is no default time limit: send maxTimeMS with each command")
            }
        default: throw ClusterParameters.unknown(name)
        }
        return .done
    }

    /// Reads `{preAndPostImages: {expireAfterSeconds: "off" or a number}}`.
    private static func setImageAge(
        _ fields: DocumentView, _ age: ImageAge
    ) throws(DBError) {
        let place = "changeStreamOptions"
        try StatementReader.check(fields, place, [FieldSpec("preAndPostImages", .document)])
        guard let images = fields.value("preAndPostImages")?.document else {
            return age.set(secondsMax: nil)
        }
        try StatementReader.check(
            images, "\(place).preAndPostImages",
            [FieldSpec("expireAfterSeconds", [.number, .string])])
        guard let value = images.value("expireAfterSeconds"), !value.isNullish else {
            return age.set(secondsMax: nil)
        }
        if let word = value.string {
            guard word == "off" else {
                throw DBError(
                    .badValue, "expireAfterSeconds must be a number or \"off\", not \"\(word)\"")
            }
            return age.set(secondsMax: nil)
        }
        let seconds = value.truncatedInteger ?? 0
        guard seconds > 0 else { throw tooSmall(seconds) }
        age.set(secondsMax: seconds)
    }

    private static func tooSmall(_ seconds: Int64) -> DBError {
        DBError(.badValue, "expireAfterSeconds must be greater than 0, not \(seconds)")
    }
}
