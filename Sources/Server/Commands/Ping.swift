// ping: nothing, successfully.

import BSON
import Wire

enum Ping {
    static let definition = CommandDefinition(
        "ping", [.inStableAPI], access: .open, help: "answers, and that is all"
    ) { _, _ throws(DBError) in .done }
}
