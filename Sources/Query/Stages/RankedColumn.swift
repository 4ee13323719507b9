// The accumulators that keep some values of each group by rank: $firstN, $lastN by place in the
// input, $minN, $maxN by value, $top, $bottom and their kin by a sort key of the document.
//
// Each group holds its values in order of their keys, at most as many as are wanted; equal keys keep
// the order of input.

import BSON

final class RankedColumn: AccumulatorColumn {
    /// A value and the key that it is ranked by.
    private struct Item {
        let key: [UInt8]
        let value: OwnedValue
    }

    private struct Group {
        var items: [Item] = []
        let count: Int
    }

    private let accumulator: Accumulator
    /// Whether the values in front are kept, not those at the end.
    private let keepsFirst: Bool
    /// Whether the value itself is the result, not an array.
    private let isSingle: Bool
    private var groups: [Group] = []
    private var context = EvaluationContext()
    private var encoder = KeyEncoder()
    private var itemBytes = 0

    init(_ accumulator: Accumulator) {
        self.accumulator = accumulator
        switch accumulator.kind {
        case .lastN, .bottom, .bottomN: keepsFirst = false
        default: keepsFirst = true
        }
        isSingle = accumulator.kind == .top || accumulator.kind == .bottom
    }

    override func addGroup(_ key: ValueRef) throws(DBError) {
        var count = 1
        if let expression = accumulator.count {
            // `n` may read the group's key.
            let empty = Document()
            if key.isType(.document) {
                context.begin(key.nested)
            } else {
                context.begin(empty.view)
            }
            count = try Accumulator.count(
                try expression.evaluate(in: &context), accumulator.kind)
        }
        groups.append(Group(count: count))
    }

    override func add(
        _ value: ValueRef, to group: Int, of document: DocumentView
    ) throws(DBError) {
        encoder.removeAll()
        switch accumulator.kind {
        case .minN, .maxN:
            if value.isNullish { return }
            encoder.append(
                value.view, descending: accumulator.kind == .maxN,
                order: accumulator.collation)
        case .top, .topN, .bottom, .bottomN:
            try accumulator.order?.appendKey(of: document, to: &encoder)
        default: break
        }
        insert(encoder.bytes, value.isMissing ? .null : value, group)
    }

    private func insert(_ key: [UInt8], _ value: ValueRef, _ group: Int) {
        let place = place(of: key, groups[group].items)
        let wanted = groups[group].count
        let isFull = groups[group].items.count >= wanted
        if isFull, keepsFirst ? place >= wanted : place == 0 { return }
        let item = Item(key: key, value: OwnedValue(copying: value.view))
        itemBytes += Self.bytes(of: item)
        groups[group].items.insert(item, at: place)
        guard isFull else { return }
        let removed =
            keepsFirst ? groups[group].items.removeLast() : groups[group].items.removeFirst()
        itemBytes -= Self.bytes(of: removed)
    }

    private static func bytes(of item: Item) -> Int {
        item.key.count + item.value.payload.count + MemoryLayout<Item>.stride + 64
    }

    /// Behind the items whose keys are not larger.
    private func place(of key: [UInt8], _ items: [Item]) -> Int {
        var low = 0
        var high = items.count
        while low < high {
            let middle = (low + high) / 2
            let other = items[middle].key
            if key.span.bytes.compareBytes(other.span.bytes) < 0 {
                high = middle
            } else {
                low = middle + 1
            }
        }
        return low
    }

    override func write(_ name: String, _ group: Int, _ writer: inout DocumentWriter) {
        let items = groups[group].items
        if isSingle {
            guard let item = items.first else { return writer.appendNull(name) }
            return writer.append(name, item.value)
        }
        let start = writer.openArray(name)
        for (index, item) in items.enumerated() { writer.append(index: index, item.value.view) }
        writer.close(start)
    }

    /// Keys and values by turns.
    override func writeState(_ group: Int, index: Int, _ writer: inout DocumentWriter) {
        writer.appendHeader(.array, index: index)
        let start = writer.openDocument()
        for (position, item) in groups[group].items.enumerated() {
            writer.append(index: 2 * position, .binary(subtype: 0, item.key))
            writer.append(index: 2 * position + 1, item.value.view)
        }
        writer.close(start)
    }

    override func absorb(_ state: ValueRef, into group: Int) throws(DBError) {
        var elements = state.nested.makeIterator()
        while let key = elements.next(), let value = elements.next() {
            guard let bytes = key.value.binary else { continue }
            insert([UInt8](copying: bytes.content), ValueRef(value.value), group)
        }
    }

    override func removeAll() {
        groups.removeAll(keepingCapacity: true)
        itemBytes = 0
    }

    override var byteCount: Int { itemBytes + groups.count * 32 }
}
