import CLMDB

/// Makes the commits of the log's records again, on the checkpoint's snapshot, which is pinned.
/// Each record is one commit and gets the number that it had.
struct Replay {
    private let environment: OpaquePointer
    private let path: String
    private var handles: [RedoTree: UInt32] = [:]
    /// Commits made.
    private(set) var commits: UInt64 = 0
    /// Bytes of their records.
    private(set) var byteCount: UInt64 = 0

    init(_ environment: OpaquePointer, path: String) {
        self.environment = environment
        self.path = path
    }

    /// Replays all records but those that the next one aborts.
    mutating func run(_ reader: inout LogReader) throws(StorageError) {
        var record = try reader.next()
        while let this = record {
            record = try reader.next()
            guard this.header.kind == .commit else { continue }
            if let record, record.header.kind == .abort { continue }
            try apply(this)
            commits += 1
            byteCount += UInt64(this.bytes.count)
        }
    }

    private mutating func apply(_ record: LogReader.Record) throws(StorageError) {
        let transaction = try Registry.begin(environment, flags: 0)
        do throws(StorageError) {
            guard UInt64(mdb_txn_id(transaction)) == record.header.commit else {
                throw .cannotOpen(
                    path: path,
                    reason: "record \(record.header.sequence) of the redo log makes commit "
                        + "\(record.header.commit), and the data is at "
                        + "\(mdb_txn_id(transaction) - 1): they don't belong together")
            }
            try apply(record, transaction)
        } catch {
            mdb_txn_abort(transaction)
            // What was opened in the transaction is closed with it.
            handles = [:]
            throw error
        }
        let code = mdb_txn_commit(transaction)
        guard code == 0 else {
            let error = LMDBCode.commitError(code, folder: path)
            throw .cannotOpen(path: path, reason: "replaying the redo log: \(error)")
        }
    }

    private mutating func apply(
        _ record: LogReader.Record, _ transaction: OpaquePointer
    ) throws(StorageError) {
        var offset = RedoHeader.byteCount
        let end = offset + record.header.bodyBytes
        while offset < end {
            // SAFETY: the operation's views point into the record and end with the closure.
            let count = try record.bytes.span.bytes.withUnsafeBytes {
                (bytes) throws(StorageError) -> Int in
                let rest = UnsafeRawBufferPointer(rebasing: bytes[offset..<end])
                guard let operation = RedoOperation(rest) else {
                    throw .cannotOpen(
                        path: path,
                        reason: "record \(record.header.sequence) of the redo log holds what this "
                            + "release doesn't know")
                }
                let code = try apply(operation, transaction)
                guard code == 0 else {
                    let error = LMDBCode.error(code, "replay")
                    throw .cannotOpen(
                        path: path,
                        reason: "replaying record \(record.header.sequence) of the redo log: "
                            + "\(error)")
                }
                return operation.byteCount
            }
            offset += count
        }
    }

    /// Makes one change; answers LMDB's code.
    private mutating func apply(
        _ operation: RedoOperation, _ transaction: OpaquePointer
    ) throws(StorageError) -> Int32 {
        let handle = try handle(
            operation.tree, transaction, create: operation.kind == .createTree)
        var key = StoredBytes.view(operation.key)
        var value = StoredBytes.view(operation.value)
        switch operation.kind {
        case .createTree: return 0
        case .put: return mdb_put(transaction, handle, &key, &value, 0)
        case .append:
            let code = mdb_put(transaction, handle, &key, &value, UInt32(MDB_APPEND))
            return code == MDB_KEYEXIST ? mdb_put(transaction, handle, &key, &value, 0) : code
        case .delete: return mdb_del(transaction, handle, &key, nil)
        case .dropTree:
            handles[operation.tree] = nil
            return mdb_drop(transaction, handle, 1)
        }
    }

    private mutating func handle(
        _ tree: RedoTree, _ transaction: OpaquePointer, create: Bool
    ) throws(StorageError) -> UInt32 {
        if let handle = handles[tree] { return handle }
        let handle = try Registry.open(transaction, tree.name, create: create)
        handles[tree] = handle
        return handle
    }
}
