// collMod: changes a collection's options, or an index's.

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

    /// Options of collections that are not there yet: each is refused by its name.
    private static let unsupported: [StaticString] = [
        "expireAfterSeconds", "timeseries",
    ]

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let namespace = try call.namespace()
        try namespace.validate()
        guard let entry = call.core.engine.collection(namespace) else {
            throw DBError(.namespaceNotFound, "ns does not exist: \(namespace)")
        }
        for option in unsupported where call.value(option) != nil {
            throw DBError(
                .notImplemented, "collMod with the option '\(option)' is not supported yet")
        }
        var modification = CollectionModification()
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
        if call.truth("dryRun") == true {
            throw DBError(
                .invalidOptions,
                "dryRun is only for turning an index into a unique one, which is not supported yet")
        }
        if let index = call.document("index") { modification.index = try read(index) }
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

    private static func view(
        _ call: borrowing CommandCall, _ entry: CollectionEntry
    ) throws(DBError) -> Document {
        guard entry.view != nil, call.string("viewOn") != nil,
            call.value("pipeline")?.array != nil
        else {
            throw DBError(
                .invalidOptions, "a view is changed by 'viewOn' and 'pipeline' together")
        }
        if call.string("viewOn") == "" { throw DBError(.badValue, "'viewOn' cannot be empty") }
        return try Create.viewOptions(call, entry.namespace)
    }

    private static let indexFields = [
        FieldSpec("name", .string), FieldSpec("keyPattern", .document),
        FieldSpec("expireAfterSeconds", .number), FieldSpec("hidden", .truth),
        FieldSpec("unique", .truth), FieldSpec("prepareUnique", .truth),
        FieldSpec("forceNonUnique", .truth),
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
        for option: StaticString in ["unique", "prepareUnique", "forceNonUnique"]
        where index.value(option) != nil {
            throw DBError(
                .notImplemented, "collMod of an index with '\(option)' is not supported yet")
        }
        let seconds = try seconds(index)
        let isHidden = index.value("hidden")?.isTruthy
        guard seconds != nil || isHidden != nil else {
            throw DBError(
                .invalidOptions,
                "no expireAfterSeconds, hidden, unique, or prepareUnique field")
        }
        return IndexModification(selection, expireAfterSeconds: seconds, isHidden: isHidden)
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
