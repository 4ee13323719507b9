// The parsed form of rules: flat arrays whose entries name each other by number.
//
// Nothing here is a tree of objects: an expression is an entry with the numbers of its operands,
// so that a rule set is cheap to keep, to share between threads, and to rewrite (partial
// evaluation puts values in the place of nodes). Every expression knows its stretch of source.

/// The number of an expression in `RuleSyntax.expressions`.
package struct ExpressionID: Sendable, Hashable {
    /// The number.
    package let index: Int32

    init(_ index: Int) {
        self.index = Int32(clamping: index)
    }
}

/// Operands that lie one after another in `RuleSyntax.operands`.
package struct OperandRange: Sendable {
    /// Where they begin.
    package let start: Int32
    /// How many they are.
    package let count: Int32

    init(_ start: Int, _ count: Int) {
        self.start = Int32(clamping: start)
        self.count = Int32(clamping: count)
    }
}

/// The number of a text in `RuleSyntax.texts`; the same text has the same number.
package struct TextID: Sendable, Hashable {
    /// The number.
    package let index: Int32

    init(_ index: Int) {
        self.index = Int32(clamping: index)
    }
}

/// What a name stands for.
package enum NameBinding: Sendable, Hashable {
    /// `request`.
    case request
    /// `resource`.
    case resource
    /// A wildcard of the matches around, counted from the outermost.
    case capture(Int32)
    /// A parameter, `let` or loop variable of the function, in the order of their beginning.
    case local(Int32)
    /// `math`, `hashing` …, which are no values.
    case namespace
    /// Nothing: evaluating it is an error.
    case unknown
}

/// What a call calls.
package enum Callee: Sendable, Hashable {
    /// A function of the file, by number.
    case function(Int32)
    /// One of the language's.
    case builtin(BuiltinFunction)
    /// Nothing: evaluating it is an error.
    case unknown(TextID)
}

/// Operators with one operand.
package enum UnaryOperator: String, Sendable {
    case not = "!"
    case negate = "-"
}

/// Operators with two operands.
package enum BinaryOperator: String, Sendable {
    case or = "||"
    case and = "&&"
    case equal = "=="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
    case isIn = "in"
    case add = "+"
    case subtract = "-"
    case multiply = "*"
    case divide = "/"
    case remainder = "%"
}

/// Methods of lists that run an expression for each element; beyond Firestore.
package enum LoopMethod: String, Sendable {
    case all
    case any
    case map
    case filter
}

/// A node of an expression.
package struct Expression: Sendable {
    /// What the node does, with its operands by number.
    package enum Kind: Sendable {
        case null
        case bool(Bool)
        case int(Int64)
        case float(Double)
        case string(TextID)
        /// An entry of `RuleSyntax.byteLiterals`.
        case bytes(Int32)
        case name(TextID, NameBinding)
        case unary(UnaryOperator, ExpressionID)
        case binary(BinaryOperator, ExpressionID, ExpressionID)
        case conditional(ExpressionID, ExpressionID, ExpressionID)
        /// `E is TYPE`; nil for a type that there isn't.
        case typeTest(ExpressionID, RuleType?)
        case member(ExpressionID, TextID)
        case index(ExpressionID, ExpressionID)
        case slice(ExpressionID, ExpressionID, ExpressionID)
        case call(Callee, OperandRange)
        case method(ExpressionID, TextID, OperandRange)
        /// `LIST.all(x, E)`: the list, the variable's local, and the body.
        case loop(LoopMethod, ExpressionID, variable: Int32, TextID, ExpressionID)
        case list(OperandRange)
        /// Keys and values by turns.
        case map(OperandRange)
        /// Segments: texts as they are, everything else evaluated.
        case path(OperandRange)
    }

    /// What the node does.
    package var kind: Kind
    /// Its stretch of source, with the parentheses around it.
    package internal(set) var range: SourceRange
}

/// `let NAME = E`.
package struct LetSyntax: Sendable {
    /// Its name.
    package let name: TextID
    /// Where the name stands.
    package let nameRange: SourceRange
    /// What the name stands for.
    package let value: ExpressionID
}

/// `function NAME(…) { let … return … }`.
package struct FunctionSyntax: Sendable {
    /// Its name.
    package let name: TextID
    /// Where the name stands.
    package let nameRange: SourceRange
    /// Names of the parameters.
    package let parameters: [TextID]
    /// Values by name, in the order of the source.
    package let lets: [LetSyntax]
    /// What it returns.
    package let result: ExpressionID
    /// How many locals a call needs: parameters, `let`s and loop variables.
    package internal(set) var localCount: Int32
    /// Whether the function is `export`ed or of an imported file, so that others may use it.
    package let isShared: Bool
}

