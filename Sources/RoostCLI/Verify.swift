// `roost verify`: checks a database's folder without changing it.

import ArgumentParser

struct Verify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Check a database for damage.",
        discussion: """
            Reads every document and every index entry and compares them. Prints what is wrong, a
            line each, and ends with status 1 if anything is; nothing is changed. Stop the server
            that uses the folder first.

            EXAMPLE
              roost verify ./data
            """)

    @Argument(help: "The folder of the database (default: ./data).")
    var folder = "./data"

    func run() async throws {
        throw FailureMessage(description: "verify is not there yet")
    }
}
