// local.oplog.rs: the change log in the form of MongoDB's replication log, for programs that follow
// that instead of change streams.
//
// There is no such collection: a find of it is a change stream over everything whose events are
// brought into the form of log entries. Documents come whole, after an update too, so an entry can
// be applied as it stands. Entries also have an `_id`: the token with which a change stream goes on
// from there. Two reads are served, those that followers make: the newest entry, and a tailable
// cursor from a time on.

import BSON
import Query
import Roost
import Wire

enum OplogRead {
    /// Answers a find of the log; nil where the find is of another collection.
    /// - Throws: `badValue` (2) for another read than the two, 286 where the entries are gone.
    static func run(
        _ call: borrowing CommandCall, _ namespace: Namespace, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome? {
        guard namespace.isOplog, namespace.collection == "oplog.rs",
            call.core.topology.isReplicaSet
        else { return nil }
        let engine = call.core.engine
        let isTailable = call.truth("tailable") == true
        let start = isTailable ? lowest(call.document("filter")) : engine.newestLogTime
        guard let start, isTailable || asksForTheNewest(call) else {
            throw DBError(
                .badValue,
                "local.oplog.rs is read by a tailable cursor with {ts: {$gte: …}}, or for its "
                    + "newest entry with sort {$natural: -1} and limit 1; a change stream has more")
        }
        let compiler = try QueryCompiler(call)
        var stages: [Value] = [["$replaceWith": entry]]
        if let filter = call.ownedDocument("filter"), !filter.isEmpty {
            stages.append(["$match": .document(filter)])
        }
        let request = ChangeStreamRequest(
            logFrom: start, namespace, pipeline: try compiler.pipeline(stages))
        let cursor = engine.openCursor(request)
        if !isTailable { return answerNewest(cursor, namespace, call) }
        let batchSize = call.integer("batchSize").map { Int(clamping: $0) }
        let plan = BatchPlan(
            namespace: namespace, owner: call.cursorOwner,
            limits: BatchLimits(documentsMax: batchSize ?? BatchLimits.firstBatchDocuments))
        return try BatchRun.start(cursor, plan, call, &reply)
    }

    /// A command tells its last entry last; those before are passed over.
    private static func answerNewest(
        _ cursor: QueryCursor, _ namespace: Namespace, _ call: borrowing CommandCall
    ) -> CommandOutcome {
        let ticket = call.ticket()
        call.core.engine.readerPool.submit { reader in
            ticket.answer { reply throws(DBError) in
                var newest = Newest()
                var seen = -1
                while seen < newest.count {
                    seen = newest.count
                    _ = try cursor.advanceFully(reader, documentsMax: .max, into: &newest)
                }
                let document = reply.openDocument("cursor")
                let batch = reply.openArray("firstBatch")
                if let entry = newest.document { reply.append(element: entry.view) }
                BatchRun.writeEnd(
                    id: 0, namespace, &reply, cursorMark: document, batchMark: batch)
            }
        }
        return .deferred
    }

    private struct Newest: DocumentSink {
        var document: Document?
        var count = 0

        mutating func append(_ document: DocumentView) {
            count += 1
            self.document = Document(copying: document)
        }
    }

    private static func asksForTheNewest(_ call: borrowing CommandCall) -> Bool {
        call.document("sort")?.value("$natural")?.truncatedInteger == -1
            && call.integer("limit")?.magnitude == 1
    }

    /// The time that a filter begins with.
    private static func lowest(_ filter: DocumentView?) -> Timestamp? {
        guard let time = filter?.value("ts") else { return nil }
        if let range = time.document {
            return range.value("$gte")?.timestamp ?? range.value("$gt")?.timestamp
        }
        return time.timestamp
    }

    /// An event as an entry of the log.
    private static let entry: Value = [
        "_id": "$_id", "ts": "$clusterTime", "t": .int64(1), "v": .int64(2),
        "op": [
            "$switch": [
                "branches": [
                    branch(["insert"], "i"), branch(["update", "replace"], "u"),
                    branch(["delete"], "d"),
                ],
                "default": "c",
            ]
        ],
        "ns": [
            "$concat": [
                "$ns.db", ".",
                [
                    "$cond": [
                        ["$ifNull": ["$documentKey", false]], "$ns.coll", ["$literal": "$cmd"],
                    ]
                ],
            ]
        ],
        "ui": "$collectionUUID", "wall": "$wallTime",
        "o": [
            "$switch": [
                "branches": [
                    branch(["insert", "update", "replace"], "$fullDocument"),
                    branch(["delete"], "$documentKey"),
                    branch(["dropDatabase"], ["dropDatabase": ["$literal": 1]]),
                ],
                "default": [
                    "$mergeObjects": [
                        ["$arrayToObject": [[["k": "$operationType", "v": "$ns.coll"]]]],
                        "$operationDescription",
                    ]
                ],
            ]
        ],
        "o2": [
            "$cond": [
                ["$in": ["$operationType", ["update", "replace"]]], "$documentKey", "$$REMOVE",
            ]
        ],
    ]

    private static func branch(_ types: [Value], _ result: Value) -> Value {
        ["case": ["$in": ["$operationType", .array(types)]], "then": result]
    }
}
