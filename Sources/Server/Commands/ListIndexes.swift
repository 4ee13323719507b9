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
        ], access: .collection([.listIndexes]), help: "lists a collection's indexes", run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let namespace = try call.namespace()
        try namespace.validate()
        var list = DocumentWriter()
        for specification in try specifications(namespace, call.core.engine) {
            list.appendRaw(copying: specification.view.bytes)
        }
        try ListReply.write(
            list.take(), namespace, batchSize: try call.cursorBatchSize(), call.core,
            call.cursorOwner, &reply)
        return .done
    }

    /// The specifications of a collection's indexes, the `_id` index first.
    private static func specifications(
        _ namespace: Namespace, _ engine: RoostEngine
    ) throws(DBError) -> [Document] {
        let catalog = engine.catalog
        if let entry = catalog[namespace] {
            try entry.checkIsNoView()
            // MongoDB's profile has no index at all.
            if namespace.collection == Profiler.collection { return [] }
            let own = entry.traits.timeSeries == nil ? [entry.idIndexSpecification] : []
            return own + entry.indexes.map(\.specification)
        }
        if namespace.isViewCatalog,
            catalog.collections(of: namespace.database).contains(where: { $0.view != nil })
        {
            return [["v": 2, "key": ["_id": 1], "name": "_id_"]]
        }
        throw DBError(.namespaceNotFound, "ns does not exist: \(namespace)")
    }
}
