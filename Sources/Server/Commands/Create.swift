// create: makes a collection.

import BSON
import Query
import Roost
import Wire

enum Create {
    static let definition = CommandDefinition(
        "create", [.isWrite, .inStableAPI],
        fields: [
            FieldSpec("capped", .truth), FieldSpec("size", .number), FieldSpec("max", .number),
            FieldSpec("autoIndexId", .truth), FieldSpec("idIndex", .document),
            FieldSpec("storageEngine", .document), FieldSpec("validator", .document),
            FieldSpec("validationLevel", .string), FieldSpec("validationAction", .string),
            FieldSpec("indexOptionDefaults", .document), FieldSpec("viewOn", .string),
            FieldSpec("pipeline", .array), FieldSpec("collation", .document),
            FieldSpec("changeStreamPreAndPostImages", .document),
            FieldSpec("timeseries", .document), FieldSpec("clusteredIndex", .any),
            FieldSpec("expireAfterSeconds", .any), FieldSpec("encryptedFields", .document),
            FieldSpec("temp", .truth), FieldSpec("flags", .number),
        ], help: "makes a collection", run: run)

    /// Options that change what a collection does and that are not there yet: each is refused by
    /// its name, since ignoring it would be a lie.
    private static let unsupported: [StaticString] = [
        "validator", "viewOn", "pipeline", "timeseries", "clusteredIndex", "expireAfterSeconds",
        "encryptedFields", "changeStreamPreAndPostImages",
    ]

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let namespace = try call.namespace()
        try namespace.validate()
        let options = try options(call)
        for option in unsupported where call.value(option) != nil {
            throw DBError(
                .notImplemented, "create with the option '\(option)' is not supported yet")
        }
        if call.truth("capped") == true {
            throw DBError(.notImplemented, "capped collections are not supported yet")
        }
        if call.value("size") != nil || call.value("max") != nil {
            throw DBError(
                .invalidOptions, "the 'size' and 'max' options need capped: true")
        }
        let ticket = call.ticket()
        let concern = call.special.writeConcern
        call.core.engine.createCollection(namespace, options: options) { outcome in
            ticket.answer { reply throws(DBError) in
                try outcome.get()
                WriteReply.appendConcern(concern, &reply)
            }
        }
        return .deferred
    }

    /// What of the options is kept: the default collation, with all its fields.
    /// - Throws: what `Collation.parse` throws; 2 for an `_id` index with another collation.
    private static func options(_ call: borrowing CommandCall) throws(DBError) -> Document {
        var collation: Collation?
        if let document = call.document("collation") {
            collation = try Collation.parse(document)
        }
        if let wanted = call.document("idIndex")?.value("collation")?.document,
            !Collation.areSame(try Collation.parse(wanted), collation)
        {
            throw DBError(
                .badValue, "'idIndex' must have the same collation as the collection.")
        }
        guard let collation else { return Document() }
        return Document { $0.append("collation", collation.document) }
    }
}
