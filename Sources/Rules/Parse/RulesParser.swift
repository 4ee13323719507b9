// From the text of a rules file to `RuleSyntax`, by recursive descent.
//
// Semicolons are optional, as in Firestore. The first thing that is wrong ends the parse. Recursion
// is bounded by the limits of nesting, so that no text overflows the stack; names are bound later,
// since functions may be used before they are declared.

/// The parser of one file after another into one syntax.
struct RulesParser {
    /// An `import` as it stands.
    struct Import {
        let path: String
        /// Whether names were listed: `import { f } from 'module'`.
        let isNamed: Bool
        let range: SourceRange
    }

    let limits: RulesLimits
    var syntax = RuleSyntax()
    /// How deep each expression of `syntax` nests.
    var depths: [Int32] = []
    var lexer = RulesLexer("", file: 0)
    var current = RulesToken(kind: .end, start: 0, end: 0)
    /// The end of the token before the current one.
    var previousEnd = 0
    /// How deep the expression being read nests.
    var nesting = 0
    private var textNumbers: [String: TextID] = [:]
    private(set) var imports: [Import] = []

    init(limits: RulesLimits) {
        self.limits = limits
    }

    // MARK: Tokens

    mutating func advance() throws(RulesProblem) {
        previousEnd = current.end
        current = try lexer.next()
    }

    func range(_ start: Int, _ end: Int) -> SourceRange {
        SourceRange(file: lexer.file, start, end)
    }

    /// From a place to the last token that was taken.
    func range(from start: Int) -> SourceRange { range(start, max(start, previousEnd)) }

    var currentRange: SourceRange { range(current.start, current.end) }

    /// The error that something else stands here.
    func unexpected(_ expected: String...) -> RulesProblem {
        RulesProblem(
            .syntax, at: currentRange,
            "expected \(Self.alternatives(expected)), found \(current.description)",
            expected: expected)
    }

    /// `a, b or c`.
    private static func alternatives(_ list: [String]) -> String {
        guard let last = list.last, list.count > 1 else { return list.first ?? "nothing" }
        return list.dropLast().joined(separator: ", ") + " or " + last
    }

    func isWord(_ word: String) -> Bool { current.kind == .word(word) }

    func isSymbol(_ symbol: RulesToken.Symbol) -> Bool { current.kind == .symbol(symbol) }

    /// Takes a symbol if it stands here.
    mutating func take(_ symbol: RulesToken.Symbol) throws(RulesProblem) -> Bool {
        guard isSymbol(symbol) else { return false }
        try advance()
        return true
    }

    mutating func expect(_ symbol: RulesToken.Symbol) throws(RulesProblem) {
        guard try take(symbol) else { throw unexpected("'\(symbol.rawValue)'") }
    }

    mutating func name(_ what: String) throws(RulesProblem) -> (TextID, SourceRange) {
        guard case .word(let word) = current.kind else { throw unexpected(what) }
        let range = currentRange
        try advance()
        return (text(word), range)
    }

    mutating func string(_ what: String) throws(RulesProblem) -> (String, SourceRange) {
        guard case .string(let text) = current.kind else { throw unexpected(what) }
        let range = currentRange
        try advance()
        return (text, range)
    }

    mutating func text(_ text: String) -> TextID {
        // Strings are equal here only when their bytes are: keys are in normal form or not.
        if let known = textNumbers[text], syntax[known].utf8.elementsEqual(text.utf8) {
            return known
        }
        let number = TextID(syntax.texts.count)
        syntax.texts.append(text)
        textNumbers[text] = number
        return number
    }

    // MARK: Files

    /// Parses a file; what it imports is in `imports` then.
    mutating func parse(_ file: RulesFile) throws(RulesProblem) {
        let number = syntax.files.count
        syntax.files.append(file)
        lexer = RulesLexer(file.text, file: Int32(clamping: number))
        current = RulesToken(kind: .end, start: 0, end: 0)
        imports = []
        guard syntax.files.reduce(0, { $0 + $1.text.utf8.count }) <= limits.sourceBytesMax else {
            throw RulesProblem(
                .tooLarge, at: range(0, 0),
                "rules may have at most \(limits.sourceBytesMax >> 10) KiB with what they import")
        }
        try advance()
        var declares = false
        var hasVersion = false
        while current.kind != .end {
            switch current.kind {
            case .word("rules_version"):
                guard !hasVersion, !declares else {
                    throw RulesProblem(
                        .syntax, at: currentRange,
                        "rules_version stands once, before everything else in the file")
                }
                try parseVersion(isFirstFile: number == 0)
                hasVersion = true
            case .word("import"):
                guard !declares else {
                    throw RulesProblem(
                        .syntax, at: currentRange,
                        "imports stand before the functions and services of a file")
                }
                try parseImport()
            case .word("export"), .word("function"):
                declares = true
                syntax.globalFunctions.append(try parseFunction(isShared: number > 0))
            case .word("service"):
                declares = true
                try parseService()
            case .symbol(.semicolon): try advance()
            case .word("match"), .word("allow"):
                throw RulesProblem(
                    .syntax, at: currentRange,
                    "'match' and 'allow' stand inside a service: service cloud.firestore { … }",
                    expected: ["'service'"])
            default:
                throw unexpected("'service'", "'function'", "'import'", "'rules_version'")
            }
        }
    }

