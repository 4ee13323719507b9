// Reads the operators that stand behind a path.

internal import BSON

extension FilterParser {
    /// Reads a document of operators, all of which must hold.
    func parseOperators(
        _ path: FieldPath, _ operators: DocumentView, depth: Int
    ) throws(DBError) -> FilterNode {
        try checkDepth(depth)
        var nodes: [FilterNode] = []
        var hasRegex = false
        if let place = try parsePlace(path, operators, depth: depth) { return place }
        var elements = operators.makeIterator()
        while let element = elements.next() {
            let name = element.nameString
            if name == "$regex" || name == "$options" {
                // The two are one condition, whatever stands between them.
                if hasRegex { continue }
                hasRegex = true
                nodes.append(.regex(path, try parseRegex(operators)))
            } else {
                nodes.append(try parseOperator(name, path, element.value, depth: depth))
            }
        }
        return .all(nodes)
    }

    private func parseOperator(
        _ name: String, _ path: FieldPath, _ value: ValueView, depth: Int
    ) throws(DBError) -> FilterNode {
        switch name {
        case "$eq":
            try refuseUndefined(value)
            return .compare(path, .equal, OwnedValue(copying: value))
        case "$ne":
            if value.type == .regex { throw DBError(.badValue, "Can't have regex as arg to $ne.") }
            try refuseUndefined(value)
            return .not(.compare(path, .equal, OwnedValue(copying: value)))
        case "$gt": return try parseComparison(.greater, path, value)
        case "$gte": return try parseComparison(.greaterOrEqual, path, value)
        case "$lt": return try parseComparison(.less, path, value)
        case "$lte": return try parseComparison(.lessOrEqual, path, value)
        case "$in": return try parseMembership(name, path, value)
        case "$nin": return .not(try parseMembership(name, path, value))
        case "$not": return .not(try parseNot(path, value, depth: depth))
        case "$exists": return value.isTruthy ? .exists(path) : .not(.exists(path))
        case "$type": return .type(path, try Self.parseTypeSet(value, name))
        case "$elemMatch": return try parseElement(path, value, depth: depth)
        case "$all": return try parseAll(path, value, depth: depth)
        case "$size": return .size(path, try parseSize(value))
        case "$mod": return try parseMod(path, value)
        case "$bitsAllSet": return .bits(path, try parseBits(.allSet, name, value))
        case "$bitsAllClear": return .bits(path, try parseBits(.allClear, name, value))
        case "$bitsAnySet": return .bits(path, try parseBits(.anySet, name, value))
        case "$bitsAnyClear": return .bits(path, try parseBits(.anyClear, name, value))
        default: throw DBError(.badValue, "unknown operator: \(name)")
        }
    }

    private func parseComparison(
        _ comparison: ComparisonOperator, _ path: FieldPath, _ value: ValueView
    ) throws(DBError) -> FilterNode {
        if value.type == .regex {
            throw DBError(
                .badValue, "Can't have RegEx as arg to predicate over field '\(path)'.")
        }
        try refuseUndefined(value)
        return .compare(path, comparison, OwnedValue(copying: value))
    }

    private func parseMembership(
        _ name: String, _ path: FieldPath, _ value: ValueView
    ) throws(DBError) -> FilterNode {
        guard let list = value.array else { throw DBError(.badValue, "\(name) needs an array") }
        var values: [OwnedValue] = []
        var patterns: [RegexPredicate] = []
        var elements = list.makeIterator()
        while let element = elements.next() {
            if element.value.type == .regex {
                patterns.append(try Self.regex(element.value))
                continue
            }
            if let document = element.value.document, Self.isOperators(document) {
                throw DBError(.badValue, "cannot nest $ under $in")
            }
            try refuseUndefined(element.value)
            values.append(OwnedValue(copying: element.value))
        }
        return .membership(path, values, patterns)
    }

