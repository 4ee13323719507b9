// The condition of a $pull or $pullAll: which elements of an array go.

import BSON

/// The condition of a `$pull` or `$pullAll`.
enum ElementCondition: Sendable {
    /// Elements equal to the value.
    case equal(OwnedValue, Collation?)
    /// Elements equal to one of the values.
    case among(ValueSet)
    /// Elements that are documents and match a filter.
    case document(Filter)
    /// Elements whose value meets a condition, as if it stood behind a field's name.
    case value(Filter)

    /// Parses the operand of `$pull`: an object of fields, an object of operators, a regular
    /// expression, or a value to equal.
    init(pull operand: ValueView, _ options: FilterOptions) throws(DBError) {
        if operand.type == .regex {
            self = .value(try Filter.parse(condition: operand, options))
        } else if let document = operand.document {
            if let first = document.first, ElementCondition.isFieldOperator(first.name) {
                self = .value(try Filter.parse(condition: operand, options))
            } else {
                self = .document(try Filter.parse(document, options))
            }
        } else {
            self = .equal(OwnedValue(copying: operand), options.collation)
        }
    }

    /// Whether a name is an operator on a value, not one that combines or replaces filters.
    private static func isFieldOperator(_ name: RawSpan) -> Bool {
        guard name.starts(with: RawSpan("$")) else { return false }
        switch String(utf8: name) {
        case "$and", "$or", "$nor", "$expr", "$where", "$text", "$comment", "$jsonSchema",
            "$alwaysTrue", "$alwaysFalse", "$sampleRate", "$ref", "$id", "$db":
            return false
        default: return true
        }
    }

    /// Whether an element meets the condition.
    func matches(_ element: ValueView, _ scratch: inout UpdateScratch) throws(DBError) -> Bool {
        switch self {
        case .equal(let value, let collation): return value.view.equals(element, collation)
        case .among(let values): return values.index(of: element) != nil
        case .document(let filter):
            guard let document = element.document else { return false }
            return try filter.matches(document, &scratch.match)
        case .value(let filter):
            return try filter.matches(value: element, &scratch.match)
        }
    }
}
