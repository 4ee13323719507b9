import CLMDB
import Glibc

/// One operation of a backup, as its bytes tell it.
package struct BackupOperation {
    /// Whether it stores a value; else it removes one, or makes or removes a tree.
    package let isPut: Bool
    /// The table; nothing for one in the tree that tables share.
    package let table: TableID?
    /// Its bytes among those of all operations.
    package let range: Range<Int>

    /// Walks over operations that lie behind each other. Throws `damaged` where one isn't whole.
    package static func walk(
        _ bytes: RawSpan,
        _ body: (BackupOperation, _ key: RawSpan) throws(StorageError) -> Void
    ) throws(StorageError) {
        try bytes.withUnsafeBytes { bytes throws(StorageError) in
            var offset = 0
            while offset < bytes.count {
                let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
                guard let operation = RedoOperation(rest) else {
                    throw .damaged(reason: "the backup holds what this release doesn't know")
                }
                let end = offset + operation.byteCount
                let isPut = operation.kind == .put || operation.kind == .append
                let table =
                    operation.tree == .shared
                    ? nil : TableID(rawValue: operation.tree.rawValue)
                // SAFETY: the key lies in `bytes`, which live as long as the closure.
                try body(
                    BackupOperation(isPut: isPut, table: table, range: offset..<end),
                    RawSpan(_unsafeBytes: operation.key))
                offset = end
            }
        }
    }
}

