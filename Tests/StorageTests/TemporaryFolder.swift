import Glibc

@testable import Storage

/// A new folder that goes away with its last user.
final class TemporaryFolder: Sendable {
    let path: String

    init() {
        path = "/tmp/roost-storage-\(getpid())-\(UInt64.random(in: .min ... .max))"
        mkdir(path, 0o700)
    }

    deinit {
        for folder in ["\(path)/new", path] {
            for name in ["data.mdb", "lock.mdb", "roost.lock"] { unlink("\(folder)/\(name)") }
            rmdir(folder)
        }
    }
}

extension ReadableTransaction where Self: ~Copyable {
    /// A copy of the value under a key.
    func copy(_ table: TableID, _ key: [UInt8]) throws(StorageError) -> [UInt8]? {
        guard let value = try value(table, key.span.bytes) else { return nil }
        return Array(copying: value)
    }
}
