// From syntax trees to the values that the aggregation's parsers take, which make the one IR of
// them: `Expression`, `Pipeline`, `Filter`, `Update`. Nothing is evaluated here but constants.
//
// The text's own rule: a missing field is null. The aggregation tells them apart only where values
// are compared with null or with each other, or kept; there (`present`) paths get `$ifNull`, and
// elsewhere they stay bare, so that the planner and the evaluator see plain paths.

import BSON

struct TextLowering {
    /// Values bound to parameters.
    private let parameters: [String: Value]
    /// Whether paths lead into a document; false for what must be known before any is read.
    private let readsFields: Bool
    /// The clock and the rest that constant expressions are evaluated with.
    private let scope: ExpressionScope
    /// Whether calls carry their places, for errors.
    private let marksPlaces: Bool
    /// Variables of the loops around the current place, by their names in the text.
    private var variables: [String: String] = [:]

    init(
        _ parameters: [String: Value], readsFields: Bool,
        _ scope: ExpressionScope = ExpressionScope(), marksPlaces: Bool = false
    ) {
        self.parameters = parameters
        self.readsFields = readsFields
        self.scope = scope
        self.marksPlaces = marksPlaces
    }

    /// Whether a name is a loop's variable here.
    func isBound(_ name: String) -> Bool { variables[name] != nil }

    // MARK: Constants

    /// The value of a literal or parameter; nil for other expressions.
    func constant(_ expression: TextExpression) throws(TextError) -> Value? {
        switch expression.kind {
        case .literal(let value): return value
        case .parameter(let name):
            guard let value = parameters[name] else {
                throw TextError(
                    at: expression.offset, "the parameter $\(name) is not bound; add it to params")
            }
            return value
        case .negative(let operand):
            guard let value = try constant(operand) else { return nil }
            return Self.negated(value)
        case .call(let name, let arguments):
            return try TextConstants.value(of: name, arguments, at: expression.offset, self)
        case .list(let elements):
            var values: [Value] = []
            for element in elements {
                guard let value = try constant(element) else { return nil }
                values.append(value)
            }
            return .array(values)
        default: return nil
        }
    }

    /// The value of an expression that reads no field; nil for others and where it fails.
    ///
    /// More than `constant`: `now()`, arithmetic, calls. For what only makes a query faster.
    func folded(_ expression: TextExpression) throws(TextError) -> Value? {
        if let value = try constant(expression) { return value }
        guard expression.readsNothing else { return nil }
        var unmarked = TextLowering(parameters, readsFields: readsFields, scope)
        let lowered = OwnedValue(try unmarked.raw(expression))
        guard let value = (try? Expression.parse(lowered.view, scope))?.constant else { return nil }
        return Value(value.view)
    }

    private static func negated(_ value: Value) -> Value? {
        switch value {
        case .int32(let number): number == .min ? .int64(-Int64(number)) : .int32(-number)
        case .int64(let number): number == .min ? nil : .int64(-number)
        case .double(let number): .double(-number)
        default: nil
        }
    }

    /// A whole number, known before the statement runs.
    func wholeNumber(
        _ expression: TextExpression, _ what: String, atLeast least: Int64
    ) throws(TextError) -> Int64 {
        let number: Int64? =
            switch try constant(expression) {
            case .int32(let number)?: Int64(number)
            case .int64(let number)?: number
            case .double(let number)?: Int64(exactly: number)
            default: nil
            }
        guard let number, number >= least else {
            throw TextError(
                at: expression.offset,
                expected: ["\(what): a whole number or parameter, at least \(least)"],
                found: "something else")
        }
        return number
    }

    /// A constant as an expression.
    static func quoted(_ value: Value) -> Value {
        switch value {
        case .document, .array: ["$literal": value]
        case .string(let text) where text.utf8.first == UInt8(ascii: "$"): ["$literal": value]
        default: value
        }
    }

    // MARK: Expressions

