// collMod: changes a collection's options, or an index's.

import BSON
import Query
import Roost
import Wire

enum CollMod {
    static let definition = CommandDefinition(
        "collMod", [.isWrite, .inStableAPI],
        fields: [
            FieldSpec("index", .document), FieldSpec("validator", .document),
            FieldSpec("validationLevel", .string), FieldSpec("validationAction", .string),
            FieldSpec("viewOn", .string), FieldSpec("pipeline", .array),
            FieldSpec("expireAfterSeconds", [.number, .string]),
            FieldSpec("timeseries", .document),
            FieldSpec("changeStreamPreAndPostImages", .document),
            FieldSpec("cappedSize", .number), FieldSpec("cappedMax", .number),
            FieldSpec("dryRun", .truth), FieldSpec("softDelete", .any),
        ], access: .collMod, help: "changes a collection's options", run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let namespace = try call.namespace()
        try namespace.validate()
        guard !namespace.isViewCatalog else {
            throw DBError(.invalidOptions, "cannot modify \(namespace): modify the views")
        }
        guard let entry = call.core.engine.collection(namespace) else {
            throw DBError(.namespaceNotFound, "ns does not exist: \(namespace)")
        }
        var modification = CollectionModification()
        if let change = call.document("timeseries") {
            modification.timeSeries = try TimeSeriesChange.parse(change, "collMod.timeseries")
        }
        modification.validator = call.ownedDocument("validator")
        modification.validationLevel = call.string("validationLevel")
        modification.validationAction = call.string("validationAction")
        if let size = call.integer("cappedSize") {
            modification.cappedBytes = try CappedLimits.checkedSize(size)
        }
        if let count = call.integer("cappedMax") {
            modification.cappedDocuments = try CappedLimits.checkedCount(count) ?? 0
        }
        if let images = call.document("changeStreamPreAndPostImages") {
            modification.showsImages = try CreateChecks.showsImages(
                images, "collMod.changeStreamPreAndPostImages")
            guard entry.view == nil else {
                throw DBError(
                    .invalidOptions,
                    "option not supported on a view: changeStreamPreAndPostImages")
            }
        }
        modification.expiry = try expiry(call)
        if let value = call.value("softDelete") {
            let option = try SoftDelete.option(value, "collMod.softDelete")
            modification.softDelete = option.map { .keep($0) } ?? .final
        }
        if let index = call.document("index") { modification.index = try read(index) }
        if call.truth("dryRun") == true {
            guard modification.index?.becomesUnique == true else {
                throw DBError(
                    .invalidOptions, "dryRun is only for turning an index into a unique one")
            }
            modification.index?.isDryRun = true
        }
        if call.string("viewOn") != nil || call.value("pipeline")?.array != nil {
            modification.view = try view(call, entry)
        }
        let ticket = call.ticket()
        let concern = call.special.writeConcern
        call.core.engine.modifyCollection(namespace, modification) { outcome in
            ticket.answer { reply throws(DBError) in
                let report = try outcome.get()
                reply.appendFields(of: report.view)
                WriteReply.appendConcern(concern, &reply)
            }
        }
        return .deferred
    }

    /// A view's options with what is to change; the other of `viewOn` and `pipeline` stays.
    private static func view(
        _ call: borrowing CommandCall, _ entry: CollectionEntry
    ) throws(DBError) -> Document {
        guard let view = entry.view else {
            throw DBError(
                .invalidOptions, "'viewOn' and 'pipeline' are only supported on a view")
        }
        return try Create.viewOptions(call, entry.namespace, changing: view)
    }

    /// The new age of a clustered collection's documents, or "off".
    private static func expiry(
        _ call: borrowing CommandCall
    ) throws(DBError) -> ExpiryModification? {
        guard let value = call.value("expireAfterSeconds") else { return nil }
        if let seconds = value.truncatedInteger {
            try ClusteredIndex.check(expireAfterSeconds: seconds)
            return .after(seconds)
        }
        guard value.string == "off" else {
            throw DBError(
                .invalidOptions, "'expireAfterSeconds' must be a number or \"off\"")
        }
        return .never
    }

    private static let indexFields = [
        FieldSpec("name", .string), FieldSpec("keyPattern", .document),
        FieldSpec("expireAfterSeconds", .number), FieldSpec("hidden", .truth),
        FieldSpec("unique", .truth), FieldSpec("prepareUnique", .truth),
    ]

    private static func read(_ index: DocumentView) throws(DBError) -> IndexModification {
        try StatementReader.check(index, "collMod.index", indexFields)
        let selection: IndexSelection
        switch (index.value("name")?.string, index.value("keyPattern")?.document) {
        case (_?, _?):
            throw DBError(.invalidOptions, "Cannot specify both key pattern and name.")
        case (let name?, nil): selection = .names([name])
        case (nil, let pattern?): selection = .keyPattern(Document(copying: pattern))
        case (nil, nil):
            throw DBError(.invalidOptions, "Must specify either index name or key pattern.")
        }
        var modification = IndexModification(selection)
        modification.expireAfterSeconds = try seconds(index)
        modification.isHidden = truth("hidden", index)
        modification.preparesUnique = truth("prepareUnique", index)
        if let isUnique = truth("unique", index) {
            guard isUnique else {
                throw DBError(.badValue, "An index can't be made non-unique: drop and create it")
            }
            modification.becomesUnique = true
        }
        guard !modification.isEmpty else {
            throw DBError(
                .invalidOptions,
                "no expireAfterSeconds, hidden, unique, or prepareUnique field")
        }
        return modification
    }

    /// A flag; nil where it is not sent or null.
    private static func truth(_ name: StaticString, _ index: DocumentView) -> Bool? {
        guard let value = index.value(name), !value.isNullish else { return nil }
        return value.isTruthy
    }

    /// The new age at which documents expire; what is beyond int32 becomes its end.
    private static func seconds(_ index: DocumentView) throws(DBError) -> Int64? {
        guard let seconds = index.value("expireAfterSeconds")?.truncatedInteger else { return nil }
        guard seconds >= 0 else {
            throw DBError(
                .invalidOptions,
                "TTL index 'expireAfterSeconds' option must be within an acceptable range, try a "
                    + "different number than \(seconds)")
        }
        return min(seconds, Int64(Int32.max))
    }
}
