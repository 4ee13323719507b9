/// What can go wrong below the engine. The engine translates it to its own errors at one place.
package enum StorageError: Error, Equatable, Sendable {
    /// Another process (or this one) has the folder open.
    case inUse(path: String, pid: Int32)
    /// The folder was written by a newer release; nothing was changed.
    case newerFormat(found: UInt32, supported: UInt32)
    /// The folder can't be opened as a database; the reason says why.
    case cannotOpen(path: String, reason: String)
    /// The bytes stored under this key fail their checksum. Other entries stay readable.
    case corrupted(table: TableID, key: [UInt8])
    /// The structure of the file is damaged. Writes stop.
    case damaged(reason: String)
    /// The snapshot knows no such table: it was dropped, or was created later.
    case noSuchTable(TableID)
    /// Keys have 1 to `keyBytesMax` bytes.
    case invalidKey(byteCount: Int)
    /// Values have at most `valueBytesMax` bytes.
    case valueTooLarge(byteCount: Int)
    /// The database is as large as it may get; reads and deletes still work.
    case quotaExceeded(usedBytes: UInt64, quotaBytes: UInt64)
    /// The file system is full; reads work, and deletes while the reserve lasts.
    case diskFull
    /// A group held more changed pages than one transaction can hold.
    case transactionTooLarge
    /// A draft holds no more than that.
    case draftTooLarge(bytesMax: Int)
    /// The system call behind `operation` failed.
    case ioError(operation: String, errno: Int32)
    /// An earlier failure made the outcome of writes uncertain: reads go on, writes are refused
    /// until the store is closed, opened again and verified.
    case writesStopped(reason: String)
    /// The log is already kept for so many backups.
    case tooManyHolds(max: Int)
    /// The log that a backup needs is no longer kept.
    case logGone
    /// All reader slots are taken.
    case readersFull(max: Int)
    /// The writer's queue is full; try again later.
    case busy
    /// The store is closed, or closing.
    case closed
    /// The system has no memory left.
    case outOfMemory
    /// A blocking write was asked for on the writer's own thread, where it could never finish.
    case wouldDeadlock
    /// The library below answered with a code that it should not give here.
    case unexpected(operation: String, code: Int32)
}

extension StorageError: CustomStringConvertible {
    /// One sentence for logs, saying what to do where something can be done.
    package var description: String {
        switch self {
        case .inUse(let path, let pid): "\(path) is in use by process \(pid)"
        case .newerFormat(let found, let supported):
            "the data has format \(found), this release reads up to \(supported): use a newer release"
        case .cannotOpen(let path, let reason): "cannot open \(path): \(reason)"
        case .corrupted(let table, let key):
            "\(table): checksum failure under key \(hexadecimal(key)); restore it from a backup"
        case .damaged(let reason): "the data file is damaged: \(reason); restore a backup"
        case .noSuchTable(let table): "\(table) does not exist in this snapshot"
        case .invalidKey(let byteCount): "a key of \(byteCount) bytes cannot be stored"
        case .valueTooLarge(let byteCount): "a value of \(byteCount) bytes cannot be stored"
        case .quotaExceeded(let used, let quota):
            "quota reached: \(used) of \(quota) bytes used; delete something or raise the quota"
        case .diskFull: "the disk is full; deletes still work"
        case .transactionTooLarge: "the transaction changes too many pages"
        case .draftTooLarge(let bytesMax): "a draft holds at most \(bytesMax) bytes"
        case .ioError(let operation, let errno): "\(operation) failed with errno \(errno)"
        case .writesStopped(let reason): "writes are stopped: \(reason); restart and verify"
        case .tooManyHolds(let max):
            "the log is kept for \(max) backups already; end one of them"
        case .logGone: "the log since the last backup is no longer kept; take a full one"
        case .readersFull(let max): "all \(max) reader slots are taken"
        case .busy: "the write queue is full; try again"
        case .closed: "the store is closed"
        case .outOfMemory: "out of memory"
        case .wouldDeadlock: "a blocking write cannot run on the writer thread"
        case .unexpected(let operation, let code): "\(operation) answered code \(code)"
        }
    }

    /// The reason for which writes are stopped, or what the error says.
    var reason: String {
        if case .writesStopped(let reason) = self { reason } else { description }
    }

    private func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.reduce(into: "") { text, byte in
            text += byte < 16 ? "0" : ""
            text += String(byte, radix: 16)
        }
    }
}
