// Filters asked about documents, in one line.

import BSON

@testable import Query

/// Whether a filter matches a document.
func matches(_ filter: Document, _ document: Document) throws -> Bool {
    var scratch = MatchScratch()
    return try Filter.parse(filter.view).matches(document.view, &scratch)
}

/// The code of the error that reading a filter ends in; nil if there is none.
func parseError(
    _ filter: Document, _ options: FilterOptions = FilterOptions()
) -> Int32? {
    do {
        _ = try Filter.parse(filter.view, options)
        return nil
    } catch {
        return error.code.rawValue
    }
}

/// A filter, a document and whether they match.
struct MatchRow: Sendable, CustomStringConvertible {
    let filter: Document
    let document: Document
    let expected: Bool

    init(_ filter: Document, _ document: Document, _ expected: Bool) {
        self.filter = filter
        self.document = document
        self.expected = expected
    }

    var description: String {
        "\(text(.document(filter))) on \(text(.document(document)))"
    }
}

/// A value as text, for the names of tests.
func text(_ value: Value) -> String {
    switch value {
    case .document(let document):
        let fields = document.keys.map { "\($0): \(document[$0].map(text) ?? "")" }
        return "{" + fields.joined(separator: ", ") + "}"
    case .array(let values): return "[" + values.map(text).joined(separator: ", ") + "]"
    case .string(let string): return "\"\(string)\""
    case .int32(let number): return "\(number)"
    case .double(let number): return "\(number)"
    case .null: return "null"
    default: return "\(value)"
    }
}
