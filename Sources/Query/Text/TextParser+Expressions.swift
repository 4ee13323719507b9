// Expressions by precedence climbing: one function call for each level of nesting that was written,
// not for each level of precedence, so that the depth limit bounds the stack.

import BSON

extension TextParser {
    /// An expression.
    mutating func expression() throws(TextError) -> TextExpression {
        nesting += 1
        defer { nesting -= 1 }
        guard nesting <= TextLimits.depthMax else {
            throw TextError(
                at: current.offset,
                "the expression nests more than \(TextLimits.depthMax) levels deep")
        }
        let condition = try operation(above: 0)
        let offset = current.offset
        guard take("?") else { return condition }
        let first = try expression()
        try expect(":", or: ["an operator"])
        let second = try expression()
        return try TextExpression(
            .conditional(condition, first, second), at: offset, over: [condition, first, second])
    }

    /// Operands joined by operators that bind tighter than `precedence`.
    private mutating func operation(above precedence: Int) throws(TextError) -> TextExpression {
        var left = try unary()
        var compared = false
        while true {
            let offset = current.offset
            if current.kind == .word("is"), TextOperator.isPrecedence > precedence {
                advance()
                left = try typeTest(of: left, at: offset)
                continue
            }
            guard let symbol = binaryOperator, symbol.precedence > precedence else { return left }
            if symbol.isComparison {
                guard !compared else {
                    throw TextError(
                        at: offset, "comparisons can't be chained; join two with '&&'")
                }
                compared = true
            }
            advance()
            let right = try operation(above: symbol.precedence)
            guard symbol.isAssociative else {
                left = try TextExpression(
                    .chain(symbol, [left, right]), at: offset, over: [left, right])
                continue
            }
            // One node for all: long conditions must neither nest deeply nor be copied over and over.
            var operands = [left, right]
            while current.kind == .symbol(symbol.rawValue) {
                advance()
                operands.append(try operation(above: symbol.precedence))
            }
            left = try TextExpression(.chain(symbol, operands), at: offset, over: operands)
        }
    }

    private var binaryOperator: TextOperator? {
        switch current.kind {
        case .symbol(let symbol): TextOperator(rawValue: symbol)
        case .word("in"): .in
        default: nil
        }
    }

    private mutating func typeTest(
        of value: TextExpression, at offset: Int
    ) throws(TextError) -> TextExpression {
        let isNegated = takeWord("not")
        let type = try name("the name of a type")
        return try TextExpression(
            .isType(value, type.name, negated: isNegated), at: type.offset, over: [value])
    }

    private mutating func unary() throws(TextError) -> TextExpression {
        // Prefixes are collected, not nested calls: "!!!!…" must not use up the stack.
        var prefixes: [(isNot: Bool, offset: Int)] = []
        while true {
            let offset = current.offset
            if take("!") {
                prefixes.append((true, offset))
            } else if take("-") {
                prefixes.append((false, offset))
            } else {
                break
            }
        }
        var operand = try postfix()
        for prefix in prefixes.reversed() {
            operand = try TextExpression(
                prefix.isNot ? .not(operand) : .negative(operand), at: prefix.offset,
                over: [operand])
        }
        return operand
    }

    private mutating func postfix() throws(TextError) -> TextExpression {
        var value = try primary()
        while true {
            let offset = current.offset
            if take(".") {
                let member = try name("a field or a method")
                if current.kind == .symbol("(") {
                    let arguments = try arguments()
                    value = try TextExpression(
                        .call(member.name, [value] + arguments), at: member.offset,
                        over: [value] + arguments)
                } else if case .path(let segments) = value.kind {
                    guard segments.count < TextLimits.depthMax else {
                        throw TextError(
                            at: value.offset,
                            "a path may have at most \(TextLimits.depthMax) field names")
                    }
                    value = try TextExpression(.path(segments + [member.name]), at: value.offset)
                } else {
                    value = try TextExpression(
                        .member(value, member.name), at: member.offset, over: [value])
                }
            } else if take("[") {
                let index = try expression()
                try expect("]", or: ["an operator"])
                value = try TextExpression(
                    .index(value, index), at: offset, over: [value, index])
            } else {
                return value
            }
        }
    }

