// The syntax tree of an expression: what the parser makes and the lowering reads, once a query.

import BSON

/// An expression as it was written.
struct TextExpression: Sendable {
    indirect enum Kind: Sendable {
        case literal(Value)
        case parameter(String)
        /// A field of the document, or a variable of an enclosing `any(…)`: its first segment says.
        case path([String])
        case member(TextExpression, String)
        case index(TextExpression, TextExpression)
        case call(String, [TextExpression])
        /// `any(x in list: body)` and its kin.
        case loop(TextLoop, variable: String, list: TextExpression, body: TextExpression)
        case not(TextExpression)
        case negative(TextExpression)
        /// Operands joined by one operator, at least two: `a + b + c`.
        case chain(TextOperator, [TextExpression])
        case conditional(TextExpression, TextExpression, TextExpression)
        case isType(TextExpression, String, negated: Bool)
        case list([TextExpression])
        case object([TextEntry])
    }

    let kind: Kind
    /// Where it, or its operator, begins.
    let offset: Int
    /// Levels of nesting, itself included.
    let depth: Int

    /// A node over `operands`.
    /// - Throws: where it nests too deeply.
    init(_ kind: Kind, at offset: Int, over operands: [TextExpression] = []) throws(TextError) {
        depth = 1 + (operands.map(\.depth).max() ?? 0)
        self.kind = kind
        self.offset = offset
        guard depth <= TextLimits.depthMax else {
            throw TextError(
                at: offset, "the expression nests more than \(TextLimits.depthMax) levels deep")
        }
    }
}

extension TextExpression {
    /// Whether it consists of constants, operators and calls: no fields, variables, loops.
    var readsNothing: Bool {
        switch kind {
        case .literal, .parameter: true
        case .path, .loop: false
        case .member(let base, _), .not(let base), .negative(let base), .isType(let base, _, _):
            base.readsNothing
        case .index(let base, let index): base.readsNothing && index.readsNothing
        case .call(_, let operands), .chain(_, let operands), .list(let operands):
            operands.allSatisfy(\.readsNothing)
        case .conditional(let condition, let first, let second):
            condition.readsNothing && first.readsNothing && second.readsNothing
        case .object(let entries): entries.allSatisfy(\.value.readsNothing)
        }
    }
}

/// `name: value` in an object.
struct TextEntry: Sendable {
    let name: String
    let value: TextExpression
    let offset: Int
}

/// Operators between two operands.
enum TextOperator: String, Sendable {
    case or = "||"
    case and = "&&"
    case equal = "=="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
    case `in`
    case add = "+"
    case subtract = "-"
    case multiply = "*"
    case divide = "/"
    case remainder = "%"

    /// How tightly it binds; higher is tighter.
    var precedence: Int {
        switch self {
        case .or: 1
        case .and: 2
        case .equal, .notEqual: 3
        case .less, .lessOrEqual, .greater, .greaterOrEqual, .in: 4
        case .add, .subtract: 5
        case .multiply, .divide, .remainder: 6
        }
    }

    /// The precedence of `is`: that of `<`.
    static let isPrecedence = 4

    /// Whether `a op b op c` may be one node of three operands.
    var isAssociative: Bool {
        switch self {
        case .or, .and, .add, .multiply: true
        default: false
        }
    }

    /// Whether it is an error with operands of some types.
    var mayFail: Bool { precedence > 4 }

    /// Whether `a op b op c` is refused: people mean something else by it.
    var isComparison: Bool { precedence == 3 || precedence == 4 }
}

/// The forms that bind a variable to each element of a list.
enum TextLoop: String, Sendable, CaseIterable {
    case any, all, filter, map
}
