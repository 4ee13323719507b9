// The shell's own commands, which begin with a dot.

import ArgumentParser
import BSON
import Client
import Glibc
import Query

extension ShellSession {
    /// Runs a command that begins with a dot.
    func runDotCommand(_ text: String, pages: Bool) async throws(ShellFailure) {
        let name = text.prefix { $0 != " " && $0 != "\n" }
        let argument = String(text.dropFirst(name.count).drop { $0 == " " || $0 == "\n" })
        switch name {
        case ".help": Terminal.writeLine(ShellHelp.general)
        case ".explain": try await explain(argument, pages: pages)
        case ".watch": try await watch(argument)
        case ".collections", ".tables":
            try await list(
                ["listCollections": 1, "nameOnly": true], "cursor.firstBatch", database)
        case ".databases", ".dbs":
            try await list(["listDatabases": 1, "nameOnly": true], "databases", "admin")
        case ".use": try use(argument)
        case ".format":
            guard let format = RowFormat(rawValue: argument) else {
                let names = RowFormat.allCases.map(\.rawValue).joined(separator: ", ")
                throw ShellFailure(message: ".format takes one of \(names)")
            }
            self.format = format
        case ".timing":
            guard ["on", "off"].contains(argument) else {
                throw ShellFailure(message: ".timing takes on or off")
            }
            showsTiming = argument == "on"
        case ".param", ".params":
            guard !argument.isEmpty else { return Terminal.writeLine(parameters.listing) }
            let name = argument.prefix { $0 != " " }
            let value = argument.dropFirst(name.count).drop { $0 == " " }
            guard !value.isEmpty else {
                throw ShellFailure(message: ".param takes NAME VALUE, such as .param min 5")
            }
            try parameters.set(name, to: String(value))
        case ".quit", ".exit":
            throw ShellFailure(message: Self.quitMark)
        default:
            throw ShellFailure(message: "there is no command \(name); .help lists them")
        }
    }

    /// The message of the failure that ends the shell.
    static let quitMark = "quit"

    /// Goes to another database.
    func use(_ name: String) throws(ShellFailure) {
        guard !name.isEmpty,
            !name.utf8.contains(where: { [0, 0x2F, 0x5C, 0x2E, 0x20, 0x22, 0x24].contains($0) })
        else { throw ShellFailure(message: "'\(name)' is no database's name") }
        database = name
    }

    private func explain(_ query: String, pages: Bool) async throws(ShellFailure) {
        guard !query.isEmpty else { throw ShellFailure(message: ".explain takes a query") }
        if ScriptParser.isScript(query) {
            let request: ShellRequest
            do throws(ScriptError) {
                request = try ScriptCommands.request(
                    try ScriptParser.parse(query), database: database)
            } catch {
                throw ShellFailure(
                    message: error.message, place: TextPlace(of: error.offset, in: query))
            }
            let explains = request.answer == .explanation
            return try await perform(
                explains ? request : ScriptCommands.explanation(of: request, "queryPlanner"), query,
                pages: pages)
        }
        let isExplained = query.prefix { $0.isLetter } == "explain"
        let request =
            isExplained
            ? ShellRequest(command: parameters.command(query), answer: .explanationRow)
            : ScriptCommands.explanation(
                of: ShellRequest(command: parameters.command(query), answer: .rows),
                "queryPlanner")
        try await perform(request, query, pages: pages)
    }

    /// Prints the `name`s of a list in a reply.
    private func list(
        _ command: Document, _ path: String, _ database: String
    ) async throws(ShellFailure) {
        do throws(DBError) {
            let names = try await names(command, path, database)
            for name in names.sorted() { Terminal.writeLine(name) }
        } catch {
            throw ShellFailure(
                message: error.message, isConnectionLost: error.code == .hostUnreachable)
        }
    }

    private func names(
        _ command: Document, _ path: String, _ database: String
    ) async throws(DBError) -> [String] {
        let reply = try await connect().run(command, database: database)
        return Self.names(in: reply, path)
    }

    /// The `name`s of the documents in a list.
    static func names(in reply: Document, _ path: String) -> [String] {
        var value: Value? = .document(reply)
        for step in path.split(separator: ".") {
            guard case .document(let document)? = value else { return [] }
            value = document[String(step)]
        }
        guard case .array(let list)? = value else { return [] }
        return list.compactMap { element in
            guard case .document(let document) = element, case .string(let name)? = document["name"]
            else { return nil }
            return name
        }
    }
}
