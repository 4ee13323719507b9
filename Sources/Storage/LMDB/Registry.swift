// The store's own table: what format the data has, whose it is, which tables exist and where.
//
//   "format"    UInt32, the version; a newer one than ours is refused
//   "identity"  16 random bytes, made with the data
//   "next"      UInt64, the next table number; numbers are never reused
//   "redo"      empty: the file is only whole together with `checkpoint` and the redo log
//   "t" + id    kind (0 own table, 1 in the shared table), state (0 live, 1 dropped, its contents
//               are being removed)
//   "n" + id    Int64, the entries of a table in the shared table
//
// Integers are little-endian, ids in keys big-endian; values carry checksums like all others.
//
// Formats: 1, the first. 2, commits go through a redo log and are not synced to the data file.

import CLMDB

enum Registry {
    static let formatVersion: UInt32 = 2
    static let registryName = "registry"
    static let sharedName = "shared"

    static let formatKey = Array("format".utf8)
    static let identityKey = Array("identity".utf8)
    static let nextTableKey = Array("next".utf8)
    static let redoKey = Array("redo".utf8)
    static let entryBytes = 2

    static func tableKey(_ id: UInt64) -> [UInt8] { key("t", id) }
    static func countKey(_ id: UInt64) -> [UInt8] { key("n", id) }

    private static func key(_ kind: Unicode.Scalar, _ id: UInt64) -> [UInt8] {
        [UInt8(ascii: kind)] + withUnsafeBytes(of: id.bigEndian) { Array($0) }
    }

    static func value<T: FixedWidthInteger>(_ number: T) -> [UInt8] {
        withUnsafeBytes(of: number.littleEndian) { Array($0) }
    }

    static func number<T: FixedWidthInteger>(_ bytes: some Collection<UInt8>, as: T.Type) -> T? {
        guard bytes.count == MemoryLayout<T>.size else { return nil }
        return bytes.reversed().reduce(0) { $0 << 8 | T(truncatingIfNeeded: $1) }
    }

    static func entryValue(isShared: Bool, isDropped: Bool) -> [UInt8] {
        [isShared ? 1 : 0, isDropped ? 1 : 0]
    }

    /// What the registry says at opening.
    struct Loaded {
        var identity: [UInt8] = []
        var nextTable = TableID.firstFree
        var registryHandle: UInt32 = 0
        var sharedHandle: UInt32 = 0
        var tables: [TableMap.Entry] = []
    }

    /// Fills a new environment and commits it.
    static func format(_ environment: OpaquePointer) throws(StorageError) {
        let identity =
            value(UInt64.random(in: .min ... .max)) + value(UInt64.random(in: .min ... .max))
        let transaction = try begin(environment, flags: 0)
        do throws(StorageError) {
            let registry = try open(transaction, registryName, create: true)
            _ = try open(transaction, sharedName, create: true)
            try store(transaction, registry, formatKey, value(formatVersion))
            try store(transaction, registry, identityKey, identity)
            try store(transaction, registry, nextTableKey, value(TableID.firstFree.rawValue))
            for table in TableID.permanent { try make(table, transaction, registry) }
        } catch {
            mdb_txn_abort(transaction)
            throw error
        }
        let code = mdb_txn_commit(transaction)
        if code != 0 { throw LMDBCode.error(code, "commit") }
    }

    /// What must be known of a folder before its log is replayed.
    struct Header {
        var format: UInt32 = 0
        var identity: [UInt8] = []
        /// Whether the file is only whole together with `checkpoint` and the redo log.
        var needsRedo = false
    }

    /// Reads the header; refuses a newer format.
    static func header(
        _ environment: OpaquePointer, _ path: String
    ) throws(StorageError) -> Header {
        let transaction = try begin(environment, flags: UInt32(MDB_RDONLY))
        defer { mdb_txn_abort(transaction) }
        var header = Header()
        let registry = try openRegistry(transaction, path)
        header.format = try format(transaction, registry)
        header.identity = try get(transaction, registry, identityKey)
        let place = TableMap.Entry(id: 0, handle: registry, isShared: false)
        header.needsRedo = try lookUp(transaction, place, redoKey.span.bytes, nil) != nil
        return header
    }

