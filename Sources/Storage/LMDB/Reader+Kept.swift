import CLMDB

extension LMDBStore.Reader {
    /// About how many bytes of pages were freed since the snapshot `snapshotID`, all of which are
    /// kept while it is in use; counts no further than `most`. O(commits since then).
    package func keptBytes(
        since snapshotID: UInt64, atMost most: UInt64
    ) throws(StorageError) -> UInt64 {
        try read { _ throws(StorageError) in
            guard failureCode == 0 else { throw LMDBCode.error(failureCode, "mdb_txn_renew") }
            var opened: OpaquePointer?
            // LMDB lists freed pages in its first tree, by the commit that freed them.
            let code = mdb_cursor_open(handle, 0, &opened)
            guard code == 0, let cursor = opened else {
                throw LMDBCode.error(code, "mdb_cursor_open")
            }
            defer { mdb_cursor_close(cursor) }
            var start = Int(clamping: snapshotID) + 1
            // SAFETY: the pointers are used within the closure only.
            return try withUnsafeMutableBytes(of: &start) { bytes throws(StorageError) in
                var key = MDB_val(mv_size: bytes.count, mv_data: bytes.baseAddress)
                return try Self.sum(cursor, &key, atMost: most)
            }
        }
    }

    private static func sum(
        _ cursor: OpaquePointer, _ key: inout MDB_val, atMost most: UInt64
    ) throws(StorageError) -> UInt64 {
        var bytes: UInt64 = 0
        var list = MDB_val()
        var code = mdb_cursor_get(cursor, &key, &list, MDB_SET_RANGE)
        while code == 0, bytes < most {
            // SAFETY: a list lies in the map, aligned, and begins with its length in a word.
            if list.mv_size >= MemoryLayout<Int>.size, let data = list.mv_data {
                bytes += UInt64(clamping: data.load(as: Int.self)) * 4096
            }
            code = mdb_cursor_get(cursor, &key, &list, MDB_NEXT)
        }
        guard code == 0 || code == MDB_NOTFOUND else {
            throw LMDBCode.error(code, "mdb_cursor_get")
        }
        return min(bytes, most)
    }
}
