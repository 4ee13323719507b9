// $push: append, or insert, sort and cut.
//
// Appending copies the array's bytes and adds to them. With modifiers, the elements become slots
// (where each value lies, four integers), which are arranged and then written.

import BSON

/// A parsed `$push`.
struct PushOperation: Sendable {
    /// The values to insert, as an array's encoding.
    var each: Document
    /// Where to insert; negative counts from the end; nil appends.
    var position: Int?
    /// How many elements stay: the first ones, or the last ones if negative; nil keeps all.
    var slice: Int?
    /// The order of the elements after inserting.
    var sort: PushSort?
    /// The order of strings in the sort.
    var collation: Collation?

    /// Whether elements are only added at the end.
    var isAppend: Bool { position == nil && slice == nil && sort == nil }
}

/// The `$sort` of a `$push`.
enum PushSort: Sendable {
    /// Whole elements.
    case value(descending: Bool)
    /// Fields of elements that are documents.
    case fields([(path: FieldPath, descending: Bool)])

    /// Parses the operand of `$sort`: 1, -1 or a document of them; 2 for anything else.
    init(_ operand: ValueView) throws(DBError) {
        if operand.isNumeric {
            self = .value(descending: try PushSort.isDescending(operand))
            return
        }
        guard let document = operand.document else {
            throw DBError(
                .badValue,
                "The $sort is invalid: use 1/-1 to sort the whole element, or {field:1/-1} to sort embedded fields"
            )
        }
        var fields: [(path: FieldPath, descending: Bool)] = []
        var elements = document.makeIterator()
        while let element = elements.next() {
            let name = element.nameString
            let path = FieldPath(name)
            guard path.segments.allSatisfy({ !$0.name.isEmpty }) else {
                throw DBError(.badValue, "The $sort field cannot be empty: '\(name)'")
            }
            fields.append((path, try PushSort.isDescending(element.value)))
        }
        guard !fields.isEmpty else {
            throw DBError(
                .badValue, "The $sort pattern is empty when it should be a set of fields.")
        }
        self = .fields(fields)
    }

    private static func isDescending(_ value: ValueView) throws(DBError) -> Bool {
        switch value.exactInteger {
        case 1: return false
        case -1: return true
        default: throw DBError(.badValue, "The $sort element value must be either 1 or -1")
        }
    }

    /// Order of two elements: negative, zero or positive.
    func compare(_ left: ValueView, _ right: ValueView, _ collation: Collation?) -> Int {
        switch self {
        case .value(let descending):
            let order = left.compare(right, collation)
            return descending ? -order : order
        case .fields(let fields):
            for (path, descending) in fields {
                let order = left.sortKey(path).compare(right.sortKey(path), collation)
                if order != 0 { return descending ? -order : order }
            }
            return 0
        }
    }
}

extension ValueView {
    /// The value at a path, null where there is none; arrays are entered by position only.
    @_lifetime(copy self)
    fileprivate func sortKey(_ path: FieldPath) -> ValueView {
        guard type == .document, let value = value(at: path) else { return .null }
        return value
    }

    /// The value below this one at a path; arrays are entered by position only.
    @_lifetime(copy self)
    func value(at path: FieldPath) -> ValueView? {
        var current = self
        for segment in path.segments {
            guard let nested = current.nested else { return nil }
            if current.type == .array, segment.arrayIndex == nil { return nil }
            guard let next = nested.value(segment.name.span.bytes) else { return nil }
            current = next
        }
        return current
    }
}

/// Where one element of an array under arrangement lies.
struct ArraySlot {
    /// Whether it is one of the operation's values, not one of the stored array's.
    var isInserted: Bool
    /// The type and place of the element's payload in its array.
    var type: BSONType
    var start: Int
    var end: Int

    init(_ element: ElementView, of array: DocumentView, isInserted: Bool) {
        self.isInserted = isInserted
        type = element.value.type
        end = array.bytes.endOffset(of: element)
        start = end - element.value.bytes.byteCount
    }

    /// The element's value.
    @_lifetime(copy stored, copy inserted)
    func value(_ stored: DocumentView, _ inserted: DocumentView) -> ValueView {
        isInserted
            ? ValueView(type: type, bytes: inserted.bytes.extracting(start..<end))
            : ValueView(type: type, bytes: stored.bytes.extracting(start..<end))
    }
}

extension PushOperation {
    /// Writes the array's content: what follows its length, without the closing zero.
    func write(
        _ array: DocumentView, _ writer: inout DocumentWriter, _ scratch: inout UpdateScratch
    ) {
        let count = array.count
        if isAppend {
            writer.appendFields(of: array)
            var index = count
            var inserted = each.view.makeIterator()
            while let element = inserted.next() {
                writer.append(index: index, element.value)
                index += 1
            }
            return
        }
        scratch.slots.removeAll(keepingCapacity: true)
        let place = insertionPlace(count)
        var elements = array.makeIterator()
        var index = 0
        while true {
            if index == place { appendInserted(&scratch) }
            guard let element = elements.next() else { break }
            scratch.slots.append(ArraySlot(element, of: array, isInserted: false))
            index += 1
        }
        if let sort { sortSlots(array, sort, &scratch) }
        for (index, slot) in kept(scratch.slots.count).enumerated() {
            writer.append(index: index, scratch.slots[slot].value(array, each.view))
        }
    }

    private func insertionPlace(_ count: Int) -> Int {
        guard let position else { return count }
        if position >= 0 { return min(position, count) }
        return position < -count ? 0 : count + position
    }

    private func appendInserted(_ scratch: inout UpdateScratch) {
        var elements = each.view.makeIterator()
        while let element = elements.next() {
            scratch.slots.append(ArraySlot(element, of: each.view, isInserted: true))
        }
    }

    private func kept(_ count: Int) -> Range<Int> {
        guard let slice else { return 0..<count }
        if slice >= 0 { return 0..<min(slice, count) }
        return slice < -count ? 0..<count : count + slice..<count
    }

    /// Stable merge sort, bottom up; views can't be captured by a closure for the library's sort.
    private func sortSlots(
        _ array: DocumentView, _ sort: PushSort, _ scratch: inout UpdateScratch
    ) {
        let count = scratch.slots.count
        var width = 1
        while width < count {
            scratch.mergedSlots.removeAll(keepingCapacity: true)
            var start = 0
            while start < count {
                let middle = min(start + width, count)
                let end = min(middle + width, count)
                var left = start
                var right = middle
                while left < middle || right < end {
                    let takesRight =
                        left >= middle
                        || right < end
                            && sort.compare(
                                scratch.slots[right].value(array, each.view),
                                scratch.slots[left].value(array, each.view), collation) < 0
                    scratch.mergedSlots.append(scratch.slots[takesRight ? right : left])
                    if takesRight { right += 1 } else { left += 1 }
                }
                start = end
            }
            swap(&scratch.slots, &scratch.mergedSlots)
            width *= 2
        }
    }
}
