import CLMDB
import Glibc

/// A tree of the store as backups name it: a table's own, or one of the store's.
package struct CopiedTree: Hashable, Sendable {
    /// Its number, which is the same in the log's operations.
    package let rawValue: UInt64

    /// Names the tree of that number.
    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }
}

/// Some entries of a tree, as operations that put them.
package struct CopiedEntries: Sendable {
    /// The operations, behind each other.
    package var bytes: [UInt8] = []
    /// The last entry's key, as it is stored; nil at the tree's end.
    package var last: [UInt8]?
}

extension LMDBStore.ReadTransaction {
    /// The trees that there are.
    package var copiedTrees: [CopiedTree] {
        let own = reader.tables.entries.filter { $0.isLive && !$0.isShared }.map(\.id)
        return ([RedoTree.registry.rawValue] + own + [RedoTree.shared.rawValue])
            .map { CopiedTree(rawValue: $0) }
    }

    /// Copies entries behind a key (nil: from the first on) until there are `bytesMax` bytes; one
    /// at least. Each one's checksum is verified. A tree that is gone has no entries.
    /// Throws `corrupted`, `damaged`.
    package func copyEntries(
        of tree: CopiedTree, after key: [UInt8]?, bytesMax: Int
    ) throws(StorageError) -> CopiedEntries {
        guard let entry = try place(of: tree) else { return CopiedEntries() }
        var opened: OpaquePointer?
        let code = mdb_cursor_open(reader.handle, entry.handle, &opened)
        guard code == 0, let cursor = opened else {
            throw LMDBCode.error(code, "mdb_cursor_open", table: entry.table)
        }
        defer { mdb_cursor_close(cursor) }
        var copied = CopiedEntries()
        let operations = RedoBuffer()
        var found = try Self.seek(cursor, behind: key, entry)
        while let (key, value) = found {
            // SAFETY: views of LMDB's map, valid while the snapshot is held, which the body of the
            // read that lent `self` does.
            let own =
                entry.isShared
                ? UnsafeRawBufferPointer(rebasing: key.dropFirst(StoredBytes.prefixBytes)) : key
            guard StoredBytes.payload(key: own, stored: StoredBytes.view(value)) != nil else {
                throw .corrupted(table: entry.table, key: Array(own))
            }
            operations.put(
                RedoTree(rawValue: tree.rawValue), isAppend: true, key: key, value: value)
            if operations.bodyBytes >= bytesMax {
                copied.last = Array(key)
                break
            }
            found = try Self.move(cursor, MDB_NEXT, nil, entry)
        }
        let count = operations.bodyBytes
        copied.bytes = operations.withRecord { record in
            Array(record[RedoHeader.byteCount..<RedoHeader.byteCount + count])
        }
        return copied
    }

    private func place(of tree: CopiedTree) throws(StorageError) -> TableMap.Entry? {
        if reader.failureCode != 0 {
            throw LMDBCode.error(reader.failureCode, "mdb_txn_renew")
        }
        let environment = reader.environment
        switch RedoTree(rawValue: tree.rawValue) {
        case .registry:
            return TableMap.Entry(
                id: tree.rawValue, handle: environment.registryHandle, isShared: false)
        case .shared:
            return TableMap.Entry(
                id: tree.rawValue, handle: environment.sharedHandle, isShared: true)
        default:
            let table = TableID(rawValue: tree.rawValue)
            if environment.damagedTables.contains(tree.rawValue) {
                throw environment.missing(table)
            }
            return reader.tables.find(table, at: reader.snapshotID)
        }
    }

    private typealias Found = (key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer)

    private static func seek(
        _ cursor: OpaquePointer, behind key: [UInt8]?, _ entry: TableMap.Entry
    ) throws(StorageError) -> Found? {
        guard let key else { return try move(cursor, MDB_FIRST, nil, entry) }
        let found = try move(cursor, MDB_SET_RANGE, key, entry)
        guard let found, found.key.elementsEqual(key) else { return found }
        return try move(cursor, MDB_NEXT, nil, entry)
    }

    private static func move(
        _ cursor: OpaquePointer, _ operation: MDB_cursor_op, _ key: [UInt8]?,
        _ entry: TableMap.Entry
    ) throws(StorageError) -> Found? {
        var value = MDB_val()
        // SAFETY: LMDB reads the key during the call and answers views of its map.
        let (code, found) = (key ?? []).withUnsafeBytes { bytes in
            var view = StoredBytes.view(bytes)
            let code = mdb_cursor_get(cursor, &view, &value, operation)
            return (code, StoredBytes.bytes(view))
        }
        if code == MDB_NOTFOUND { return nil }
        guard code == 0 else {
            throw code == EINVAL
                ? .noSuchTable(entry.table)
                : LMDBCode.error(code, "mdb_cursor_get", table: entry.table)
        }
        return (found, StoredBytes.bytes(value))
    }
}
