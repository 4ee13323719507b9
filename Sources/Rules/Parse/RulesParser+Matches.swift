// Match blocks, allow statements and options.

internal import Query

extension RulesParser {
    /// `match PATH { … }`; the number of the match.
    mutating func parseMatch(
        parent: Int32, service: Int32, depth: Int
    ) throws(RulesProblem) -> Int32 {
        let start = current.start
        guard depth <= limits.matchDepthMax else {
            throw RulesProblem(
                .tooDeep, at: currentRange,
                "matches nest at most \(limits.matchDepthMax) deep")
        }
        previousEnd = current.end
        lexer.move(to: current.end)
        let segments = try parseMatchPath()
        let number = syntax.matches.count
        syntax.matches.append(
            MatchSyntax(
                segments: segments, range: range(start, lexer.offset), parent: parent,
                service: service))
        try advance()
        try checkPath(of: number)
        try expect(.openBrace)
        while try !take(.closeBrace) {
            switch current.kind {
            case .word("match"):
                let match = try parseMatch(
                    parent: Int32(clamping: number), service: service, depth: depth + 1)
                syntax.matches[number].items.append(.match(match))
            case .word("allow"):
                let allow = try parseAllow(match: Int32(clamping: number))
                syntax.matches[number].items.append(.allow(allow))
            case .word("function"), .word("export"):
                syntax.matches[number].functions.append(try parseFunction(isShared: false))
            case .word("option"): syntax.matches[number].options.append(try parseOption())
            case .symbol(.semicolon): try advance()
            case .end:
                throw RulesProblem(
                    .syntax, at: currentRange,
                    "expected '}' that closes the match of line "
                        + "\(syntax.files[Int(lexer.file)].place(of: range(start, start)).line), "
                        + "found the end of the file", expected: ["'}'"])
            default: throw unexpected("'allow'", "'match'", "'function'", "'}'")
            }
        }
        return Int32(clamping: number)
    }

    /// Bounds of a path with those of the matches around.
    private func checkPath(of match: Int) throws(RulesProblem) {
        var segments = 0
        var captures = 0
        var rests = 0
        var ancestor = Int32(clamping: match)
        while ancestor >= 0 {
            let syntax = syntax.matches[Int(ancestor)]
            segments += syntax.segments.count
            for segment in syntax.segments {
                if case .literal = segment { continue }
                captures += 1
                if case .rest = segment, ancestor == match { rests += 1 }
            }
            ancestor = syntax.parent
        }
        let range = syntax.matches[match].range
        guard segments <= limits.pathSegmentsMax else {
            throw RulesProblem(
                .tooMany, at: range,
                "a path has at most \(limits.pathSegmentsMax) segments with those around it")
        }
        guard captures <= limits.capturesMax else {
            throw RulesProblem(
                .tooMany, at: range,
                "a path has at most \(limits.capturesMax) wildcards with those around it")
        }
        guard rests <= 1 else {
            throw RulesProblem(.badPath, at: range, "a path has at most one {…=**}")
        }
        if syntax.version == 1, rests == 1 {
            guard case .rest = syntax.matches[match].segments.last else {
                throw RulesProblem(
                    .badPath, at: range,
                    "{…=**} is the last segment of a path without rules_version = '2'")
            }
        }
    }

    // MARK: Paths

    /// The segments from the lexer's place on.
    private mutating func parseMatchPath() throws(RulesProblem) -> [MatchSegment] {
        try lexer.skipSpace()
        var segments: [MatchSegment] = []
        while lexer.peek() == UInt8(ascii: "/") {
            lexer.move(to: lexer.offset + 1)
            try lexer.skipSpace()
            segments.append(try parseMatchSegment())
            try lexer.skipSpace()
        }
        guard !segments.isEmpty else {
            try advance()
            throw unexpected("a path, such as /users/{id}")
        }
        return segments
    }

    private mutating func parseMatchSegment() throws(RulesProblem) -> MatchSegment {
        let start = lexer.offset
        if lexer.peek() == UInt8(ascii: "{") {
            lexer.move(to: start + 1)
            try advance()
            let (name, _) = try name("the name of a wildcard")
            var segment = MatchSegment.one(name)
            if try take(.assign) {
                try expect(.star)
                if isSymbol(.star) {
                    try advance()
                    segment = .rest(name)
                }
            }
            guard isSymbol(.closeBrace) else { throw unexpected("'}'", "'=**}'") }
            lexer.move(to: current.end)
            return segment
        }
        let literal = try pathLiteral(inMatch: true)
        guard !literal.isEmpty else {
            throw RulesProblem(
                .badPath, at: range(start, start + 1),
                lexer.peek() == UInt8(ascii: "$")
                    ? "a match has wildcards in braces, such as {id}, not $(…)"
                    : "expected a segment of the path: a name, {name} or {name=**}",
                expected: ["a name", "{name}", "{name=**}"])
        }
        let next = lexer.peek()
        if next == UInt8(ascii: "{"), literal.last == "_" || literal.last == "-" {
            throw RulesProblem(
                .badPath, at: range(start, lexer.offset + 1),
                "a segment is a name or a wildcard, not both")
        }
        return .literal(text(literal))
    }

    /// The literal segment at the lexer's place, `(default)` included; empty where there is none.
    mutating func pathLiteral(inMatch: Bool) throws(RulesProblem) -> String {
        let start = lexer.offset
        if lexer.peek() == UInt8(ascii: "(") {
            lexer.move(to: start + 1)
            _ = literalBytes(inMatch: false)
            guard lexer.peek() == UInt8(ascii: ")"), lexer.offset > start + 1 else {
                throw RulesProblem(
                    .badPath, at: range(start, lexer.offset + 1),
                    "in a path, parentheses hold a name, as in (default); values are $(…)")
            }
            lexer.move(to: lexer.offset + 1)
        } else {
            _ = literalBytes(inMatch: inMatch)
        }
        return String(decoding: lexer.bytes[start..<lexer.offset], as: UTF8.self)
    }

