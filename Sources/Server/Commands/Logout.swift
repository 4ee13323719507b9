// logout: nobody can sign in yet, so nobody needs to sign out.

import BSON
import Wire

enum Logout {
    static let definition = CommandDefinition(
        "logout", [.beforeAuthentication], help: "ends the connection's authentication"
    ) { _, _ throws(DBError) in .done }
}
