import Glibc

/// An open file that is written and synced by plain system calls, each of which says what failed.
/// May be used from several threads; it is closed with its last user.
final class File: Sendable {
    let descriptor: Int32
    let path: String

    /// Opens a file, or makes it.
    init(_ path: String, create: Bool = false) throws(StorageError) {
        let flags = O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0)
        descriptor = Glibc.open(path, flags, 0o600)
        self.path = path
        guard descriptor >= 0 else { throw Self.failure("open \(path)") }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    /// The file's size in bytes.
    func byteCount() throws(StorageError) -> Int {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw Self.failure("stat \(path)") }
        return status.st_size
    }

    /// Writes all bytes at a place; a write that stops half-way is an error.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(StorageError) {
        var done = 0
        while done < bytes.count {
            guard let base = bytes.baseAddress else { return }
            let count = pwrite(descriptor, base + done, bytes.count - done, off_t(offset + done))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                if count == 0 { errno = ENOSPC }
                throw Self.failure("write to \(path)")
            }
            done += count
        }
    }

    /// Writes all bytes at a place.
    func write(_ bytes: [UInt8], at offset: Int) throws(StorageError) {
        try bytes.span.bytes.withUnsafeBytes { (bytes) throws(StorageError) in
            try write(bytes, at: offset)
        }
    }

    /// Reads up to `count` bytes from a place; fewer at the file's end.
    func read(_ count: Int, at offset: Int) throws(StorageError) -> [UInt8] {
        var failed = false
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count, let base = buffer.baseAddress {
                let got = pread(descriptor, base + filled, count - filled, off_t(offset + filled))
                if got < 0, errno == EINTR { continue }
                failed = got < 0
                if got <= 0 { return }
                filled += got
            }
        }
        if failed { throw Self.failure("read of \(path)") }
        return bytes
    }

    /// Makes what was written durable. After a failure nobody knows what is.
    func sync() throws(StorageError) {
        guard fdatasync(descriptor) == 0 else { throw Self.failure("fdatasync of \(path)") }
    }

    private static func failure(_ operation: String) -> StorageError {
        switch errno {
        case ENOSPC, EDQUOT, EFBIG: .diskFull
        default: .ioError(operation: operation, errno: errno)
        }
    }
}
