// Several statements in one text, in sections: `up { … ; … } down { … }`, as migrations have them.

package import BSON

/// A text of sections with statements in them.
package struct TextScript: Sendable {
    /// A statement of a section.
    package struct Statement: Sendable {
        /// The statement behind as many blanks as the script has before it, so that the places of
        /// errors are those of the script.
        package let text: String
        /// The statement alone.
        package let shown: String
    }

    /// A name and the statements between its braces.
    package struct Section: Sendable {
        package let name: String
        package let statements: [Statement]
    }

    /// In the order of the text, each name at most once.
    package let sections: [Section]

    /// Reads sections of these names, and checks the grammar of each statement. O(n) for each
    /// statement.
    /// - Throws: `failedToParse` with line and column in the script.
    package init(_ text: String, sections names: [String]) throws(DBError) {
        do throws(TextError) {
            sections = try Self.sections(text, names)
        } catch {
            throw error.located(in: text)
        }
    }

    private static func sections(
        _ text: String, _ names: [String]
    ) throws(TextError) -> [Section] {
        let tokens = try TextLexer.tokens(of: text)
        let bytes = Array(text.utf8)
        var sections: [Section] = []
        var position = 0
        while tokens[position].kind != .end {
            let head = tokens[position]
            let left = names.filter { name in !sections.contains { $0.name == name } }
            guard case .word(let name) = head.kind, left.contains(name) else {
                throw TextError(
                    at: head.offset, expected: left.map { "'\($0)'" } + ["the end of the file"],
                    found: head.description)
            }
            guard tokens[position + 1].kind == .symbol("{") else {
                throw TextError(
                    at: tokens[position + 1].offset, expected: ["'{'"],
                    found: tokens[position + 1].description)
            }
            position += 2
            var statements: [Statement] = []
            while tokens[position].kind != .symbol("}") {
                let start = position
                position = try end(of: start, tokens)
                if position > start {
                    let statement = Self.statement(
                        bytes, tokens[start].offset..<tokens[position - 1].end)
                    _ = try TextParser.parse(statement.text)
                    statements.append(statement)
                }
                if tokens[position].kind == .symbol(";") { position += 1 }
            }
            position += 1
            sections.append(Section(name: name, statements: statements))
        }
        return sections
    }

    /// The place of the `;` or `}` that ends the statement which begins at `start`.
    private static func end(of start: Int, _ tokens: [TextToken]) throws(TextError) -> Int {
        var depth = 0
        for position in start..<tokens.count {
            switch tokens[position].kind {
            case .symbol("{"), .symbol("("), .symbol("["): depth += 1
            case .symbol("}") where depth == 0, .symbol(";") where depth == 0: return position
            case .symbol("}"), .symbol(")"), .symbol("]"): depth = max(0, depth - 1)
            case .end:
                throw TextError(
                    at: tokens[position].offset, expected: ["';'", "'}' behind the section"],
                    found: "the end of the file")
            default: break
            }
        }
        return tokens.count - 1
    }

    private static func statement(_ bytes: [UInt8], _ range: Range<Int>) -> Statement {
        let shown = String(decoding: bytes[range], as: UTF8.self)
        // A blank for each byte keeps offsets; within the line, characters keep columns.
        let line = bytes[..<range.lowerBound].lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        let before = bytes[..<line].map { $0 == UInt8(ascii: "\n") ? $0 : UInt8(ascii: " ") }
        let column = String(decoding: bytes[line..<range.lowerBound], as: UTF8.self)
            .unicodeScalars.count
        return Statement(
            text: String(decoding: before, as: UTF8.self)
                + String(repeating: " ", count: column) + shown, shown: shown)
    }
}

extension TextQuery {
    /// A statement that takes back what the given one does, where its text alone says how: a
    /// collection or an index that was created, a collection or fields of all documents that were
    /// renamed. Nil for others.
    /// - Throws: `failedToParse`.
    package static func inverse(
        of text: String, _ scope: ExpressionScope
    ) throws(DBError) -> TextCommand? {
        let statement: TextStatement
        do throws(TextError) {
            statement = try TextParser.parse(text)
        } catch {
            throw error.located(in: text)
        }
        let compiler = TextCompiler(text: text, parameters: [:], scope: scope, marksPlaces: false)
        switch statement {
        case .createCollection(let name, _, _, _): return .dropCollection(collection: name.name)
        case .createIndex:
            guard
                case .createIndex(let collection, let specification) =
                    try compiler.command(statement), case .string(let name)? = specification["name"]
            else { return nil }
            return .dropIndex(collection: collection, name: name)
        case .renameCollection(let name, let target):
            return .renameCollection(collection: target.name, to: name.name)
        case .update(let collection, let condition, let changes, isUpsert: false):
            guard case .literal(.bool(true)) = condition.kind else { return nil }
            var back: [TextChange] = []
            for change in changes.reversed() {
                guard case .rename(let path, let target) = change else { return nil }
                back.append(.rename(target, to: path))
            }
            return try compiler.command(
                .update(collection, condition: condition, changes: back, isUpsert: false))
        default: return nil
        }
    }
}
