// All expression operators, by name.
//
// A row says how the arguments are written, what null does, and which function computes the value;
// adding an operator is a row in its family's file and that function. Operators that MongoDB has
// and Roost does not are listed too, so that they are refused by name and never ignored.

import BSON

/// What null, undefined or missing arguments do before an operator's function runs.
enum NullRule: Sendable {
    /// The function sees them.
    case passed
    /// Any of them makes the result null.
    case nullIfAny
    /// The first argument alone decides.
    case nullIfFirst
}

/// An operator that gets its arguments' values.
struct StrictOperator: Sendable {
    let nullRule: NullRule
    let function: @Sendable (Arguments, inout EvaluationContext) throws(DBError) -> ValueRef
}

/// An operator that evaluates its arguments itself: conditionals, loops, variables.
struct LazyOperator: Sendable {
    let function: @Sendable (LazyCall, inout EvaluationContext) throws(DBError) -> ValueRef
}

/// An argument of an operator that takes a document of named ones.
struct NamedArgument: Sendable {
    let name: String
    /// Error code where the argument is required and not written; nil for optional ones.
    let missingCode: Int32?

    static func required(_ name: String, _ code: Int32) -> NamedArgument {
        NamedArgument(name: name, missingCode: code)
    }
    static func optional(_ name: String) -> NamedArgument {
        NamedArgument(name: name, missingCode: nil)
    }
}

/// A row of the table.
struct OperatorRow: Sendable {
    let name: String
    let form: Form

    enum Form: Sendable {
        /// A list of arguments (a single one may stand without brackets).
        case list(ClosedRange<Int>, StrictOperator)
        /// A list of arguments, evaluated by the operator.
        case lazyList(ClosedRange<Int>, LazyOperator)
        /// A document of arguments, in the order of the list here; `notObject` and `unknown` are
        /// the errors for another type and for another name.
        case named([NamedArgument], notObject: Int32, unknown: Int32, StrictOperator)
        /// Anything else.
        case custom(@Sendable (ValueView, inout ProgramBuilder) throws(DBError) -> Int)
    }

    /// A list operator with `arity` arguments.
    static func list(
        _ name: String, _ arity: ClosedRange<Int>, _ nullRule: NullRule,
        _ function:
            @escaping @Sendable (Arguments, inout EvaluationContext) throws(DBError)
            -> ValueRef
    ) -> OperatorRow {
        OperatorRow(
            name: name,
            form: .list(arity, StrictOperator(nullRule: nullRule, function: function)))
    }

    /// An operator with one argument that maps null to null.
    static func unary(
        _ name: String,
        _ function:
            @escaping @Sendable (Arguments, inout EvaluationContext) throws(DBError)
            -> ValueRef
    ) -> OperatorRow {
        list(name, 1...1, .nullIfAny, function)
    }

    /// A list operator that evaluates its arguments itself.
    static func lazy(
        _ name: String, _ arity: ClosedRange<Int>,
        _ function:
            @escaping @Sendable (LazyCall, inout EvaluationContext) throws(DBError)
            -> ValueRef
    ) -> OperatorRow {
        OperatorRow(name: name, form: .lazyList(arity, LazyOperator(function: function)))
    }

    /// An operator that takes a document of arguments.
    static func named(
        _ name: String, _ arguments: [NamedArgument], notObject: Int32, unknown: Int32,
        _ function:
            @escaping @Sendable (Arguments, inout EvaluationContext) throws(DBError)
            -> ValueRef
    ) -> OperatorRow {
        OperatorRow(
            name: name,
            form: .named(
                arguments, notObject: notObject, unknown: unknown,
                StrictOperator(nullRule: .passed, function: function)))
    }

    /// An operator with a parser of its own.
    static func custom(
        _ name: String,
        _ parse: @escaping @Sendable (ValueView, inout ProgramBuilder) throws(DBError) -> Int
    ) -> OperatorRow {
        OperatorRow(name: name, form: .custom(parse))
    }
}

enum OperatorTable {
    /// Any number of arguments.
    static let any = 0...Int.max

    private static let rows: [String: OperatorRow] = {
        let families = [
            ArithmeticOperators.rows, RoundingOperators.rows, ComparisonOperators.rows,
            ConditionalOperators.rows, StringOperators.rows, StringSearchOperators.rows,
            TrimOperators.rows, ArrayOperators.rows, ArrayLoopOperators.rows, ObjectOperators.rows,
            TypeOperators.rows, ConvertOperators.rows, SumOperators.rows, VariableOperators.rows,
            FieldOperators.rows, RandomOperators.rows, DatePartOperators.rows,
            DatePartsOperators.rows, DateArithmeticOperators.rows, DateTextOperators.rows,
            TimestampOperators.rows, SetOperators.rows, RegexOperators.rows,
            TrigonometryOperators.rows, BitwiseOperators.rows, SizeOperators.rows,
            MetaOperators.rows, ArrayArrangementOperators.rows, RankedOperators.rows,
            DeviationOperators.rows, PercentileOperators.rows, TextMark.rows,
        ]
        var rows: [String: OperatorRow] = [:]
        for row in families.joined() { rows[row.name] = row }
        return rows
    }()

