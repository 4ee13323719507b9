// `roost verify`: checks a database's folder without changing it.

import ArgumentParser
import BSON
import Glibc
import Logging
import Roost

struct Verify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check a database for damage.",
        discussion: """
            Reads every document and every index entry and compares them. Prints what is wrong, a
            line each, and ends with status 1 if anything is; nothing is repaired. Stop the server
            that uses the folder first.

            EXAMPLE
              roost verify ./data
            """)

    @Argument(help: "The folder of the database (default: ./data).")
    var folder = "./data"

    func run() async throws {
        guard access(folder, F_OK) == 0 else {
            throw FailureMessage(description: "there is no folder '\(folder)'")
        }
        guard RoostEngine.exists(at: folder) else {
            throw FailureMessage(description: "'\(folder)' holds no database")
        }
        Self.explainFaults()
        let isSound: Bool
        do throws(DBError) {
            var logger = Logger(label: "roost")
            logger.logLevel = .error
            let engine = try RoostEngine(path: folder, logger: logger)
            defer { engine.close() }
            let report = try engine.verify()
            for fault in report.faults { print(fault) }
            if report.faultsOmitted > 0 { print("and \(report.faultsOmitted) more") }
            print(
                "\(report.collections) collections, \(report.documents) documents, "
                    + "\(report.entries) index entries, \(report.changes) changes: "
                    + (report.faults.isEmpty ? "no fault" : "damaged"))
            isSound = report.faults.isEmpty
        } catch {
            throw FailureMessage(description: "cannot check '\(folder)': \(error.message)")
        }
        if !isSound { throw ExitCode(1) }
    }

    /// Damaged pages of the file's tree can lead the store outside its map, which ends the process:
    /// say what that means. Only what is safe in a signal handler is called.
    private static func explainFaults() {
        for number in [SIGSEGV, SIGBUS] {
            signal(number) { _ in
                let text: StaticString =
                    "damaged: the file's pages lead outside of it; restore the folder from a backup\n"
                write(1, text.utf8Start, text.utf8CodeUnitCount)
                _exit(1)
            }
        }
    }
}
