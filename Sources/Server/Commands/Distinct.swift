// distinct: the different values of a path.

import BSON
import Query
import Roost
import Wire

enum Distinct {
    static let fields: [FieldSpec] =
        [
            FieldSpec("key", .string, required: true), FieldSpec("query", .document),
            FieldSpec("hint", [.string, .document]), FieldSpec("collation", .document),
            FieldSpec("let", .document),
        ] + ReadScope.fields

    static let definition = CommandDefinition(
        "distinct", [.takesReadConcern, .inTransaction, .takesSnapshot], fields: fields,
        access: .collection([.find]), help: "lists the different values of a path",
        run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let read: DistinctRead
        let request = try request(call)
        if let view = try call.resolveView(request.namespace) {
            try request.scope.checkIsOfCollection("a view")
            read = try call.core.engine.distinct(
                request.path, in: try ViewRead.distinct(call, view))
        } else {
            read = call.core.engine.distinct(request)
        }
        let snapshotTime = call.special.givenSnapshotTime
        return try SlicedRead(read.cursor) { reader, budget throws(DBError) in
            try read.advance(reader, budget)
        } write: { reply throws(DBError) in
            let values = reply.openArray("values")
            var list = DocumentWriter()
            let start = list.openDocument()
            read.write(into: &list)
            list.close(start)
            let bytes = list.take()
            reply.appendFields(of: DocumentView(bytes.span.bytes))
            reply.close(values)
            if let snapshotTime { reply.append("atClusterTime", snapshotTime) }
        }.run(call, &reply)
    }

    /// The request in a distinct command's fields; explain reads it too.
    static func request(_ call: borrowing CommandCall) throws(DBError) -> DistinctRequest {
        let namespace = try call.namespace()
        try namespace.validate()
        let scope = try ReadScope(call)
        let compiler = try QueryCompiler(call, namespace, seesDeleted: scope != .live)
        let key = call.string("key") ?? ""
        guard !key.utf8.contains(0) else {
            throw DBError(
                DBError.Code(rawValue: 31_032), "Distinct key cannot contain a null byte")
        }
        var request = DistinctRequest(
            namespace, path: FieldPath(key), filter: try compiler.filter(call.document("query")))
        request.access = try call.access()
        request.hint = call.ownedValue("hint")
        request.scope = scope
        request.showsDeletion = scope != .live && call.asksForDeletion(["query"])
        request.deadline = call.special.deadline
        request.view = call.special.view
        return request
    }
}
