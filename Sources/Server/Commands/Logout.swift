// logout: ends what the connection signed in as.

import BSON
import Wire

enum Logout {
    static let definition = CommandDefinition(
        "logout", [], access: .open, help: "ends the connection's authentication"
    ) { call, _ throws(DBError) in
        if call.connection.access.identity != nil { AuditTrail(call.connection).note("logout") }
        call.connection.signIn(as: nil)
        return .done
    }
}
