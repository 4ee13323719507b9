// renameCollection: gives a collection another name.

import BSON
import Roost
import Wire

enum RenameCollection {
    static let definition = CommandDefinition(
        "renameCollection", [.isWrite, .adminOnly],
        fields: [
            FieldSpec("to", .string, required: true), FieldSpec("dropTarget", .any),
            FieldSpec("stayTemp", .truth), FieldSpec("collectionUUID", .binary),
        ], access: .renameCollection, help: "gives a collection another name", run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        guard let name = call.commandValue.string else {
            throw DBError(
                call.commandValue.type == .null ? .idlMissingField : .typeMismatch,
                "BSON field 'renameCollection.renameCollection' is the wrong type "
                    + "'\(call.commandValue.type.alias)', expected type 'string'")
        }
        let source = try namespace(name)
        let target = try namespace(call.string("to") ?? "")
        let options = try options(call, source, target)
        let ticket = call.ticket()
        let concern = call.special.writeConcern
        call.core.engine.renameCollection(source, to: target, options) { outcome in
            ticket.answer { reply throws(DBError) in
                try outcome.get()
                WriteReply.appendConcern(concern, &reply)
            }
        }
        return .deferred
    }

    /// `dropTarget` is a truth or the UUID of the collection to drop.
    private static func options(
        _ call: borrowing CommandCall, _ source: Namespace, _ target: Namespace
    ) throws(DBError) -> RenameOptions {
        var options = RenameOptions()
        options.dropsTarget = call.truth("dropTarget") == true
        if let value = call.value("collectionUUID") { options.sourceUUID = try UUIDBytes(value) }
        if let value = call.value("dropTarget"), value.type == .binary {
            options.targetUUID = try UUIDBytes(value)
        }
        if options.sourceUUID != nil || options.targetUUID != nil,
            !source.database.hasSameBytes(as: target.database)
        {
            throw DBError(
                .invalidOptions,
                "The collectionUUID and dropTarget UUID parameters cannot be used when renaming "
                    + "between databases")
        }
        return options
    }

    private static func namespace(_ name: String) throws(DBError) -> Namespace {
        guard let dot = name.firstIndex(of: ".") else {
            throw DBError(.invalidNamespace, "Invalid namespace specified '\(name)'")
        }
        let namespace = Namespace(
            String(name[..<dot]), String(name[name.index(after: dot)...]))
        try namespace.validate()
        return namespace
    }
}
