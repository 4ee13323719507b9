// create: makes a collection.

import BSON
import Query
import Roost
import Wire

enum Create {
    static let definition = CommandDefinition(
        "create", [.isWrite, .inStableAPI, .inTransaction, .takesReadConcern],
        fields: [
            FieldSpec("capped", .truth), FieldSpec("size", .number), FieldSpec("max", .number),
            FieldSpec("autoIndexId", .truth), FieldSpec("idIndex", .document),
            FieldSpec("storageEngine", .document), FieldSpec("validator", .document),
            FieldSpec("validationLevel", .string), FieldSpec("validationAction", .string),
            FieldSpec("indexOptionDefaults", .document), FieldSpec("viewOn", .string),
            FieldSpec("pipeline", .array), FieldSpec("collation", .document),
            FieldSpec("changeStreamPreAndPostImages", .document),
            FieldSpec("timeseries", .document),
            FieldSpec("clusteredIndex", [.document, .truth], refusesNull: true),
            FieldSpec("expireAfterSeconds", .number), FieldSpec("encryptedFields", .document),
            FieldSpec("temp", .truth), FieldSpec("flags", .number),
            FieldSpec("softDelete", .any),
        ], access: .create, help: "makes a collection", run: run)

    /// Options that change what a collection does and that are not there yet: each is refused by
    /// its name, since ignoring it would be a lie.
    private static let unsupported: [StaticString] = ["encryptedFields"]

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let namespace = try call.namespace()
        try namespace.validate()
        try CreateChecks.check(call)
        let clusteredIndex = try CreateClustered.clusteredIndex(call)
        let seconds = try CreateClustered.expireAfterSeconds(
            call, isClustered: clusteredIndex != nil)
        let timeSeries = try CreateTimeSeries.options(call)
        let softDelete = try softDelete(call)
        for option in unsupported where call.value(option) != nil {
            throw DBError(
                .notImplemented, "create with the option '\(option)' is not supported yet")
        }
        let options = try keptOptions(call, namespace) { writer in
            if let clusteredIndex { writer.append("clusteredIndex", clusteredIndex) }
            if let seconds { writer.append("expireAfterSeconds", seconds) }
            if let timeSeries { writer.append("timeseries", timeSeries.document) }
            if let softDelete { writer.append("softDelete", softDelete) }
        }
        let ticket = call.ticket()
        let concern = call.special.writeConcern
        let answer = { @Sendable (outcome: Result<Void, DBError>) in
            ticket.answer { reply throws(DBError) in
                try outcome.get()
                WriteReply.appendConcern(concern, &reply)
            }
        }
        if let transaction = call.special.transaction {
            transaction.createCollection(namespace, options: options, completion: answer)
        } else {
            call.core.engine.createCollection(namespace, options: options, completion: answer)
        }
        return .deferred
    }

    /// The option `softDelete`; nil where deletes are to be final.
    private static func softDelete(_ call: borrowing CommandCall) throws(DBError) -> Document? {
        guard let value = call.value("softDelete"),
            let option = try SoftDelete.option(value, "create.softDelete")
        else { return nil }
        guard call.value("viewOn") == nil else {
            throw DBError(
                .invalidOptions,
                "'softDelete' is not for views: set it on the collection whose documents are "
                    + "deleted")
        }
        return option
    }

    /// The options of a view; empty where none is meant. `changing`: a view that keeps what is not
    /// named.
    static func viewOptions(
        _ call: borrowing CommandCall, _ namespace: Namespace, changing view: ViewDefinition? = nil
    ) throws(DBError) -> Document {
        guard let source = call.string("viewOn") ?? view?.source else {
            guard call.value("pipeline") == nil else {
                throw DBError(.invalidOptions, "'pipeline' requires 'viewOn' to also be specified")
            }
            return Document()
        }
        guard !source.isEmpty else { throw DBError(.badValue, "'viewOn' cannot be empty") }
        try Namespace(call.database, source).validate()
        try call.core.engine.checkView(namespace, on: source)
        var stages = view?.stages ?? []
        // MongoDB leaves out what is null.
        if let list = call.value("pipeline")?.array {
            stages = ViewRead.values(list).filter { $0 != .null }
        }
        let pipeline = try ServerStages.viewPipeline(stages, call)
        if let destination = pipeline.destination {
            throw DBError(
                .optionNotSupportedOnView,
                "The aggregation stage \(destination.stageName) is not supported in a view")
        }
        return ["viewOn": .string(source), "pipeline": .array(stages)]
    }

    /// The options as they are kept and listed.
    /// - Throws: what `Collation.parse` throws; 2 for an `_id` index with another collation.
    private static func keptOptions(
        _ call: borrowing CommandCall, _ namespace: Namespace,
        _ appendMore: (inout DocumentWriter) -> Void
    ) throws(DBError) -> Document {
        let view = try viewOptions(call, namespace)
        let collation = try collation(call)
        // A view takes what is meant for collections, and does nothing with it.
        let given = view.isEmpty ? try storageOptions(call) : view
        let options = CollectionOptions.completed(
            Document { writer in
                writer.appendFields(of: given.view)
                if let collation { writer.append("collation", collation.document) }
                appendMore(&writer)
            })
        // What makes no sense is refused here, whether or not the collection is there already.
        _ = try CollectionTraits(options)
        return options
    }

    private static func collation(_ call: borrowing CommandCall) throws(DBError) -> Collation? {
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
        return collation
    }

    /// Cap, validator, and what change streams are to show of the collection.
    private static func storageOptions(
        _ call: borrowing CommandCall
    ) throws(DBError) -> Document {
        var given: [(name: String, value: Value)] = []
        if call.truth("capped") == true { given.append(("capped", .bool(true))) }
        if let size = call.integer("size") {
            given.append(("size", CollectionOptions.number(try CappedLimits.checkedSize(size))))
        }
        if let count = call.integer("max"), try CappedLimits.checkedCount(count) != nil {
            given.append(("max", CollectionOptions.number(count)))
        }
        if let validator = call.ownedDocument("validator"), !validator.isEmpty {
            given.append(("validator", .document(validator)))
        }
        for name: StaticString in ["validationLevel", "validationAction"] {
            if let value = call.string(name) { given.append(("\(name)", .string(value))) }
        }
        if let images = call.ownedDocument("changeStreamPreAndPostImages"),
            images["enabled"] == true
        {
            given.append(("changeStreamPreAndPostImages", .document(images)))
        }
        return Document { writer in for (name, value) in given { writer.append(name, value) } }
    }
}
