// Expressions: precedence climbing over operators, then postfix operators over operands.
//
// From loose to tight: ?:, ||, &&, == !=, in is, < <= > >=, + -, * / %, ! -, then . () [].

extension RulesParser {
    // MARK: Nodes

    /// Adds a node over its operands.
    mutating func add(
        _ kind: Expression.Kind, _ range: SourceRange, over operands: [ExpressionID] = []
    ) throws(RulesProblem) -> ExpressionID {
        let depth = 1 + (operands.map { depths[Int($0.index)] }.max() ?? 0)
        guard depth <= limits.expressionDepthMax else { throw tooDeep(range) }
        syntax.expressions.append(Expression(kind: kind, range: range))
        depths.append(depth)
        return ExpressionID(syntax.expressions.count - 1)
    }

    private func tooDeep(_ range: SourceRange) -> RulesProblem {
        RulesProblem(
            .tooDeep, at: range,
            "Expression is too complex to evaluate safely. It nests deeper than "
                + "\(limits.expressionDepthMax); move parts into functions")
    }

    private mutating func operandRange(_ operands: [ExpressionID]) -> OperandRange {
        let start = syntax.operands.count
        syntax.operands.append(contentsOf: operands)
        return OperandRange(start, operands.count)
    }

    private func start(of id: ExpressionID) -> Int { Int(syntax[id].range.start) }

    // MARK: Operators

    /// A whole expression.
    mutating func parseExpression() throws(RulesProblem) -> ExpressionID {
        nesting += 1
        defer { nesting -= 1 }
        guard nesting <= limits.expressionDepthMax else { throw tooDeep(currentRange) }
        let condition = try parseBinary(1)
        guard try take(.question) else { return condition }
        let yes = try parseExpression()
        guard try take(.colon) else { throw unexpected("':' and what holds otherwise") }
        let no = try parseExpression()
        return try add(
            .conditional(condition, yes, no), range(from: start(of: condition)),
            over: [condition, yes, no])
    }

    /// How tight an operator binds; nil where none stands here.
    private var currentOperator: (precedence: Int, operator: BinaryOperator?)? {
        switch current.kind {
        case .symbol(.or): (1, .or)
        case .symbol(.and): (2, .and)
        case .symbol(.equal): (3, .equal)
        case .symbol(.notEqual): (3, .notEqual)
        case .word("in"): (4, .isIn)
        case .word("is"): (4, nil)
        case .symbol(.less): (5, .less)
        case .symbol(.lessOrEqual): (5, .lessOrEqual)
        case .symbol(.greater): (5, .greater)
        case .symbol(.greaterOrEqual): (5, .greaterOrEqual)
        case .symbol(.plus): (6, .add)
        case .symbol(.minus): (6, .subtract)
        case .symbol(.star): (7, .multiply)
        case .symbol(.slash): (7, .divide)
        case .symbol(.percent): (7, .remainder)
        default: nil
        }
    }

    private mutating func parseBinary(_ least: Int) throws(RulesProblem) -> ExpressionID {
        var left = try parseUnary()
        while let (precedence, operation) = currentOperator, precedence >= least {
            try advance()
            guard let operation else {
                left = try parseType(of: left)
                continue
            }
            let right = try parseBinary(precedence + 1)
            left = try add(
                .binary(operation, left, right), range(from: start(of: left)),
                over: [left, right])
        }
        if isSymbol(.assign) {
            throw RulesProblem(
                .syntax, at: currentRange, "'=' gives values in 'let' only; to compare, write '=='",
                expected: ["'=='"])
        }
        return left
    }

    /// Behind `is`.
    private mutating func parseType(of value: ExpressionID) throws(RulesProblem) -> ExpressionID {
        let (name, _) = try name("the name of a type, such as string")
        return try add(
            .typeTest(value, RuleType(rawValue: syntax[name])), range(from: start(of: value)),
            over: [value])
    }

