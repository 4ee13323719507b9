// collMod: changes a collection's options. None can be changed yet, and it says which.

import BSON
import Roost
import Wire

enum CollMod {
    static let definition = CommandDefinition(
        "collMod", [.isWrite, .inStableAPI],
        fields: [
            FieldSpec("index", .document), FieldSpec("validator", .document),
            FieldSpec("validationLevel", .string), FieldSpec("validationAction", .string),
            FieldSpec("viewOn", .string), FieldSpec("pipeline", .array),
            FieldSpec("expireAfterSeconds", .any), FieldSpec("timeseries", .document),
            FieldSpec("changeStreamPreAndPostImages", .document),
            FieldSpec("cappedSize", .number), FieldSpec("cappedMax", .number),
            FieldSpec("dryRun", .truth),
        ], help: "changes a collection's options", run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let namespace = try call.namespace()
        try namespace.validate()
        guard call.core.engine.collection(namespace) != nil else {
            throw DBError(.namespaceNotFound, "ns does not exist: \(namespace)")
        }
        for spec in call.command.fields.specs.dropFirst(FieldTable.common.count)
        where call.value(spec.name) != nil {
            throw DBError(
                .notImplemented, "collMod with the option '\(spec.name)' is not supported yet")
        }
        return .done
    }
}
