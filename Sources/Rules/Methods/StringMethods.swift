// Methods of strings. Sizes and indexes count UTF-16 units, as Firestore's do.

internal import BSON

extension RuleEvaluator {
    mutating func stringMethod(
        _ method: BuiltinMethod, _ text: String, _ arguments: [RuleValue], _ operands: OperandRange
    ) throws(RuleFailure) -> RuleValue {
        switch method {
        case .size: return .int(Int64(text.utf16.count))
        case .lower:
            try spend(textBytes: text.utf8.count)
            return .string(Self.mapped(text) { 65...90 ~= $0 ? $0 + 32 : $0 })
        case .upper:
            try spend(textBytes: text.utf8.count)
            return .string(Self.mapped(text) { 97...122 ~= $0 ? $0 - 32 : $0 })
        case .trim: return .string(Self.trimmed(text))
        case .toUtf8: return .bytes(Array(text.utf8))
        case .matches:
            let pattern = try pattern(method, arguments[0], operands)
            do throws(DBError) {
                return .bool(try pattern.matches(text))
            } catch {
                throw failure(.other(error.message))
            }
        case .split: return try split(text, try pattern(method, arguments[0], operands))
        case .replace:
            guard case .string(let replacement) = arguments[1] else {
                throw mismatch("string", method, arguments[1], expected: "string, string")
            }
            return try replace(text, try pattern(method, arguments[0], operands), replacement)
        default: throw notFound(method)
        }
    }

    private static func mapped(_ text: String, _ change: (UInt8) -> UInt8) -> String {
        String(decoding: text.utf8.map(change), as: UTF8.self)
    }

    private static func trimmed(_ text: String) -> String {
        let units = Array(text.utf8)
        guard let first = units.firstIndex(where: { $0 > 32 }),
            let last = units.lastIndex(where: { $0 > 32 })
        else { return "" }
        return String(decoding: units[first...last], as: UTF8.self)
    }

    /// A compiled pattern: a literal's was compiled with the rules, others once for a request.
    private mutating func pattern(
        _ method: BuiltinMethod, _ argument: RuleValue, _ operands: OperandRange
    ) throws(RuleFailure) -> RulesPattern {
        guard case .string(let text) = argument else {
            throw mismatch("string", method, argument, expected: "string")
        }
        if let first = rules.syntax[operands].first,
            case .string(let number) = rules.syntax[first].kind,
            let compiled = rules.patterns[number.index]
        {
            return compiled
        }
        if let known = patterns[text] { return known }
        do throws(DBError) {
            let compiled = try RulesPattern(text)
            patterns[text] = compiled
            return compiled
        } catch {
            throw failure(.other("Invalid regular expression pattern: \(error.message)"))
        }
    }

    private mutating func split(
        _ text: String, _ pattern: RulesPattern
    ) throws(RuleFailure) -> RuleValue {
        let bytes = Array(text.utf8)
        try spend(textBytes: bytes.count)
        var parts: [RuleValue] = []
        var start = 0
        for groups in try ranges(of: pattern, in: bytes) {
            // An empty match splits characters, but nothing off the front.
            guard let whole = groups[0], !whole.isEmpty || whole.lowerBound > start else {
                continue
            }
            if whole.isEmpty, whole.lowerBound == bytes.count { continue }
            parts.append(
                .string(String(decoding: bytes[start..<whole.lowerBound], as: UTF8.self)))
            start = whole.upperBound
        }
        parts.append(.string(String(decoding: bytes[start...], as: UTF8.self)))
        return .list(parts)
    }

    /// Every match replaced; `\1` to `\9` are its groups and `\0` the match, as in RE2.
    private mutating func replace(
        _ text: String, _ pattern: RulesPattern, _ replacement: String
    ) throws(RuleFailure) -> RuleValue {
        let bytes = Array(text.utf8)
        let template = Array(replacement.utf8)
        var result: [UInt8] = []
        var start = 0
        for groups in try ranges(of: pattern, in: bytes) {
            guard let whole = groups[0] else { continue }
            result += bytes[start..<whole.lowerBound]
            var index = 0
            while index < template.count {
                let next = index + 1 < template.count ? template[index + 1] : 0
                if template[index] == UInt8(ascii: "\\"), 48...57 ~= next {
                    let group = Int(next - 48)
                    guard group < groups.count else {
                        throw failure(.other("The pattern has no group \(group)."))
                    }
                    if let range = groups[group] { result += bytes[range] }
                    index += 2
                } else if template[index] == UInt8(ascii: "\\"), next == UInt8(ascii: "\\") {
                    result.append(next)
                    index += 2
                } else {
                    result.append(template[index])
                    index += 1
                }
            }
            start = whole.upperBound
            guard result.count <= rules.limits.textBytesMax else { break }
        }
        result += bytes[start...]
        try spend(textBytes: result.count)
        return .string(String(decoding: result, as: UTF8.self))
    }

    private func ranges(
        of pattern: RulesPattern, in bytes: [UInt8]
    ) throws(RuleFailure) -> [[Range<Int>?]] {
        do throws(DBError) {
            return try pattern.ranges(in: bytes, most: 100_000)
        } catch {
            throw failure(.other(error.message))
        }
    }
}
