import Rules
import Testing

/// Rules that people have written, and whether Firestore takes them.
@Suite struct CorpusTests {
    /// Files that Firestore refuses, with why.
    static let invalid: [String: String] = [
        "083.rules": "a match isn't closed",
        "084.rules": "there is no method readwrite",
        "085.rules": "a comparison lacks its right side",
        "086.rules": "a function without return",
        "087.rules": "a parenthesis isn't closed",
        "088.rules": "an import behind a function",
        "089.rules": "a function before rules_version",
        "121.rules": "13 let in a function",
        "123.rules": "12 let in a function",
        "129.rules": "a parenthesis isn't closed",
        "146.rules": "a service with two braces, made to be refused",
        "147.rules": "a template with a placeholder",
    ]

    @Test func isThere() {
        #expect(Resources.corpus.count == 138)
    }

    @Test(arguments: Resources.corpus)
    func isTakenOrRefused(_ name: String) throws {
        let parsed = parsed(try Resources.text("corpus/" + name))
        let errors = parsed.problems.filter { $0.severity == .error }
            .map { $0.text(in: parsed.files) }
        if let reason = Self.invalid[name] {
            #expect(!errors.isEmpty, "\(name) is taken, but \(reason)")
        } else {
            #expect(errors.isEmpty, "\(errors.joined(separator: "\n"))")
            #expect(parsed.rules != nil)
        }
    }
}
