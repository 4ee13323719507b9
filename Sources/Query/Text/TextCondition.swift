// Conditions as filters that indexes can serve.
//
// The text compares whole values in the total order of all types, which only `$expr` can say. So
// a condition becomes `$expr` beside filters that hold for every document it holds for: equality
// and membership look into arrays, and an order takes the types beyond its constant's along.
// Planner and indexes work on those; the expression decides. Conditions on `_id`, which is never an
// array, need no second look.

import BSON

extension TextLowering {
    /// A condition as a filter.
    mutating func filter(_ condition: TextExpression) throws(TextError) -> Document {
        var filters: [Value] = []
        var exact: [Value] = []
        for part in Self.conjuncts(of: condition) {
            if case .bool(true)? = try constant(part) { continue }
            if let filter = try superset(of: part) {
                filters.append(filter)
                if try isExact(part) { continue }
            }
            exact.append(try raw(part))
        }
        if let only = exact.first {
            filters.append(["$expr": exact.count == 1 ? only : ["$and": .array(exact)]])
        }
        guard let first = filters.first else { return Document() }
        if filters.count == 1, case .document(let document) = first { return document }
        return ["$and": .array(filters)]
    }

    private static func conjuncts(of condition: TextExpression) -> [TextExpression] {
        guard case .chain(.and, let parts) = condition.kind else { return [condition] }
        return parts.flatMap(conjuncts)
    }

    /// Whether `superset` alone says what the condition says.
    private func isExact(_ condition: TextExpression) throws(TextError) -> Bool {
        guard case .chain(let symbol, let sides) = condition.kind,
            case .path(let path) = sides[0].kind, path == ["_id"], !isVariable(path)
        else { return false }
        // Null means several things, even there.
        switch try folded(sides[1]) {
        case .null?, .undefined?: return false
        case .array(let values)?: return symbol == .in && !values.contains(.null)
        default: return symbol == .equal
        }
    }

    private func isVariable(_ path: [String]) -> Bool {
        path.first.map(isBound) ?? false
    }

    /// The dotted path that an expression is, where filters can name it.
    private func fieldPath(_ expression: TextExpression) -> String? {
        guard case .path(let segments) = expression.kind, !isVariable(segments),
            segments.allSatisfy(Self.isPlain)
        else { return nil }
        return segments.joined(separator: ".")
    }

    /// A filter that every document matches for which the condition holds; nil where none helps.
    private func superset(of condition: TextExpression) throws(TextError) -> Value? {
        switch condition.kind {
        case .chain(.or, let branches):
            var filters: [Value] = []
            for branch in branches {
                guard let filter = try superset(of: branch) else { return nil }
                filters.append(filter)
            }
            return ["$or": .array(filters)]
        case .chain(.and, let parts):
            var filters: [Value] = []
            for part in parts {
                if let filter = try superset(of: part) { filters.append(filter) }
            }
            return filters.isEmpty ? nil : ["$and": .array(filters)]
        case .chain(.in, let sides): return try membership(of: sides[0], in: sides[1])
        case .chain(let symbol, let sides):
            if let path = fieldPath(sides[0]), let value = try folded(sides[1]) {
                return comparison(path, symbol, value)
            }
            if let path = fieldPath(sides[1]), let value = try folded(sides[0]),
                let mirrored = symbol.mirrored
            {
                return comparison(path, mirrored, value)
            }
            return nil
        case .isType(let value, let type, negated: false):
            return fieldPath(value).flatMap { TextOrderFilter.type($0, type) }
        case .call("startsWith", let arguments):
            guard let path = fieldPath(arguments[0]), arguments.count == 2,
                case .string(let start)? = try folded(arguments[1])
            else { return nil }
            return TextOrderFilter.prefix(path, start)
        case .loop(.any, let variable, let list, let body):
            return try anyElement(variable, of: list, body)
        default: return nil
        }
    }

    private func comparison(_ path: String, _ symbol: TextOperator, _ value: Value) -> Value? {
        switch symbol {
        case .equal: return equality(path, value)
        case .less, .lessOrEqual, .greater, .greaterOrEqual:
            return TextOrderFilter.filter(path, symbol, value)
        default: return nil
        }
    }