    private mutating func primary() throws(TextError) -> TextExpression {
        let token = current
        switch token.kind {
        case .int(let number):
            advance()
            let value = Int32(exactly: number).map { Value.int32($0) } ?? .int64(number)
            return try TextExpression(.literal(value), at: token.offset)
        case .double(let number):
            advance()
            return try TextExpression(.literal(.double(number)), at: token.offset)
        case .string(let text):
            advance()
            return try TextExpression(.literal(.string(text)), at: token.offset)
        case .parameter(let name):
            advance()
            return try TextExpression(.parameter(name), at: token.offset)
        case .quotedName(let name):
            advance()
            return try TextExpression(.path([name]), at: token.offset)
        case .word(let word): return try named(word)
        case .symbol("("):
            advance()
            let inner = try expression()
            try expect(")", or: ["an operator"])
            return inner
        case .symbol("["):
            advance()
            return try list(at: token.offset)
        case .symbol("{"):
            advance()
            return try objectBody(at: token.offset)
        default: throw unexpected(["a value", "a field", "'('"])
        }
    }

    /// What begins with a word: a constant, a loop, a call, or a path.
    private mutating func named(_ word: String) throws(TextError) -> TextExpression {
        let offset = current.offset
        switch word {
        case "true", "false":
            advance()
            return try TextExpression(.literal(.bool(word == "true")), at: offset)
        case "null":
            advance()
            return try TextExpression(.literal(.null), at: offset)
        case "in", "is": throw unexpected(["a value", "a field", "'('"])
        default: break
        }
        advance()
        guard current.kind == .symbol("(") else {
            return try TextExpression(.path([word]), at: offset)
        }
        if let loop = TextLoop(rawValue: word) { return try self.loop(loop, at: offset) }
        let arguments = try arguments()
        return try TextExpression(.call(word, arguments), at: offset, over: arguments)
    }

    /// `(x in list: body)`.
    private mutating func loop(
        _ loop: TextLoop, at offset: Int
    ) throws(TextError) -> TextExpression {
        try expect("(")
        let variable = try name("a name for the element, as in any(x in list: x > 1)")
        try expectWord("in")
        let list = try expression()
        try expect(":", or: ["an operator"])
        let body = try expression()
        try expect(")", or: ["an operator"])
        return try TextExpression(
            .loop(loop, variable: variable.name, list: list, body: body), at: offset,
            over: [list, body])
    }

    private mutating func arguments() throws(TextError) -> [TextExpression] {
        try expect("(")
        if take(")") { return [] }
        var arguments: [TextExpression] = []
        repeat { arguments.append(try expression()) } while take(",")
        try expect(")", or: ["an operator", "','"])
        return arguments
    }

    private mutating func list(at offset: Int) throws(TextError) -> TextExpression {
        var elements: [TextExpression] = []
        while current.kind != .symbol("]") {
            elements.append(try expression())
            if !take(",") { break }
        }
        try expect("]", or: ["an operator", "','"])
        return try TextExpression(.list(elements), at: offset, over: elements)
    }

    /// What follows the `{` of an object, which stands at `offset`.
    mutating func objectBody(at offset: Int) throws(TextError) -> TextExpression {
        var entries: [TextEntry] = []
        var names: Set<String> = []
        while current.kind != .symbol("}") {
            let entry = try entry()
            guard names.insert(entry.name).inserted else {
                throw TextError(at: entry.offset, "the name '\(entry.name)' occurs twice")
            }
            entries.append(entry)
            if !take(",") { break }
        }
        try expect("}", or: ["an operator", "','"])
        return try TextExpression(.object(entries), at: offset, over: entries.map(\.value))
    }

    /// `name: value`, `"name": value`, or a path alone.
    private mutating func entry() throws(TextError) -> TextEntry {
        let token = current
        var name: String?
        switch token.kind {
        case .word(let word), .quotedName(let word): name = word
        case .string(let text): name = text
        default: break
        }
        guard let name else { throw unexpected(["a field's name", "'}'"]) }
        if following.kind == .symbol(":") {
            advance()
            advance()
            guard !name.utf8.contains(0) else {
                throw TextError(at: token.offset, "a name must not hold a zero character")
            }
            return TextEntry(name: name, value: try expression(), offset: token.offset)
        }
        if case .string = token.kind {
            advance()
            throw unexpected(["':'"])
        }
        let path = try path()
        guard let last = path.segments.last,
            [.symbol(","), .symbol("}")].contains(current.kind)
        else { throw unexpected(["':'", "','", "'}'"]) }
        return TextEntry(
            name: last, value: try TextExpression(.path(path.segments), at: path.offset),
            offset: path.offset)
    }
}
