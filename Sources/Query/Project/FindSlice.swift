// find's $slice: `n`, `-n`, or `[skip, n]` on a field of the document.

import BSON

enum FindSlice {
    /// Whether the argument is find's form; otherwise it is the expression's ([array, n] …).
    static func isFindForm(_ value: ValueView) -> Bool {
        guard let list = value.array else { return true }
        guard list.count == 2 else { return false }
        var elements = list.makeIterator()
        guard let first = elements.next(), let second = elements.next() else { return false }
        return first.value.isNumeric && second.value.isNumeric
    }

    /// The rule of a $slice: 28667 for neither number nor pair, 28724 for a bad pair.
    static func parse(_ value: ValueView) throws(DBError) -> Projection.Rule {
        if let list = value.array {
            var elements = list.makeIterator()
            guard let first = elements.next(), let second = elements.next(),
                let skip = clamped(first.value), let count = clamped(second.value)
            else {
                throw .location(
                    28724,
                    "First argument to $slice must be an array, but is of type: "
                        + (list.first?.value.type.alias ?? "missing"))
            }
            guard count > 0 else {
                throw .location(28724, "$slice limit must be positive: \(count)")
            }
            return .slice(skip: skip, count: count)
        }
        guard let count = clamped(value) else {
            throw .location(
                28667,
                "Invalid $slice syntax. The given syntax { $slice: … } did not match the "
                    + "find() syntax because :: an int or an array was expected")
        }
        return .slice(skip: nil, count: count)
    }

    /// A number cut to int32: fractions go, NaN is 0, what is too large is the nearest. Nil for
    /// other types.
    private static func clamped(_ value: ValueView) -> Int? {
        guard let number = Number(ValueRef(value)) else { return nil }
        let double = number.double
        if double.isNaN { return 0 }
        let bound = Double(Int32.max)
        return Int(min(max(double.rounded(.towardZero), -bound), bound))
    }

    /// Which elements of `size` come out.
    static func range(skip: Int?, count: Int, size: Int) -> Range<Int> {
        guard let skip else {
            return count >= 0 ? 0..<min(size, count) : max(0, size + count)..<size
        }
        let start = skip < 0 ? max(0, size + skip) : min(size, skip)
        return start..<min(size, start + count)
    }
}
