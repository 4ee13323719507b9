// `roost migrate`: numbered files of changes, run up and down on a server.

import ArgumentParser
import BSON
import Client
import Glibc
import Roost

struct MigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate",
        abstract: "Change data and schema by numbered files, and back.",
        discussion: """
            A migration is a file such as migrations/0001_add_status.roost:

                up {
                  create collection orders softDelete "30d";
                  create index byStatus on orders (status);
                  update orders where status is missing set status = "open";
                }
                down {
                  update orders where true unset status;
                  drop index byStatus on orders;
                }

            What one command runs is a group: it is done as a whole, or taken back as a
            whole where a statement fails. A command that was killed, or whose server
            was, goes on when it is run again.

            EXAMPLES
              roost migrate new add status
              roost migrate plan
              roost migrate up --uri mongodb://db:27017/shop
              roost migrate down --to 3
              roost migrate up --rate 5000
            """,
        subcommands: [
            MigrateNew.self, MigrateStatus.self, MigratePlan.self, MigrateUp.self,
            MigrateDown.self, MigrateRedo.self,
        ])
}

/// Where the files and the server are.
struct MigrateTarget: ParsableArguments {
    @Option(help: "The folder of the migrations.")
    var dir = "migrations"

    @Option(help: "Where the server is: mongodb://HOST[:PORT][/DATABASE].")
    var uri = "mongodb://127.0.0.1:27017/test"
}

/// How migrations are run.
struct MigrateOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The last migration to be applied then.", valueName: "number"))
    var to: Int?

    @Flag(help: "Only show what would be done, as 'plan' does.")
    var dryRun = false

    @Option(
        help: ArgumentHelp(
            "Most documents changed in a second (default: batches take half of the time).",
            valueName: "documents"))
    var rate: Int?

    @Option(
        help: ArgumentHelp(
            "Documents of a batch (default: as many as take about 10 ms).",
            valueName: "documents"))
    var batch: Int?

    @Option(
        help: ArgumentHelp(
            "How long the lock holds if this command is killed.", valueName: "seconds"))
    var lease = 10

    @Option(
        help: ArgumentHelp(
            "How long to wait for another's lock.", valueName: "seconds"))
    var wait = 0

    @Flag(help: "Show no progress.")
    var quiet = false

    func validate() throws {
        if let rate, rate < 1 { throw ValidationError("--rate is at least 1") }
        if let batch, batch < 1 { throw ValidationError("--batch is at least 1") }
        guard (1...3_600).contains(lease) else {
            throw ValidationError("--lease is from 1 to 3600")
        }
        guard (0...86_400).contains(wait) else {
            throw ValidationError("--wait is from 0 to 86400")
        }
    }
}

struct MigrateNew: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "new", abstract: "Make the file of the next migration.")

    @Argument(help: "What it does, in a few words.")
    var name: [String]

    @Option(help: "The folder of the migrations; made where there is none.")
    var dir = "migrations"

    func run() async throws {
        if access(dir, F_OK) != 0, mkdir(dir, 0o755) != 0 {
            throw FailureMessage(
                description: "cannot make '\(dir)': \(String(cString: strerror(errno)))")
        }
        let files = try MigrateServer.files(dir)
        let words = name.joined(separator: "_").lowercased()
            .map { $0.isASCII && ($0.isLetter || $0.isNumber) ? String($0) : "_" }.joined()
        guard !words.isEmpty else { throw ValidationError("Say in a few words what it does") }
        let digits = String(files.count + 1)
        let number = String(repeating: "0", count: max(0, 4 - digits.count)) + digits
        let path = "\(dir)/\(number)_\(words)\(MigrationFile.suffix)"
        let output = try ByteOutput(path: path, gzip: false)
        let text = """
            // \(name.joined(separator: " "))

            up {
            }

            // Without this section, creating and renaming is taken back by itself.
            // down {
            // }

            """
        try output.write(Array(text.utf8))
        try output.finish()
        print(path)
    }
}

struct MigrateStatus: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Show which migrations are applied.",
        discussion: "The status is 1 where a migration is pending, edited or missing.")

    @OptionGroup var target: MigrateTarget

    func run() async throws {
        let server = try await MigrateServer(target)
        defer { server.close() }
        let reply = try await server.ask("status", files: true)
        let isClean = MigrateText.printStatus(reply)
        if !isClean { throw ExitCode(1) }
    }
}

struct MigratePlan: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan", abstract: "Show what 'up' would do.")

    @OptionGroup var target: MigrateTarget

    @Option(help: ArgumentHelp("The last migration to be applied then.", valueName: "number"))
    var to: Int?

    func run() async throws {
        try await MigrateServer.plan(target, action: "up", to: to)
    }
}

struct MigrateUp: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up", abstract: "Apply pending migrations.")

    @OptionGroup var target: MigrateTarget
    @OptionGroup var options: MigrateOptions

    func run() async throws { try await MigrateServer.run("up", target, options) }
}

struct MigrateDown: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "down",
        abstract: "Take back the last migration, or with --to all behind that number.")

    @OptionGroup var target: MigrateTarget
    @OptionGroup var options: MigrateOptions

    func run() async throws { try await MigrateServer.run("down", target, options) }
}

struct MigrateRedo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "redo",
        abstract:
            "Take back the last migration (with --to all from that number) and apply it again.")

    @OptionGroup var target: MigrateTarget
    @OptionGroup var options: MigrateOptions

    func run() async throws { try await MigrateServer.run("redo", target, options) }
}
