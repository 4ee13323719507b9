// Statements that change what a collection is: `rename`, `alter`, `deploy rules`, and the parts that
// `create` shares with them.

extension TextParser {
    /// `collection NAME to NAME`.
    mutating func renameCollection() throws(TextError) -> TextStatement {
        try expectWord("collection")
        let source = try collection()
        try expectWord("to")
        return .renameCollection(source, to: try collection())
    }

    /// `collection NAME softDelete …`, `collection NAME validator …`.
    mutating func alterCollection() throws(TextError) -> TextStatement {
        try expectWord("collection")
        let name = try collection()
        if takeWord("softDelete") {
            if takeWord("off") { return .alterCollection(name, .finalDeletes) }
            return .alterCollection(name, .softDelete(try retention()))
        }
        guard takeWord("validator") else { throw unexpected(["'softDelete'", "'validator'"]) }
        return .alterCollection(name, .validator(try validator()))
    }

    /// `rules TEXT`, `rules file NAME`.
    mutating func deployRules() throws(TextError) -> TextStatement {
        try expectWord("rules")
        let isFile = takeWord("file")
        return .deployRules(try expression(), isFile: isFile)
    }

    /// How long deleted documents are kept, behind `softDelete`; it may be left out.
    mutating func retention() throws(TextError) -> TextSoftDelete {
        var retention: TextExpression?
        let isLast = current.kind == .end || current.kind == .symbol(";")
        if !isLast, current.kind != .word("validator") { retention = try expression() }
        continuations = ["a duration such as \"30d\"", "'validator'"]
        return TextSoftDelete(retention: retention)
    }

    /// What stands behind `validator`.
    mutating func validator() throws(TextError) -> TextValidator {
        let condition: TextValidator.Condition
        if takeWord("where") {
            condition = .where(try expression())
        } else if takeWord("jsonSchema") {
            condition = .jsonSchema(try expression())
        } else if takeWord("none") {
            condition = .none
        } else {
            throw unexpected(["'where'", "'jsonSchema'", "'none'"])
        }
        continuations = ["an operator", "'level'", "'action'"]
        let level = takeWord("level") ? try choice(["off", "moderate", "strict"]) : nil
        let action = takeWord("action") ? try choice(["error", "warn"]) : nil
        return TextValidator(condition: condition, level: level, action: action)
    }

    private mutating func choice(_ words: [String]) throws(TextError) -> String {
        for word in words where takeWord(word) { return word }
        throw unexpected(words.map { "'\($0)'" })
    }
}
