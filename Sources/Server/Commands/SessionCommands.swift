// startSession, endSessions, refreshSessions, killSessions and their like.

import BSON
import Wire

enum SessionCommands {
    static let start = CommandDefinition(
        "startSession", [], access: .everyone, help: "makes a session's id"
    ) { call, reply throws(DBError) in
        var random = SystemRandomNumberGenerator()
        let bytes = (0..<16).map { index in
            let byte = UInt8.random(in: 0...255, using: &random)
            // Version and variant of a random UUID (RFC 9562).
            return index == 6 ? byte & 0x0F | 0x40 : index == 8 ? byte & 0x3F | 0x80 : byte
        }
        let lsid: Document = ["id": .binary(subtype: 4, bytes)]
        var session = try SessionID(lsid.view)
        session.owner = call.connection.access.sessionOwner
        try call.core.sessions.touch(session, now: Clock.coarseNanos)
        reply.append("id", document: lsid)
        reply.append("timeoutMinutes", SessionTable.timeoutMinutes)
        return .done
    }

    static let end = CommandDefinition(
        "endSessions", [.inStableAPI],
        access: .everyone, help: "ends sessions and what belongs to them"
    ) { call, _ throws(DBError) in
        call.core.end(try sessions(call))
        return .done
    }

    static let refresh = CommandDefinition(
        "refreshSessions", .inStableAPI, access: .everyone,
        help: "keeps sessions from ending by time"
    ) { call, _ throws(DBError) in
        for session in try sessions(call) {
            try call.core.sessions.touch(session, now: Clock.coarseNanos)
        }
        return .done
    }

    static let kill = CommandDefinition(
        "killSessions", .takesAnyField, access: .killSessions,
        help: "ends sessions; an empty list ends all"
    ) { call, _ throws(DBError) in
        let named = try sessions(call)
        call.core.end(named.isEmpty ? call.core.sessions.endAll() : named)
        return .done
    }

    static let killAll = CommandDefinition(
        "killAllSessions", [], access: .cluster([.killAnySession]), help: "ends all sessions"
    ) { call, _ throws(DBError) in
        call.core.end(call.core.sessions.endAll())
        return .done
    }

    static let killAllByPattern = CommandDefinition(
        "killAllSessionsByPattern", [], access: .cluster([.killAnySession]),
        help: "ends all sessions that match"
    ) { call, _ throws(DBError) in
        call.core.end(call.core.sessions.endAll())
        return .done
    }

    private static func sessions(_ call: borrowing CommandCall) throws(DBError) -> [SessionID] {
        let name = call.command.name
        guard let array = call.commandValue.array else {
            throw DBError(
                .typeMismatch,
                "BSON field '\(name).\(name)' is the wrong type "
                    + "'\(call.commandValue.type.alias)', expected type 'array'")
        }
        var sessions: [SessionID] = []
        var elements = array.makeIterator()
        while let element = elements.next() {
            if element.value.type == .null { continue }
            guard let lsid = element.value.document else {
                throw DBError(
                    .typeMismatch,
                    "BSON field '\(name).\(name).\(element.nameString)' is the wrong type "
                        + "'\(element.value.type.alias)', expected type 'object'")
            }
            var session = try SessionID(lsid)
            session.owner = call.connection.access.sessionOwner
            sessions.append(session)
        }
        return sessions
    }
}
