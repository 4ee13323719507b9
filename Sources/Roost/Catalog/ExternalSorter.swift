// Sorting index entries that may not fit in memory.
//
// Keys are laid out in one buffer. When it is full it is sorted and written to an unlinked
// temporary file as a run of length-prefixed keys; in the end the runs are merged. Files vanish
// with the process, however it ends.

import BSON
import Glibc
import HeapModule

/// Collects index entry keys and gives them back in order. Used by one thread.
final class ExternalSorter {
    /// Memory for unsorted keys, in bytes.
    static let memoryBytesMax = 32 * 1024 * 1024

    private let folder: String
    private var bytes: [UInt8] = []
    private var ends: [Int] = []
    private var runs: [SortedRun] = []
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
    ) throws(DBError) -> SortedRun {
        var writer = try RunWriter(folder: folder)
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
        memory: [UInt8], ranges: [Range<Int>], runs: [SortedRun]
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
        let run: SortedRun

        static func < (left: Head, right: Head) -> Bool {
            left.key.lexicographicallyPrecedes(right.key)
        }

        static func == (left: Head, right: Head) -> Bool {
            left.key == right.key
        }
    }
}

/// Writes a run into a temporary file that has no name any more.
private struct RunWriter: ~Copyable {
    private let file: TemporaryFile
    private var buffer: [UInt8] = []

    init(folder: String) throws(DBError) {
        file = try TemporaryFile(folder: folder)
    }

    mutating func append(_ key: RawSpan) throws(DBError) {
        buffer.append(UInt8(truncatingIfNeeded: key.byteCount))
        buffer.append(UInt8(truncatingIfNeeded: key.byteCount >> 8))
        buffer.append(copying: key)
        if buffer.count > 1 << 20 {
            try file.write(buffer)
            buffer.removeAll(keepingCapacity: true)
        }
    }

    consuming func finish() throws(DBError) -> SortedRun {
        try file.write(buffer)
        return try SortedRun(file)
    }
}

/// Reads a run back in order.
private final class SortedRun {
    private let file: TemporaryFile
    private var buffer: [UInt8] = []
    private var position = 0

    init(_ file: TemporaryFile) throws(DBError) {
        self.file = file
        try file.rewind()
    }

    /// The next key, nil at the end.
    func next() throws(DBError) -> [UInt8]? {
        try fill(2)
        guard buffer.count - position >= 2 else { return nil }
        let length = Int(buffer[position]) | Int(buffer[position + 1]) << 8
        position += 2
        try fill(length)
        guard buffer.count - position >= length else { return nil }
        defer { position += length }
        return Array(buffer[position..<position + length])
    }

    private func fill(_ count: Int) throws(DBError) {
        guard buffer.count - position < count else { return }
        buffer.removeSubrange(..<position)
        position = 0
        buffer += try file.read(1 << 20)
    }
}

/// An unlinked file: it vanishes when it is closed, or with the process.
private final class TemporaryFile {
    private let descriptor: Int32

    init(folder: String) throws(DBError) {
        var name = Array((folder + "/sort-XXXXXX").utf8CString)
        descriptor = mkstemp(&name)
        guard descriptor >= 0 else { throw Self.failure("create", in: folder) }
        unlink(name)
    }

    deinit {
        close(descriptor)
    }

    func write(_ bytes: [UInt8]) throws(DBError) {
        var start = 0
        while start < bytes.count {
            let written = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress.map { $0 + start }, bytes.count - start)
            }
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { throw Self.failure("write", in: nil) }
            start += written
        }
    }

    func rewind() throws(DBError) {
        guard lseek(descriptor, 0, SEEK_SET) == 0 else { throw Self.failure("rewind", in: nil) }
    }

    func read(_ count: Int) throws(DBError) -> [UInt8] {
        var failed = false
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            var result = Glibc.read(descriptor, buffer.baseAddress, count)
            while result < 0, errno == EINTR {
                result = Glibc.read(descriptor, buffer.baseAddress, count)
            }
            failed = result < 0
            filled = max(0, result)
        }
        if failed { throw Self.failure("read", in: nil) }
        return bytes
    }

    private static func failure(_ what: String, in folder: String?) -> DBError {
        DBError(
            errno == ENOSPC ? .outOfDiskSpace : .operationFailed,
            "Could not \(what) a temporary file\(folder.map { " in \($0)" } ?? ""): "
                + String(cString: strerror(errno)))
    }
}
