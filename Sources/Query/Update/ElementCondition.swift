// Conditions on single array elements: $pull and array filters.
//
// A filter speaks of fields, an element has none: it is wrapped in a document of one field, whose
// name the filter uses. So arrays and brackets behave as in any query.

import BSON

/// The condition of a `$pull`.
enum ElementCondition: Sendable {
    /// Elements equal to the value.
    case equal(OwnedValue)
    /// Elements that are documents and match a filter.
    case document(Filter)
    /// Elements that, as field `e`, match a filter.
    case wrapped(Filter)

    /// Parses the operand of `$pull`: an object of fields, an object of operators, a regular
    /// expression, or a value to equal.
    init(pull operand: ValueView, _ options: FilterOptions) throws(DBError) {
        if operand.type == .regex {
            self = .wrapped(try Filter.parse(Document.wrapping(operand).view, options))
        } else if let document = operand.document {
            if let first = document.first, ElementCondition.isFieldOperator(first.name) {
                self = .wrapped(try Filter.parse(Document.wrapping(operand).view, options))
            } else {
                self = .document(try Filter.parse(document, options))
            }
        } else {
            self = .equal(OwnedValue(copying: operand))
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
        case .equal(let value): return value.view.equals(element)
        case .document(let filter):
            guard let document = element.document else { return false }
            return try filter.matches(document, &scratch.match)
        case .wrapped(let filter):
            return try filter.matches(element, as: "e", &scratch)
        }
    }
}

extension Document {
    /// `{e: value}`.
    fileprivate static func wrapping(_ value: ValueView) -> Document {
        var writer = DocumentWriter(reserving: value.bytes.byteCount + 16)
        let start = writer.openDocument()
        writer.append("e", value)
        writer.close(start)
        return Document(unchecked: writer.take())
    }
}

extension Filter {
    /// Whether a value matches as the field `name` of a document.
    func matches(
        _ value: ValueView, as name: String, _ scratch: inout UpdateScratch
    ) throws(DBError) -> Bool {
        scratch.wrapper.removeAll()
        let start = scratch.wrapper.openDocument()
        scratch.wrapper.append(name, value)
        scratch.wrapper.close(start)
        return try scratch.matchesWrapper(self)
    }
}
