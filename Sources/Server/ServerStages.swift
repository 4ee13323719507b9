// Stages whose documents the server has, not the engine: a first stage $listLocalSessions becomes
// $documents with the sessions in it.

import BSON

enum ServerStages {
    /// The stages with the first replaced, where it is one of the server's; else nil.
    ///
    /// - Throws: 73 where such a stage is run on a collection.
    static func replacing(
        _ stages: DocumentView, _ call: borrowing CommandCall
    ) throws(DBError) -> [Value]? {
        guard let first = stages.first?.value.document?.first,
            first.name.equals("$listLocalSessions")
        else { return nil }
        guard call.commandValue.isNumeric else {
            throw DBError(
                .invalidNamespace,
                "$listLocalSessions must be run against the database with {aggregate: 1}, not a "
                    + "collection")
        }
        let sessions: [Value] = call.core.sessions.all.map { session in
            ["_id": ["id": session.value, "uid": .binary(subtype: 0, [])]]
        }
        var replaced: [Value] = [["$documents": ["$literal": .array(sessions)]]]
        var elements = stages.makeIterator()
        _ = elements.next()
        while let element = elements.next() { replaced.append(Value(element.value)) }
        return replaced
    }
}
