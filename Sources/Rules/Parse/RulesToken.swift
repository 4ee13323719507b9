// From the text of rules to tokens, one at a time: the parser says where a path begins, since `/`
// also divides.

/// A token of the rules language.
struct RulesToken: Sendable {
    enum Kind: Sendable, Equatable {
        /// A keyword or a name: which one, the parser knows.
        case word(String)
        case string(String)
        case bytes([UInt8])
        /// Up to 2^63, which only a negative number may be.
        case int(UInt64)
        case float(Double)
        case symbol(Symbol)
        case end
    }

    /// Punctuation.
    enum Symbol: String, CaseIterable, Sendable {
        case equal = "=="
        case notEqual = "!="
        case lessOrEqual = "<="
        case greaterOrEqual = ">="
        case and = "&&"
        case or = "||"
        case less = "<"
        case greater = ">"
        case not = "!"
        case assign = "="
        case plus = "+"
        case minus = "-"
        case star = "*"
        case slash = "/"
        case percent = "%"
        case question = "?"
        case colon = ":"
        case dot = "."
        case comma = ","
        case openParenthesis = "("
        case closeParenthesis = ")"
        case openBracket = "["
        case closeBracket = "]"
        case openBrace = "{"
        case closeBrace = "}"
        case semicolon = ";"
        case dollar = "$"

        /// Those of two bytes, then those of one.
        static let bySize: [(bytes: [UInt8], symbol: Symbol)] = allCases.map {
            (Array($0.rawValue.utf8), $0)
        }
    }

    let kind: Kind
    /// Offset of the first byte.
    let start: Int
    /// Offset behind the last byte.
    let end: Int

    /// The token as messages name it.
    var description: String {
        switch kind {
        case .word(let word): "'\(word.unicodeScalars.count > 40 ? "a long word" : word)'"
        case .string: "a string"
        case .bytes: "bytes"
        case .int, .float: "a number"
        case .symbol(let symbol): "'\(symbol.rawValue)'"
        case .end: "the end of the file"
        }
    }
}
