// `roost admin create`: makes an administrator, in a stopped folder or on a running server.

import ArgumentParser
import BSON
import Client
import Glibc
import Roost
import Server

struct Admin: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make an administrator.", subcommands: [CreateAdministrator.self])
}

struct CreateAdministrator: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create",
        abstract: "Make an account that may do everything.",
        discussion: """
            Where a server runs on the folder, it is asked over this machine's own
            address, which it allows until there is an account; after that, or where
            its port can't be seen, say with --url where it is. Where none runs, the
            account is made in the folder.

            The password is asked for; with --generate one is made and printed, and
            without a terminal the first line of standard input is taken.

            EXAMPLES
              roost admin create
              roost admin create ann --folder /var/lib/roost
              roost admin create bob --url mongodb://ann@127.0.0.1:27017 --generate
            """)

    @Argument(help: "The account's name.")
    var name = "admin"

    @Option(help: ArgumentHelp("The folder of a stopped server.", valueName: "dir"))
    var folder = "./data"

    @Option(help: ArgumentHelp("The running server.", valueName: "mongodb://…"))
    var url: String?

    @Flag(help: "Make a password and print it.")
    var generate = false

    func run() async throws {
        let password = try newPassword()
        do throws(DBError) {
            if let url {
                try await create(password, ConnectionString(url))
            } else {
                try await createInFolder(password)
            }
        } catch {
            throw FailureMessage.about(error, "cannot make the administrator")
        }
        print("The administrator '\(name)' was made (database admin, role root).")
        if generate { print("Its password, shown only now: \(password)") }
    }

    private func createInFolder(_ password: String) async throws(DBError) {
        try FolderCheck.holdsDatabase(folder)
        let engine: RoostEngine
        do throws(DBError) {
            engine = try RoostEngine(path: folder)
        } catch {
            // A server runs on it: ask that one, and no other.
            guard let owner = error.folderOwner else { throw error }
            guard let port = PortOwner.ports(of: owner).first else {
                throw DBError(
                    .operationFailed,
                    "process \(owner) runs on '\(folder)', and its port can't be seen; name it "
                        + "with --url mongodb://HOST:PORT")
            }
            return try await create(password, ConnectionString("mongodb://127.0.0.1:\(port)"))
        }
        defer { engine.close() }
        try Administrator.create(name, password: password, engine)
    }

    private func create(_ password: String, _ given: ConnectionString) async throws(DBError) {
        var target = given
        if let user = target.user, target.password == nil {
            target.password = PasswordPrompt.ask("Password of \(user): ")
        }
        let connection = try await Connection.open(target)
        defer { connection.close() }
        _ = try await connection.run(
            Administrator.command(name, password: password), database: "admin")
    }

    private func newPassword() throws -> String {
        if generate { return Administrator.newPassword() }
        let isTerminal = isatty(STDIN_FILENO) == 1
        guard let password = PasswordPrompt.ask("New password of \(name): "), !password.isEmpty
        else { throw ValidationError("a password is needed; --generate makes one") }
        if isTerminal, PasswordPrompt.ask("Again: ") != password {
            throw ValidationError("the passwords differ")
        }
        return password
    }
}

/// Reads a password without showing it.
enum PasswordPrompt {
    /// The line that was typed, or the next one of standard input; nil at its end.
    static func ask(_ prompt: String) -> String? {
        guard isatty(STDIN_FILENO) == 1 else { return readLine() }
        Terminal.writeError(prompt)
        var shown = termios()
        guard tcgetattr(STDIN_FILENO, &shown) == 0 else { return readLine() }
        var hidden = shown
        hidden.c_lflag &= ~tcflag_t(ECHO)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden)
        defer {
            tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown)
            Terminal.writeError("\n")
        }
        return readLine()
    }
}

/// Reads small files of configuration.
enum KeyFile {
    /// Largest file, in bytes.
    private static let bytesMax = 1 << 20

    /// The file's text; empty where it can't be read or is too large.
    static func read(_ path: String) -> String {
        guard let file = fopen(path, "r") else { return "" }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: bytesMax)
        let count = fread(&bytes, 1, bytes.count, file)
        return count < bytesMax ? String(decoding: bytes[..<count], as: UTF8.self) : ""
    }
}
