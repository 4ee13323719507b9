// The distinct values of a path, as the `distinct` command gives them.

package import BSON

/// Collects the different values at a path, arrays unwound one level. Values that are equal (1 and
/// 1.0) count once, and the representation seen first stays.
package struct DistinctValues: ~Copyable {
    /// Most bytes of values (MongoDB's bound for the reply).
    static let bytesMax = Limits.documentBytesMax

    private var table: PathTable
    /// The keys of the values, one after another; scratch behind them.
    private var keys = KeyEncoder()
    /// Types and payloads of the values, one after another.
    private var payloads: [UInt8] = []
    private var entries: [Entry] = []
    /// Open addressing: an entry's index + 1, or 0. The size is a power of two.
    private var slots: [Int32]

    private struct Entry {
        let key: Range<Int>
        let type: BSONType
        let payload: Range<Int>
        let hash: Int
    }

    /// Nothing collected yet.
    ///
    /// `collation`: the order of strings, by which equal ones count once.
    package init(_ path: FieldPath, collation: Collation? = nil) {
        table = PathTable(collation)
        table.append(path, isDescending: false)
        slots = [Int32](repeating: 0, count: 64)
    }

    /// The number of different values.
    package var count: Int { entries.count }

    /// Memory taken by the values, in bytes.
    package var byteCount: Int { payloads.count + keys.count }

    /// Collects the values of one document. Allocates only for new values. Error: 17217 when the
    /// values together exceed 16 MiB.
    package mutating func add(_ document: DocumentView) throws(DBError) {
        try walk(document, 0)
    }

    /// Appends the values to the array that `writer` is in, in MongoDB's order.
    package func write(into writer: inout DocumentWriter) {
        let bytes = keys.bytes
        let order = entries.indices.sorted { left, right in
            bytes.span.bytes.extracting(entries[left].key)
                .compareBytes(bytes.span.bytes.extracting(entries[right].key)) < 0
        }
        for (position, index) in order.enumerated() {
            let entry = entries[index]
            writer.append(
                index: position,
                ValueView(
                    type: entry.type, bytes: payloads.span.bytes.extracting(entry.payload)))
        }
    }

    // MARK: Walking

    private mutating func walk(_ document: DocumentView, _ segment: Int) throws(DBError) {
        guard let value = document.value(table.segments[segment].name, in: table.pool.span.bytes)
        else { return }
        let next = segment + 1
        if next == table.segments.count {
            guard value.type == .array else { return try insert(value) }
            var elements = DocumentView(value.bytes).makeIterator()
            while let element = elements.next() { try insert(element.value) }
            return
        }
        if value.type == .document { return try walk(DocumentView(value.bytes), next) }
        guard value.type == .array else { return }
        // A name of digits takes a position, and then elements are not entered.
        if table.segments[next].arrayIndex >= 0 {
            return try walk(DocumentView(value.bytes), next)
        }
        var elements = DocumentView(value.bytes).makeIterator()
        while let element = elements.next() {
            if let object = element.value.document { try walk(object, next) }
        }
    }

    // MARK: The set

    private mutating func insert(_ value: ValueView) throws(DBError) {
        let start = keys.count
        keys.append(value, order: table.collation)
        let hash = Self.hash(keys.bytes, from: start)
        var slot = hash & (slots.count - 1)
        while slots[slot] != 0 {
            let entry = entries[Int(slots[slot]) - 1]
            if entry.hash == hash, isKey(at: start, equalTo: entry.key) {
                keys.truncate(to: start)
                return
            }
            slot = (slot + 1) & (slots.count - 1)
        }
        let payloadStart = payloads.count
        payloads.append(copying: value.bytes)
        guard payloads.count <= Self.bytesMax else {
            throw DBError(
                DBError.Code(rawValue: 17217), "distinct too big, 16mb cap")
        }
        entries.append(
            Entry(
                key: start..<keys.count, type: value.type,
                payload: payloadStart..<payloads.count, hash: hash))
        slots[slot] = Int32(truncatingIfNeeded: entries.count)
        if entries.count * 2 > slots.count { grow() }
    }

    private func isKey(at start: Int, equalTo other: Range<Int>) -> Bool {
        let bytes = keys.bytes.span.bytes
        return bytes.extracting(start..<keys.count).equals(bytes.extracting(other))
    }

    private mutating func grow() {
        slots = [Int32](repeating: 0, count: slots.count * 2)
        for (index, entry) in entries.enumerated() {
            var slot = entry.hash & (slots.count - 1)
            while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = Int32(truncatingIfNeeded: index + 1)
        }
    }

    private static func hash(_ bytes: [UInt8], from start: Int) -> Int {
        var hasher = Hasher()
        bytes.withUnsafeBytes {
            hasher.combine(bytes: UnsafeRawBufferPointer(rebasing: $0[start...]))
        }
        return hasher.finalize() & Int.max
    }
}
