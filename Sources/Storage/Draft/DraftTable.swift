// What a draft changed in one table: ordered entries in memory.
//
// Chunks of sorted entries: an insertion moves at most one chunk's entries, and ascending keys, the
// common case, move none.

import Glibc

/// Ordered keys, each with its new value or the mark that it is gone. Confined to the thread that
/// uses the draft.
final class DraftTable {
    /// A changed key.
    struct Entry {
        let key: [UInt8]
        /// Nil where the key was removed.
        var value: [UInt8]?
    }

    /// Where an entry lies.
    struct Place {
        fileprivate var chunk: Int
        fileprivate var index: Int
    }

    private static let chunkMax = 256

    /// Whether the table was made in the draft, so that nothing lies below.
    let isNew: Bool
    /// How many entries more the table has than below.
    var countChange: Int64 = 0
    /// None is empty.
    private var chunks: [[Entry]] = []

    init(isNew: Bool) {
        self.isNew = isNew
    }

    /// The entry of a key. O(log n).
    func find(_ key: RawSpan) -> Entry? {
        guard let place = lowerBound(key), Self.order(entry(at: place).key, key) == 0 else {
            return nil
        }
        return entry(at: place)
    }

    /// The entry at a place.
    func entry(at place: Place) -> Entry { chunks[place.chunk][place.index] }

    /// Sets a key's value, or with nil marks it as gone. O(log n).
    func set(_ key: [UInt8], _ value: [UInt8]?) {
        let new = Entry(key: key, value: value)
        guard let place = lowerBound(key.span.bytes) else {
            guard let last = chunks.indices.last, chunks[last].count < Self.chunkMax else {
                chunks.append([new])
                return
            }
            chunks[last].append(new)
            return
        }
        if entry(at: place).key == key {
            chunks[place.chunk][place.index].value = value
            return
        }
        chunks[place.chunk].insert(new, at: place.index)
        guard chunks[place.chunk].count > Self.chunkMax else { return }
        let half = chunks[place.chunk].count / 2
        chunks.insert(Array(chunks[place.chunk][half...]), at: place.chunk + 1)
        chunks[place.chunk].removeSubrange(half...)
    }

    // MARK: Places

    /// The first entry; nil where there is none.
    var first: Place? { chunks.isEmpty ? nil : Place(chunk: 0, index: 0) }

    /// The last entry; nil where there is none.
    var last: Place? {
        chunks.isEmpty
            ? nil : Place(chunk: chunks.count - 1, index: chunks[chunks.count - 1].count - 1)
    }

    /// The first entry whose key is not below `key`.
    func lowerBound(_ key: RawSpan) -> Place? {
        // The last chunk whose first key is not above `key` may hold it, else the one after.
        var (low, high) = (0, chunks.count)
        while low < high {
            let middle = (low + high) / 2
            if Self.order(chunks[middle][0].key, key) <= 0 {
                low = middle + 1
            } else {
                high = middle
            }
        }
        guard low > 0 else { return first }
        let chunk = low - 1
        (low, high) = (0, chunks[chunk].count)
        while low < high {
            let middle = (low + high) / 2
            if Self.order(chunks[chunk][middle].key, key) < 0 {
                low = middle + 1
            } else {
                high = middle
            }
        }
        if low < chunks[chunk].count { return Place(chunk: chunk, index: low) }
        return chunk + 1 < chunks.count ? Place(chunk: chunk + 1, index: 0) : nil
    }

    /// The last entry whose key is below `key`.
    func last(below key: RawSpan) -> Place? {
        guard let place = lowerBound(key) else { return last }
        return previous(place)
    }

    /// The entry after.
    func next(_ place: Place) -> Place? {
        if place.index + 1 < chunks[place.chunk].count {
            return Place(chunk: place.chunk, index: place.index + 1)
        }
        return place.chunk + 1 < chunks.count ? Place(chunk: place.chunk + 1, index: 0) : nil
    }

    /// The entry before.
    func previous(_ place: Place) -> Place? {
        if place.index > 0 { return Place(chunk: place.chunk, index: place.index - 1) }
        guard place.chunk > 0 else { return nil }
        return Place(chunk: place.chunk - 1, index: chunks[place.chunk - 1].count - 1)
    }

    /// Byte order: negative, zero or positive; the shorter of two with a common prefix is smaller.
    static func order(_ left: [UInt8], _ right: RawSpan) -> Int {
        let common = min(left.count, right.byteCount)
        let order = left.withUnsafeBytes { left in
            right.withUnsafeBytes { right in
                guard let left = left.baseAddress, let right = right.baseAddress else {
                    return Int32(0)
                }
                return memcmp(left, right, common)
            }
        }
        return order != 0 ? Int(order) : left.count - right.byteCount
    }
}
