import Glibc
import Synchronization

/// Exclusive use of a database folder: against other processes by a lock on `roost.lock` (which
/// the kernel drops when the process dies, however it dies), within this one by the folder's inode,
/// because LMDB must never open a file twice in one process and doesn't notice.
final class FolderLock: Sendable {
    private struct Identity: Hashable {
        var device: dev_t
        var inode: ino_t
    }

    private static let opened = Mutex<Set<Identity>>([])

    private let descriptor: Int32
    private let identity: Identity

    /// Locks `path`, a folder that exists.
    init(_ path: String) throws(StorageError) {
        var status = stat()
        guard stat(path, &status) == 0 else {
            throw .cannotOpen(path: path, reason: FileSystem.reason())
        }
        let identity = Identity(device: status.st_dev, inode: status.st_ino)
        guard Self.opened.withLock({ $0.insert(identity).inserted }) else {
            throw .inUse(path: path, pid: getpid())
        }
        let descriptor = open("\(path)/roost.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            let reason = FileSystem.reason()
            Self.release(identity)
            throw .cannotOpen(path: path, reason: reason)
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let holder = Self.holder(descriptor)
            Glibc.close(descriptor)
            Self.release(identity)
            throw .inUse(path: path, pid: holder)
        }
        self.identity = identity
        self.descriptor = descriptor
        // Over what is there, so that it works on a full disk too.
        var text = Array("\(getpid())\n".utf8)
        text += [UInt8](repeating: 0x20, count: max(0, 16 - text.count))
        pwrite(descriptor, &text, text.count, 0)
    }

    deinit {
        // Closing drops the lock.
        Glibc.close(descriptor)
        Self.release(identity)
    }

    private static func release(_ identity: Identity) {
        opened.withLock { _ = $0.remove(identity) }
    }

    /// The process that uses a folder, as it wrote itself down; nil where none does.
    static func owner(of path: String) -> Int32? {
        let descriptor = open("\(path)/roost.lock", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { Glibc.close(descriptor) }
        return flock(descriptor, LOCK_SH | LOCK_NB) == 0 ? nil : holder(descriptor)
    }

    /// The process that holds the lock, as it wrote itself down; 0 if it hasn't yet.
    private static func holder(_ descriptor: Int32) -> Int32 {
        var text = [UInt8](repeating: 0, count: 16)
        let count = pread(descriptor, &text, text.count, 0)
        let digits = text[..<max(0, count)].prefix { $0 >= 0x30 && $0 <= 0x39 }
        return Int32(String(decoding: digits, as: UTF8.self)) ?? 0
    }
}

/// The few calls on files that opening a store needs.
enum FileSystem {
    /// The text of errno.
    static func reason() -> String {
        String(cString: strerror(errno))
    }

    /// Makes a folder and those above it, durably.
    static func makeFolder(_ path: String) throws(StorageError) {
        if mkdir(path, 0o700) == 0 { return try sync(parent(of: path)) }
        if errno == EEXIST { return }
        if errno == ENOENT, parent(of: path) != "." {
            try makeFolder(parent(of: path))
            if mkdir(path, 0o700) == 0 { return try sync(parent(of: path)) }
            if errno == EEXIST { return }
        }
        throw .cannotOpen(path: path, reason: reason())
    }

    /// The folder that a path's last part is in.
    static func parent(of path: String) -> String {
        guard let last = path.lastIndex(where: { $0 != "/" }) else { return "/" }
        guard let slash = path[...last].lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// The size of a file; nil if there is none.
    static func size(_ path: String) -> Int? {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_size : nil
    }

    /// Makes a file's bytes, or a folder's names, durable.
    static func sync(_ path: String) throws(StorageError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .ioError(operation: "open \(path)", errno: errno) }
        defer { Glibc.close(descriptor) }
        guard fsync(descriptor) == 0 else {
            throw .ioError(operation: "fsync \(path)", errno: errno)
        }
    }
}
