// Reads filters: documents whose names are paths or logical operators.

internal import BSON

/// Reads MongoDB's filter documents into trees. Recursive; depth is bounded.
struct FilterParser {
    /// Deepest nesting of a filter (MongoDB's maximum query tree depth).
    static let depthMax = 100

    let options: FilterOptions
    /// Whether this reads something below `$nor`.
    private(set) var isNegated = false
    /// Whether this reads something below `$or`.
    private(set) var isAlternative = false
    /// Whether this reads something below `$elemMatch`, where less is allowed.
    private(set) var isElement = false

    init(_ options: FilterOptions) {
        self.options = options
    }

    /// The same parser for what lies below `$nor`.
    private var negated: FilterParser {
        var parser = self
        parser.isNegated = true
        return parser
    }

    /// The same parser for what lies below `$or`.
    private var alternative: FilterParser {
        var parser = self
        parser.isAlternative = true
        return parser
    }

    /// The same parser for documents that are elements of arrays, which no placeholder names.
    private var ofElement: FilterParser {
        var options = options
        options.placeholder = nil
        var parser = FilterParser(options)
        parser.isElement = true
        return parser
    }

    /// Reads a document of conditions, all of which must hold.
    func parseDocument(_ document: DocumentView, depth: Int) throws(DBError) -> FilterNode {
        try checkDepth(depth)
        var nodes: [FilterNode] = []
        var elements = document.makeIterator()
        while let element = elements.next() {
            let name = element.nameString
            if name.utf8.first == UInt8(ascii: "$"), !Self.isReferenceName(name) {
                nodes.append(try parsePathless(name, element.value, depth: depth))
            } else {
                nodes.append(try parseCondition(try path(name), element.value, depth: depth))
            }
        }
        return .all(nodes)
    }

    /// Reads what stands behind a path: operators, a pattern, or a value to equal.
    func parseCondition(
        _ path: FieldPath, _ value: ValueView, depth: Int
    ) throws(DBError) -> FilterNode {
        if let operators = value.document, Self.isOperators(operators) {
            return try parseOperators(path, operators, depth: depth)
        }
        if value.regex != nil { return .regex(path, try Self.regex(value)) }
        try refuseUndefined(value)
        return .compare(path, .equal, OwnedValue(copying: value))
    }

    /// Reads the two forms of `$elemMatch`.
    func parseElement(
        _ path: FieldPath, _ value: ValueView, depth: Int
    ) throws(DBError) -> FilterNode {
        guard let conditions = value.document else {
            throw DBError(.badValue, "$elemMatch needs an Object")
        }
        try checkDepth(depth + 1)
        let first = conditions.first?.nameString ?? ""
        let parser = ofElement
        if Self.isOperators(conditions, allowsPartialReference: true), !Self.isPathless(first) {
            return .elementValue(
                path, try parser.parseOperators(.wholeValue, conditions, depth: depth + 1))
        }
        return .elementObject(path, try parser.parseDocument(conditions, depth: depth + 1))
    }

    func checkDepth(_ depth: Int) throws(DBError) {
        if depth > Self.depthMax {
            throw DBError(
                .badValue, "The filter is nested too deeply: at most \(Self.depthMax) levels")
        }
    }

    func refuseUndefined(_ value: ValueView) throws(DBError) {
        if value.type == .undefined { throw DBError(.badValue, "cannot compare to undefined") }
    }

    // MARK: Names

    /// The path of a name, which for a placeholder begins with it.
    private func path(_ name: String) throws(DBError) -> FieldPath {
        guard let placeholder = options.placeholder else { return FieldPath(name) }
        if name == placeholder { return .wholeValue }
        guard name.hasPrefix(placeholder + ".") else {
            throw DBError(
                .failedToParse,
                "Expected a single top-level field name, found '\(placeholder)' and '\(name)'")
        }
        return FieldPath(String(name.dropFirst(placeholder.utf8.count + 1)))
    }

    /// The names of a reference to another document, which are no operators.
    private static func isReferenceName(_ name: String) -> Bool {
        name == "$ref" || name == "$id" || name == "$db"
    }

    /// Whether an operator stands beside paths, not behind one.
    private static func isPathless(_ name: String) -> Bool {
        switch name {
        case "$and", "$or", "$nor", "$expr", "$jsonSchema", "$comment", "$where", "$text",
            "$sampleRate", "$alwaysTrue", "$alwaysFalse", "$ref", "$id", "$db":
            true
        default: false
        }
    }

