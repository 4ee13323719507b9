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
        ], help: "gives a collection another name", run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        guard let name = call.commandValue.string else {
            throw DBError(
                .typeMismatch,
                "BSON field 'renameCollection.renameCollection' is the wrong type "
                    + "'\(call.commandValue.type.alias)', expected type 'string'")
        }
        let source = try namespace(name)
        let target = try namespace(call.string("to") ?? "")
        let ticket = call.ticket()
        let concern = call.special.writeConcern
        call.core.engine.renameCollection(
            source, to: target, dropTarget: call.truth("dropTarget") == true
        ) { outcome in
            ticket.answer { reply throws(DBError) in
                try outcome.get()
                WriteReply.appendConcern(concern, &reply)
            }
        }
        return .deferred
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