    private mutating func parseUnary() throws(RulesProblem) -> ExpressionID {
        var operators: [(UnaryOperator, Int)] = []
        while isSymbol(.not) || isSymbol(.minus) {
            operators.append((isSymbol(.not) ? .not : .negate, current.start))
            guard operators.count <= limits.expressionDepthMax else { throw tooDeep(currentRange) }
            try advance()
        }
        var operand: ExpressionID
        // A minus before a number is the number's, so that the least one can be written.
        if case .int(let digits) = current.kind, let last = operators.last, last.0 == .negate {
            operators.removeLast()
            try advance()
            operand = try add(.int(Int64(truncatingIfNeeded: 0 &- digits)), range(from: last.1))
            operand = try parsePostfix(operand)
        } else {
            operand = try parsePostfix(try parsePrimary())
        }
        for (operation, start) in operators.reversed() {
            operand = try add(.unary(operation, operand), range(from: start), over: [operand])
        }
        return operand
    }

    // MARK: Postfix

    private mutating func parsePostfix(_ first: ExpressionID) throws(RulesProblem) -> ExpressionID {
        var value = first
        while true {
            if try take(.dot) {
                let (name, _) = try name("the name of a field or method")
                if isSymbol(.openParenthesis) {
                    value = try parseMethod(of: value, name)
                } else {
                    value = try add(
                        .member(value, name), range(from: start(of: value)), over: [value])
                }
            } else if try take(.openBracket) {
                let index = try parseExpression()
                if try take(.colon) {
                    let end = try parseExpression()
                    try expect(.closeBracket)
                    value = try add(
                        .slice(value, index, end), range(from: start(of: value)),
                        over: [value, index, end])
                } else {
                    guard try take(.closeBracket) else { throw unexpected("']'", "':'") }
                    value = try add(
                        .index(value, index), range(from: start(of: value)), over: [value, index])
                }
            } else if isSymbol(.openParenthesis), case .name(let name, _) = syntax[value].kind {
                let arguments = try parseArguments()
                value = try add(
                    .call(.unknown(name), operandRange(arguments)),
                    range(from: start(of: value)), over: arguments)
            } else {
                return value
            }
        }
    }

    private mutating func parseMethod(
        of receiver: ExpressionID, _ name: TextID
    ) throws(RulesProblem) -> ExpressionID {
        let arguments = try parseArguments()
        let range = range(from: start(of: receiver))
        if arguments.count == 2, let loop = LoopMethod(rawValue: syntax[name]),
            case .name(let variable, _) = syntax[arguments[0]].kind
        {
            return try add(
                .loop(loop, receiver, variable: -1, variable, arguments[1]), range,
                over: [receiver, arguments[1]])
        }
        return try add(
            .method(receiver, name, operandRange(arguments)), range, over: [receiver] + arguments)
    }

    private mutating func parseArguments() throws(RulesProblem) -> [ExpressionID] {
        try expect(.openParenthesis)
        return try parseList(until: .closeParenthesis)
    }

    /// Expressions between commas, with one more comma or without, and the closing symbol.
    private mutating func parseList(
        until closing: RulesToken.Symbol
    ) throws(RulesProblem) -> [ExpressionID] {
        var list: [ExpressionID] = []
        while !isSymbol(closing) {
            list.append(try parseExpression())
            guard try take(.comma) else { break }
        }
        guard try take(closing) else { throw unexpected("','", "'\(closing.rawValue)'") }
        return list
    }

    // MARK: Operands

    private mutating func parsePrimary() throws(RulesProblem) -> ExpressionID {
        let start = current.start
        switch current.kind {
        case .int(let digits):
            guard let value = Int64(exactly: digits) else {
                throw RulesProblem(.syntax, at: currentRange, "this number does not fit 64 bits")
            }
            try advance()
            return try add(.int(value), range(from: start))
        case .float(let value):
            try advance()
            return try add(.float(value), range(from: start))
        case .string(let content):
            try advance()
            return try add(.string(text(content)), range(from: start))
        case .bytes(let content):
            try advance()
            syntax.byteLiterals.append(content)
            return try add(
                .bytes(Int32(clamping: syntax.byteLiterals.count - 1)), range(from: start))
        case .word(let word): return try parseWord(word)
        case .symbol(.openParenthesis):
            try advance()
            let inner = try parseExpression()
            guard try take(.closeParenthesis) else { throw unexpected("an operator", "')'") }
            depths[Int(inner.index)] += 1
            guard depths[Int(inner.index)] <= limits.expressionDepthMax else {
                throw tooDeep(range(from: start))
            }
            syntax.expressions[Int(inner.index)].range = range(from: start)
            return inner
        case .symbol(.openBracket):
            try advance()
            let elements = try parseList(until: .closeBracket)
            return try add(.list(operandRange(elements)), range(from: start), over: elements)
        case .symbol(.openBrace): return try parseMap()
        case .symbol(.slash): return try parsePath()
        default: throw unexpected("a value", "a name", "'('")
        }
    }

