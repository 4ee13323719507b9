import BSON
import Foundation
import Rules

/// Files that tests read where they lie.
enum Resources {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .appendingPathComponent("Resources")

    static func text(_ path: String) throws -> String {
        try String(contentsOf: folder.appendingPathComponent(path), encoding: .utf8)
    }

    /// The rules files of the corpus by name, such as `012.rules`.
    static let corpus: [String] =
        (try? FileManager.default.contentsOfDirectory(
            atPath: folder.appendingPathComponent("corpus").path))?
        .filter { $0.hasSuffix(".rules") }.sorted() ?? []
}

/// Parses rules, with no file to import.
func parsed(_ text: String, limits: RulesLimits = .firestore) -> RuleSet.Parsed {
    RuleSet.parse(RulesFile(name: "test.rules", text: text), limits: limits)
}
