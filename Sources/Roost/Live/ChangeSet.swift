// What a run of commits did to one collection's documents in the end: for each `_id` the document
// before the first change and behind the last.

import BSON
import Storage

/// Net changes of one collection. Images are copied into one buffer, since what the log lends dies
/// with the next record.
struct ChangeSet {
    /// One document's change, as ranges of `bytes`.
    struct Change {
        /// The `_id`: its type, then its payload.
        var id: Range<Int>
        /// Nil where there was no document.
        var before: Range<Int>?
        /// Nil where there is none any more.
        var after: Range<Int>?
    }

    let namespace: Namespace
    private(set) var changes: [Change] = []
    /// Whether images are missing, or the collection itself was exchanged: what follows from the
    /// changes is not known.
    var isUnknown = false

    private var bytes: [UInt8] = []
    /// Position + 1 of a change; 0 for an empty slot. Empty while there are few changes.
    private var slots: [UInt32] = []

    init(_ namespace: Namespace) {
        self.namespace = namespace
    }

    /// Bytes held.
    var byteCount: Int { bytes.count }

    /// Forgets all changes, keeps the memory.
    mutating func removeAll() {
        changes.removeAll(keepingCapacity: true)
        bytes.removeAll(keepingCapacity: true)
        if !slots.isEmpty { slots = [] }
        isUnknown = false
    }

    // MARK: Noting

    /// Notes a change from one image to another; one of them may be nil.
    mutating func note(before: RawSpan?, after: RawSpan?) {
        let key: Range<Int>?
        if let after {
            key = appendID(of: after)
        } else if let before {
            key = appendID(of: before)
        } else {
            key = nil
        }
        guard let key else {
            isUnknown = true
            return
        }
        if let known = find(key) {
            bytes.removeLast(key.count)
            changes[known].after = append(after)
        } else {
            let from = append(before)
            insert(Change(id: key, before: from, after: append(after)))
        }
    }

    private mutating func appendID(of image: RawSpan) -> Range<Int>? {
        guard let id = DocumentView(image).value("_id") else { return nil }
        let start = bytes.count
        bytes.append(id.type.rawValue)
        bytes.append(copying: id.bytes)
        return start..<bytes.count
    }

    private mutating func append(_ image: RawSpan?) -> Range<Int>? {
        guard let image else { return nil }
        let start = bytes.count
        bytes.append(copying: image)
        return start..<bytes.count
    }

    private func find(_ key: Range<Int>) -> Int? {
        let wanted = bytes.span.bytes.extracting(key)
        if slots.isEmpty {
            for (position, change) in changes.enumerated()
            where bytes.span.bytes.extracting(change.id).equals(wanted) {
                return position
            }
            return nil
        }
        var slot = hash(key) & (slots.count - 1)
        while slots[slot] != 0 {
            let position = Int(slots[slot]) - 1
            if bytes.span.bytes.extracting(changes[position].id).equals(wanted) { return position }
            slot = (slot + 1) & (slots.count - 1)
        }
        return nil
    }

    private mutating func insert(_ change: Change) {
        changes.append(change)
        // A few are found faster by looking at each.
        guard changes.count > 8 else { return }
        if changes.count * 2 > slots.count {
            slots = Array(repeating: 0, count: max(64, slots.count * 4))
            for position in changes.indices { place(position) }
        } else {
            place(changes.count - 1)
        }
    }

    private mutating func place(_ position: Int) {
        var slot = hash(changes[position].id) & (slots.count - 1)
        while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
        slots[slot] = UInt32(truncatingIfNeeded: position + 1)
    }

    private func hash(_ range: Range<Int>) -> Int {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for index in range { hash = (hash ^ UInt64(bytes[index])) &* 0x0000_0100_0000_01B3 }
        return Int(truncatingIfNeeded: hash >> 20)
    }

    // MARK: Reading

    /// The `_id` of a change.
    @_lifetime(borrow self)
    func id(_ change: Change) -> ValueView {
        let type = BSONType(rawValue: bytes[change.id.lowerBound]) ?? .null
        return ValueView(
            type: type,
            bytes: bytes.span.bytes.extracting(change.id.lowerBound + 1..<change.id.upperBound))
    }

    /// The image in that range.
    @_lifetime(borrow self)
    func image(_ range: Range<Int>) -> DocumentView {
        DocumentView(bytes.span.bytes.extracting(range))
    }
}
