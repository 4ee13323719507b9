// connectionStatus: who is signed in over this connection, and what that allows.

import BSON
import Roost
import Wire

enum ConnectionStatus {
    static let definition = CommandDefinition(
        "connectionStatus", [],
        fields: [FieldSpec("showPrivileges", .truth)], access: .open,
        help: "says who is signed in over this connection"
    ) { call, reply throws(DBError) in
        let showsPrivileges = call.truth("showPrivileges") == true
        var users: [Value] = []
        var roles: [QualifiedName] = []
        var privileges: [Privilege] = []
        switch call.connection.access.grant {
        case .account(let name, let authority):
            users = [["user": .string(name.name), "db": .string(name.database)]]
            if let account = call.core.accounts.user(name) {
                roles = call.core.accounts.closure(of: account.roles)
            }
            privileges = authority.privileges
        case .appUser(let user):
            let name = user.auth?.view.value("uid")?.string ?? ""
            users = [["user": .string(name), "db": "$external"]]
        case .everything, .nothing: break
        }
        let information = reply.openDocument("authInfo")
        reply.append("authenticatedUsers", .array(users))
        reply.append("authenticatedUserRoles", roles.asRoles)
        if showsPrivileges {
            reply.append(
                "authenticatedUserPrivileges", .array(privileges.map { .document($0.document) }))
        }
        reply.close(information)
        return .done
    }
}

/// whatsmyuri: the client's address as the server sees it.
enum WhatsMyURI {
    static let definition = CommandDefinition(
        "whatsmyuri", [], access: .open, help: "says the client's address"
    ) { call, reply throws(DBError) in
        reply.append("you", call.connection.client.remoteAddress)
        return .done
    }
}
