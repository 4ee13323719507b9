// Style and architecture as failing tests rather than review remarks.

import Foundation
import Testing

/// Which of our modules a module may import; SwiftPM itself does not guard these arrows.
private let allowedImports: [String: Set<String>] = [
    "BSON": ["CDecimal"],
    "Storage": ["CLMDB", "CChecksum", "CPlatform"],
    "Query": ["BSON", "CICU", "CPCRE2", "CS2", "CStemmer"],
    "Rules": ["BSON", "Query"],
    "Roost": ["BSON", "Storage", "Query", "CArgon2", "CChecksum", "CZlib", "Rules"],
    "Wire": ["BSON", "CICU", "CZlib", "CChecksum"],
    "Server": ["BSON", "CPlatform", "Query", "Roost", "Storage", "Wire"],
    "Gateway": ["BSON", "CZlib", "Roost", "Wire"],
    "Client": ["BSON", "Wire"],
    "RoostCLI": [
        "BSON", "CEditLine", "CZlib", "Client", "Gateway", "Query", "Roost", "Rules", "Server",
    ],
]

/// Modules from outside that a module must not see.
private let forbiddenImports: [String: Set<String>] = [
    "BSON": ["Foundation", "FoundationEssentials", "NIOCore"],
    "Storage": ["Foundation", "FoundationEssentials", "NIOCore"],
    "Query": ["Foundation", "FoundationEssentials", "NIOCore"],
    "Rules": ["Foundation", "FoundationEssentials", "NIOCore"],
    "Roost": ["Foundation", "NIOCore", "NIOPosix"],
    "Wire": ["Foundation", "FoundationEssentials", "NIOPosix"],
]

@Suite struct TidyTests {
    @Test func importsFollowTheArrows() throws {
        let own = Set(allowedImports.keys).union(allowedImports.values.joined())
        for file in try SourceFile.all(in: "Sources") {
            let allowed = allowedImports[file.target] ?? []
            let forbidden = forbiddenImports[file.target] ?? []
            for module in file.imports {
                #expect(
                    !own.contains(module) || allowed.contains(module),
                    "\(file.path) imports \(module)")
                #expect(!forbidden.contains(module), "\(file.path) imports \(module)")
            }
        }
    }

    @Test func storesAreNamedOnlyInStorage() throws {
        for file in try SourceFile.all(in: "Sources") where file.target != "Storage" {
            let code = file.code.joined(separator: "\n")
            #expect(
                !code.contains("LMDB") && !code.contains("mdb_"), "\(file.path) names the store")
        }
    }

    @Test func filesHoldOneConcept() throws {
        for file in try SourceFile.all(in: "Sources") + SourceFile.all(in: "Tests") {
            #expect(file.lines.count <= 700, "\(file.path) has \(file.lines.count) lines")
        }
    }

    @Test(arguments: ["FIXME", "TODO", "XXX", "HACK"])
    func nothingIsLeftForLater(_ mark: String) throws {
        for file in try SourceFile.all(in: "Sources") {
            let word = "\\b\(mark)\\b"
            let found = file.text.range(of: word, options: .regularExpression) != nil
            #expect(!found, "\(file.path) holds \(mark)")
        }
    }

    @Test func nothingEndsTheProcess() throws {
        for file in try SourceFile.all(in: "Sources") {
            for (number, line) in file.code.enumerated() {
                for word in ["fatalError(", "preconditionFailure(", "try!", " as! "] {
                    #expect(!line.contains(word), "\(file.path):\(number + 1): \(word)")
                }
            }
        }
    }

    @Test func silencedChecksSayWhy() throws {
        for file in try SourceFile.all(in: "Sources") {
            for (number, line) in file.code.enumerated()
            where line.contains("@unchecked Sendable") || line.contains("nonisolated(unsafe)") {
                let near = file.lines[max(0, number - 6)...min(file.lines.count - 1, number + 3)]
                #expect(
                    near.contains {
                        $0.contains("//")
                            && $0.range(
                                of: "nchecked|endable|onfined|thread|SAFETY|lock",
                                options: .regularExpression) != nil
                    },
                    "\(file.path):\(number + 1) silences a check without its reason")
            }
        }
    }

    @Test func subsystemsOpenWithAnAccount() throws {
        for file in try SourceFile.all(in: "Sources") {
            let first = file.lines.first { !$0.isEmpty } ?? ""
            #expect(
                first.hasPrefix("//") || first.hasPrefix("import")
                    || first.hasPrefix("package import")
                    || first.hasPrefix("public import") || first.hasPrefix("extension")
                    || first.hasPrefix("/*"),
                "\(file.path) opens with \(first)")
        }
    }
}

/// A source file of the package.
private struct SourceFile {
    let path: String
    let text: String

    var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }

    /// The lines with comments blanked.
    var code: [Substring] {
        lines.map { line in
            line.drop { $0 == " " }.hasPrefix("//") ? "" : line
        }
    }

    /// The folder under Sources or Tests.
    var target: String { String(path.split(separator: "/")[1]) }

    /// The modules it imports.
    var imports: [String] {
        code.compactMap { line in
            let words = line.split(separator: " ")
            guard let position = words.firstIndex(of: "import"), position <= 1,
                words.count > position + 1
            else { return nil }
            return String(words.last?.split(separator: ".")[0] ?? "")
        }
    }

    /// Every Swift file below a top-level folder of the package.
    static func all(in folder: String) throws -> [SourceFile] {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let base = root.appendingPathComponent(folder)
        let paths = FileManager.default.enumerator(atPath: base.path)?.compactMap { $0 as? String }
        let files = try (paths ?? []).filter { $0.hasSuffix(".swift") }.map {
            SourceFile(
                path: "\(folder)/\($0)",
                text: try String(contentsOf: base.appendingPathComponent($0), encoding: .utf8))
        }
        try #require(files.count > 10, "the sources were not found under \(base.path)")
        return files
    }
}