    /// The expression; missing where a path leads nowhere.
    mutating func raw(_ expression: TextExpression) throws(TextError) -> Value {
        if let value = try constant(expression) { return Self.quoted(value) }
        switch expression.kind {
        case .literal(let value): return Self.quoted(value)
        case .parameter: return .null
        case .path(let segments): return try path(segments, at: expression.offset)
        case .member(let base, let name): return Self.field(name, of: try raw(base))
        case .index(let base, let index):
            if case .string(let name)? = try constant(index) {
                return Self.field(name, of: try raw(base))
            }
            return marked(
                ["$arrayElemAt": .array([try raw(base), try raw(index)])], "[]", expression)
        case .call(let name, let arguments):
            return marked(
                try TextFunctions.lower(name, arguments, at: expression.offset, &self), name,
                expression)
        case .loop(let loop, let variable, let list, let body):
            return try self.loop(loop, variable, list, body)
        case .not(let operand): return ["$not": .array([try raw(operand)])]
        case .negative(let operand):
            return marked(["$multiply": .array([try raw(operand), -1])], "-", expression)
        case .chain(let symbol, let operands):
            let call = try chain(symbol, operands, at: expression.offset)
            return symbol.mayFail ? marked(call, symbol.rawValue, expression) : call
        case .conditional(let condition, let first, let second):
            return [
                "$cond": .array([try raw(condition), try present(first), try present(second)])
            ]
        case .isType(let value, let type, let isNegated):
            return try typeTest(value, type, isNegated, at: expression.offset)
        case .list(let elements): return .array(try present(all: elements))
        case .object(let entries): return try object(entries)
        }
    }

    /// A call with its place, where those are wanted.
    private func marked(_ call: Value, _ name: String, _ expression: TextExpression) -> Value {
        marksPlaces ? TextMark.wrapped(call, name, at: expression.offset) : call
    }

    /// The expression, null where a path leads nowhere.
    mutating func present(_ expression: TextExpression) throws(TextError) -> Value {
        let value = try raw(expression)
        return switch expression.kind {
        case .path, .member, .index, .call: ["$ifNull": .array([value, .null])]
        default: value
        }
    }

    /// Each of them by `raw`.
    mutating func raw(all expressions: [TextExpression]) throws(TextError) -> [Value] {
        var values: [Value] = []
        values.reserveCapacity(expressions.count)
        for expression in expressions { values.append(try raw(expression)) }
        return values
    }

    /// Each of them by `present`.
    mutating func present(all expressions: [TextExpression]) throws(TextError) -> [Value] {
        var values: [Value] = []
        values.reserveCapacity(expressions.count)
        for expression in expressions { values.append(try present(expression)) }
        return values
    }

    private mutating func path(
        _ segments: [String], at offset: Int
    ) throws(TextError) -> Value {
        var rest = segments[...]
        var base: String
        if let first = segments.first, let variable = variables[first] {
            base = "$$" + variable
            rest = rest.dropFirst()
        } else {
            guard readsFields else {
                throw TextError(
                    at: offset,
                    "there is no document here to read the field "
                        + "'\(segments.joined(separator: "."))' of; text needs quotes")
            }
            base = "$$ROOT"
        }
        // Names that MongoDB's own paths can't hold are read one by one.
        guard rest.allSatisfy(Self.isPlain) else {
            var value = Value.string(base)
            for name in rest { value = Self.field(name, of: value) }
            return value
        }
        if base == "$$ROOT" { return .string("$" + rest.joined(separator: ".")) }
        if !rest.isEmpty { base += "." + rest.joined(separator: ".") }
        return .string(base)
    }

    /// Whether a dotted path may hold the name.
    static func isPlain(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.first != UInt8(ascii: "$")
            && !name.utf8.contains(UInt8(ascii: ".")) && !name.utf8.contains(0)
    }

    private static func field(_ name: String, of value: Value) -> Value {
        ["$getField": ["field": quoted(.string(name)), "input": value]]
    }

    /// An object whose names the aggregation takes as they are.
    mutating func object(_ entries: [TextEntry]) throws(TextError) -> Value {
        guard !entries.isEmpty else { return ["$literal": [:]] }
        var fields: [(name: String, value: Value)] = []
        for entry in entries {
            try Self.checkName(entry.name, at: entry.offset)
            fields.append((entry.name, try present(entry.value)))
        }
        return .document(
            Document { writer in for (name, value) in fields { writer.append(name, value) } })
    }

    static func checkName(_ name: String, at offset: Int) throws(TextError) {
        guard isPlain(name) else {
            throw TextError(
                at: offset,
                "a name here must not be empty, begin with '$' or hold '.'; bind such a document "
                    + "as a parameter")
        }
    }