    private static func openRegistry(
        _ transaction: OpaquePointer, _ path: String
    ) throws(StorageError) -> UInt32 {
        do throws(StorageError) {
            return try open(transaction, registryName, create: false)
        } catch {
            throw .cannotOpen(path: path, reason: "data.mdb was not made by Roost")
        }
    }

    private static func format(
        _ transaction: OpaquePointer, _ registry: UInt32
    ) throws(StorageError) -> UInt32 {
        let format = try get(transaction, registry, formatKey)
        guard let format = number(format, as: UInt32.self) else {
            throw .damaged(reason: "no format version")
        }
        guard format <= formatVersion else {
            throw .newerFormat(found: format, supported: formatVersion)
        }
        return format
    }

    /// Marks the data as of this release's format, which earlier ones refuse.
    static func upgrade(_ environment: OpaquePointer) throws(StorageError) {
        try change(environment) { transaction, registry throws(StorageError) in
            try store(transaction, registry, formatKey, value(formatVersion))
        }
    }

    /// Makes the permanent tables that a folder doesn't have yet, and notes that the file needs its
    /// redo log from now on; false where all that was there. The commit is not in the log: a
    /// checkpoint must follow.
    static func complete(
        _ environment: OpaquePointer, _ loaded: Loaded, _ header: Header
    ) throws(StorageError) -> Bool {
        let missing = TableID.permanent.filter { table in
            !loaded.tables.contains { $0.id == table.rawValue }
        }
        if missing.isEmpty, header.needsRedo { return false }
        try change(environment) { transaction, registry throws(StorageError) in
            try store(transaction, registry, redoKey, [])
            for table in missing { try make(table, transaction, registry) }
        }
        return true
    }

    private static func change(
        _ environment: OpaquePointer,
        _ body: (OpaquePointer, UInt32) throws(StorageError) -> Void
    ) throws(StorageError) {
        let transaction = try begin(environment, flags: 0)
        do throws(StorageError) {
            try body(transaction, try open(transaction, registryName, create: false))
        } catch {
            mdb_txn_abort(transaction)
            throw error
        }
        let code = mdb_txn_commit(transaction)
        if code != 0 { throw LMDBCode.error(code, "commit") }
    }

    private static func make(
        _ table: TableID, _ transaction: OpaquePointer, _ registry: UInt32
    ) throws(StorageError) {
        _ = try open(transaction, String(table.rawValue), create: true)
        try store(
            transaction, registry, tableKey(table.rawValue),
            entryValue(isShared: false, isDropped: false))
    }

    /// Reads the registry and opens a handle for each table, before any other transaction exists.
    static func load(
        _ environment: OpaquePointer, _ path: String
    ) throws(StorageError) -> Loaded {
        // Handles opened in a transaction outlive it only if it commits; this one writes nothing.
        let transaction = try begin(environment, flags: UInt32(MDB_RDONLY))
        let loaded: Loaded
        do throws(StorageError) {
            loaded = try load(in: transaction, path)
        } catch {
            mdb_txn_abort(transaction)
            throw error
        }
        let code = mdb_txn_commit(transaction)
        if code != 0 { throw LMDBCode.error(code, "commit") }
        return loaded
    }

    private static func load(
        in transaction: OpaquePointer, _ path: String
    ) throws(StorageError) -> Loaded {
        var loaded = Loaded()
        let registry = try openRegistry(transaction, path)
        loaded.registryHandle = registry
        // Again: the replay may have raised it.
        _ = try format(transaction, registry)
        loaded.sharedHandle = try open(transaction, sharedName, create: false)
        loaded.identity = try get(transaction, registry, identityKey)
        guard
            let next = number(try get(transaction, registry, nextTableKey), as: UInt64.self)
        else { throw .damaged(reason: "no table counter") }
        loaded.nextTable = TableID(rawValue: next)
        try loadTables(in: transaction, &loaded)
        return loaded
    }

