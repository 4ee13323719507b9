// `roost rules deploy` and `roost rules why`: ask a running server.

import ArgumentParser
import BSON
import Client
import Roost

struct RulesDeploy: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deploy", abstract: "Put security rules in force on a running server.",
        discussion: """
            What runs under the rules before them is ended. A file with errors is
            refused, and the rules in force stay. Each deploy has a number;
            --roll-back-to puts the rules of an older number in force again.

            EXAMPLES
              roost rules deploy firestore.rules
              roost rules deploy firestore.rules mongodb://db.example.com:27017
              roost rules deploy --roll-back-to 3
            """)

    @Argument(help: "The rules file, then where the server is.")
    var arguments: [String] = []

    @Option(help: ArgumentHelp("Put the rules of this number in force.", valueName: "number"))
    var rollBackTo: Int64?

    func validate() throws {
        let most = rollBackTo == nil ? 2 : 1
        guard arguments.count <= most, rollBackTo != nil || !arguments.isEmpty else {
            throw ValidationError("Give a rules file, or --roll-back-to")
        }
    }

    func run() async throws {
        var command: Document = ["deployRules": 1]
        var rest = arguments[...]
        if let rollBackTo {
            command = ["deployRules": 1, "rollBackTo": .int64(rollBackTo)]
        } else if let file = rest.popFirst() {
            let files = try RulesFiles.texts(file).map { file -> Value in
                .document(["name": .string(file.name), "text": .string(file.text)])
            }
            command = ["deployRules": 1, "files": .array(files)]
        }
        let reply = try await RulesServer.run(command, rest.first)
        guard case .int64(let version)? = reply["version"] else { return }
        print("rules \(version) are in force on \(RulesServer.address(rest.first))")
    }
}

struct RulesWhy: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "why", abstract: "Say why the security rules denied a request.",
        discussion: """
            ID is what the user's error names. The server keeps the last 1,000 denials
            since its start.
            """)

    @Argument(help: "The denial's id.")
    var id: String

    @Argument(help: "Where the server is.")
    var uri: String?

    func run() async throws {
        let reply = try await RulesServer.run(["whyDenied": .string(id)], uri)
        if case .string(let reason)? = reply["reason"] { print(reason) }
    }
}

/// Asks a running server.
private enum RulesServer {
    /// Where the server is, without the password.
    static func address(_ uri: String?) -> String {
        guard let target = try? ConnectionString(uri ?? standard) else { return "the server" }
        return "\(target.host):\(target.port)"
    }

    private static let standard = "mongodb://127.0.0.1:27017"

    static func run(_ command: Document, _ uri: String?) async throws -> Document {
        do throws(DBError) {
            let target = try ConnectionString(uri ?? standard)
            let connection = try await Connection.open(target)
            defer { connection.close() }
            try await connection.greet(appName: "roost rules")
            return try await connection.run(command, database: "admin")
        } catch {
            throw FailureMessage(description: error.message)
        }
    }
}