    private func parseNot(
        _ path: FieldPath, _ value: ValueView, depth: Int
    ) throws(DBError) -> FilterNode {
        if value.type == .regex { return .regex(path, try Self.regex(value)) }
        guard let operators = value.document else {
            throw DBError(.badValue, "$not needs a regex or a document")
        }
        if operators.isEmpty { throw DBError(.badValue, "$not cannot be empty") }
        return try parseOperators(path, operators, depth: depth + 1)
    }

    /// Whether a document begins with an operator that stands behind a path.
    private static func isCondition(_ document: DocumentView) -> Bool {
        guard let first = document.first, first.name.starts(with: RawSpan("$")) else {
            return false
        }
        return conditions.contains(first.nameString)
    }

    private static let conditions: Set<String> = [
        "$all", "$bitsAllClear", "$bitsAllSet", "$bitsAnyClear", "$bitsAnySet", "$elemMatch", "$eq",
        "$exists", "$geoIntersects", "$geoNear", "$geoWithin", "$gt", "$gte", "$in", "$lt", "$lte",
        "$maxDistance", "$minDistance", "$mod", "$ne", "$near", "$nearSphere", "$nin", "$not",
        "$options", "$regex", "$size", "$type", "$uniqueDocs", "$within",
    ]

    private func parseAll(
        _ path: FieldPath, _ value: ValueView, depth: Int
    ) throws(DBError) -> FilterNode {
        guard let list = value.array else { throw DBError(.badValue, "$all needs an array") }
        var nodes: [FilterNode] = []
        var wantsElements = false
        var elements = list.makeIterator()
        while let element = elements.next() {
            let item = element.value
            let isElement = item.document?.first?.name.equals("$elemMatch") ?? false
            if nodes.isEmpty { wantsElements = isElement }
            if wantsElements {
                guard isElement, let document = item.document, document.count == 1,
                    let condition = document.first?.value
                else {
                    throw DBError(.badValue, "$all/$elemMatch has to be consistent")
                }
                nodes.append(try parseElement(path, condition, depth: depth))
            } else if item.type == .regex {
                nodes.append(.regex(path, try Self.regex(item)))
            } else {
                if let document = item.document, Self.isCondition(document) {
                    throw DBError(.badValue, "no $ expressions in $all")
                }
                try refuseUndefined(item)
                nodes.append(.compare(path, .equal, OwnedValue(copying: item)))
            }
        }
        return nodes.isEmpty ? .alwaysFalse : .all(nodes)
    }

    /// Reads `$regex` and `$options`, which may come in either order.
    private func parseRegex(_ operators: DocumentView) throws(DBError) -> RegexPredicate {
        var pattern: [UInt8]?
        var options: [UInt8] = []
        var elements = operators.makeIterator()
        while let element = elements.next() {
            let value = element.value
            if element.name.equals("$regex") {
                if let regex = value.regex {
                    pattern = [UInt8](copying: regex.pattern)
                    if regex.options.byteCount > 0 {
                        guard options.isEmpty else { throw Self.optionsTwice(51074) }
                        options = [UInt8](copying: regex.options)
                    }
                } else if value.type == .string, let utf8 = value.utf8 {
                    pattern = [UInt8](copying: utf8)
                } else {
                    throw DBError(.badValue, "$regex has to be a string")
                }
            } else if element.name.equals("$options") {
                guard value.type == .string, let utf8 = value.utf8 else {
                    throw DBError(.badValue, "$options has to be a string")
                }
                guard options.isEmpty else { throw Self.optionsTwice(51075) }
                options = [UInt8](copying: utf8)
            }
        }
        guard let pattern else { throw DBError(.badValue, "$options needs a $regex") }
        return try RegexPredicate(pattern: pattern, options: options)
    }

    private static func optionsTwice(_ code: Int32) -> DBError {
        DBError(DBError.Code(rawValue: code), "options set in both $regex and $options")
    }
}
