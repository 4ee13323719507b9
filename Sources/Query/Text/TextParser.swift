// Recursive descent over the tokens of one statement. Expressions are in
// TextParser+Expressions.swift, stages in TextParser+Stages.swift; Grammar.md is the grammar.

/// Parses one statement.
struct TextParser {
    private let tokens: [TextToken]
    private var position = 0
    /// Open brackets and conditionals around the current place.
    var nesting = 0

    private init(_ tokens: [TextToken]) {
        self.tokens = tokens
    }

    /// The statement that a text holds.
    static func parse(_ text: String) throws(TextError) -> TextStatement {
        var parser = TextParser(try TextLexer.tokens(of: text))
        let statement = try parser.statement()
        _ = parser.take(";")
        guard parser.current.kind == .end else {
            throw parser.unexpected(parser.continuations + ["the end of the query"])
        }
        return statement
    }

    // MARK: Tokens

    /// The token to be looked at; the last one is `end`, and it stays.
    var current: TextToken { tokens[position] }

    /// The token behind the current one.
    var following: TextToken { tokens[min(position + 1, tokens.count - 1)] }

    /// What could have gone on where the last construct ended, for the message.
    var continuations: [String] = []

    mutating func advance() {
        if position < tokens.count - 1 { position += 1 }
    }

    /// Takes a symbol if it is the next token.
    mutating func take(_ symbol: String) -> Bool {
        guard current.kind == .symbol(symbol) else { return false }
        advance()
        return true
    }

    /// Takes a keyword if it is the next token.
    mutating func takeWord(_ word: String) -> Bool {
        guard current.kind == .word(word) else { return false }
        advance()
        return true
    }

    mutating func expect(_ symbol: String, or others: [String] = []) throws(TextError) {
        guard take(symbol) else { throw unexpected(others + ["'\(symbol)'"]) }
    }

    mutating func expectWord(_ word: String) throws(TextError) {
        guard takeWord(word) else { throw unexpected(["'\(word)'"]) }
    }

    /// The error that the current token is none of those.
    func unexpected(_ expected: [String]) -> TextError {
        let hint = TextHint.of(current).map { " (\($0))" } ?? ""
        return TextError(
            at: current.offset, expected: expected, found: current.description + hint)
    }

    // MARK: Names

    /// A field's or variable's name; keywords are names wherever a name must stand.
    mutating func name(_ what: String) throws(TextError) -> TextName {
        let token = current
        switch token.kind {
        case .word(let name), .quotedName(let name):
            advance()
            return TextName(name: name, offset: token.offset)
        default: throw unexpected([what])
        }
    }

    /// A collection's name: words joined by dots, or one name between backticks.
    mutating func collection() throws(TextError) -> TextName {
        let first = try name("a collection's name")
        var full = first.name
        while take(".") { full += "." + (try name("the rest of the collection's name")).name }
        return TextName(name: full, offset: first.offset)
    }

    /// A dotted path of field names.
    mutating func path() throws(TextError) -> TextPath {
        let first = try name("a field")
        var segments = [first.name]
        while take(".") {
            segments.append(try name("a field").name)
            guard segments.count <= TextLimits.depthMax else {
                throw TextError(
                    at: first.offset,
                    "a path may have at most \(TextLimits.depthMax) field names")
            }
        }
        return TextPath(segments: segments, offset: first.offset)
    }

    // MARK: Statements

    private static let statementWords = [
        "from", "insert", "update", "upsert", "delete", "create", "drop", "explain", "live",
        "restore", "purge", "rename", "alter", "deploy",
    ]

    private mutating func statement() throws(TextError) -> TextStatement {
        guard case .word(let word) = current.kind, Self.statementWords.contains(word) else {
            throw unexpected(Self.statementWords.map { "'\($0)'" })
        }
        advance()
        switch word {
        case "from": return .read(try pipeline())
        case "explain":
            let verbosity = takeWord("full") ? "executionStats" : "queryPlanner"
            try expectWord("from")
            return .explain(try pipeline(), verbosity: verbosity)
        case "live":
            try expectWord("from")
            return .live(try pipeline(isLive: true))
        case "restore":
            return try trash("restore")
        case "purge": return try trash("purge")
        case "insert": return try insert()
        case "update", "upsert": return try update(isUpsert: word == "upsert")
        case "delete":
            try expectWord("from")
            let collection = try collection()
            return .delete(from: collection, condition: try requiredCondition("delete"))
        case "create": return try create()
        case "rename": return try renameCollection()
        case "alter": return try alterCollection()
        case "deploy": return try deployRules()
        default: return try drop()
        }
    }

