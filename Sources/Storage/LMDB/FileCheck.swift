import Glibc

/// What must hold before LMDB maps the files of a folder: it trusts them, and a page that isn't
/// there ends the process with SIGBUS.
enum FileCheck {
    private static let pageBytes: UInt64 = 4096
    /// Room for the lock file, which is mapped and written through the map.
    private static let lockBytesMin: UInt64 = 256 << 10
    /// Pages at the end that a commit allocated and did not need are never written.
    private static let missingBytesMax: UInt64 = 1 << 20

    /// Throws `diskFull` where the lock file can't be made, `damaged` for a data file that lacks
    /// much of what its header speaks of.
    static func check(folder: String, dataName: String) throws(StorageError) {
        if let free = LMDBCode.freeDiskBytes(folder), free < lockBytesMin { throw .diskFull }
        let descriptor = Glibc.open("\(folder)/\(dataName)", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return }
        let fileBytes = UInt64(clamping: status.st_size)
        let wanted = bytesInHeader(descriptor)
        guard fileBytes + missingBytesMax < wanted, fileBytes < wanted / 4 * 3 else { return }
        throw .damaged(
            reason: "\(folder)/\(dataName) has \(fileBytes) bytes, its header speaks of \(wanted)")
    }

    /// The size that the newer of the two headers tells; 0 where there is none. (A page's header
    /// takes 16 bytes; in the meta data behind it the last page's number is at 120, the commit's
    /// at 128.)
    private static func bytesInHeader(_ descriptor: Int32) -> UInt64 {
        var newest: (commit: UInt64, pages: UInt64) = (0, 0)
        for page in 0..<2 {
            let bytes = [UInt8](unsafeUninitializedCapacity: 152) { buffer, count in
                let offset = page * Int(pageBytes)
                count = max(0, pread(descriptor, buffer.baseAddress, buffer.count, offset))
            }
            guard bytes.count == 152 else { continue }
            let span = bytes.span.bytes
            // SAFETY: 152 bytes were read, and the offsets lie below that.
            let last = span.unsafeLoadUnaligned(fromByteOffset: 136, as: UInt64.self)
            let commit = span.unsafeLoadUnaligned(fromByteOffset: 144, as: UInt64.self)
            if commit >= newest.commit, last < 1 << 40 { newest = (commit, last + 1) }
        }
        return newest.pages * pageBytes
    }
}
