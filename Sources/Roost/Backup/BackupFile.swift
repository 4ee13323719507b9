// A file of a backup: chunks, each compressed and checksummed for itself.
//
//     file    "ROOSTBAK", version UInt32 (1), 0 UInt32; chunks; an end chunk
//     chunk   kind UInt32 (1 entries, 2 log, 3 end), bytes UInt32, stored bytes UInt32,
//             CRC-32C UInt32 of the twelve bytes before and the stored ones; the stored bytes,
//             deflated (RFC 1950)
//     end     a chunk without bytes; a file that lacks it was cut
//
// Integers are little-endian.

package import BSON
import CChecksum
import CZlib
import Glibc

/// What a chunk holds.
package enum BackupChunkKind: UInt32, Sendable {
    /// Copied entries.
    case entries = 1
    /// Pieces of the log.
    case log = 2
    /// Nothing: the file ends.
    case end = 3
}

private let fileHead: [UInt8] = Array("ROOSTBAK".utf8) + [1, 0, 0, 0, 0, 0, 0, 0]
private let chunkHeadBytes = 16
/// More than any batch has.
private let chunkBytesMax = 256 << 20

/// Writes a file, which has its name once it is whole.
package final class BackupFileWriter {
    private let path: String
    private var descriptor: Int32
    /// What the file has so far.
    package private(set) var byteCount = 0
    private var crc: UInt32 = 0
    private var pending: [UInt8] = []
    private var pendingKind = BackupChunkKind.entries

    /// Bytes that make a chunk worth its while.
    private static let chunkBytes = 4 << 20

    /// Begins a file, called `PATH.part` until it ends.
    /// - Throws: `DBError`.
    package init(path: String) throws(DBError) {
        self.path = path
        descriptor = open("\(path).part", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw BackupFailure.system("make '\(path)'") }
        try write(fileHead)
    }

    deinit {
        guard descriptor >= 0 else { return }
        close(descriptor)
        unlink("\(path).part")
    }

    /// Adds bytes of one kind.
    /// - Throws: `outOfDiskSpace`, `DBError`.
    package func append(_ kind: BackupChunkKind, _ bytes: [UInt8]) throws(DBError) {
        if kind != pendingKind { try writeChunk() }
        pendingKind = kind
        pending += bytes
        if pending.count >= Self.chunkBytes { try writeChunk() }
    }

    /// Ends the file, durably, and gives it its name; answers its size and CRC-32C.
    /// - Throws: `outOfDiskSpace`, `DBError`.
    package func finish() throws(DBError) -> (byteCount: Int, crc: UInt32) {
        try writeChunk()
        try writeChunk(.end, [])
        guard fsync(descriptor) == 0 else { throw BackupFailure.system("sync '\(path)'") }
        close(descriptor)
        descriptor = -1
        guard rename("\(path).part", path) == 0 else {
            throw BackupFailure.system("rename '\(path).part'")
        }
        return (byteCount, crc)
    }

    private func writeChunk() throws(DBError) {
        if pending.isEmpty { return }
        let bytes = pending
        pending.removeAll(keepingCapacity: true)
        try writeChunk(pendingKind, bytes)
    }

    private func writeChunk(_ kind: BackupChunkKind, _ bytes: [UInt8]) throws(DBError) {
        var count = compressBound(UInt(bytes.count))
        let deflated = [UInt8](unsafeUninitializedCapacity: Int(count)) { buffer, initialized in
            // SAFETY: zlib writes at most `count` bytes, which the buffer has.
            let code = bytes.withUnsafeBufferPointer { input in
                compress2(buffer.baseAddress, &count, input.baseAddress, UInt(input.count), 1)
            }
            initialized = code == Z_OK ? Int(count) : 0
        }
        guard !deflated.isEmpty else {
            throw DBError(.exceededMemoryLimit, "no memory to compress a chunk")
        }
        var head = [kind.rawValue, UInt32(bytes.count), UInt32(deflated.count)].flatMap(\.bytes)
        head += BackupChecksum.of(head, deflated).bytes
        try write(head)
        try write(deflated)
    }

    private func write(_ bytes: [UInt8]) throws(DBError) {
        var done = 0
        while done < bytes.count {
            // SAFETY: the bytes are lent for the call.
            let count = bytes.withUnsafeBytes { bytes in
                Glibc.write(
                    descriptor, bytes.baseAddress?.advanced(by: done), bytes.count - done)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw BackupFailure.system("write to '\(path)'") }
            done += count
        }
        crc = BackupChecksum.continuing(crc, bytes)
        byteCount += bytes.count
    }
}

