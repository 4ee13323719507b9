// `roost rules`: work on files of security rules.

import ArgumentParser
import Glibc
import Roost
import Rules

struct RulesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rules", abstract: "Check, test and deploy security rules.",
        discussion: """
            Rules are written in Firestore's language and say who may do what with which
            document.

            EXAMPLES
              roost rules check firestore.rules
              roost rules test ./rules --html coverage.html
              roost rules replay --log access.log --rules new.rules
              roost rules deploy firestore.rules mongodb://127.0.0.1:27017
              roost rules why 6560c2a1f0e2b3c4d5e6f708
            """,
        subcommands: [
            RulesCheck.self, RulesTest.self, RulesReplay.self, RulesDeploy.self, RulesWhy.self,
        ])
}

/// Reads rules files for the subcommands.
enum RulesFiles {
    /// Parses a file and what it imports.
    static func parse(_ path: String) throws -> RuleSet.Parsed {
        RuleSet.parse(RulesFile(name: path, text: try text(path)), importer: find)
    }

    /// A file and what it imports, the file itself first.
    static func texts(_ path: String) throws -> [RulesText] {
        let parsed = try parse(path)
        return parsed.files.map { RulesText(name: $0.name, text: $0.text) }
    }

    /// A file that another imports: beside it, with or without its ending.
    private static func find(_ path: String, _ importing: String) -> RulesFile? {
        let folder = importing.split(separator: "/", omittingEmptySubsequences: false).dropLast()
            .joined(separator: "/")
        let beside = path.hasPrefix("/") || folder.isEmpty ? path : "\(folder)/\(path)"
        for name in [beside, beside + ".rules"] {
            if let text = try? text(name) { return RulesFile(name: name, text: text) }
        }
        return nil
    }

    /// The text of a file, at most 16 MiB.
    static func text(_ path: String) throws -> String {
        guard let file = fopen(path, "rb") else {
            throw FailureMessage(
                description: "cannot read '\(path)': \(String(cString: strerror(errno)))")
        }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while bytes.count <= 16 << 20 {
            let count = fread(&chunk, 1, chunk.count, file)
            guard count > 0 else { break }
            bytes += chunk[..<count]
        }
        guard ferror(file) == 0 else {
            throw FailureMessage(
                description: "cannot read '\(path)': \(String(cString: strerror(errno)))")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw FailureMessage(description: "'\(path)' is no UTF-8 text")
        }
        return text
    }
}
