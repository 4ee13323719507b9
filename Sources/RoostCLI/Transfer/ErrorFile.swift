// The records that an import left out, a JSON document a line.
//
// Until the import is done the file is called NAME.part, and an import that was broken off finds
// there what it had noted: its state says how many bytes of it count.

import Glibc

/// A file of refused records, which outlives the process that writes it.
struct ErrorFile {
    private let path: String
    private var descriptor: Int32?
    /// Bytes written.
    private(set) var byteCount: Int64

    private var partPath: String { path + ".part" }

    /// A file of which so many bytes count, from an import that was broken off; nothing is made yet.
    init(path: String, byteCount: Int64) {
        self.path = path
        self.byteCount = byteCount
    }

    /// Adds lines.
    mutating func append(_ bytes: [UInt8]) throws(TransferFailure) {
        let descriptor = try opened()
        var written = 0
        while written < bytes.count {
            // SAFETY: the bytes are read within the closure that lends them.
            let count = bytes.withUnsafeBytes { buffer in
                write(descriptor, buffer.baseAddress?.advanced(by: written), bytes.count - written)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure() }
            written += count
        }
        byteCount += Int64(bytes.count)
    }

    /// Gives the file its name, if any record was left out.
    mutating func finish() throws(TransferFailure) {
        guard byteCount > 0 else { return }
        let descriptor = try opened()
        let isDurable = fsync(descriptor) == 0
        close(descriptor)
        self.descriptor = nil
        guard isDurable, rename(partPath, path) == 0 else { throw failure() }
    }

    /// Removes it: the import begins anew.
    mutating func remove() {
        if let descriptor { close(descriptor) }
        descriptor = nil
        unlink(partPath)
    }

    private mutating func opened() throws(TransferFailure) -> Int32 {
        if let descriptor { return descriptor }
        let made = open(partPath, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard made >= 0 else { throw failure() }
        descriptor = made
        // What was noted behind the state that counts is noted again.
        guard ftruncate(made, off_t(byteCount)) == 0 else { throw failure() }
        return made
    }

    private func failure() -> TransferFailure {
        TransferFailure("cannot write '\(path)': \(String(cString: strerror(errno)))")
    }
}
