// The memory of a sort: documents behind their encoded keys, and an order over them.
//
// With a limit k only the k first are kept, in a binary heap whose root is the last of them: most
// documents of a long input cost one key comparison. Ties keep the order of input.

import BSON

/// Documents with sort keys.
struct SortBuffer {
    /// Where a document and its key lie.
    struct Entry {
        /// The first eight bytes of the key, big-endian: decides most comparisons.
        let prefix: UInt64
        /// Place in the input: breaks ties.
        let ordinal: Int64
        var offset: Int
        let keyLength: Int32
        let documentLength: Int32
        /// What the filter found; -1 for nothing.
        let arrayPosition: Int32

        var byteCount: Int { Int(keyLength) + Int(documentLength) }
        /// Where the key lies.
        var keyRange: Range<Int> { offset..<offset + Int(keyLength) }
        /// Where the document lies.
        var documentRange: Range<Int> {
            offset + Int(keyLength)..<offset + byteCount
        }
    }

    private let limit: Int?
    /// Keys and documents, each entry's one behind the other.
    private(set) var bytes: [UInt8] = []
    /// With a limit a heap, the last in the order first, until `sort`.
    private(set) var entries: [Entry] = []
    /// Bytes of `bytes` that no entry uses any more.
    private var garbageBytes = 0
    private var ordinal: Int64 = 0

    /// A buffer for the `limit` first documents, or for all.
    init(limit: Int?) {
        self.limit = limit
    }

    /// Bytes held.
    var byteCount: Int { bytes.count + entries.count * MemoryLayout<Entry>.stride }

    /// Takes a document in, unless the limit leaves it out. O(log limit) comparisons at most.
    mutating func insert(_ document: DocumentView, key: [UInt8], arrayPosition: Int?) {
        let entry = Entry(
            prefix: Self.prefix(key), ordinal: ordinal, offset: bytes.count,
            keyLength: Int32(truncatingIfNeeded: key.count),
            documentLength: Int32(truncatingIfNeeded: document.bytes.byteCount),
            arrayPosition: arrayPosition.flatMap { Int32(exactly: $0) } ?? -1)
        ordinal += 1
        guard let limit, entries.count >= limit else {
            append(document, key)
            entries.append(entry)
            if limit != nil { siftUp(entries.count - 1) }
            return
        }
        guard let last = entries.first, precedes(entry, key, last) else { return }
        garbageBytes += last.byteCount
        append(document, key)
        entries[0] = entry
        siftDown(0)
        if garbageBytes > 64 * 1024, garbageBytes > bytes.count / 2 { compact() }
    }

    private mutating func append(_ document: DocumentView, _ key: [UInt8]) {
        bytes.append(contentsOf: key)
        bytes.append(copying: document.bytes)
    }

    private static func prefix(_ key: [UInt8]) -> UInt64 {
        var prefix: UInt64 = 0
        for index in 0..<8 {
            prefix = prefix << 8 | (index < key.count ? UInt64(key[index]) : 0)
        }
        return prefix
    }

    /// Gives the bytes of documents that were displaced back.
    mutating func compact() {
        guard garbageBytes > 0 else { return }
        var kept: [UInt8] = []
        kept.reserveCapacity(bytes.count - garbageBytes)
        for index in entries.indices {
            let entry = entries[index]
            entries[index].offset = kept.count
            kept.append(contentsOf: bytes[entry.offset..<entry.offset + entry.byteCount])
        }
        bytes = kept
        garbageBytes = 0
    }

    /// Puts the entries in order. O(n log n).
    mutating func sort() {
        var sorted: [Entry] = []
        swap(&sorted, &entries)
        sorted.sort { isBefore($0, $1) }
        entries = sorted
    }

    /// Forgets everything and gives the memory back.
    mutating func removeAll() {
        bytes = []
        entries = []
        garbageBytes = 0
    }

    // MARK: Order

    /// Whether the newest document comes before a kept one; ties go to the kept one.
    private func precedes(_ newest: Entry, _ key: [UInt8], _ kept: Entry) -> Bool {
        if newest.prefix != kept.prefix { return newest.prefix < kept.prefix }
        let keptKey = bytes.span.bytes.extracting(kept.offset..<kept.offset + Int(kept.keyLength))
        return key.span.bytes.compareBytes(keptKey) < 0
    }

    private func isBefore(_ left: Entry, _ right: Entry) -> Bool {
        if left.prefix != right.prefix { return left.prefix < right.prefix }
        let span = bytes.span.bytes
        let leftKey = span.extracting(left.offset..<left.offset + Int(left.keyLength))
        let rightKey = span.extracting(right.offset..<right.offset + Int(right.keyLength))
        let order = leftKey.compareBytes(rightKey)
        return order != 0 ? order < 0 : left.ordinal < right.ordinal
    }

    private mutating func siftUp(_ start: Int) {
        var index = start
        while index > 0 {
            let parent = (index - 1) / 2
            guard isBefore(entries[parent], entries[index]) else { return }
            entries.swapAt(parent, index)
            index = parent
        }
    }

    private mutating func siftDown(_ start: Int) {
        var index = start
        while true {
            var largest = index
            let left = 2 * index + 1
            let right = left + 1
            if left < entries.count, isBefore(entries[largest], entries[left]) { largest = left }
            if right < entries.count, isBefore(entries[largest], entries[right]) {
                largest = right
            }
            guard largest != index else { return }
            entries.swapAt(largest, index)
            index = largest
        }
    }
}