    /// The names of all operators that Roost has, without those of its own.
    static var names: [String] { rows.keys.filter { !$0.hasPrefix("$_") } }

    /// Whether `name` is an expression operator that Roost has.
    static func contains(_ name: String) -> Bool { rows[name] != nil }

    /// Whether MongoDB has an operator of that name, though Roost may not.
    static func isKnown(_ name: String) -> Bool { contains(name) || refused.contains(name) }

    /// Compiles the call of an operator.
    static func parse(
        _ name: String, _ argument: ValueView, _ program: inout ProgramBuilder
    ) throws(DBError) -> Int {
        guard let row = rows[name] else { throw unknown(name) }
        switch row.form {
        case .list(let arity, let called):
            let arguments = try parseList(name, argument, arity, &program)
            // What may take long is left to the execution, which can be interrupted.
            return try program.strict(
                called, arguments, isConstant: !ProgramBuilder.loopingOperators.contains(name))
        case .lazyList(let arity, let called):
            let arguments = try parseList(name, argument, arity, &program)
            return program.lazy(called, arguments)
        case .named(let names, let notObject, let unknown, let called):
            let arguments = try parseNamed(
                name, argument, names, notObject: notObject, unknown: unknown, &program)
            return try program.strict(called, arguments)
        case .custom(let parse): return try parse(argument, &program)
        }
    }

    private static func unknown(_ name: String) -> DBError {
        if name == "$function" {
            return DBError(
                .commandNotSupported,
                "\(name) is not supported: Roost runs no JavaScript; use expression operators")
        }
        if refused.contains(name) {
            return DBError(
                .commandNotSupported, "Roost does not have the expression operator \(name) yet")
        }
        return DBError(.invalidPipelineOperator, "Unrecognized expression '\(name)'")
    }

    /// Compiles a list of arguments, checking its length.
    static func parseList(
        _ name: String, _ argument: ValueView, _ arity: ClosedRange<Int>,
        _ program: inout ProgramBuilder
    ) throws(DBError) -> [Int] {
        var arguments: [Int] = []
        if let list = argument.array {
            let count = list.count
            if !arity.contains(count) { throw wrongCount(name, arity, count) }
            var elements = list.makeIterator()
            while let element = elements.next() {
                arguments.append(try program.parse(element.value))
            }
        } else {
            if !arity.contains(1) { throw wrongCount(name, arity, 1) }
            arguments.append(try program.parse(argument))
        }
        return arguments
    }

    private static func wrongCount(
        _ name: String, _ arity: ClosedRange<Int>, _ count: Int
    ) -> DBError {
        if arity.count == 1 {
            return DBError(
                DBError.Code(rawValue: 16020),
                "Expression \(name) takes exactly \(arity.lowerBound) arguments. \(count) were "
                    + "passed in.")
        }
        return DBError(
            DBError.Code(rawValue: 28667),
            "Expression \(name) takes at least \(arity.lowerBound) arguments, and at most "
                + "\(arity.upperBound), but \(count) were passed in.")
    }

    /// Compiles a document of arguments into the order of `names`; those not written are absent.
    static func parseNamed(
        _ name: String, _ argument: ValueView, _ names: [NamedArgument], notObject: Int32,
        unknown: Int32, _ program: inout ProgramBuilder
    ) throws(DBError) -> [Int] {
        guard let object = argument.document else {
            throw DBError(
                DBError.Code(rawValue: notObject),
                "\(name) requires an object as an argument, found: \(argument.type.alias)")
        }
        var arguments: [Int?] = Array(repeating: nil, count: names.count)
        var elements = object.makeIterator()
        while let element = elements.next() {
            let key = element.nameString
            guard let index = names.firstIndex(where: { $0.name == key }) else {
                throw DBError(
                    DBError.Code(rawValue: unknown), "\(name) found an unknown argument: \(key)")
            }
            arguments[index] = try program.parse(element.value)
        }
        var complete: [Int] = []
        for (index, node) in arguments.enumerated() {
            if node == nil, let code = names[index].missingCode {
                throw DBError(
                    DBError.Code(rawValue: code), "\(name) requires '\(names[index].name)'")
            }
            complete.append(node ?? program.add(.absent))
        }
        return complete
    }

    /// MongoDB's expressions that Roost has not.
    private static let refused: Set<String> = [
        "$encStrContains", "$encStrEndsWith", "$encStrNormalizedEq", "$encStrStartsWith",
        "$function", "$sampleRate",
    ]
}

extension DBError {
    /// An error with one of MongoDB's unnamed codes.
    static func location(_ code: Int32, _ message: String) -> DBError {
        DBError(DBError.Code(rawValue: code), message)
    }
}
