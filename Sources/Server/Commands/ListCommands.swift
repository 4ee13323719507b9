// listCommands: every command with a line about it.

import BSON
import Wire

enum ListCommands {
    static let definition = CommandDefinition(
        "listCommands", [], access: .open, help: "lists the commands"
    ) { call, reply throws(DBError) in
        let core = call.core
        let list = Document { writer in
            for command in core.commands.commands
            where core.options.offersTestCommands || !command.options.contains(.testOnly) {
                writer.append(
                    "\(command.name)",
                    [
                        "help": .string("\(command.help)"),
                        "requiresAuth": .bool(command.access.requiresSignIn),
                        "secondaryOk": .bool(!command.options.contains(.isWrite)),
                        "adminOnly": .bool(command.options.contains(.adminOnly)),
                        "apiVersions": command.options.contains(.inStableAPI) ? ["1"] : [],
                    ] as Value)
            }
        }
        reply.append("commands", document: list)
        return .done
    }
}
