// Files as streams of bytes, gzipped or not: zlib's own file functions do both.
//
// Lifetime rule: the zlib handle belongs to its object and is closed once, by `finish` or `deinit`;
// no pointer into a buffer outlives the call that lends it.

import CZlib
import Glibc

/// The bytes of a file or of standard input, inflated where they are gzip's.
final class ByteInput {
    /// The file's size as it lies there; nil for pipes.
    let byteCount: Int?
    private let name: String
    private let handle: gzFile
    private static let chunkBytes = 256 * 1024

    /// Opens a file; `-` is standard input.
    init(path: String) throws(TransferFailure) {
        name = path == "-" ? "standard input" : "'\(path)'"
        let descriptor = path == "-" ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw TransferFailure("cannot open \(name): \(String(cString: strerror(errno)))")
        }
        var status = stat()
        let isFile = fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
        byteCount = isFile ? Int(status.st_size) : nil
        guard let handle = gzdopen(descriptor, "rb") else {
            close(descriptor)
            throw TransferFailure("cannot open \(name): no memory")
        }
        self.handle = handle
        gzbuffer(handle, UInt32(Self.chunkBytes))
    }

    deinit { gzclose_r(handle) }

    /// How far the file has been read, as it lies there.
    var offset: Int { Int(gzoffset(handle)) }

    /// Appends the next bytes; false at the end.
    func read(into buffer: inout [UInt8]) throws(TransferFailure) -> Bool {
        let start = buffer.count
        buffer.append(contentsOf: repeatElement(0, count: Self.chunkBytes))
        // SAFETY: zlib writes at most the chunk, within the closure that lends it.
        let count = buffer.withUnsafeMutableBytes { bytes in
            gzread(handle, bytes.baseAddress?.advanced(by: start), UInt32(Self.chunkBytes))
        }
        buffer.removeLast(Self.chunkBytes - Int(max(0, count)))
        if count > 0 { return true }
        var code = Z_OK
        let reason = gzerror(handle, &code).map { String(cString: $0) } ?? ""
        guard count == 0, code == Z_OK || code == Z_STREAM_END else {
            throw TransferFailure("cannot read \(name): \(reason)")
        }
        return false
    }
}

/// A file being written, gzipped where asked. It has its name only when it is whole: until `finish`
/// it is called `NAME.part`.
final class ByteOutput {
    private let path: String
    private var handle: gzFile?
    private var isStandard: Bool { path == "-" }

    /// Makes the file; `-` is standard output.
    init(path: String, gzip: Bool) throws(TransferFailure) {
        self.path = path
        let descriptor =
            path == "-"
            ? dup(STDOUT_FILENO)
            : open(path + ".part", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw TransferFailure("cannot write '\(path)': \(String(cString: strerror(errno)))")
        }
        // T: as it is, without gzip's frame.
        handle = gzdopen(descriptor, gzip ? "wb" : "wbT")
        guard let handle else {
            close(descriptor)
            throw TransferFailure("cannot write '\(path)': no memory")
        }
        gzbuffer(handle, 256 * 1024)
    }

    deinit {
        guard let handle else { return }
        gzclose_w(handle)
        if !isStandard { unlink(path + ".part") }
    }

    /// Adds bytes.
    func write(_ bytes: [UInt8]) throws(TransferFailure) {
        guard let handle, !bytes.isEmpty else { return }
        // SAFETY: zlib reads the bytes within the closure that lends them.
        let count = bytes.withUnsafeBytes { gzwrite(handle, $0.baseAddress, UInt32($0.count)) }
        guard count == bytes.count else { throw failure() }
    }

    /// Writes what is buffered, durably if asked, and gives the file its name.
    func finish(isDurable: Bool = true) throws(TransferFailure) {
        guard let handle else { return }
        self.handle = nil
        guard gzclose_w(handle) == Z_OK else {
            let failure = failure()
            if !isStandard { unlink(path + ".part") }
            throw failure
        }
        if isStandard { return }
        guard isDurable else {
            guard rename(path + ".part", path) == 0 else { throw failure() }
            return
        }
        let descriptor = open(path + ".part", O_RDONLY | O_CLOEXEC)
        defer { close(descriptor) }
        guard descriptor >= 0, fsync(descriptor) == 0, rename(path + ".part", path) == 0 else {
            throw failure()
        }
    }

    private func failure() -> TransferFailure {
        TransferFailure(
            "cannot write '\(path)': \(errno == 0 ? "no space" : String(cString: strerror(errno)))")
    }
}
