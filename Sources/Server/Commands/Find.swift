// find: opens a cursor and answers its first batch.
//
// The commonest find, one document by `_id`, has a path of its own: no plan, no cursor, nothing
// allocated; the document goes from the store's page into the reply.

import BSON
import Query
import Roost
import Synchronization
import Wire

enum Find {
    static let fields: [FieldSpec] =
        [
            FieldSpec("filter", .document, refusesNull: true), FieldSpec("sort", .document),
            FieldSpec("projection", .document), FieldSpec("hint", [.string, .document]),
            FieldSpec("skip", .number), FieldSpec("limit", .number),
            FieldSpec("batchSize", .number),
            FieldSpec("singleBatch", .truth), FieldSpec("collation", .document),
            FieldSpec("let", .document), FieldSpec("min", .document), FieldSpec("max", .document),
            FieldSpec("returnKey", .truth), FieldSpec("showRecordId", .truth),
            FieldSpec("tailable", .truth), FieldSpec("awaitData", .truth),
            FieldSpec("oplogReplay", .truth), FieldSpec("noCursorTimeout", .truth),
            FieldSpec("allowPartialResults", .truth), FieldSpec("allowDiskUse", .truth),
            FieldSpec("ntoreturn", .number), FieldSpec("snapshot", .truth),
        ] + ReadScope.fields

    static let definition = CommandDefinition(
        "find", [.inStableAPI, .takesReadConcern, .inTransaction, .takesSnapshot], fields: fields,
        access: .collection([.find]), help: "finds documents", run: run
    )

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        call.core.counters.queries.wrappingAdd(1, ordering: .relaxed)
        let namespace = try call.namespace()
        let isTrusted = !call.principal.isUnderRules
        if isTrusted {
            if try runPoint(call, namespace, &reply) { return .done }
            if let outcome = try OplogRead.run(call, namespace, &reply) { return outcome }
        }
        if let view = try call.resolveView(namespace) {
            try ReadScope(call).checkIsOfCollection("a view")
            let cursor = try call.core.engine.openCursor(try ViewRead.find(call, view))
            return try BatchRun.start(cursor, try plan(call, namespace), call, &reply)
        }
        let request = try findRequest(call, namespace)
        let cursor = try call.core.engine.openCursor(request)
        let outcome = try BatchRun.start(cursor, try plan(call, namespace), call, &reply)
        if isTrusted, case .done = outcome, cursor.isAtEnd, !call.arguments.hasSpecialCommonFields,
            call.arguments.hasOnly(repeatableFields), call.integer("limit") ?? 0 >= 0
        {
            call.connection.repeatedRead = RepeatedRead(call, cursor, namespace)
        }
        return outcome
    }

    /// The fields of finds whose like may be answered without a plan of their own.
    private static let repeatableFields = PlaceSet(
        ["filter", "sort", "limit", "singleBatch"], of: fields)

    // MARK: By _id

    /// Answers a find of one `_id` without other wishes; false where it is something else.
    private static func runPoint(
        _ call: borrowing CommandCall, _ namespace: Namespace, _ reply: inout ReplyWriter
    ) throws(DBError) -> Bool {
        guard !call.arguments.hasSpecialCommonFields,
            call.arguments.hasOnly(plainFields),
            let filter = call.document("filter"), let id = PointRead.id(in: filter),
            call.integer("limit") ?? 0 >= 0, call.integer("batchSize") ?? 1 > 0
        else { return false }
        let found = call.core.engine.collection(namespace)
        guard found?.hasKeysOfIDs ?? !AccountCollections.contains(namespace) else { return false }
        let document = reply.openDocument("cursor")
        let batch = reply.openArray("firstBatch")
        if let found {
            let loop = call.connection.loop
            let outcome = try loop.pointRead.read(id, of: found, loop.reader, into: &reply)
            if outcome == .stale {
                reply.restart()
                return false
            }
        }
        BatchRun.writeEnd(id: 0, namespace, &reply, cursorMark: document, batchMark: batch)
        call.connection.repeatedRead = RepeatedRead(call, id: id, namespace)
        return true
    }

    /// The fields that don't keep a find by `_id` from being the simple one.
    private static let plainFields = PlaceSet(
        ["filter", "limit", "batchSize", "singleBatch"], of: fields)

    // MARK: In general

    /// The request in a find command's fields; explain reads it too.
    static func findRequest(
        _ call: borrowing CommandCall, _ namespace: Namespace
    ) throws(DBError) -> FindRequest {
        try namespace.validate()
        let scope = try ReadScope(call)
        let compiler = try QueryCompiler(call, namespace, seesDeleted: scope != .live)
        var request = FindRequest(namespace, filter: try compiler.filter(call.document("filter")))
        request.access = try call.access()
        request.scope = scope
        request.showsDeletion =
            scope != .live && call.asksForDeletion(["filter", "projection", "sort"])
        request.sort = call.ownedDocument("sort")
        request.projection = try compiler.projection(
            call.document("projection"), of: request.filter, sort: call.document("sort"))
        let skip = try nonNegative("skip", call) ?? 0
        let limit = try nonNegative("limit", call) ?? 0
        request.skip = Int(clamping: skip)
        request.limit = Int(clamping: limit)
        request.hint = call.ownedValue("hint")
        request.min = call.ownedDocument("min")
        request.max = call.ownedDocument("max")
        request.returnsKey = call.truth("returnKey") == true
        request.showsRecordID = call.truth("showRecordId") == true
        request.deadline = call.special.deadline
        request.view = call.special.view
        request.allowsDiskUse = call.truth("allowDiskUse") ?? true
        request.isTailable = call.truth("tailable") == true
        request.awaitsData = call.truth("awaitData") == true
        try checkTailable(call, request)
        return request
    }

    private static func checkTailable(
        _ call: borrowing CommandCall, _ request: FindRequest
    ) throws(DBError) {
        if request.awaitsData, !request.isTailable {
            throw DBError(
                .failedToParse, "Cannot set 'awaitData' without also setting 'tailable'")
        }
        guard request.isTailable else { return }
        try request.scope.checkIsOfCollection("a tailable cursor")
        if call.truth("singleBatch") == true || call.integer("limit") ?? 0 < 0 {
            throw DBError(
                .badValue, "Cannot use tailable cursors with the 'singleBatch' option")
        }
        if let sort = request.sort, !sort.isEmpty,
            sort.view.count != 1 || sort.view.value("$natural")?.truncatedInteger != 1
        {
            throw DBError(
                .badValue,
                "cannot use tailable option with a sort other than {$natural: 1}")
        }
    }

    private static func plan(
        _ call: borrowing CommandCall, _ namespace: Namespace
    ) throws(DBError) -> BatchPlan {
        let batchSize = try nonNegative("batchSize", call).map { Int(clamping: $0) }
        var plan = BatchPlan(
            namespace: namespace, owner: call.cursorOwner,
            limits: BatchLimits(documentsMax: batchSize ?? BatchLimits.firstBatchDocuments))
        plan.snapshotTime = call.special.givenSnapshotTime
        plan.isSingleBatch = call.truth("singleBatch") == true
        plan.isKeptWhenIdle = call.truth("noCursorTimeout") == true
        return plan
    }

    /// A number that must not be negative.
    static func nonNegative(
        _ name: StaticString, _ call: borrowing CommandCall
    ) throws(DBError) -> Int64? {
        guard let number = call.integer(name) else { return nil }
        guard number >= 0 else {
            throw DBError(
                .badValue,
                "BSON field '\(name)' value must be >= 0, actual value '\(number)'")
        }
        return number
    }
}
