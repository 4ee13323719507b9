import CLMDB
import Glibc

/// LMDB's codes (negative) and errno (positive) in the store's terms.
enum LMDBCode {
    static func error(
        _ code: Int32, _ operation: String, table: TableID = .registry
    ) -> StorageError {
        switch code {
        case MDB_BAD_DBI: .noSuchTable(table)
        case MDB_BAD_VALSIZE: .invalidKey(byteCount: 0)
        case MDB_READERS_FULL: .readersFull(max: 0)
        case MDB_MAP_FULL: .quotaExceeded(usedBytes: 0, quotaBytes: 0)
        case MDB_TXN_FULL, MDB_CURSOR_FULL: .transactionTooLarge
        case MDB_PAGE_NOTFOUND, MDB_CORRUPTED, MDB_INVALID, MDB_INCOMPATIBLE, MDB_VERSION_MISMATCH:
            .damaged(reason: "\(operation): \(text(code))")
        case MDB_PANIC:
            .writesStopped(reason: "writing the file's header failed earlier")
        case ENOMEM: .outOfMemory
        case ENOSPC, EDQUOT: .diskFull
        case 1...: .ioError(operation: operation, errno: code)
        default: .unexpected(operation: operation, code: code)
        }
    }

    /// The error of a failed commit. A short write on a full disk is reported as EIO: the file
    /// system tells the two apart.
    static func commitError(_ code: Int32, folder: String) -> StorageError {
        if code == EIO, let free = freeDiskBytes(folder), free < 1 << 20 { return .diskFull }
        return error(code, "commit")
    }

    /// Bytes that the file system still has for us; nil if it doesn't say.
    static func freeDiskBytes(_ folder: String) -> UInt64? {
        var status = statvfs()
        guard statvfs(folder, &status) == 0 else { return nil }
        return UInt64(status.f_bavail) * UInt64(status.f_frsize)
    }

    /// The size of the file system, in bytes; nil if it doesn't say.
    static func diskBytes(_ folder: String) -> UInt64? {
        var status = statvfs()
        guard statvfs(folder, &status) == 0 else { return nil }
        return UInt64(status.f_blocks) * UInt64(status.f_frsize)
    }

    /// Whether the error leaves the outcome of writes unknown, so that none may follow.
    static func stopsWrites(_ error: StorageError) -> Bool {
        switch error {
        case .ioError, .damaged, .writesStopped: true
        default: false
        }
    }

    /// Whether the error says that there is no room.
    static func isFull(_ error: any Error) -> Bool {
        switch error as? StorageError {
        case .diskFull, .quotaExceeded: true
        default: false
        }
    }

    static func text(_ code: Int32) -> String {
        String(cString: mdb_strerror(code))
    }
}
