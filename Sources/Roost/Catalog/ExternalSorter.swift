// Sorting index entries that may not fit in memory.
//
// Keys are laid out in one buffer. When it is full it is sorted and written to an unlinked
// temporary file as a run of length-prefixed keys; in the end the runs are merged. Files vanish
// with the process, however it ends.

import BSON
import HeapModule
import Query

/// Collects index entry keys and gives them back in order. Used by one thread.
final class ExternalSorter {
    /// Memory for unsorted keys, in bytes.
    static let memoryBytesMax = 32 * 1024 * 1024

    private let folder: String
    private var bytes: [UInt8] = []
    private var ends: [Int] = []
    private var runs: [SpillRun] = []
    /// Whether the key added last was cut.
    private(set) var lastWasCut = false

    init(folder: String) {
        self.folder = folder
    }

    /// Adds the entry for encoded parts and a record key.
    func add(parts: RawSpan, record: RawSpan) {
        lastWasCut = IndexEntryKey.append(parts: parts, record: record, to: &bytes)
        ends.append(bytes.count)
    }

    /// Writes a run when the memory bound is reached.
    func spillIfLarge() throws(DBError) {
        guard bytes.count + ends.count * 8 > Self.memoryBytesMax else { return }
        runs.append(try Self.writeRun(bytes, sortedRanges(), folder: folder))
        bytes.removeAll(keepingCapacity: true)
        ends.removeAll(keepingCapacity: true)
    }

    private static func writeRun(
        _ bytes: [UInt8], _ ranges: [Range<Int>], folder: String
    ) throws(DBError) -> SpillRun {
        var writer = try SpillWriter(folder: folder)
        let span = bytes.span.bytes
        for range in ranges { try writer.append(span.extracting(range)) }
        return try writer.finish()
    }

    /// All keys in order. The sorter is empty afterwards.
    func sorted() throws(DBError) -> SortedMerge {
        let ranges = sortedRanges()
        let merge = try SortedMerge(memory: bytes, ranges: ranges, runs: runs)
        bytes = []
        ends = []
        runs = []
        return merge
    }

    private func sortedRanges() -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        ranges.reserveCapacity(ends.count)
        var start = 0
        for end in ends {
            ranges.append(start..<end)
            start = end
        }
        return bytes.withUnsafeBytes { bytes in
            // SAFETY: the pointer stays in this closure; ranges lie within the buffer.
            ranges.sorted { left, right in
                bytes[left].lexicographicallyPrecedes(bytes[right])
            }
        }
    }
}

/// Hands out sorted keys: those in memory merged with the runs on disk.
struct SortedMerge {
    private let memory: [UInt8]
    private let ranges: [Range<Int>]
    private var position = 0
    private var heap = Heap<Head>()

    fileprivate init(
        memory: [UInt8], ranges: [Range<Int>], runs: [SpillRun]
    ) throws(DBError) {
        self.memory = memory
        self.ranges = ranges
        for run in runs {
            if let key = try run.next() { heap.insert(Head(key: key, run: run)) }
        }
    }

    /// The next keys in order, at most `count`; empty at the end.
    mutating func next(_ count: Int) throws(DBError) -> [[UInt8]] {
        var keys: [[UInt8]] = []
        keys.reserveCapacity(count)
        while keys.count < count {
            let own: [UInt8]? = position < ranges.count ? Array(memory[ranges[position]]) : nil
            if let head = heap.min, own.map({ head.key.lexicographicallyPrecedes($0) }) ?? true {
                heap.removeMin()
                keys.append(head.key)
                if let key = try head.run.next() { heap.insert(Head(key: key, run: head.run)) }
            } else if let own {
                keys.append(own)
                position += 1
            } else {
                break
            }
        }
        return keys
    }

    /// The smallest key of a run.
    private struct Head: Comparable {
        let key: [UInt8]
        let run: SpillRun

        static func < (left: Head, right: Head) -> Bool {
            left.key.lexicographicallyPrecedes(right.key)
        }

        static func == (left: Head, right: Head) -> Bool {
            left.key == right.key
        }
    }
}
