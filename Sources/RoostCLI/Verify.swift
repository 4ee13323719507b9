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
            Looks at every page of the data file, reads every document and every index
            entry and compares them. Prints what is wrong, a line each, and ends with
            status 1 if anything is (74 if the disk fails meanwhile); nothing is repaired.
            Stop the server that uses the folder first.

            EXAMPLE
              roost verify ./data
            """)

    @Argument(help: "The folder of the database.")
    var folder = "./data"

    func run() async throws {
        let isSound: Bool
        do throws(DBError) {
            try FolderCheck.holdsDatabase(folder)
            var logger = Logger(label: "roost")
            logger.logLevel = .error
            var options = EngineOptions()
            options.checksAllPages = true
            options.tidiesUp = false
            let engine = try RoostEngine(path: folder, options: options, logger: logger)
            defer { engine.close() }
            engine.explainFaults()
            let report = try engine.verify()
            for fault in report.faults { print(fault) }
            if report.faultsOmitted > 0 { print("and \(report.faultsOmitted) more") }
            print(
                "\(report.collections) collections, \(report.documents) documents"
                    + (report.deletedDocuments > 0
                        ? " and \(report.deletedDocuments) deleted ones, " : ", ")
                    + "\(report.entries) index entries, \(report.changes) changes: "
                    + (report.faults.isEmpty ? "no fault" : "damaged"))
            isSound = report.faults.isEmpty
        } catch {
            throw FailureMessage.about(error, "cannot check '\(folder)'")
        }
        if !isSound { throw ExitCode(1) }
    }
}
