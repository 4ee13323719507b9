// The path walk of expressions: names only, arrays are mapped, missing ones dropped.

import BSON

extension FieldPath {
    /// The value at the path below `value`, as `"$a.b"` reads it.
    ///
    /// Objects are entered by name; at an array with path left the rest is taken from every element
    /// that is an object, and those values make a new array. Digits are names, never positions.
    func value(in value: ValueRef, _ context: inout EvaluationContext) -> ValueRef {
        walk(value, from: 0, &context)
    }

    /// The value at what is left of the path behind its first `first` names.
    func value(
        in value: ValueRef, from first: Int, _ context: inout EvaluationContext
    ) -> ValueRef {
        walk(value, from: first, &context)
    }

    private func walk(
        _ value: ValueRef, from first: Int, _ context: inout EvaluationContext
    ) -> ValueRef {
        var value = value
        for index in first..<segments.count {
            if value.isType(.document) {
                value = value.field(segments[index].name)
            } else if value.isType(.array) {
                return map(value, from: index, &context)
            } else {
                return .missing
            }
        }
        return value
    }

    private func map(
        _ array: ValueRef, from index: Int, _ context: inout EvaluationContext
    ) -> ValueRef {
        let start = context.stack.count
        var elements = array.nested.makeIterator()
        while let element = elements.next() {
            guard element.value.type == .document else { continue }
            let found = walk(ValueRef(element.value), from: index, &context)
            if !found.isMissing { context.stack.append(found) }
        }
        return context.makeArray(fromStack: start)
    }
}

extension ValueRef {
    /// The field of a document value; missing if there is none.
    @inline(__always)
    func field(_ name: [UInt8]) -> ValueRef {
        let wanted = name.span.bytes
        var elements = nested.makeIterator()
        while let element = elements.next() {
            if element.name.equals(wanted) { return ValueRef(element.value) }
        }
        return .missing
    }
}
