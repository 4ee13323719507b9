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
        "validator", "timeseries", "clusteredIndex", "expireAfterSeconds",
        "encryptedFields", "changeStreamPreAndPostImages",
    ]

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let namespace = try call.namespace()
        try namespace.validate()
        try CreateChecks.check(call)
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
        let options = try keptOptions(call, namespace)
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

    /// The options of a view; empty where none is meant.
    private static func viewOptions(
        _ call: borrowing CommandCall, _ namespace: Namespace
    ) throws(DBError) -> Document {
        guard let source = call.string("viewOn") else {
            guard call.value("pipeline") == nil else {
                throw DBError(.invalidOptions, "'pipeline' requires 'viewOn' to also be specified")
            }
            return Document()
        }
        try Namespace(call.database, source).validate()
        try call.core.engine.checkView(namespace, on: source)
        var stages: [Value] = []
        if let list = call.value("pipeline")?.array { stages = ViewRead.values(list) }
        let pipeline = try QueryCompiler(call).pipeline(stages)
        if let destination = pipeline.destination {
            throw DBError(
                .optionNotSupportedOnView,
                "The aggregation stage \(destination.stageName) is not supported in a view")
        }
        return ["viewOn": .string(source), "pipeline": .array(stages)]
    }

    /// What of the options is kept: a view's definition, and the default collation with all its
    /// fields.
    /// - Throws: what `Collation.parse` throws; 2 for an `_id` index with another collation.
    private static func keptOptions(
        _ call: borrowing CommandCall, _ namespace: Namespace
    ) throws(DBError) -> Document {
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
        let view = try viewOptions(call, namespace)
        return Document { writer in
            writer.appendFields(of: view.view)
            if let collation { writer.append("collation", collation.document) }
        }
    }
}
