// A second matcher, slow and plain, on trees of values: what the compiled one is compared with.
//
// It lists every candidate of a path first and then asks about each, and it reads the filter's
// documents itself, without the parser under test.

import BSON

@testable import Query

/// What a path leads to in a document.
struct Candidate {
    /// Nil: the field is missing.
    let value: Value?
}

enum OracleMatcher {
    static func matches(_ filter: Document, _ document: Document) -> Bool {
        filter.fields.allSatisfy { name, value in
            switch name {
            case "$and": value.elements.allSatisfy { matches($0.object, document) }
            case "$or": value.elements.contains { matches($0.object, document) }
            case "$nor": !value.elements.contains { matches($0.object, document) }
            default:
                condition(value) { expands in
                    candidates(name.split(separator: ".").map(String.init), document, expands)
                }
            }
        }
    }

    /// Whether the values that `at` lists (an array at the end opened or not) meet a condition.
    private static func condition(_ condition: Value, _ at: (Bool) -> [Candidate]) -> Bool {
        guard case .document(let operators) = condition,
            let first = operators.keys.first, first.hasPrefix("$")
        else { return at(true).contains { equals($0, condition) } }
        return operators.fields.allSatisfy { name, operand in
            switch name {
            case "$eq": at(true).contains { equals($0, operand) }
            case "$ne": !at(true).contains { equals($0, operand) }
            case "$in": operand.elements.contains { item in at(true).contains { equals($0, item) } }
            case "$nin":
                !operand.elements.contains { item in at(true).contains { equals($0, item) } }
            case "$gt": at(true).contains { inBracket($0, operand) { $0 > 0 } }
            case "$gte":
                at(true).contains { equals($0, operand) || inBracket($0, operand) { $0 >= 0 } }
            case "$lt": at(true).contains { inBracket($0, operand) { $0 < 0 } }
            case "$lte":
                at(true).contains { equals($0, operand) || inBracket($0, operand) { $0 <= 0 } }
            case "$exists": at(false).contains { $0.value != nil } == (operand == .bool(true))
            case "$not": !self.condition(operand, at)
            case "$size":
                at(false).contains {
                    if case .array(let items)? = $0.value {
                        .int32(Int32(items.count)) == operand
                    } else {
                        false
                    }
                }
            case "$all":
                !operand.elements.isEmpty
                    && operand.elements.allSatisfy { item in
                        at(true).contains { equals($0, item) }
                    }
            case "$elemMatch":
                at(false).contains { candidate in
                    guard case .array(let items)? = candidate.value else { return false }
                    return items.contains { elementMatches($0, operand.object) }
                }
            default: false
            }
        }
    }

    private static func elementMatches(_ element: Value, _ condition: Document) -> Bool {
        if let first = condition.keys.first, first.hasPrefix("$"),
            !["$and", "$or", "$nor"].contains(first)
        {
            return self.condition(.document(condition)) { _ in [Candidate(value: element)] }
        }
        switch element {
        case .document(let document): return matches(condition, document)
        case .array(let items):
            let numbered = Document { writer in
                for (index, item) in items.enumerated() { writer.append(String(index), item) }
            }
            return matches(condition, numbered)
        default: return false
        }
    }

    // MARK: Values

    private static func equals(_ candidate: Candidate, _ constant: Value) -> Bool {
        guard let value = candidate.value else { return constant == .null }
        return OwnedValue(value).view.compare(OwnedValue(constant).view) == 0
    }

    private static func inBracket(
        _ candidate: Candidate, _ constant: Value, _ test: (Int) -> Bool
    ) -> Bool {
        guard let value = candidate.value,
            value.type.canonicalRank == constant.type.canonicalRank
        else { return false }
        for case .double(let number) in [value, constant] where number.isNaN { return false }
        return test(OwnedValue(value).view.compare(OwnedValue(constant).view))
    }

    // MARK: Paths

    private static func candidates(
        _ path: [String], _ document: Document, _ expands: Bool
    ) -> [Candidate] {
        guard let first = path.first, let value = document[first] else {
            return [Candidate(value: nil)]
        }
        let rest = Array(path.dropFirst())
        if rest.isEmpty {
            if expands, case .array(let items) = value {
                return items.map { Candidate(value: $0) } + [Candidate(value: value)]
            }
            return [Candidate(value: value)]
        }
        return below(rest, value, expands)
    }

    private static func below(_ path: [String], _ value: Value, _ expands: Bool) -> [Candidate] {
        switch value {
        case .document(let document): return candidates(path, document, expands)
        case .array(let items):
            var found: [Candidate] = []
            for (index, item) in items.enumerated() {
                if case .document(let document) = item {
                    found += candidates(path, document, expands)
                }
                guard path[0] == String(index) else { continue }
                if path.count == 1 {
                    found.append(Candidate(value: item))
                } else {
                    switch item {
                    case .document, .array: found += below(Array(path.dropFirst()), item, expands)
                    default: break
                    }
                }
            }
            return found
        default: return [Candidate(value: nil)]
        }
    }
}

extension Document {
    /// Names and values in order.
    fileprivate var fields: [(String, Value)] {
        var fields: [(String, Value)] = []
        var elements = view.makeIterator()
        while let element = elements.next() {
            fields.append((element.nameString, Value(element.value)))
        }
        return fields
    }
}

extension Value {
    fileprivate var elements: [Value] {
        if case .array(let items) = self { items } else { [] }
    }

    fileprivate var object: Document {
        if case .document(let document) = self { document } else { [:] }
    }
}