    private static func loadTables(
        in transaction: OpaquePointer, _ loaded: inout Loaded
    ) throws(StorageError) {
        var opened: OpaquePointer?
        let code = mdb_cursor_open(transaction, loaded.registryHandle, &opened)
        guard code == 0, let handle = opened else {
            throw LMDBCode.error(code, "mdb_cursor_open")
        }
        let place = TableMap.Entry(
            id: TableID.registry.rawValue, handle: loaded.registryHandle, isShared: false)
        // SAFETY: `scratch` outlives the cursor, whose scope is this function.
        let scratch = UnsafeMutableRawPointer.allocate(
            byteCount: StoredBytes.storedKeyBytesMax, alignment: 8)
        defer { scratch.deallocate() }
        var cursor = LMDBStore.Cursor(handle, place, scratch: scratch, home: nil)
        let kind = tableKey(0)[0]
        var found = try cursor.seek(to: [kind].span.bytes)
        while found {
            let key = Array(copying: cursor.key)
            guard key.count == 9, key[0] == kind else { break }
            let id = key[1...].reduce(0) { $0 << 8 | UInt64($1) }
            let value = Array(copying: try cursor.value())
            guard value.count == entryBytes else {
                throw .damaged(reason: "registry entry of table \(id)")
            }
            let isShared = value[0] == 1
            let isDropped = value[1] == 1
            let handle =
                isShared
                ? loaded.sharedHandle : try open(transaction, String(id), create: false)
            loaded.tables.append(
                TableMap.Entry(
                    id: id, handle: handle, isShared: isShared, droppedIn: isDropped ? 0 : .max))
            found = try cursor.next()
        }
    }

    static func begin(
        _ environment: OpaquePointer, flags: UInt32
    ) throws(StorageError) -> OpaquePointer {
        var transaction: OpaquePointer?
        let code = mdb_txn_begin(environment, nil, flags, &transaction)
        guard code == 0, let transaction else { throw LMDBCode.error(code, "mdb_txn_begin") }
        return transaction
    }

    /// Opens a named table's handle.
    static func open(
        _ transaction: OpaquePointer, _ name: String, create: Bool
    ) throws(StorageError) -> UInt32 {
        var handle: UInt32 = 0
        let code = mdb_dbi_open(transaction, name, create ? UInt32(MDB_CREATE) : 0, &handle)
        guard code == 0 else {
            if code == MDB_NOTFOUND { throw .damaged(reason: "table \(name) is missing") }
            throw LMDBCode.error(code, "mdb_dbi_open")
        }
        return handle
    }

    /// Writes what stands there already, so that the transaction has something to commit.
    static func rewrite(
        _ transaction: OpaquePointer, _ registry: UInt32, _ redo: RedoBuffer
    ) throws(StorageError) {
        let value = try get(transaction, registry, nextTableKey)
        try store(transaction, registry, nextTableKey, value, redo)
    }

    static func store(
        _ transaction: OpaquePointer, _ handle: UInt32, _ key: [UInt8], _ value: [UInt8],
        _ redo: RedoBuffer? = nil
    ) throws(StorageError) {
        let place = TableMap.Entry(id: 0, handle: handle, isShared: false)
        let code = storeValue(
            transaction, place, key.span.bytes, value.span.bytes, flags: 0, scratch: nil,
            redo: redo)
        if code != 0 { throw LMDBCode.error(code, "mdb_put") }
    }

    private static func get(
        _ transaction: OpaquePointer, _ handle: UInt32, _ key: [UInt8]
    ) throws(StorageError) -> [UInt8] {
        let place = TableMap.Entry(id: 0, handle: handle, isShared: false)
        return try lookUp(transaction, place, key.span.bytes, nil).map { Array($0) } ?? []
    }
}
