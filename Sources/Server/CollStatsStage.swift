// $collStats: numbers about a collection, in the parts that are asked for.

import BSON
import Roost

enum CollStatsStage {
    /// What is asked for, in one document.
    static func document(
        _ argument: ValueView, _ namespace: Namespace, _ call: borrowing CommandCall
    ) throws(DBError) -> Document {
        guard let object = argument.document else {
            throw DBError(
                DBError.Code(rawValue: 5_447_000),
                "$collStats must take a nested object but found: \(argument.type.alias)")
        }
        try check(object)
        let entry = call.core.engine.collection(namespace)
        let readsCollection = ["storageStats", "count", "queryExecStats"].contains {
            object.has($0)
        }
        if readsCollection { try entry?.checkIsNoView() }
        var numbers = CollectionNumbers()
        let views = call.core.engine.catalog.collections(of: namespace.database)
            .count { $0.view != nil }
        if let entry {
            numbers = try call.core.engine.numbers(of: entry, call.connection.loop.reader)
        } else if namespace.isViewCatalog, views > 0 {
            numbers = CollectionNumbers(documents: views)
        } else if readsCollection {
            throw DBError(
                .namespaceNotFound,
                "Unable to retrieve statistics in $collStats stage :: caused by :: Collection "
                    + "[\(namespace)] not found.")
        }
        let latency = latencyStats(object.value("latencyStats"))
        // Scans are not counted for each collection.
        let scans: Document = ["collectionScans": ["total": .int64(0), "nonTailable": .int64(0)]]
        let scale = max(1, object.value("storageStats")?.document?.scale ?? 1)
        return Document { writer in
            writer.append("ns", namespace.description)
            writer.append("host", HostInfo.hostName)
            writer.append("localTime", dateMillis: Clock.wallMillis)
            if object.has("latencyStats") { writer.append("latencyStats", latency) }
            if object.has("storageStats") {
                writer.append("storageStats", CollStats.document(entry, numbers, scale: scale))
            }
            if object.has("count") { writer.append("count", numbers.documents.smallestValue) }
            if object.has("queryExecStats") { writer.append("queryExecStats", scans) }
        }
    }

    private static func check(_ object: DocumentView) throws(DBError) {
        var fields = object.makeIterator()
        while let field = fields.next() {
            let name = field.nameString
            guard ["latencyStats", "storageStats", "count", "queryExecStats"].contains(name) else {
                throw DBError(
                    .idlUnknownField, "BSON field '$collStats.\(name)' is an unknown field.")
            }
            if field.value.isNullish { continue }
            guard let argument = field.value.document else {
                throw DBError(
                    .typeMismatch,
                    "BSON field '$collStats.\(name)' is the wrong type '\(field.value.type.alias)', "
                        + "expected type 'object'")
            }
            switch name {
            case "latencyStats": try checkLatency(argument)
            case "storageStats":
                if let scale = argument.value("scale"), !scale.isNullish, !scale.isNumeric {
                    throw DBError(
                        .typeMismatch, "BSON field '$collStats.storageStats.scale' must be a number"
                    )
                }
            default:
                guard argument.isEmpty else {
                    throw DBError(
                        DBError.Code(rawValue: 31170),
                        "\(name) expected empty document, found: "
                            + ShellNotation.string(argument))
                }
            }
        }
    }

    private static func checkLatency(_ argument: DocumentView) throws(DBError) {
        var fields = argument.makeIterator()
        while let field = fields.next() {
            guard field.name.equals("histograms") else {
                throw DBError(
                    .idlUnknownField,
                    "BSON field '$collStats.latencyStats.\(field.nameString)' is an unknown field.")
            }
            guard field.value.type == .bool else {
                throw DBError(
                    .typeMismatch,
                    "BSON field '$collStats.latencyStats.histograms' is the wrong type "
                        + "'\(field.value.type.alias)', expected type 'bool'")
            }
        }
    }

    /// Latencies are not measured for each collection; the shape is what tools expect.
    private static func latencyStats(_ argument: ValueView?) -> Document {
        let hasHistograms = argument?.document?.value("histograms")?.bool == true
        return Document { writer in
            for name in ["reads", "writes", "commands", "transactions"] {
                let start = writer.openDocument(name)
                if hasHistograms { writer.append("histogram", .array([])) }
                writer.append("latency", Int64(0))
                writer.append("ops", Int64(0))
                writer.close(start)
            }
        }
    }
}

extension DocumentView {
    /// Whether a field is there and not null.
    fileprivate func has(_ name: String) -> Bool {
        var fields = makeIterator()
        while let field = fields.next() {
            if field.nameString == name { return !field.value.isNullish }
        }
        return false
    }

    /// The number in `scale`.
    fileprivate var scale: Int? {
        value("scale")?.truncatedInteger.map { Int(clamping: $0) }
    }
}
