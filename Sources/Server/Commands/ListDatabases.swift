// listDatabases: the databases that have a collection.

import BSON
import Query
import Roost
import Wire

enum ListDatabases {
    static let definition = CommandDefinition(
        "listDatabases", [.adminOnly, .inStableAPI],
        fields: [
            FieldSpec("filter", .document), FieldSpec("nameOnly", .truth),
            FieldSpec("authorizedDatabases", .bool),
        ], access: .listDatabases, help: "lists databases", run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let filter = try QueryCompiler(call).filter(
            call.document("filter"), in: .validator)
        let namesOnly = call.truth("nameOnly") == true
        let engine = call.core.engine
        let catalog = engine.catalog
        let fileBytes = Int64(clamping: engine.fileBytes)
        var scratch = MatchScratch()
        var total: Int64 = 0
        let collections = max(1, catalog.collections.count)
        let list = reply.openArray("databases")
        // MongoDB always has `admin`, and tools look for it.
        for name in Set(catalog.databases + ["admin"]).sorted()
        where call.mayList(database: name) {
            // All databases share one file; each is told its share by number of collections.
            let share = catalog.collections(of: name).count
            let bytes = fileBytes / Int64(collections) * Int64(share)
            let entry = Document { writer in
                writer.append("name", name)
                if !namesOnly {
                    writer.append("sizeOnDisk", bytes)
                    writer.append("empty", false)
                }
            }
            guard try filter.matches(entry.view, &scratch) else { continue }
            total += bytes
            reply.append(element: entry.view)
        }
        reply.close(list)
        if !namesOnly {
            reply.append("totalSize", total)
            reply.append("totalSizeMb", total >> 20)
        }
        return .done
    }
}
