// The grammar as written down: every example in Grammar.md parses, and every sentence made of it.

import BSON
import Foundation
import Testing

@testable import Query

@Suite struct GrammarTests {
    /// The examples: what stands between backticks in the second column of Grammar.md's tables.
    private static func examples() throws -> [String] {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../../Sources/Query/Text/Grammar.md").standardized
        let text = try String(contentsOf: path, encoding: .utf8)
        var examples: [String] = []
        for line in text.split(separator: "\n") where line.hasPrefix("| ") {
            // `\|` is a bar inside a cell.
            let cells = line.replacingOccurrences(of: "\\|", with: "\u{1}")
                .split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            guard cells.count == 2, cells[1].hasPrefix("`") else { continue }
            let fence = cells[1].hasPrefix("``") ? 2 : 1
            let example = String(cells[1].dropFirst(fence).dropLast(fence))
            examples.append(example.replacingOccurrences(of: "\u{1}", with: "|"))
        }
        return examples
    }

    /// Sentences made at random from the grammar's productions.
    @Test(arguments: 0..<10)
    func everySentenceParses(_ seed: UInt64) throws {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../../Sources/Query/Text/Grammar.md").standardized
        let text = try String(contentsOf: path, encoding: .utf8)
        let parts = text.components(separatedBy: "```ebnf\n")
        let block = try #require(parts.count > 1 ? parts[1].components(separatedBy: "```")[0] : nil)
        var sentences = try GrammarSentences(block, seed: seed)
        var kinds: Set<String> = []
        for _ in 0..<400 {
            let sentence = sentences.next()
            kinds.insert(String(sentence.prefix { $0.isLetter }))
            do throws(TextError) {
                _ = try TextParser.parse(sentence)
            } catch {
                Issue.record("seed \(seed): \(error.located(in: sentence).message)")
            }
        }
        #expect(kinds.count == 14, "\(kinds)")
    }

    @Test func everyExampleParses() throws {
        let examples = try Self.examples()
        #expect(examples.count > 40)
        for example in examples {
            #expect(throws: Never.self, "\(example)") {
                do throws(TextError) {
                    _ = try TextParser.parse(example)
                } catch {
                    Issue.record("\(error.located(in: example).message)")
                }
            }
        }
    }

    @Test func everyFunctionThatIsListedExists() throws {
        let path = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("../../../Sources/Query/Text/Grammar.md").standardized
        let text = try String(contentsOf: path, encoding: .utf8)
        for name in TextFunctions.names where TextLoop(rawValue: name) == nil {
            #expect(
                text.contains(" \(name) ") || text.contains("`\(name)")
                    || text.contains("\n\(name) ")
                    || text.contains(" \(name)\n") || text.contains(" \(name)(")
                    || text.contains("\(name)`"),
                "Grammar.md lacks \(name)")
        }
    }
}
