// Values to look up by MongoDB's equality: those of $addToSet and $pullAll.

import BSON

/// Distinct values, found by hash; a handful is compared one by one.
struct ValueSet: Sendable {
    /// The values in the order given, the first of equal ones.
    let values: [OwnedValue]
    /// Open addressing: index into `values`, or -1. Empty for a handful.
    private let slots: [Int32]
    private let collation: Collation?

    private static let linearMax = 8

    /// Collects distinct values. O(n); under a collation O(n²), since hashes are of bytes.
    init(_ array: DocumentView, _ collation: Collation?) {
        var values: [OwnedValue] = []
        var slots: [Int32] = []
        let count = array.count
        if count > ValueSet.linearMax, collation == nil {
            var capacity = 16
            while capacity < 2 * count { capacity *= 2 }
            slots = Array(repeating: -1, count: capacity)
        }
        var elements = array.makeIterator()
        while let element = elements.next() {
            let place = ValueSet.find(element.value, values, slots, collation)
            guard !place.isPresent else { continue }
            if !slots.isEmpty { slots[place.index] = Int32(values.count) }
            values.append(OwnedValue(copying: element.value))
        }
        self.values = values
        self.slots = slots
        self.collation = collation
    }

    /// The one value.
    init(only value: ValueView, _ collation: Collation?) {
        values = [OwnedValue(copying: value)]
        slots = []
        self.collation = collation
    }

    /// The position of the value equal to `value`.
    func index(of value: ValueView) -> Int? {
        let place = ValueSet.find(value, values, slots, collation)
        guard place.isPresent else { return nil }
        return slots.isEmpty ? place.index : Int(slots[place.index])
    }

    /// Where a value is: in `values` without slots, else in `slots`; or where it would go.
    private static func find(
        _ value: ValueView, _ values: [OwnedValue], _ slots: [Int32], _ collation: Collation?
    ) -> (index: Int, isPresent: Bool) {
        guard !slots.isEmpty else {
            for (index, candidate) in values.enumerated()
            where candidate.view.equals(value, collation) { return (index, true) }
            return (values.count, false)
        }
        var hasher = Hasher()
        value.hash(into: &hasher)
        var slot = hasher.finalize() & (slots.count - 1)
        while slots[slot] >= 0 {
            let candidate = values[Int(slots[slot])]
            if candidate.view.equals(value) { return (slot, true) }
            slot = (slot + 1) & (slots.count - 1)
        }
        return (slot, false)
    }
}