    private mutating func literalBytes(inMatch: Bool) -> Int {
        let start = lexer.offset
        scan: while true {
            switch lexer.peek() {
            // A no-break space, as copied from web pages, is space.
            case 0xC2 where lexer.peek(1) == 0xA0: break scan
            case 48...57, 65...90, 97...122, 128...255, UInt8(ascii: "_"), UInt8(ascii: "-"),
                UInt8(ascii: "."), UInt8(ascii: "~"), UInt8(ascii: "%"), UInt8(ascii: "@"):
                lexer.move(to: lexer.offset + 1)
            case UInt8(ascii: "+"), UInt8(ascii: ":"), UInt8(ascii: "!"), UInt8(ascii: "'"),
                UInt8(ascii: "="):
                guard inMatch else { break scan }
                lexer.move(to: lexer.offset + 1)
            default: break scan
            }
        }
        return lexer.offset - start
    }

    // MARK: Allow

    private mutating func parseAllow(match: Int32) throws(RulesProblem) -> Int32 {
        let start = current.start
        try advance()
        var methods: RuleMethods = []
        repeat {
            guard case .word(let word) = current.kind, let set = RuleMethods(word: word) else {
                throw unexpected(
                    "read", "write", "get", "list", "create", "update", "delete")
            }
            methods.formUnion(set)
            try advance()
        } while try take(.comma)
        var condition: ExpressionID?
        if try take(.colon) {
            guard isWord("if") else {
                throw RulesProblem(
                    .syntax, at: currentRange,
                    "Missing 'if' before conditional expression. Write allow "
                        + "\(methods.text): if …",
                    expected: ["'if'"])
            }
            try advance()
            condition = try parseExpression()
        } else if isWord("if") {
            throw unexpected("':' before 'if'")
        }
        var hidden: [String] = []
        if isWord("hide") {
            try advance()
            hidden = try parseHidden()
            guard !methods.isDisjoint(with: .read) else {
                throw RulesProblem(
                    .badOption, at: range(from: start),
                    "only what is read can hide fields: allow read, get or list")
            }
        }
        let range = range(from: start)
        if !isSymbol(.semicolon), !isSymbol(.closeBrace), !startsStatement {
            throw unexpected(condition == nil ? "': if'" : "an operator", "';'")
        }
        _ = try take(.semicolon)
        syntax.allows.append(
            AllowSyntax(
                methods: methods, condition: condition, hidden: hidden, range: range,
                match: match, localCount: 0))
        return Int32(clamping: syntax.allows.count - 1)
    }

    private var startsStatement: Bool {
        switch current.kind {
        case .word(let word): ["allow", "match", "function", "option", "export"].contains(word)
        case .end: true
        default: false
        }
    }

    /// `['a', 'b.c']`.
    private mutating func parseHidden() throws(RulesProblem) -> [String] {
        try expect(.openBracket)
        var paths: [String] = []
        while !isSymbol(.closeBracket) {
            let (path, range) = try string("the path of a field, in quotes")
            let names = path.split(separator: ".", omittingEmptySubsequences: false)
            guard names.allSatisfy({ !$0.isEmpty }), !path.utf8.contains(0) else {
                throw RulesProblem(
                    .badOption, at: range, "a field's path is names with dots between them")
            }
            paths.append(path)
            guard try take(.comma) else { break }
        }
        try expect(.closeBracket)
        return paths
    }

    // MARK: Options

    /// `option NAME = 'VALUE';`.
    mutating func parseOption() throws(RulesProblem) -> OptionSyntax {
        let start = current.start
        try advance()
        let (name, nameRange) = try name("'mode' or 'limit'")
        try expect(.assign)
        let (text, range) = try string("the option's value, in quotes")
        let value: OptionSyntax.Value
        switch syntax[name] {
        case "mode":
            guard text == "filter" || text == "strict" else {
                throw RulesProblem(
                    .badOption, at: range,
                    "the mode is 'strict' (a query that could return what is not allowed is "
                        + "refused) or 'filter' (it is left out)",
                    expected: ["'strict'", "'filter'"])
            }
            value = .filters(text == "filter")
        case "limit":
            guard let limit = RateLimit(text) else {
                throw RulesProblem(
                    .badOption, at: range,
                    "a limit is a number of requests in a time, such as '100/m per user': the "
                        + "time is s, m, h or d, and 'per user', 'per address' or nothing follows")
            }
            value = .limit(limit)
        default:
            throw RulesProblem(
                .badOption, at: nameRange, "there are the options 'mode' and 'limit'",
                expected: ["mode", "limit"])
        }
        let option = OptionSyntax(value: value, range: self.range(from: start))
        _ = try take(.semicolon)
        return option
    }
}

extension RateLimit {
    /// Reads `100/m per user`; nil for other text.
    init?(_ text: String) {
        let words = text.split(separator: " ")
        let parts = (words.first ?? "").split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let requests = Int64(parts[0]), 1...1_000_000_000 ~= requests
        else { return nil }
        switch parts[1] {
        case "s", "second": seconds = 1
        case "m", "minute": seconds = 60
        case "h", "hour": seconds = 3_600
        case "d", "day": seconds = 86_400
        default: return nil
        }
        self.requests = requests
        switch words.dropFirst().joined(separator: " ") {
        case "": scope = .all
        case "per user": scope = .user
        case "per address": scope = .address
        default: return nil
        }
    }
}
