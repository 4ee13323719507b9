// listCollections: a database's collections with their options.

import BSON
import Query
import Roost
import Wire

enum ListCollections {
    static let definition = CommandDefinition(
        "listCollections", .inStableAPI,
        fields: [
            FieldSpec("filter", .document), FieldSpec("nameOnly", .truth),
            FieldSpec("authorizedCollections", .bool), FieldSpec("cursor", .document),
            FieldSpec("includePendingDrops", .truth),
        ], access: .listCollections, help: "lists a database's collections", run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let database = call.database
        try Namespace.validate(database: database)
        let filter = try QueryCompiler(call).filter(call.document("filter"))
        let namesOnly = call.truth("nameOnly") == true
        var scratch = MatchScratch()
        var list = DocumentWriter()
        for entry in call.core.engine.catalog.collections(of: database)
        where call.mayList(entry.namespace) {
            let full = document(entry)
            guard try filter.matches(full.view, &scratch) else { continue }
            guard namesOnly else {
                list.appendRaw(copying: full.view.bytes)
                continue
            }
            let start = list.openDocument()
            list.append("name", entry.namespace.collection)
            list.append("type", entry.typeName)
            list.close(start)
        }
        try ListReply.write(
            list.take(), Namespace(database, "$cmd.listCollections"),
            batchSize: try call.cursorBatchSize(), call.core, call.cursorOwner, &reply)
        return .done
    }

    private static func document(_ entry: CollectionEntry) -> Document {
        Document { writer in
            writer.append("name", entry.namespace.collection)
            let isView = entry.view != nil
            writer.append("type", entry.typeName)
            writer.append("options", entry.options)
            let information = writer.openDocument("info")
            writer.append("readOnly", isView)
            if entry.hasKeysOfIDs { writer.append("uuid", entry.uuid.value) }
            writer.close(information)
            if !isView, entry.hasIDIndex {
                writer.append("idIndex", entry.idIndexSpecification)
            }
        }
    }
}

extension CollectionEntry {
    /// What listCollections calls it.
    fileprivate var typeName: String {
        if view != nil { return "view" }
        return traits.timeSeries == nil ? "collection" : "timeseries"
    }
}
