// What is wrong with a rules file, and where.

package import Query

/// A stretch of a file of a rule set, in bytes.
package struct SourceRange: Sendable, Hashable {
    /// The number of the file: 0 for the first, others in the order of their imports.
    package let file: Int32
    /// Offset of the first byte.
    package let start: Int32
    /// Offset behind the last byte.
    package let end: Int32

    init(file: Int32 = 0, _ start: Int, _ end: Int) {
        self.file = file
        self.start = Int32(clamping: start)
        self.end = Int32(clamping: end)
    }
}

/// A finding about a rules file.
package struct RulesProblem: Error, Sendable {
    /// How bad it is.
    package enum Severity: String, Sendable {
        /// The file can't be used; Firestore refuses it as well.
        case error
        /// The file can be used, but probably doesn't do what is meant.
        case warning
    }

    /// What kind of finding it is: stable, for tools.
    package enum Code: String, Sendable, CaseIterable {
        case syntax
        case tooLarge = "too-large"
        case tooDeep = "too-deep"
        case tooMany = "too-many"
        case badImport = "bad-import"
        case unknownModule = "unknown-module"
        case badOption = "bad-option"
        case badPath = "bad-path"
        case recursion
        case callDepth = "call-depth"
        case missingVersion = "missing-version"
        case unknownService = "unknown-service"
        case unknownName = "unknown-name"
        case unknownFunction = "unknown-function"
        case unknownMethod = "unknown-method"
        case unknownMember = "unknown-member"
        case unknownType = "unknown-type"
        case wrongArgumentCount = "wrong-argument-count"
        case wrongType = "wrong-type"
        case badRegex = "bad-regex"
        case duplicate
        case unusedFunction = "unused-function"
        case unusedLet = "unused-let"
        case neverAllows = "never-allows"
        case allowsEveryone = "allows-everyone"
        case overlappingMatch = "overlapping-match"
        case testOnly = "test-only"
        case ambiguous
    }

    /// How bad it is.
    package let severity: Severity
    /// What kind of finding it is.
    package let code: Code
    /// Where.
    package let range: SourceRange
    /// What is wrong and what to do, without the place.
    package let message: String
    /// What could stand there; empty where something else is wrong.
    package let expected: [String]

    init(
        _ severity: Severity, _ code: Code, at range: SourceRange, _ message: String,
        expected: [String] = []
    ) {
        self.severity = severity
        self.code = code
        self.range = range
        self.message = message
        self.expected = expected
    }

    /// An error.
    init(_ code: Code, at range: SourceRange, _ message: String, expected: [String] = []) {
        self.init(.error, code, at: range, message, expected: expected)
    }
}

/// One text of a rule set.
package struct RulesFile: Sendable {
    /// Its name, as messages give it.
    package let name: String
    /// Its text.
    package let text: String

    /// A text under a name.
    package init(name: String, text: String) {
        self.name = name
        self.text = text
    }

    /// Line and column of a place, both from 1, and the line with a caret. O(n).
    package func place(of range: SourceRange) -> TextPlace {
        TextPlace(of: Int(range.start), in: text)
    }

    /// The text of a range, cut where it is no whole text.
    package func text(of range: SourceRange) -> String {
        let bytes = text.utf8
        guard range.start >= 0, Int(range.start) <= bytes.count else { return "" }
        return String(
            decoding: bytes.dropFirst(Int(range.start)).prefix(Int(range.end - range.start)),
            as: UTF8.self)
    }
}

extension RulesProblem {
    /// `NAME:LINE:COLUMN: error[code]: message`, the line, and a caret under it.
    package func text(in files: [RulesFile]) -> String {
        guard files.indices.contains(Int(range.file)) else {
            return "\(severity.rawValue)[\(code.rawValue)]: \(message)"
        }
        let file = files[Int(range.file)]
        let place = file.place(of: range)
        let marked = place.marked.split(separator: "\n", omittingEmptySubsequences: false)
            .map { "  \($0)" }.joined(separator: "\n")
        return "\(file.name):\(place.line):\(place.column): \(severity.rawValue)"
            + "[\(code.rawValue)]: \(message)\n\(marked)"
    }
}