    private func equality(_ path: String, _ value: Value) -> Value? {
        if value.type == .null { return TextOrderFilter.null(path) }
        guard Self.isFilterConstant(value, path) else { return nil }
        return Self.field(path, "$eq", value)
    }

    /// `path in [constants]`, or `constant in path`.
    private func membership(
        of value: TextExpression, in list: TextExpression
    ) throws(TextError) -> Value? {
        if let path = fieldPath(value), case .array(let values)? = try folded(list) {
            let others = values.filter { $0.type != .null }
            guard others.allSatisfy({ Self.isFilterConstant($0, path) }) else { return nil }
            let filter = Self.field(path, "$in", .array(others))
            if others.count == values.count { return filter }
            return ["$or": [filter, TextOrderFilter.null(path)]]
        }
        guard let path = fieldPath(list), let value = try folded(value), value.type != .array,
            value.type != .null
        else { return nil }
        return equality(path, value)
    }

    /// `any(x in path: x == constant && x.field == constant)`.
    private func anyElement(
        _ variable: String, of list: TextExpression, _ body: TextExpression
    ) throws(TextError) -> Value? {
        guard let path = fieldPath(list) else { return nil }
        var filters: [Value] = []
        for part in Self.conjuncts(of: body) {
            guard case .chain(.equal, let sides) = part.kind,
                case .path(let segments) = sides[0].kind, segments.first == variable,
                segments.allSatisfy(Self.isPlain), let value = try folded(sides[1]),
                value.type != .array, value.type != .null
            else { continue }
            let full = ([path] + segments.dropFirst()).joined(separator: ".")
            if let filter = equality(full, value) { filters.append(filter) }
        }
        return filters.isEmpty ? nil : ["$and": .array(filters)]
    }

    /// Whether a filter's equality with the constant covers the text's: null has several meanings,
    /// a pattern would match, and an array along a dotted path is no value of the path.
    private static func isFilterConstant(_ value: Value, _ path: String) -> Bool {
        switch value.type {
        case .null, .undefined, .regex: false
        case .array: !path.utf8.contains(UInt8(ascii: "."))
        default: true
        }
    }

    static func field(_ path: String, _ operatorName: String, _ value: Value) -> Value {
        .document(
            Document { writer in
                let start = writer.openDocument(path)
                writer.append(operatorName, value)
                writer.close(start)
            })
    }

    // MARK: Partial indexes

    /// The condition of an index: exact, and of operators whose implication the planner decides.
    func indexFilter(_ condition: TextExpression) throws(TextError) -> Value {
        switch condition.kind {
        case .chain(.and, let parts): return ["$and": .array(try indexFilters(parts))]
        case .chain(.or, let parts): return ["$or": .array(try indexFilters(parts))]
        case .chain(let symbol, let sides):
            guard let path = fieldPath(sides[0]), let value = try constant(sides[1]),
                let filter = indexComparison(path, symbol, value)
            else { break }
            return filter
        case .call("exists", let arguments):
            guard let path = arguments.first.flatMap(fieldPath) else { break }
            return Self.field(path, "$exists", true)
        default: break
        }
        throw TextError(
            at: condition.offset,
            "an index's condition compares fields with constants (==, !=, <, <=, >, >=, in), asks "
                + "exists(field), and joins those with && and ||")
    }

    private func indexFilters(_ parts: [TextExpression]) throws(TextError) -> [Value] {
        var filters: [Value] = []
        for part in parts { filters.append(try indexFilter(part)) }
        return filters
    }

    private func indexComparison(
        _ path: String, _ symbol: TextOperator, _ value: Value
    ) -> Value? {
        switch symbol {
        case .equal: return Self.field(path, "$eq", value)
        case .notEqual: return TextOrderFilter.unequal(path, value)
        case .in: return Self.field(path, "$in", value)
        case .less: return Self.field(path, "$lt", value)
        case .lessOrEqual: return Self.field(path, "$lte", value)
        case .greater: return Self.field(path, "$gt", value)
        case .greaterOrEqual: return Self.field(path, "$gte", value)
        default: return nil
        }
    }
}

