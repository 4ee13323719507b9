// connectionStatus: who is signed in over this connection. Nobody can be yet.

import BSON
import Wire

enum ConnectionStatus {
    static let definition = CommandDefinition(
        "connectionStatus", .beforeAuthentication,
        fields: [FieldSpec("showPrivileges", .truth)],
        help: "says who is signed in over this connection"
    ) { call, reply throws(DBError) in
        let showsPrivileges = call.truth("showPrivileges") == true
        let information = reply.openDocument("authInfo")
        reply.append("authenticatedUsers", [])
        reply.append("authenticatedUserRoles", [])
        if showsPrivileges { reply.append("authenticatedUserPrivileges", []) }
        reply.close(information)
        return .done
    }
}

/// whatsmyuri: the client's address as the server sees it.
enum WhatsMyURI {
    static let definition = CommandDefinition(
        "whatsmyuri", .beforeAuthentication, help: "says the client's address"
    ) { call, reply throws(DBError) in
        reply.append("you", call.connection.client.remoteAddress)
        return .done
    }
}
