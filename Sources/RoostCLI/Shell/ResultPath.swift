// A part of a result: what `.insertedId`, `[0].name` or `.length` behind a call stand for.

import BSON

/// One step into a result.
enum ResultStep: Equatable {
    /// A document's field, or the `length` of an array or a text.
    case field(String)
    /// An array's element, counted from 0.
    case element(Int)
}

/// Finds parts of results.
enum ResultPath {
    /// The part of `value` that `path` leads to; nil where there is none.
    static func part(of value: Value, at path: some Sequence<ResultStep>) -> Value? {
        var value = value
        for step in path {
            guard let next = part(of: value, at: step) else { return nil }
            value = next
        }
        return value
    }

    private static func part(of value: Value, at step: ResultStep) -> Value? {
        switch (value, step) {
        case (.document(let document), .field(let name)): document[name]
        // Several `_id`s are shown under their numbers.
        case (.document(let document), .element(let index)): document["\(index)"]
        case (.array(let list), .field("length")): .int32(Int32(clamping: list.count))
        case (.string(let text), .field("length")): .int32(Int32(clamping: text.utf16.count))
        case (.array(let list), .element(let index)) where index < list.count: list[index]
        default: nil
        }
    }
}
