// `roost compact`: gives back the disk space that a database's free pages take.

import ArgumentParser
import BSON
import Client
import Glibc
import Roost

struct CompactCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compact",
        abstract: "Make a stopped database's file as small as its contents.",
        discussion: """
            Pages that deletes set free are used again for new data, but the file never
            shrinks by itself. This copies all entries into a new file, checking each one's
            checksum, and puts it in the old one's place. It needs free disk space for the
            copy. Killed at any moment, or out of space, nothing is lost.

            Stop the server first. Backups begin anew afterwards: the next `roost backup`
            takes a whole one. Resume tokens of change streams stay good.

            --uri shows what a running server's file holds, and what compacting would give.

            EXAMPLES
              roost compact ./data
              roost compact --uri mongodb://127.0.0.1:27017
            """)

    @Argument(help: "The folder of the database.")
    var folder = "./data"

    @Option(help: "Ask this running server in place of compacting a folder.")
    var uri: String?

    @Flag(help: "Show no progress.")
    var quiet = false

    func run() async throws {
        do throws(DBError) {
            if let uri {
                try await ask(uri)
            } else {
                try compact()
            }
        } catch {
            throw FailureMessage.about(error, "cannot compact '\(uri ?? folder)'")
        }
    }

    private func compact() throws(DBError) {
        try FolderCheck.holdsDatabase(folder)
        var progress = TransferProgress("MiB copied", isQuiet: quiet)
        var byteCount = 0
        let sizes = try RoostEngine.compact(path: folder) { bytes in
            byteCount += bytes
            progress.add(byteCount >> 20 - progress.records, share: nil)
        }
        print(
            "'\(folder)': \(Figure.bytes(Double(sizes.before))) before, "
                + "\(Figure.bytes(Double(sizes.after))) now")
    }

    private func ask(_ uri: String) async throws(DBError) {
        var target = try ConnectionString(uri)
        if let user = target.user, target.password == nil {
            target.password = PasswordPrompt.ask("Password of \(user): ")
        }
        let connection = try await Connection.open(target)
        defer { connection.close() }
        let reply = Reply(
            try await connection.run(["serverStatus": 1, "repl": 0], database: "admin"))
        let file = reply.number("store", "fileBytes")
        let free = reply.number("store", "freeBytes")
        print(
            "The data file has \(Figure.bytes(file)), of which \(Figure.bytes(free)) hold nothing "
                + "and are used again for new data.\nA running server's file can't shrink: stop "
                + "the server and run 'roost compact DIR' to give them back.")
    }
}