/// Reads a file's chunks, each verified.
package final class BackupFileReader {
    private let path: String
    private let descriptor: Int32
    private var offset = 0

    /// Opens a file.
    /// - Throws: `dataCorruptionDetected` for what is none; `DBError`.
    package init(path: String) throws(DBError) {
        self.path = path
        descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw BackupFailure.system("open '\(path)'") }
        guard try read(fileHead.count) == fileHead else { throw damage("its head is damaged") }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    /// The next chunk's bytes, inflated; nil at the file's end.
    /// - Throws: `dataCorruptionDetected`, naming file and place.
    package func next() throws(DBError) -> (kind: BackupChunkKind, bytes: [UInt8])? {
        let start = offset
        let head = try read(chunkHeadBytes)
        guard head.count == chunkHeadBytes else { throw damage("it was cut at byte \(start)") }
        let numbers = (0..<4).map { UInt32(littleEndianBytes: head[(4 * $0)..<(4 * $0 + 4)]) }
        guard let kind = BackupChunkKind(rawValue: numbers[0]), numbers[1] <= chunkBytesMax,
            numbers[2] <= chunkBytesMax
        else { throw damage("the chunk at byte \(start) is damaged") }
        let stored = try read(Int(numbers[2]))
        guard stored.count == Int(numbers[2]),
            BackupChecksum.of(Array(head.prefix(12)), stored) == numbers[3]
        else { throw damage("the chunk at byte \(start) is damaged") }
        if kind == .end {
            guard try read(1).isEmpty else { throw damage("it goes on behind its end") }
            return nil
        }
        var count = UInt(numbers[1])
        let bytes = [UInt8](unsafeUninitializedCapacity: Int(count)) { buffer, initialized in
            // SAFETY: zlib writes at most `count` bytes, which the buffer has.
            let code = stored.withUnsafeBufferPointer { input in
                uncompress(buffer.baseAddress, &count, input.baseAddress, UInt(input.count))
            }
            initialized = code == Z_OK ? Int(count) : 0
        }
        guard bytes.count == Int(numbers[1]) else {
            throw damage("the chunk at byte \(start) does not inflate")
        }
        return (kind, bytes)
    }

    private func read(_ count: Int) throws(DBError) -> [UInt8] {
        var failed = false
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count, let base = buffer.baseAddress {
                let got = Glibc.read(descriptor, base + filled, count - filled)
                if got < 0, errno == EINTR { continue }
                failed = got < 0
                if got <= 0 { return }
                filled += got
            }
        }
        if failed { throw BackupFailure.system("read '\(path)'") }
        offset += bytes.count
        return bytes
    }

    private func damage(_ what: String) -> DBError { BackupFailure.damage(path, what) }
}

/// CRC-32C as backups use it.
enum BackupChecksum {
    static func continuing(_ crc: UInt32, _ bytes: [UInt8]) -> UInt32 {
        bytes.withUnsafeBytes { roost_crc32c(crc, $0.baseAddress, $0.count) }
    }

    static func of(_ head: [UInt8], _ bytes: [UInt8]) -> UInt32 {
        continuing(continuing(0, head), bytes)
    }
}

/// What goes wrong with a backup's files.
enum BackupFailure {
    /// A call of the system failed; `errno` says how.
    static func system(_ what: String) -> DBError {
        let isFull = errno == ENOSPC || errno == EDQUOT
        return DBError(
            isFull ? .outOfDiskSpace : .operationFailed,
            "cannot \(what): \(String(cString: strerror(errno)))")
    }

    static func damage(_ path: String, _ what: String) -> DBError {
        DBError(.dataCorruptionDetected, "the backup's file '\(path)' is damaged: \(what)")
    }
}

extension UInt32 {
    fileprivate var bytes: [UInt8] { withUnsafeBytes(of: littleEndian) { Array($0) } }

    fileprivate init(littleEndianBytes bytes: ArraySlice<UInt8>) {
        self = bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }
}