    // MARK: Operators

    private mutating func chain(
        _ symbol: TextOperator, _ operands: [TextExpression], at offset: Int
    ) throws(TextError) -> Value {
        switch symbol {
        case .and: return ["$and": .array(try raw(all: operands))]
        case .or: return ["$or": .array(try raw(all: operands))]
        case .add:
            let name = operands.contains(where: isText) ? "$concat" : "$add"
            return Self.call(name, try raw(all: operands))
        case .subtract: return ["$subtract": .array(try raw(all: operands))]
        case .multiply: return ["$multiply": .array(try raw(all: operands))]
        case .divide: return ["$divide": .array(try raw(all: operands))]
        case .remainder: return ["$mod": .array(try raw(all: operands))]
        case .equal: return try compare("$eq", operands)
        case .notEqual: return try compare("$ne", operands)
        case .less: return try compare("$lt", operands)
        case .lessOrEqual: return try compare("$lte", operands)
        case .greater: return try compare("$gt", operands)
        case .greaterOrEqual: return try compare("$gte", operands)
        case .in: return try membership(operands)
        }
    }

    /// Whether `+` with this operand joins text: literals and what makes text of anything.
    private func isText(_ operand: TextExpression) -> Bool {
        switch operand.kind {
        case .literal(.string): true
        case .call(let name, _): TextFunctions.makesText.contains(name)
        default: false
        }
    }

    /// A comparison of whole values. Against a constant that isn't null a missing field compares
    /// as null does, so the path can stay bare.
    private mutating func compare(
        _ name: String, _ operands: [TextExpression]
    ) throws(TextError) -> Value {
        var mayStayBare = false
        for operand in operands {
            switch try constant(operand)?.type {
            case nil, .null, .undefined: break
            default: mayStayBare = true
            }
        }
        return Self.call(
            name,
            mayStayBare
                ? try raw(all: operands) : try present(all: operands))
    }

    private mutating func membership(_ operands: [TextExpression]) throws(TextError) -> Value {
        let list = try raw(operands[1])
        let found: Value = ["$in": .array([try present(operands[0]), list])]
        if case .array? = try constant(operands[1]) { return found }
        if case .list = operands[1].kind { return found }
        // What is no list has no elements.
        return ["$and": .array([["$isArray": .array([list])], found])]
    }

    private mutating func loop(
        _ loop: TextLoop, _ variable: String, _ list: TextExpression, _ body: TextExpression
    ) throws(TextError) -> Value {
        let input = try raw(list)
        let name = "v\(variables.count + 1)"
        let outer = variables
        variables[variable] = name
        defer { variables = outer }
        let condition = loop == .map ? try present(body) : try raw(body)
        let elements: Value = [
            "$cond": .array([["$isArray": .array([input])], input, .array([])])
        ]
        if loop == .filter {
            return ["$filter": ["input": elements, "as": .string(name), "cond": condition]]
        }
        let results: Value = ["$map": ["input": elements, "as": .string(name), "in": condition]]
        switch loop {
        case .any: return ["$anyElementTrue": .array([results])]
        case .all: return ["$allElementsTrue": .array([results])]
        default: return results
        }
    }

    private mutating func typeTest(
        _ value: TextExpression, _ type: String, _ isNegated: Bool, at offset: Int
    ) throws(TextError) -> Value {
        let test: Value
        if type == "null" {
            test = ["$eq": .array([try present(value), .null])]
        } else {
            let actual: Value = ["$type": .array([try raw(value)])]
            if type == "number" {
                test = ["$in": .array([actual, .array(["int", "long", "double", "decimal"])])]
            } else if type == "missing" || BSONType.allCases.contains(where: { $0.alias == type }) {
                test = ["$eq": .array([actual, .string(type)])]
            } else {
                let types = ["null", "missing", "number"] + BSONType.allCases.map(\.alias)
                throw TextError(
                    at: offset, expected: types.map { "'\($0)'" }, found: "'\(type)'")
            }
        }
        return isNegated ? ["$not": .array([test])] : test
    }

    static func call(_ name: String, _ arguments: [Value]) -> Value {
        .document(Document { $0.append(name, .array(arguments)) })
    }
}
