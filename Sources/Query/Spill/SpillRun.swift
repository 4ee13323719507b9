// Runs of sorted records in temporary files, for sorts and groups that outgrow their memory.
//
// A record is bytes behind a four-byte length. Files have no name: they vanish when they are closed,
// or with the process, however it ends.

package import BSON
import Glibc

/// Writes a run.
package struct SpillWriter: ~Copyable {
    private let file: TemporaryFile
    private var buffer: [UInt8] = []

    private static let bufferBytes = 1 << 20

    /// Begins a run in a file in `folder`.
    ///
    /// Throws `outOfDiskSpace` or `operationFailed`, as all operations on runs.
    package init(folder: String) throws(DBError) {
        file = try TemporaryFile(folder: folder)
    }

    /// Appends a record.
    package mutating func append(_ record: RawSpan) throws(DBError) {
        try append(record, RawSpan())
    }

    /// Appends a record of two parts, one behind the other.
    package mutating func append(_ head: RawSpan, _ tail: RawSpan) throws(DBError) {
        let length = UInt32(truncatingIfNeeded: head.byteCount + tail.byteCount)
        for shift in stride(from: 0, to: 32, by: 8) {
            buffer.append(UInt8(truncatingIfNeeded: length >> UInt32(shift)))
        }
        buffer.append(copying: head)
        buffer.append(copying: tail)
        if buffer.count > Self.bufferBytes {
            try file.write(buffer)
            buffer.removeAll(keepingCapacity: true)
        }
    }

    /// Ends the run; it can be read now.
    package consuming func finish() throws(DBError) -> SpillRun {
        try file.write(buffer)
        return try SpillRun(file)
    }
}

/// Reads a run back, in the order in which it was written.
package final class SpillRun {
    private let file: TemporaryFile
    private var buffer: [UInt8] = []
    private var position = 0

    private static let bufferBytes = 1 << 18

    fileprivate init(_ file: TemporaryFile) throws(DBError) {
        self.file = file
        try file.rewind()
    }

    /// The next record, nil at the end.
    package func next() throws(DBError) -> [UInt8]? {
        try fill(4)
        guard buffer.count - position >= 4 else { return nil }
        var length = 0
        for index in 0..<4 { length |= Int(buffer[position + index]) << (8 * index) }
        position += 4
        try fill(length)
        guard buffer.count - position >= length else { return nil }
        defer { position += length }
        return Array(buffer[position..<position + length])
    }

    private func fill(_ count: Int) throws(DBError) {
        guard buffer.count - position < count else { return }
        buffer.removeSubrange(..<position)
        position = 0
        while buffer.count < count {
            let more = try file.read(max(Self.bufferBytes, count - buffer.count))
            if more.isEmpty { return }
            buffer += more
        }
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
            // SAFETY: the pointer stays in the closure; `start` lies below the count.
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
        // SAFETY: as many bytes count as filled as `read` has written.
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
