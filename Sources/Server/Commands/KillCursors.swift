// killCursors: ends cursors before their end.

import BSON
import Roost
import Wire

enum KillCursors {
    static let definition = CommandDefinition(
        "killCursors", [.inStableAPI, .inTransaction],
        fields: [FieldSpec("cursors", .array, required: true)],
        access: .killCursors, help: "ends cursors", run: run)

    private static func run(
        _ call: borrowing CommandCall, _ reply: inout ReplyWriter
    ) throws(DBError) -> CommandOutcome {
        let namespace = try call.namespace()
        var killed: [Value] = []
        var unknown: [Value] = []
        if let array = call.value("cursors")?.array {
            var elements = array.makeIterator()
            while let element = elements.next() {
                if element.value.type == .null { continue }
                guard let id = element.value.int64 else {
                    throw DBError(
                        .typeMismatch,
                        "BSON field 'killCursors.cursors.\(element.nameString)' is the wrong "
                            + "type '\(element.value.type.alias)', expected type 'long'")
                }
                if call.core.cursors.kill(id, namespace, for: call.principal) {
                    killed.append(.int64(id))
                } else {
                    unknown.append(.int64(id))
                }
            }
        }
        reply.append("cursorsKilled", .array(killed))
        reply.append("cursorsNotFound", .array(unknown))
        reply.append("cursorsAlive", .array([]))
        reply.append("cursorsUnknown", .array([]))
        return .done
    }
}
