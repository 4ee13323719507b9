// ping: nothing, successfully.

import BSON
import Wire

enum Ping {
    static let definition = CommandDefinition(
        "ping", [.beforeAuthentication, .inStableAPI], help: "answers, and that is all"
    ) { _, _ throws(DBError) in .done }
}
