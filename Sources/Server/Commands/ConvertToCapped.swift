// convertToCapped and cloneCollectionAsCapped: a capped collection of what another holds.

import BSON
import Roost
import Wire

enum ConvertToCapped {
    static let convert = CommandDefinition(
        "convertToCapped", [.isWrite, .takesAnyField], fields: [FieldSpec("size", .any)],
        access: .collection([.convertToCapped]),
        help: "makes a collection capped; its newest documents stay, its indexes go"
    ) { call, _ throws(DBError) in
        let namespace = try call.namespace()
        guard !namespace.collection.contains("$") else {
            throw DBError(
                .namespaceNotFound, "source collection \(namespace) does not exist")
        }
        try namespace.validate()
        return run(namespace, to: namespace, bytesMax: try size(call), call)
    }

    static let clone = CommandDefinition(
        "cloneCollectionAsCapped", [.isWrite, .takesAnyField],
        fields: [FieldSpec("size", .any), FieldSpec("toCollection", .any)],
        access: .cloneCollection,
        help: "copies a collection's newest documents into a new capped one"
    ) { call, _ throws(DBError) in
        let source = try call.namespace()
        try source.validate()
        guard let name = call.string("toCollection") else {
            throw DBError(
                .invalidNamespace, "toCollection must name the collection that is to be made")
        }
        let target = Namespace(call.database, name)
        try target.validate()
        let bytesMax = try size(call)
        guard source != target else {
            throw DBError(.namespaceExists, "Collection \(target) already exists")
        }
        return run(source, to: target, bytesMax: bytesMax, call)
    }

    /// Reads `size`: what is no positive number counts as missing.
    private static func size(_ call: borrowing CommandCall) throws(DBError) -> Int64 {
        guard let size = call.integer("size"), size > 0 else {
            throw DBError(
                .invalidOptions,
                "Capped collection size must be greater than zero: 'size' is required")
        }
        return try CappedLimits.checkedSize(size)
    }

    private static func run(
        _ source: Namespace, to target: Namespace, bytesMax: Int64, _ call: borrowing CommandCall
    ) -> CommandOutcome {
        let ticket = call.ticket()
        let concern = call.special.writeConcern
        call.core.engine.copyAsCapped(source, to: target, bytesMax: bytesMax) { outcome in
            ticket.answer { reply throws(DBError) in
                try outcome.get()
                WriteReply.appendConcern(concern, &reply)
            }
        }
        return .deferred
    }
}
