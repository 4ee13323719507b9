// The parts of a line of test cases.

internal import BSON

/// Reads a line from left to right.
struct CaseWords {
    /// The line's number in the file.
    let number: Int
    private var rest: Substring

    init(_ line: String, number: Int) {
        self.number = number
        rest = line[...]
    }

    func problem(_ message: String) -> RuleCases.Problem {
        RuleCases.Problem(line: number, message: message)
    }

    private mutating func skipSpace() {
        rest = rest.drop { $0 == " " || $0 == "\t" }
    }

    /// The next word, which stays.
    var peek: String {
        var copy = self
        return copy.word()
    }

    /// The next word; empty at the end.
    mutating func word() -> String {
        skipSpace()
        let word = rest.prefix { $0 != " " && $0 != "\t" }
        rest = rest[word.endIndex...]
        return String(word)
    }

    mutating func required(_ what: String) throws(RuleCases.Problem) -> String {
        let word = word()
        guard !word.isEmpty else { throw problem("expected \(what)") }
        return word
    }

    /// Nothing may follow.
    mutating func end() throws(RuleCases.Problem) {
        skipSpace()
        guard rest.isEmpty else { throw problem("expected the line's end, found '\(peek)'") }
    }

    /// `users/alice`.
    mutating func path(isOfList: Bool = false) throws(RuleCases.Problem) -> [String] {
        let text = try required("the path of a document, such as users/alice")
        let segments = text.split(separator: "/").map(String.init)
        guard !segments.isEmpty, isOfList || segments.count.isMultiple(of: 2) else {
            throw problem(
                "'\(text)' is no path of a document: it has collections and ids by turns")
        }
        return segments
    }

    /// Whether a document comes next.
    var hasDocument: Bool { peek.hasPrefix("{") }

    /// `{…}` in Extended JSON.
    mutating func document() throws(RuleCases.Problem) -> Document {
        skipSpace()
        guard rest.first == "{" else { throw problem("expected a document in braces") }
        let text = String(try balanced())
        do throws(DBError) {
            return try ExtendedJSON.parse(text)
        } catch {
            throw problem(error.message)
        }
    }

    /// `['a', "b"]`.
    mutating func texts() throws(RuleCases.Problem) -> [String] {
        skipSpace()
        guard rest.first == "[" else { throw problem("expected a list of fields in brackets") }
        let text = String(try balanced()).replacing("'", with: "\"")
        guard case .array(let values) = try? ExtendedJSON.parseValue(text) else {
            throw problem("expected a list of fields, such as ['a', 'b.c']")
        }
        var texts: [String] = []
        for case .string(let text) in values { texts.append(text) }
        return texts
    }

    /// `nobody`, `alice` or `alice{"claim": true}`; the id in quotes where it holds space.
    mutating func user() throws(RuleCases.Problem) -> Document? {
        skipSpace()
        var id = ""
        if rest.first == "\"" {
            let content = rest.dropFirst().prefix { $0 != "\"" }
            id = String(content)
            rest = rest[content.endIndex...].dropFirst()
        } else {
            let content = rest.prefix { $0 != " " && $0 != "\t" && $0 != "{" }
            id = String(content)
            rest = rest[content.endIndex...]
        }
        guard !id.isEmpty else { throw problem("expected a user's id, or nobody") }
        if id == "nobody" { return nil }
        let token = rest.first == "{" ? try document() : Document()
        return ["uid": .string(id), "token": .document(token)]
    }

    /// Text up to the bracket that closes the first one.
    private mutating func balanced() throws(RuleCases.Problem) -> Substring {
        var depth = 0
        var quote: Character?
        var isEscaped = false
        for index in rest.indices {
            let character = rest[index]
            if isEscaped {
                isEscaped = false
            } else if let open = quote {
                if character == "\\" { isEscaped = true }
                if character == open { quote = nil }
            } else if character == "\"" || character == "'" {
                quote = character
            } else if character == "{" || character == "[" {
                depth += 1
            } else if character == "}" || character == "]" {
                depth -= 1
                if depth == 0 {
                    let text = rest[...index]
                    rest = rest[rest.index(after: index)...]
                    return text
                }
            }
        }
        throw problem("a bracket isn't closed")
    }
}