/// The total order in filters, which compare within one type: the rest is a set of types.
private enum TextOrderFilter {
    /// `path < value` and its kin; nil where filters can't say it.
    static func filter(_ path: String, _ symbol: TextOperator, _ value: Value) -> Value? {
        switch value.type {
        case .null, .undefined, .minKey, .maxKey, .array, .regex: return nil
        default: break
        }
        if isNaN(value) { return nil }
        let rank = value.type.canonicalRank
        let isLess = symbol == .less || symbol == .lessOrEqual
        let operatorName =
            switch symbol {
            case .less: "$lt"
            case .lessOrEqual: "$lte"
            case .greater: "$gt"
            default: "$gte"
            }
        var branches = [TextLowering.field(path, operatorName, value)]
        let others = BSONType.allCases.filter {
            isLess ? $0.canonicalRank < rank : $0.canonicalRank > rank
        }
        branches.append(types(path, others))
        if others.contains(.array) { branches += arraysAlong(path) }
        if isLess {
            // Missing counts as null, and NaN is the least number.
            branches.append(TextLowering.field(path, "$eq", .null))
            if value.type.isNumeric {
                branches.append(TextLowering.field(path, "$eq", .double(.nan)))
            }
        }
        return ["$or": .array(branches)]
    }

    /// Missing, null or undefined, which are one to the text.
    static func null(_ path: String) -> Value {
        ["$or": [TextLowering.field(path, "$eq", .null), types(path, [.undefined])]]
    }

    /// `path is type`; nil for a name that is no type's.
    static func type(_ path: String, _ name: String) -> Value? {
        switch name {
        case "null": return null(path)
        case "missing": return TextLowering.field(path, "$exists", false)
        case "number": return types(path, [.int32, .int64, .double, .decimal128])
        case "array":
            let branches = [types(path, [.array])] + arraysAlong(path)
            return branches.count == 1 ? branches[0] : ["$or": .array(branches)]
        default:
            return BSONType.allCases.first { $0.alias == name }.map { types(path, [$0]) }
        }
    }

    /// Text at the path that begins so.
    static func prefix(_ path: String, _ start: String) -> Value? {
        guard !start.isEmpty, !start.utf8.contains(0) else { return nil }
        var pattern = "^"
        for scalar in start.unicodeScalars {
            let isPlain =
                scalar.value >= 128 || scalar.properties.isAlphabetic
                || 48...57 ~= scalar.value || scalar == " "
            if !isPlain { pattern += "\\" }
            pattern.unicodeScalars.append(scalar)
        }
        return TextLowering.field(path, "$regex", .string(pattern))
    }

    /// Arrays along a path make the whole value an array, which no filter on the path sees. Where
    /// an index knows of none, these branches take nothing.
    private static func arraysAlong(_ path: String) -> [Value] {
        let segments = path.split(separator: ".")
        return segments.indices.dropFirst().map { end in
            types(segments[..<end].joined(separator: "."), [.array])
        }
    }

    /// `path != value` without a negation, which indexes' conditions don't have.
    static func unequal(_ path: String, _ value: Value) -> Value? {
        switch value.type {
        case .null, .undefined, .minKey, .maxKey, .array, .document, .regex: return nil
        default: break
        }
        if isNaN(value) { return nil }
        let rank = value.type.canonicalRank
        var branches = [
            TextLowering.field(path, "$lt", value), TextLowering.field(path, "$gt", value),
            types(path, BSONType.allCases.filter { $0.canonicalRank != rank }),
            TextLowering.field(path, "$eq", .null),
        ]
        if value.type.isNumeric { branches.append(TextLowering.field(path, "$eq", .double(.nan))) }
        return ["$or": .array(branches)]
    }

    private static func types(_ path: String, _ types: [BSONType]) -> Value {
        TextLowering.field(path, "$type", .array(types.map { .string($0.alias) }))
    }

    private static func isNaN(_ value: Value) -> Bool {
        switch value {
        case .double(let number): number.isNaN
        case .decimal128(let low, let high): Decimal128(low: low, high: high).isNaN
        default: false
        }
    }
}

extension TextOperator {
    /// The operator with its sides exchanged.
    fileprivate var mirrored: TextOperator? {
        switch self {
        case .equal: .equal
        case .less: .greater
        case .lessOrEqual: .greaterOrEqual
        case .greater: .less
        case .greaterOrEqual: .lessOrEqual
        default: nil
        }
    }
}