/// Makes a store's data file from a backup's operations: first the copied entries of each tree in
/// the order of their keys, then the log's. The result has an identity of its own, no log, and is
/// opened like any folder.
///
/// Entries were copied at different commits; the log from before the first of them on makes them
/// one state: each operation says what its key holds afterwards, whatever was there before.
/// A half-built folder is of no use; its maker removes it.
package final class StoreBuilder {
    private let path: String
    // SAFETY: made in init and closed by `close`, once; transaction and handles end before.
    private var environment: OpaquePointer?
    private var transaction: OpaquePointer?
    private var handles: [RedoTree: UInt32] = [:]
    private var pendingBytes = 0

    /// What is committed at once.
    private static let commitBytes = 32 << 20
    /// Entries of the registry that a folder has of its own.
    private static let ownKeys = [Registry.formatKey, Registry.identityKey, Registry.redoKey]

    /// Begins a data file in a folder that is made, or empty.
    package init(path: String) throws(StorageError) {
        self.path = path
        try FileSystem.makeFolder(path)
        guard FileSystem.size("\(path)/\(Environment.dataName)") == nil else {
            throw .cannotOpen(path: path, reason: "it holds data")
        }
        // Nobody else can have the folder, and nothing is durable before `finish`.
        let (environment, _) = try Environment.open(
            path, LMDBStore.Options(), hasLock: false, syncs: false)
        self.environment = environment
        try Registry.format(environment)
    }

    deinit { close() }

    private func close() {
        if let transaction { mdb_txn_abort(transaction) }
        if let environment { mdb_env_close(environment) }
        transaction = nil
        environment = nil
    }

    /// Applies operations that lie behind each other. Throws `corrupted` where a value fails its
    /// checksum, `diskFull`, `damaged`.
    package func apply(_ operations: RawSpan) throws(StorageError) {
        try operations.withUnsafeBytes { bytes throws(StorageError) in
            var offset = 0
            while offset < bytes.count {
                let rest = UnsafeRawBufferPointer(rebasing: bytes[offset...])
                guard let operation = RedoOperation(rest) else {
                    throw .damaged(reason: "the backup holds what this release doesn't know")
                }
                try apply(operation)
                offset += operation.byteCount
                pendingBytes += operation.byteCount
            }
        }
        if pendingBytes >= Self.commitBytes { try commit() }
    }

    private func apply(_ operation: RedoOperation) throws(StorageError) {
        if operation.tree == .registry,
            Self.ownKeys.contains(where: { operation.key.elementsEqual($0) })
        {
            return
        }
        let transaction = try begin()
        var key = StoredBytes.view(operation.key)
        var value = StoredBytes.view(operation.value)
        var code: Int32
        switch operation.kind {
        case .createTree:
            _ = try handle(operation.tree, transaction)
            return
        case .dropTree:
            code = mdb_drop(transaction, try handle(operation.tree, transaction), 1)
            handles[operation.tree] = nil
        case .delete:
            code = mdb_del(transaction, try handle(operation.tree, transaction), &key, nil)
            if code == MDB_NOTFOUND { code = 0 }
        case .put, .append:
            try check(operation)
            let handle = try handle(operation.tree, transaction)
            code = MDB_KEYEXIST
            if operation.kind == .append {
                code = mdb_put(transaction, handle, &key, &value, UInt32(MDB_APPEND))
            }
            if code == MDB_KEYEXIST { code = mdb_put(transaction, handle, &key, &value, 0) }
        }
        guard code == 0 else {
            throw LMDBCode.error(
                code, "restoring", table: TableID(rawValue: operation.tree.rawValue))
        }
    }

    private func check(_ operation: RedoOperation) throws(StorageError) {
        let isShared = operation.tree == .shared
        let own = UnsafeRawBufferPointer(
            rebasing: operation.key.dropFirst(isShared ? StoredBytes.prefixBytes : 0))
        guard
            StoredBytes.payload(key: own, stored: StoredBytes.view(operation.value)) != nil
        else {
            throw .corrupted(
                table: TableID(rawValue: operation.tree.rawValue), key: Array(own))
        }
    }

    private func begin() throws(StorageError) -> OpaquePointer {
        if let transaction { return transaction }
        guard let environment else { throw .closed }
        let begun = try Registry.begin(environment, flags: 0)
        transaction = begun
        return begun
    }

    private func commit() throws(StorageError) {
        guard let ending = transaction else { return }
        transaction = nil
        pendingBytes = 0
        let code = mdb_txn_commit(ending)
        guard code == 0 else { throw LMDBCode.commitError(code, folder: path) }
    }

    private func handle(
        _ tree: RedoTree, _ transaction: OpaquePointer
    ) throws(StorageError) -> UInt32 {
        if let handle = handles[tree] { return handle }
        // Handles live as long as the environment only where their transaction commits; an error
        // ends the whole build.
        let handle = try Registry.open(transaction, tree.name, create: true)
        handles[tree] = handle
        return handle
    }

    /// Whether an entry is there.
    package func contains(_ table: TableID, key: RawSpan) throws(StorageError) -> Bool {
        let transaction = try begin()
        let handle = try handle(RedoTree(rawValue: table.rawValue), transaction)
        return key.withUnsafeBytes { key in
            var view = StoredBytes.view(key)
            var value = MDB_val()
            return mdb_get(transaction, handle, &view, &value) == 0
        }
    }

    /// Ends the build: the data file is whole and durable. `recounts`: whether the log was cut
    /// within a commit, so that its counts of shared tables don't hold.
    package func finish(recounts: Bool = false) throws(StorageError) {
        guard let environment else { throw .closed }
        try completeTrees(recounts: recounts)
        try commit()
        let code = mdb_env_sync(environment, 1)
        guard code == 0 else { throw LMDBCode.commitError(code, folder: path) }
        close()
        try FileSystem.sync("\(path)/\(Environment.dataName)")
        try FileSystem.sync(path)
    }

    /// Makes the trees of tables whose contents were being removed, and counts shared tables.
    private func completeTrees(recounts: Bool) throws(StorageError) {
        let transaction = try begin()
        let registry = try handle(.registry, transaction)
        var entries: [(id: UInt64, isShared: Bool)] = []
        try walk(transaction, registry) { key, value in
            guard key.count == 9, key[0] == Registry.tableKey(0)[0],
                value.count == Registry.entryBytes + StoredBytes.checksumBytes
            else { return }
            let id = key.dropFirst().reduce(0) { $0 << 8 | UInt64($1) }
            entries.append((id, value[0] == 1))
        }
        for entry in entries where !entry.isShared {
            _ = try handle(RedoTree(rawValue: entry.id), transaction)
        }
        guard recounts else { return }
        var counts: [UInt64: Int64] = [:]
        for entry in entries where entry.isShared { counts[entry.id] = 0 }
        try walk(transaction, try handle(.shared, transaction)) { key, _ in
            let id = key.prefix(StoredBytes.prefixBytes).reduce(0) { $0 << 8 | UInt64($1) }
            counts[id]? += 1
        }
        for (id, count) in counts {
            try Registry.store(
                transaction, registry, Registry.countKey(id), Registry.value(count))
        }
    }

    private func walk(
        _ transaction: OpaquePointer, _ handle: UInt32,
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Void
    ) throws(StorageError) {
        var opened: OpaquePointer?
        let code = mdb_cursor_open(transaction, handle, &opened)
        guard code == 0, let cursor = opened else {
            throw LMDBCode.error(code, "mdb_cursor_open")
        }
        defer { mdb_cursor_close(cursor) }
        var key = MDB_val()
        var value = MDB_val()
        var found = mdb_cursor_get(cursor, &key, &value, MDB_FIRST)
        while found == 0 {
            body(StoredBytes.bytes(key), StoredBytes.bytes(value))
            found = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)
        }
        guard found == MDB_NOTFOUND else { throw LMDBCode.error(found, "mdb_cursor_get") }
    }
}
