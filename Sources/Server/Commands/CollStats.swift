// collStats and dbStats: numbers about what is stored.
//
// The number of documents and index entries is exact. Bytes are estimated from a sample: the store
// doesn't count them for each collection.

import BSON
import Query
import Roost
import Wire

enum CollStats {
    static let definition = CommandDefinition(
        "collStats", aliases: ["collstats"], [],
        fields: [FieldSpec("scale", .number), FieldSpec("verbose", .truth)],
        access: .collection([.collStats]), help: "shows numbers about a collection", run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let namespace = try call.namespace()
        try namespace.validate()
        let scale = try scale(call)
        reply.append("ns", namespace.description)
        let engine = call.core.engine
        guard let entry = engine.collection(namespace) else {
            for name: StaticString in ["size", "count", "storageSize", "totalSize", "nindexes"] {
                reply.append(name, Int32(0))
            }
            reply.append("totalIndexSize", Int32(0))
            reply.append("indexSizes", [:])
            reply.append("scaleFactor", Int32(clamping: scale))
            return .done
        }
        try entry.checkIsNoView()
        let numbers = try engine.numbers(of: entry, call.connection.loop.reader)
        let document = document(entry, numbers, scale: scale)
        reply.appendFields(of: document.view)
        return .done
    }

    /// The numbers; $collStats shows them too. `entry`: nil for the catalog of views.
    static func document(
        _ entry: CollectionEntry?, _ numbers: CollectionNumbers, scale: Int
    ) -> Document {
        Document { writer in
            func append(_ name: String, _ number: Int) {
                writer.append(name, number.smallestValue)
            }
            append("size", numbers.dataBytes / scale)
            if let timeSeries = entry?.traits.timeSeries {
                // There are no buckets; tools read the measurements' number here.
                writer.append(
                    "timeseries",
                    [
                        "bucketCount": 0,
                        "numMeasurementsCommitted": .int64(Int64(numbers.documents)),
                        "bucketMaxSpanSeconds": .int64(timeSeries.options.bucketMaxSpanSeconds),
                    ] as Document)
            } else {
                append("count", numbers.documents)
                if numbers.documents > 0 { append("avgObjSize", numbers.averageBytes) }
            }
            append("storageSize", numbers.dataBytes / scale)
            append("freeStorageSize", 0)
            if entry?.traits.softDelete != nil || numbers.trash.count > 0 {
                let trash = writer.openDocument("trash")
                append("count", Int(numbers.trash.count))
                append("size", Int(numbers.trash.bytes) / scale)
                writer.close(trash)
            }
            writer.append("capped", entry?.traits.capped != nil)
            if let capped = entry?.traits.capped {
                append("max", Int(capped.documentsMax ?? 0))
                append("maxSize", Int(capped.bytesMax) / scale)
            }
            append("nindexes", entry?.indexCount ?? 1)
            writer.append("indexBuilds", .array([]))
            append("totalIndexSize", numbers.indexBytes / scale)
            append("totalSize", (numbers.dataBytes + numbers.indexBytes) / scale)
            let sizes = writer.openDocument("indexSizes")
            if entry?.traits.timeSeries == nil { append("_id_", 0) }
            for (name, count) in numbers.entries {
                writer.append(name, Int64(count * CollectionNumbers.entryBytes / scale))
            }
            writer.close(sizes)
            writer.append("scaleFactor", Int32(clamping: scale))
        }
    }

    /// What sizes are divided by.
    static func scale(_ call: borrowing CommandCall) throws(DBError) -> Int {
        guard let scale = call.integer("scale") else { return 1 }
        guard scale >= 1 else {
            throw DBError(
                .badValue,
                "BSON field 'scale' value must be >= 1, actual value '\(scale)'")
        }
        return Int(clamping: scale)
    }
}

enum DBStats {
    static let definition = CommandDefinition(
        "dbStats", aliases: ["dbstats"], [],
        fields: [FieldSpec("scale", .number), FieldSpec("freeStorage", .truth)],
        access: .database([.dbStats]), help: "shows numbers about a database", run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let database = call.database
        try Namespace.validate(database: database)
        let scale = Double(try CollStats.scale(call))
        let engine = call.core.engine
        let entries = engine.catalog.collections(of: database)
        var documents = 0
        var dataBytes = 0
        var indexes = 0
        var indexBytes = 0
        for entry in entries where entry.view == nil {
            let numbers = try engine.numbers(of: entry, call.connection.loop.reader)
            documents += numbers.documents
            dataBytes += numbers.dataBytes
            indexes += entry.indexCount
            indexBytes += numbers.indexBytes
        }
        reply.append("db", database)
        let views = entries.count { $0.view != nil }
        // Where there are views, MongoDB counts the collection that it keeps them in.
        reply.append("collections", Int64(entries.count - views + (views > 0 ? 1 : 0)))
        reply.append("views", Int64(views))
        reply.append("objects", Int64(documents))
        reply.append("avgObjSize", documents == 0 ? 0.0 : Double(dataBytes) / Double(documents))
        reply.append("dataSize", Double(dataBytes) / scale)
        reply.append("storageSize", Double(dataBytes) / scale)
        // Freed pages are the file's, whichever collection they were; none counts as one's own.
        let tellsFree = call.truth("freeStorage") == true
        if tellsFree { reply.append("freeStorageSize", 0.0) }
        reply.append("indexes", Int64(indexes))
        reply.append("indexSize", Double(indexBytes) / scale)
        if tellsFree { reply.append("indexFreeStorageSize", 0.0) }
        reply.append("totalSize", Double(dataBytes + indexBytes) / scale)
        if tellsFree { reply.append("totalFreeStorageSize", 0.0) }
        reply.append("scaleFactor", Int64(try CollStats.scale(call)))
        let space = engine.space
        reply.append("fsUsedSize", Double(space.used) / scale)
        reply.append("fsTotalSize", Double(space.total) / scale)
        return .done
    }
}

extension Int {
    /// An int32 where it fits, else an int64.
    var smallestValue: Value {
        Int32(exactly: self).map { .int32($0) } ?? .int64(Int64(self))
    }
}