    /// Whether a document holds operators: its first name begins with `$`, and it is no reference
    /// (`$ref` and `$id`; with `allowsPartialReference` one of its names).
    static func isOperators(
        _ document: DocumentView, allowsPartialReference: Bool = false
    ) -> Bool {
        guard let first = document.first, first.name.starts(with: RawSpan("$")) else {
            return false
        }
        let hasRef = document.value("$ref") != nil
        let hasID = document.value("$id") != nil
        if allowsPartialReference {
            return !(hasRef || hasID || document.value("$db") != nil)
        }
        return !(hasRef && hasID)
    }

    // MARK: Operators beside paths

    private func parsePathless(
        _ name: String, _ value: ValueView, depth: Int
    ) throws(DBError) -> FilterNode {
        switch name {
        case "$and": return .all(try parseList(name, value, depth: depth))
        case "$or": return .any(try alternative.parseList(name, value, depth: depth))
        case "$nor": return .nor(try negated.parseList(name, value, depth: depth))
        case "$comment": return .alwaysTrue
        case "$expr": return try parseExpression(value)
        case "$jsonSchema": return try parseSchema(value)
        case "$sampleRate": return try parseSampleRate(value)
        case "$alwaysTrue", "$alwaysFalse":
            guard value.wholeInt64 == 1 else {
                throw DBError(.failedToParse, "\(name) must be an integer value and set to 1")
            }
            return name == "$alwaysTrue" ? .alwaysTrue : .alwaysFalse
        case "$where":
            throw DBError(
                .badValue, "$where is not supported: Roost runs no JavaScript; use $expr")
        case "$text": return try parseText(value, depth: depth)
        default:
            throw DBError(
                .badValue,
                "unknown top level operator: \(name). If you have a field name that starts with a "
                    + "'$' symbol, consider using $getField or $setField.")
        }
    }

    private func parseList(
        _ name: String, _ value: ValueView, depth: Int
    ) throws(DBError) -> [FilterNode] {
        guard let list = value.array else { throw DBError(.badValue, "\(name) must be an array") }
        var nodes: [FilterNode] = []
        var elements = list.makeIterator()
        while let element = elements.next() {
            guard let filter = element.value.document else {
                throw DBError(.badValue, "$or/$and/$nor entries need to be full objects")
            }
            nodes.append(try parseDocument(filter, depth: depth + 1))
        }
        if nodes.isEmpty { throw DBError(.badValue, "\(name) must be a nonempty array") }
        return nodes
    }

    private func parseExpression(_ value: ValueView) throws(DBError) -> FilterNode {
        if isElement {
            throw DBError(.badValue, "$expr can only be applied to the top-level document")
        }
        switch options.context {
        case .arrayFilter, .partialIndex, .projection:
            throw DBError(.queryFeatureNotAllowed, "$expr is not allowed in this context")
        case .find, .match, .validator: break
        }
        guard let parse = options.parseExpression else {
            throw DBError(.badValue, "$expr is not available in this filter")
        }
        return .expression(try parse(value))
    }

    private func parseSchema(_ value: ValueView) throws(DBError) -> FilterNode {
        guard let schema = value.document else {
            throw DBError(.typeMismatch, "$jsonSchema must be an object")
        }
        switch options.context {
        case .projection, .arrayFilter, .partialIndex:
            throw DBError(.queryFeatureNotAllowed, "$jsonSchema is not allowed in this context")
        case .find, .match, .validator: break
        }
        return .schema(try JSONSchema.parse(schema))
    }

    private func parseSampleRate(_ value: ValueView) throws(DBError) -> FilterNode {
        guard let rate = value.anyDouble else {
            throw DBError(.badValue, "argument to $sampleRate must be a numeric type")
        }
        guard rate >= 0, rate <= 1 else {
            throw DBError(.badValue, "numeric argument to $sampleRate must be in [0, 1]")
        }
        return .sampleRate(rate)
    }

    // MARK: Patterns

    /// The predicate of a regex value.
    static func regex(_ value: ValueView) throws(DBError) -> RegexPredicate {
        guard let regex = value.regex else { throw DBError(.badValue, "Expected a regex") }
        return try RegexPredicate(
            pattern: [UInt8](copying: regex.pattern), options: [UInt8](copying: regex.options))
    }
}

extension ValueView {
    /// The nearest double of a number, else nil.
    package var anyDouble: Double? {
        switch type {
        case .int32: int32.map { Double($0) }
        case .int64: int64.map { Double($0) }
        case .double: double
        case .decimal128: decimal128?.roundedDouble
        default: nil
        }
    }
}