    private mutating func parseVersion(isFirstFile: Bool) throws(RulesProblem) {
        try advance()
        try expect(.assign)
        let (version, range) = try string("'1' or '2' in quotes")
        guard ["1", "2", "2+modules"].contains(version) else {
            throw RulesProblem(
                .syntax, at: range, "there are the versions '1' and '2' of rules",
                expected: ["'1'", "'2'"])
        }
        _ = try take(.semicolon)
        guard isFirstFile else { return }
        syntax.version = version == "1" ? 1 : 2
        syntax.versionRange = range
    }

    private mutating func parseImport() throws(RulesProblem) {
        let start = current.start
        try advance()
        var isNamed = false
        if try take(.openBrace) {
            isNamed = true
            while !isSymbol(.closeBrace) {
                _ = try name("the name of a function")
                guard try take(.comma) else { break }
            }
            try expect(.closeBrace)
            guard isWord("from") else { throw unexpected("'from'") }
            try advance()
        }
        let (path, _) = try string("the file to import, in quotes")
        imports.append(Import(path: path, isNamed: isNamed, range: range(from: start)))
        _ = try take(.semicolon)
    }

    // MARK: Services

    private mutating func parseService() throws(RulesProblem) {
        let start = current.start
        try advance()
        let first = try self.name("the name of a service, such as cloud.firestore").0
        var name = syntax[first]
        while try take(.dot) {
            let part = try self.name("a part of the name").0
            name += "." + syntax[part]
        }
        let number = syntax.services.count
        syntax.services.append(ServiceSyntax(name: name, range: range(from: start)))
        try expect(.openBrace)
        while try !take(.closeBrace) {
            switch current.kind {
            case .word("match"):
                let match = try parseMatch(parent: -1, service: Int32(clamping: number), depth: 1)
                syntax.services[number].matches.append(match)
            case .word("function"), .word("export"):
                syntax.services[number].functions.append(try parseFunction(isShared: false))
            case .word("option"): syntax.services[number].options.append(try parseOption())
            case .word("allow"):
                throw RulesProblem(
                    .syntax, at: currentRange,
                    "'allow' stands inside a match, such as match /users/{id} { … }",
                    expected: ["'match'"])
            case .symbol(.semicolon): try advance()
            default: throw unexpected("'match'", "'function'", "'}'")
            }
        }
    }

    // MARK: Functions

    mutating func parseFunction(isShared: Bool) throws(RulesProblem) -> Int32 {
        var isShared = isShared
        if isWord("export") {
            isShared = true
            try advance()
        }
        guard isWord("function") else { throw unexpected("'function'") }
        try advance()
        let (name, nameRange) = try name("the name of the function")
        try expect(.openParenthesis)
        var parameters: [TextID] = []
        while !isSymbol(.closeParenthesis) {
            let (parameter, range) = try self.name("the name of a parameter or ')'")
            parameters.append(parameter)
            guard parameters.count <= limits.parametersMax else {
                throw RulesProblem(
                    .tooMany, at: range,
                    "a function has at most \(limits.parametersMax) parameters")
            }
            guard try take(.comma) else { break }
        }
        try expect(.closeParenthesis)
        try expect(.openBrace)
        var lets: [LetSyntax] = []
        while isWord("let") {
            let start = current.start
            try advance()
            let (name, range) = try self.name("the name of a value")
            try expect(.assign)
            lets.append(LetSyntax(name: name, nameRange: range, value: try parseExpression()))
            guard lets.count <= limits.letsMax else {
                throw RulesProblem(
                    .tooMany, at: self.range(from: start),
                    "a function has at most \(limits.letsMax) 'let'")
            }
            while try take(.semicolon) {}
        }
        guard isWord("return") else { throw unexpected("'return'", "'let'") }
        try advance()
        let result = try parseExpression()
        while try take(.semicolon) {}
        guard isSymbol(.closeBrace) else {
            throw unexpected("an operator", "';'", "'}' behind the function's only 'return'")
        }
        try advance()
        syntax.functions.append(
            FunctionSyntax(
                name: name, nameRange: nameRange, parameters: parameters, lets: lets,
                result: result, localCount: 0, isShared: isShared))
        return Int32(clamping: syntax.functions.count - 1)
    }
}
