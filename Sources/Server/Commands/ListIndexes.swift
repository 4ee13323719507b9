// listIndexes: a collection's indexes as they were asked for.

import BSON
import Roost
import Wire

enum ListIndexes {
    static let definition = CommandDefinition(
        "listIndexes", .inStableAPI,
        fields: [
            FieldSpec("cursor", .document), FieldSpec("includeBuildUUIDs", .truth),
            FieldSpec("includeIndexBuildInfo", .truth),
        ], help: "lists a collection's indexes", run: run)

    /// The index that every collection has.
    static let idIndex: Document = ["v": 2, "key": ["_id": 1], "name": "_id_"]

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let namespace = try call.namespace()
        try namespace.validate()
        guard let entry = call.core.engine.collection(namespace) else {
            throw DBError(.namespaceNotFound, "ns does not exist: \(namespace)")
        }
        try entry.checkIsNoView()
        var list = DocumentWriter()
        list.appendRaw(copying: idIndex.view.bytes)
        for index in entry.indexes {
            let specification = index.specification
            list.appendRaw(copying: specification.view.bytes)
        }
        try ListReply.write(
            list.take(), namespace, batchSize: try call.cursorBatchSize(), call.core,
            call.cursorOwner, &reply)
        return .done
    }
}