    private mutating func insert() throws(TextError) -> TextStatement {
        try expectWord("into")
        let collection = try collection()
        if takeWord("from") { return .insertRows(into: collection, try pipeline()) }
        var documents: [TextExpression] = []
        repeat { documents.append(try expression()) } while take(",")
        continuations = ["','"]
        return .insert(into: collection, documents)
    }

    private mutating func update(isUpsert: Bool) throws(TextError) -> TextStatement {
        let collection = try collection()
        let condition = try requiredCondition(isUpsert ? "upsert" : "update")
        guard case .word(let word) = current.kind, Self.changeWords.contains(word) else {
            throw unexpected(["an operator"] + Self.changeWords.map { "'\($0)'" })
        }
        return .update(
            collection, condition: condition, changes: try changes(), isUpsert: isUpsert)
    }

    /// `restore [from] NAME where …`, `purge …`.
    private mutating func trash(_ word: String) throws(TextError) -> TextStatement {
        let isNamedFrom = following.kind == .word("where") || following.kind == .symbol(".")
        if !isNamedFrom { _ = takeWord("from") }
        let collection = try collection()
        return .trash(
            collection, condition: try requiredCondition(word), isPurge: word == "purge")
    }

    /// The condition of a write, which must be there: nobody changes everything by accident.
    private mutating func requiredCondition(_ word: String) throws(TextError) -> TextExpression {
        guard takeWord("where") else {
            throw unexpected(["'where' (write `where true` to \(word) all documents)"])
        }
        let condition = try expression()
        continuations = ["an operator"]
        return condition
    }

    private mutating func create() throws(TextError) -> TextStatement {
        if takeWord("index") { return .createIndex(try index()) }
        guard takeWord("collection") else { throw unexpected(["'index'", "'collection'"]) }
        let name = try collection()
        var cap: TextCap?
        var softDelete: TextSoftDelete?
        if takeWord("softDelete") {
            softDelete = try retention()
        } else if takeWord("capped") {
            let size = try expression()
            cap = TextCap(size: size, count: takeWord("max") ? try expression() : nil)
            continuations = ["'validator'"]
        } else {
            continuations = ["'capped'", "'softDelete'", "'validator'"]
        }
        let validator = takeWord("validator") ? try validator() : nil
        return .createCollection(
            name, capped: cap, softDelete: softDelete, validator: validator)
    }

    private mutating func index() throws(TextError) -> TextIndex {
        var indexName: TextName?
        if current.kind != .word("on") || following.kind == .word("on") {
            indexName = try name("'on' or the index's name")
        }
        try expectWord("on")
        let collection = try collection()
        try expect("(")
        let keys = try keys()
        try expect(")", or: ["','"])
        let isUnique = takeWord("unique")
        var condition: TextExpression?
        if takeWord("where") { condition = try expression() }
        var expiry: TextExpression?
        if takeWord("expire") {
            try expectWord("after")
            expiry = try expression()
            guard takeWord("seconds") else { throw unexpected(["'seconds'"]) }
        }
        continuations =
            isUnique || condition != nil || expiry != nil
            ? ["an operator"] : ["'unique'", "'where'", "'expire'"]
        return TextIndex(
            collection: collection, keys: keys, name: indexName, isUnique: isUnique,
            condition: condition, expireAfter: expiry)
    }

    private mutating func drop() throws(TextError) -> TextStatement {
        if takeWord("index") {
            let index = try name("the index's name")
            try expectWord("on")
            return .dropIndex(index, on: try collection())
        }
        guard takeWord("collection") else { throw unexpected(["'index'", "'collection'"]) }
        return .dropCollection(try collection())
    }
}