    private mutating func parseWord(_ word: String) throws(RulesProblem) -> ExpressionID {
        let start = current.start
        guard word != "in", word != "is" else { throw unexpected("a value before '\(word)'") }
        try advance()
        let range = range(from: start)
        switch word {
        case "true": return try add(.bool(true), range)
        case "false": return try add(.bool(false), range)
        case "null": return try add(.null, range)
        default: return try add(.name(text(word), .unknown), range)
        }
    }

    /// `{'a': 1, b: 2}`.
    private mutating func parseMap() throws(RulesProblem) -> ExpressionID {
        let start = current.start
        try advance()
        var entries: [ExpressionID] = []
        while !isSymbol(.closeBrace) {
            let keyStart = current.start
            let key: String
            switch current.kind {
            case .string(let text): key = text
            case .word(let word): key = word
            default: throw unexpected("a key", "'}'")
            }
            try advance()
            entries.append(try add(.string(text(key)), range(from: keyStart)))
            try expect(.colon)
            entries.append(try parseExpression())
            guard try take(.comma) else { break }
        }
        guard try take(.closeBrace) else { throw unexpected("','", "'}'") }
        return try add(.map(operandRange(entries)), range(from: start), over: entries)
    }

    /// `/a/$(E)/{name}`: the current token is its first `/`.
    private mutating func parsePath() throws(RulesProblem) -> ExpressionID {
        let start = current.start
        lexer.move(to: start)
        var segments: [ExpressionID] = []
        var end = start
        while lexer.peek() == UInt8(ascii: "/") {
            lexer.move(to: lexer.offset + 1)
            try lexer.skipSpace()
            segments.append(try parsePathSegment())
            guard segments.count <= limits.pathSegmentsMax else {
                throw RulesProblem(
                    .tooMany, at: range(start, lexer.offset),
                    "a path has at most \(limits.pathSegmentsMax) segments")
            }
            end = lexer.offset
            // A path goes on behind space, since nothing can be divided by a path.
            try lexer.skipSpace()
        }
        lexer.move(to: end)
        current = RulesToken(kind: .end, start: start, end: end)
        try advance()
        return try add(.path(operandRange(segments)), range(start, end), over: segments)
    }

    private mutating func parsePathSegment() throws(RulesProblem) -> ExpressionID {
        let start = lexer.offset
        switch lexer.peek() {
        case UInt8(ascii: "$"):
            guard lexer.peek(1) == UInt8(ascii: "(") else {
                throw RulesProblem(
                    .badPath, at: range(start, start + 1),
                    "a value in a path stands in $(…), such as $(request.auth.uid)",
                    expected: ["$("])
            }
            lexer.move(to: start + 2)
            try advance()
            let value = try parseExpression()
            guard isSymbol(.closeParenthesis) else { throw unexpected("an operator", "')'") }
            lexer.move(to: current.end)
            return value
        case UInt8(ascii: "{"):
            lexer.move(to: start + 1)
            let name = lexer.word()
            guard !name.isEmpty, lexer.peek() == UInt8(ascii: "}") else {
                throw RulesProblem(
                    .badPath, at: range(start, lexer.offset + 1),
                    "a placeholder is a name in braces; a value stands in $(…)")
            }
            lexer.move(to: lexer.offset + 1)
            return try add(.string(text("{\(name)}")), range(start, lexer.offset))
        default:
            let literal = try pathLiteral(inMatch: false)
            guard !literal.isEmpty else {
                throw RulesProblem(
                    .badPath, at: range(start, start + 1),
                    "expected a segment of the path: a name or $(…)",
                    expected: ["a name", "$(…)"])
            }
            return try add(.string(text(literal)), range(start, lexer.offset))
        }
    }
}
