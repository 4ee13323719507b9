// `roost shell`: ask a running server, in the text language or in mongosh's form.

import ArgumentParser
import BSON
import Client
import Glibc
import Query

struct Shell: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ask a running server: the text language, or db.coll.find({…}).",
        discussion: """
            Without -e and with a terminal it is interactive; .help lists what it knows.
            Else it runs the statements of -e or of standard input and ends with status 0,
            with 1 if a statement failed (the rest is not run), or with 2 if there is no
            server.

            EXAMPLES
              roost shell
              roost shell mongodb://127.0.0.1:27017/shop
              roost shell 'mongodb://ann@127.0.0.1/shop?authSource=admin'
              roost shell -e 'from orders | where total > 100 | limit 5'
              roost shell --param min=100 -e 'from orders | where total > $min'
              roost shell --csv -e 'from orders' > orders.csv
              echo 'db.orders.countDocuments({})' | roost shell
            """)

    @Argument(
        help: "Where the server is: mongodb://[USER[:PASSWORD]@]HOST[:PORT][/DATABASE][?tls=true].")
    var uri = "mongodb://127.0.0.1:27017/test"

    @Option(
        name: [.customShort("e"), .customLong("eval")], parsing: .unconditionalSingleValue,
        help: ArgumentHelp("Run this and end; can be given several times.", valueName: "query"))
    var evaluate: [String] = []

    @Option(
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp(
            "What $NAME stands for in statements: JSON, else text; can be given several times.",
            valueName: "name=value"))
    var param: [String] = []

    @Flag(help: "Write rows as Extended JSON, one a line.")
    var json = false

    @Flag(help: "Write rows as CSV with a header.")
    var csv = false

    @Flag(help: "Say how long each statement took (interactively the default).")
    var timing = false

    func validate() throws {
        if json && csv { throw ValidationError("--json and --csv exclude each other") }
    }

    func run() async throws {
        var target: ConnectionString
        do throws(DBError) {
            target = try ConnectionString(uri)
        } catch {
            throw ValidationError(error.message)
        }
        if let user = target.user, target.password == nil {
            target.password = PasswordPrompt.ask("Password of \(user): ")
        }
        // A reader that is gone ends the shell quietly, as Terminal.write does it.
        signal(SIGPIPE, SIG_IGN)
        let session = ShellSession(target, format: json ? .json : csv ? .csv : .table)
        session.showsTiming = timing
        for given in param {
            do throws(ShellFailure) {
                try session.parameters.set(given)
            } catch {
                throw ValidationError(error.message)
            }
        }
        if !evaluate.isEmpty {
            try await session.runAll(evaluate.flatMap { StatementBuffer.statements(of: $0) })
        } else if isatty(STDIN_FILENO) == 1 {
            try await InteractiveShell(session).run()
        } else {
            var text = ""
            while let line = readLine(strippingNewline: false) { text += line }
            try await session.runAll(StatementBuffer.statements(of: text), namesLines: true)
        }
    }
}

extension ShellSession {
    /// Runs statements until one fails.
    /// - Parameter namesLines: whether every error says on which line it is, as one in a script of
    ///   many lines must.
    func runAll(_ statements: [Statement], namesLines: Bool = false) async throws {
        do throws(DBError) {
            try await connect()
        } catch {
            report(ShellFailure(message: error.message))
            throw ExitCode(2)
        }
        for statement in statements {
            do throws(ShellFailure) {
                try await run(statement.text, pages: false)
            } catch {
                if error.message == Self.quitMark { return }
                report(error.placed(behind: statement, namesLines: namesLines))
                throw ExitCode(error.isConnectionLost ? 2 : 1)
            }
        }
    }

    /// Writes an error to standard error.
    func report(_ failure: ShellFailure) {
        var text = "error: \(failure.message)\n"
        if let place = failure.place { text += place.marked + "\n" }
        Terminal.writeError(text)
    }
}
