// listIndexes: a collection's indexes as they were asked for.

import BSON
import Query
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
    static func idIndex(of entry: CollectionEntry) -> Document {
        Document { writer in
            writer.append("v", 2 as Int32)
            writer.append("key", ["_id": 1] as Document)
            writer.append("name", "_id_")
            if let collation = entry.collation {
                writer.append("collation", collation.document)
            }
        }
    }

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
        let idIndex = idIndex(of: entry)
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
