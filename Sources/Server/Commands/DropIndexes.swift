// dropIndexes: removes indexes, by name, by key pattern, or all.

import BSON
import Roost
import Wire

enum DropIndexes {
    static let definition = CommandDefinition(
        "dropIndexes", aliases: ["deleteIndexes"], [.isWrite, .inStableAPI],
        fields: [FieldSpec("index", [.string, .document, .array], required: true)],
        access: .collection([.dropIndex]), help: "removes indexes", run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let namespace = try call.namespace()
        try namespace.validate()
        let selection = try selection(call)
        let isAll = if case .all = selection { true } else { false }
        let ticket = call.ticket()
        let concern = call.special.writeConcern
        call.core.engine.dropIndexes(namespace, selection) { outcome in
            ticket.answer { reply throws(DBError) in
                reply.append("nIndexesWas", Int32(clamping: try outcome.get()))
                if isAll { reply.append("msg", "non-_id indexes dropped for collection") }
                WriteReply.appendConcern(concern, &reply)
            }
        }
        return .deferred
    }

    private static func selection(
        _ call: borrowing CommandCall
    ) throws(DBError) -> IndexSelection {
        guard let value = call.value("index") else { return .all }
        if let document = value.document { return .keyPattern(Document(copying: document)) }
        if let name = value.string { return name == "*" ? .all : .names([name]) }
        var names: [String] = []
        if let array = value.array {
            var elements = array.makeIterator()
            while let element = elements.next() {
                guard let name = element.value.string else {
                    throw DBError(
                        .typeMismatch,
                        "BSON field 'dropIndexes.index.\(element.nameString)' is the wrong type "
                            + "'\(element.value.type.alias)', expected type 'string'")
                }
                names.append(name)
            }
        }
        return names == ["*"] ? .all : .names(names)
    }
}
