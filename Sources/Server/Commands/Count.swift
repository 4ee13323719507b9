// count: how many documents match.

import BSON
import Query
import Roost
import Wire

enum Count {
    static let fields: [FieldSpec] =
        [
            FieldSpec("query", .document), FieldSpec("limit", .number), FieldSpec("skip", .number),
            FieldSpec("hint", [.string, .document]), FieldSpec("collation", .document),
            FieldSpec("fields", .any), FieldSpec("let", .document),
        ] + ReadScope.fields

    static let definition = CommandDefinition(
        "count", [.inStableAPI, .takesReadConcern], fields: fields, access: .collection([.find]),
        help: "counts documents",
        run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let read: CountRead
        if let view = try call.resolveView(try call.namespace()) {
            try ReadScope(call).checkIsOfCollection("a view")
            read = try call.core.engine.count(try ViewRead.count(call, view))
        } else {
            read = call.core.engine.count(try request(call))
        }
        return try SlicedRead(read.cursor) { reader, budget throws(DBError) in
            try read.advance(reader, budget)
        } write: { reply throws(DBError) in
            reply.append("n", count: read.count)
        }.run(call, &reply)
    }

    /// The request in a count command's fields; explain reads it too.
    static func request(_ call: borrowing CommandCall) throws(DBError) -> CountRequest {
        let namespace = try call.namespace()
        try namespace.validate()
        let scope = try ReadScope(call)
        let compiler = try QueryCompiler(call, namespace, seesDeleted: scope != .live)
        var request = CountRequest(namespace, filter: try compiler.filter(call.document("query")))
        request.access = try call.access()
        request.scope = scope
        request.showsDeletion = scope != .live && call.asksForDeletion(["query"])
        request.skip = Int(clamping: try Find.nonNegative("skip", call) ?? 0)
        request.limit = Int(clamping: (call.integer("limit") ?? 0).magnitude)
        request.hint = call.ownedValue("hint")
        request.deadline = call.special.deadline
        return request
    }
}
