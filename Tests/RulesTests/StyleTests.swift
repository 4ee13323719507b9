// The same rules in other clothes: what people's editors, habits and generators make of a file must
// change neither whether it is taken nor what the checker finds.

import Query
import Rules
import Testing

/// A way to write the same rules otherwise.
enum RulesStyle: String, CaseIterable, Sendable {
    case remarks, lineRemarks, windowsLines, tabs, oneSpace, hardSpaces, withoutSemicolons
    case doubledSemicolons, otherQuotes, byteOrderMark, withoutLastLine

    /// The text in this style.
    func apply(_ text: String) -> String {
        switch self {
        case .remarks: rewritten(text, space: " /* it's \"so\" { ; // */ ")
        case .lineRemarks: rewritten(text, space: " // don't; } */\n")
        case .windowsLines: text.replacing("\r\n", with: "\n").replacing("\n", with: "\r\n")
        case .tabs: rewritten(text, space: "\t\n\t")
        case .oneSpace: rewritten(text, space: " ")
        case .hardSpaces: rewritten(text, space: "\u{A0}\u{A0}")
        case .withoutSemicolons: rewritten(text, semicolon: "\n")
        case .doubledSemicolons: rewritten(text, semicolon: " ; ;")
        case .otherQuotes: rewritten(text, swapsQuotes: true)
        case .byteOrderMark: "\u{FEFF}" + text
        case .withoutLastLine: String(text.reversed().drop { $0.isWhitespace }.reversed())
        }
    }

    /// Rewrites what stands outside of strings; remarks count as space where space is rewritten.
    private func rewritten(
        _ text: String, space: String? = nil, semicolon: String = ";", swapsQuotes: Bool = false
    ) -> String {
        var rest = text.unicodeScalars[...]
        var made = ""
        while let next = rest.first {
            if next == "'" || next == "\"" {
                let string = Self.string(&rest)
                let inner = string.dropFirst().dropLast()
                let isPlain = !inner.contains { "'\"\\".contains($0) }
                let quote = next == "'" ? "\"" : "'"
                made += swapsQuotes && isPlain ? quote + inner + quote : string
            } else if let gap = Self.gap(&rest) {
                made += space ?? gap
            } else if next == ";" {
                rest.removeFirst()
                made += semicolon
            } else {
                rest.removeFirst()
                made.unicodeScalars.append(next)
            }
        }
        return made
    }

    /// Takes a string.
    private static func string(_ rest: inout Substring.UnicodeScalarView) -> String {
        let quote = rest.first
        var index = rest.index(after: rest.startIndex)
        while index < rest.endIndex, rest[index] != quote {
            if rest[index] == "\\" { index = rest.index(after: index) }
            index = index < rest.endIndex ? rest.index(after: index) : index
        }
        if index < rest.endIndex { index = rest.index(after: index) }
        defer { rest = rest[index...] }
        return String(rest[..<index])
    }

    /// Takes space and remarks; nil where there are none.
    private static func gap(_ rest: inout Substring.UnicodeScalarView) -> String? {
        var index = rest.startIndex
        while index < rest.endIndex {
            if rest[index].properties.isWhitespace {
                index = rest.index(after: index)
            } else if rest[index...].starts(with: "//".unicodeScalars) {
                index = rest[index...].firstIndex(of: "\n") ?? rest.endIndex
            } else if rest[index...].starts(with: "/*".unicodeScalars) {
                guard let end = String(rest[index...]).firstRange(of: "*/") else { break }
                let count = String(rest[index...])[..<end.upperBound].unicodeScalars.count
                index = rest.index(index, offsetBy: count)
            } else {
                break
            }
        }
        guard index > rest.startIndex else { return nil }
        defer { rest = rest[index...] }
        return String(rest[..<index])
    }
}

@Suite struct StyleTests {
    /// What a text comes to, whatever its style.
    private struct Shape: Equatable {
        let errors: [String]
        let findings: [String]
        let counts: [Int]

        init(_ text: String) {
            let parsed = parsed(text)
            errors = parsed.problems.filter { $0.severity == .error }
                .map { $0.text(in: parsed.files) }
            let report = RulesChecker.check(parsed)
            findings = report.problems.map(\.code.rawValue).sorted()
            counts =
                parsed.rules.map { rules in
                    [
                        rules.syntax.services.count, rules.syntax.matches.count,
                        rules.syntax.allows.count, rules.syntax.functions.count,
                        rules.syntax.expressions.count,
                    ]
                } ?? []
        }
    }

    @Test(arguments: Resources.corpus.filter { CorpusTests.invalid[$0] == nil })
    func corpusInEachStyle(_ name: String) throws {
        let text = try Resources.text("corpus/" + name)
        let shape = Shape(text)
        for style in RulesStyle.allCases {
            let other = Shape(style.apply(text))
            #expect(other == shape, "\(name) as \(style)")
        }
    }

    @Test(arguments: UnusualRules.files.indices)
    func unusualFilesInEachStyle(_ index: Int) throws {
        let text = UnusualRules.files[index]
        let shape = Shape(text)
        #expect(shape.errors.isEmpty, "\(text)")
        for style in RulesStyle.allCases {
            let other = Shape(style.apply(text))
            #expect(other == shape, "\(style): \(style.apply(text))")
        }
    }

    @Test(arguments: UnusualRules.bodies.indices)
    func unusualBodies(_ index: Int) throws {
        let text = UnusualRules.wrapped(UnusualRules.bodies[index])
        let shape = Shape(text)
        #expect(shape.errors.isEmpty, "\(text)")
        let worse = [
            "unknown-name", "unknown-function", "unknown-method", "wrong-type", "bad-regex",
        ]
        #expect(!shape.findings.contains { worse.contains($0) }, "\(shape.findings): \(text)")
        for style in RulesStyle.allCases {
            #expect(Shape(style.apply(text)) == shape, "\(style): \(style.apply(text))")
        }
    }
}