/// `allow METHODS: if E hide [...]`.
package struct AllowSyntax: Sendable {
    /// What it allows.
    package let methods: RuleMethods
    /// Nil where nothing is asked.
    package let condition: ExpressionID?
    /// Paths of fields that what is read lacks; beyond Firestore.
    package let hidden: [String]
    /// Its stretch of source.
    package let range: SourceRange
    /// The match that it stands in.
    package let match: Int32
    /// How many locals the condition needs: its loop variables.
    package internal(set) var localCount: Int32
}

/// A segment of a match's path.
package enum MatchSegment: Sendable, Hashable {
    case literal(TextID)
    /// `{x}` or `{x=*}`.
    case one(TextID)
    /// `{x=**}`.
    case rest(TextID)
}

/// What stands in the body of a match, in the order of the source.
package enum MatchItem: Sendable {
    case allow(Int32)
    case match(Int32)
}

/// `match PATH { … }`.
package struct MatchSyntax: Sendable {
    /// The path, without that of the matches around.
    package let segments: [MatchSegment]
    /// Its stretch of source.
    package let range: SourceRange
    /// The match around; -1 for those of a service.
    package let parent: Int32
    /// The service that it stands in.
    package let service: Int32
    /// Statements and matches in it.
    package internal(set) var items: [MatchItem] = []
    /// Functions declared in it, by number.
    package internal(set) var functions: [Int32] = []
    /// Options set in it.
    package internal(set) var options: [OptionSyntax] = []
}

/// `option NAME = 'VALUE';`; beyond Firestore.
package struct OptionSyntax: Sendable {
    /// What is set.
    package enum Value: Sendable, Hashable {
        /// Whether queries leave out what is not allowed rather than being refused.
        case filters(Bool)
        case limit(RateLimit)
    }
    /// What is set.
    package let value: Value
    /// Its stretch of source.
    package let range: SourceRange
}

/// `'100/m per user'`: how many requests in which time, and whom they are counted for.
package struct RateLimit: Sendable, Hashable {
    /// Whom requests are counted for.
    package enum Scope: String, Sendable {
        case user
        case address
        case all
    }

    /// How many requests.
    package let requests: Int64
    /// In how many seconds.
    package let seconds: Int64
    /// Whom they are counted for.
    package let scope: Scope
}

/// `service NAME { … }`.
package struct ServiceSyntax: Sendable {
    /// Its name, such as `cloud.firestore`.
    package let name: String
    /// Its stretch of source.
    package let range: SourceRange
    /// Its outermost matches, by number.
    package internal(set) var matches: [Int32] = []
    /// Functions declared in it, by number.
    package internal(set) var functions: [Int32] = []
    /// Options set in it.
    package internal(set) var options: [OptionSyntax] = []
}

/// A parsed rules file with what it imports.
package struct RuleSyntax: Sendable {
    /// The texts: the first file, then what it imports.
    package internal(set) var files: [RulesFile] = []
    /// 1 or 2: how `{x=**}` matches.
    package internal(set) var version = 1
    /// Where the version is set; nil where it is not.
    package internal(set) var versionRange: SourceRange?
    /// Names and strings, each once.
    package internal(set) var texts: [String] = []
    /// `b'…'`.
    package internal(set) var byteLiterals: [[UInt8]] = []
    /// All nodes; operands come before what needs them.
    package internal(set) var expressions: [Expression] = []
    /// Operands of nodes that have any number.
    package internal(set) var operands: [ExpressionID] = []
    /// Functions, wherever they are declared.
    package internal(set) var functions: [FunctionSyntax] = []
    /// Functions outside services.
    package internal(set) var globalFunctions: [Int32] = []
    /// Services in the order of the source.
    package internal(set) var services: [ServiceSyntax] = []
    /// Matches, in the order in which they begin.
    package internal(set) var matches: [MatchSyntax] = []
    /// Allow statements.
    package internal(set) var allows: [AllowSyntax] = []

    /// The expression of a number.
    package subscript(_ id: ExpressionID) -> Expression { expressions[Int(id.index)] }

    /// The text of a number.
    package subscript(_ id: TextID) -> String { texts[Int(id.index)] }

    /// Operands in order.
    package subscript(_ range: OperandRange) -> ArraySlice<ExpressionID> {
        operands[Int(range.start)..<Int(range.start + range.count)]
    }

    /// The text of a range.
    package func text(of range: SourceRange) -> String {
        files.indices.contains(Int(range.file)) ? files[Int(range.file)].text(of: range) : ""
    }
}
