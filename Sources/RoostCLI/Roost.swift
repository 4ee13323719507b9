// The executable `roost`. Each subcommand is a file of this folder.

import ArgumentParser
import Server

@main
struct Roost: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "roost",
        abstract: "A document database in one binary, spoken to with any MongoDB driver.",
        discussion: """
            Start a database in the folder ./data and leave it running:

                roost serve

            Then, from any language with a MongoDB driver, connect to

                mongodb://127.0.0.1:27017

            `roost help serve` lists what can be set. `roost verify ./data` checks a
            folder.
            """,
        version: "roost \(Version.roost) (speaks as MongoDB \(Version.compatible))",
        subcommands: [
            Serve.self, Shell.self, ImportCommand.self, ExportCommand.self, Verify.self,
            BackupCommand.self, RestoreCommand.self, MigrateCommand.self, SchemaCommand.self,
            RulesCommand.self, Admin.self, StatCommand.self, TopCommand.self,
            CompactCommand.self, DoctorCommand.self, PrintVersion.self,
        ])
}

/// `roost version`.
struct PrintVersion: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Print the version.")

    func run() {
        print(Roost.configuration.version)
    }
}
