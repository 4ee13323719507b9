import CLMDB
import Synchronization

extension LMDBStore {
    /// A renewable read transaction with its cursors; see `StoreReader`. Confined to one thread at
    /// a time: an event loop, or a thread of the reader pool.
    package final class Reader: StoreReader, @unchecked Sendable {
        // Sendable: it may move between threads as a whole; its owner sees to it that only one uses
        // it at a time, and the writer looks at the two atomics only.

        let environment: Environment
        // SAFETY: allocated in init and freed in deinit; a read body borrows them at most as long
        // as it runs, and `read` keeps self alive meanwhile.
        let handle: OpaquePointer
        let scratch: UnsafeMutableRawPointer
        let idleCursors: UnsafeMutablePointer<OpaquePointer?>

        /// The map that belongs to the snapshot; empty if none could be taken.
        private(set) var tables = TableMap.empty
        private var tablesGeneration: UInt64 = 0
        private(set) var snapshotID: UInt64 = 0
        /// Why the snapshot could not be taken.
        private(set) var failure: StorageError?
        private var isOpen = false
        private var isPinned = false

        /// The snapshot in use, 0 between reads.
        let activeSnapshot = Atomic<UInt64>(0)
        /// When it was taken, by the coarse clock.
        let activeSince = Atomic<UInt64>(0)

        init(_ environment: Environment) throws(StorageError) {
            var transaction: OpaquePointer?
            let code = mdb_txn_begin(environment.handle, nil, UInt32(MDB_RDONLY), &transaction)
            guard code == 0, let transaction else {
                if code == MDB_READERS_FULL {
                    throw .readersFull(max: environment.options.readersMax)
                }
                throw LMDBCode.error(code, "mdb_txn_begin")
            }
            mdb_txn_reset(transaction)
            self.environment = environment
            handle = transaction
            scratch = .allocate(byteCount: StoredBytes.storedKeyBytesMax, alignment: 8)
            idleCursors = .allocate(capacity: Environment.handlesMax + 2)
            idleCursors.initialize(repeating: nil, count: Environment.handlesMax + 2)
            environment.readers.add(self)
        }

        deinit {
            environment.readers.remove(self)
            for index in 0..<Environment.handlesMax + 2 {
                if let cursor = idleCursors[index] { mdb_cursor_close(cursor) }
            }
            mdb_txn_abort(handle)
            idleCursors.deallocate()
            scratch.deallocate()
        }

        /// Runs `body` on the newest snapshot, or the pinned one. A read inside a read sees the
        /// outer one's snapshot.
        package func read<R: ~Copyable, E: Error>(
            _ body: (borrowing ReadTransaction) throws(E) -> R
        ) throws(E) -> R {
            let isOutermost = !isOpen
            if isOutermost { begin() }
            defer { if isOutermost { end() } }
            return try body(ReadTransaction(self))
        }

        /// Takes the newest snapshot and keeps it until `invalidate`.
        @discardableResult
        package func pin() throws(StorageError) -> UInt64 {
            if isPinned { end() }
            begin()
            if let failure {
                end()
                throw failure
            }
            isPinned = true
            return snapshotID
        }

        /// Lets go of the pinned snapshot.
        package func invalidate() {
            guard isPinned else { return }
            end()
        }

        private func begin() {
            isOpen = true
            let code = mdb_txn_renew(handle)
            guard code == 0 else {
                beginFailedSlowPath(code)
                return
            }
            failure = nil
            snapshotID = UInt64(mdb_txn_id(handle))
            activeSince.store(Clock.coarseNanos(), ordering: .relaxed)
            // Before the map is looked at: who gives a table's handle back first publishes a map
            // without it and then looks for readers that may have the old one.
            activeSnapshot.store(snapshotID, ordering: .sequentiallyConsistent)
            let generation = environment.tablesGeneration.load(ordering: .sequentiallyConsistent)
            if generation != tablesGeneration || tables === TableMap.empty {
                tables = environment.tables
                tablesGeneration = generation
            }
        }

        @inline(never)
        private func beginFailedSlowPath(_ code: Int32) {
            failure = LMDBCode.error(code, "mdb_txn_renew")
            tables = .empty
            snapshotID = 0
        }

        private func end() {
            isOpen = false
            isPinned = false
            activeSnapshot.store(0, ordering: .releasing)
            if failure == nil { mdb_txn_reset(handle) }
        }

        /// An error for a table that the map doesn't have.
        @inline(never)
        func missing(_ error: StorageError) -> StorageError {
            failure ?? error
        }

        /// Takes an idle cursor on a table's handle, or makes one.
        func takeCursor(_ entry: TableMap.Entry) throws(StorageError) -> OpaquePointer {
            let home = idleCursors + Int(entry.handle)
            if let idle = home.pointee {
                home.pointee = nil
                let code = mdb_cursor_renew(handle, idle)
                if code == 0 { return idle }
                mdb_cursor_close(idle)
            }
            var made: OpaquePointer?
            let code = mdb_cursor_open(handle, entry.handle, &made)
            guard code == 0, let made else {
                // EINVAL: the handle is younger than the snapshot.
                if code == MDB_BAD_DBI || code == 22 { throw .noSuchTable(entry.table) }
                throw LMDBCode.error(code, "mdb_cursor_open", table: entry.table)
            }
            return made
        }
    }

    /// A snapshot, lent to the body of a read; see `ReadableTransaction`.
    package struct ReadTransaction: ReadableTransaction, ~Copyable {
        // SAFETY: lent by `Reader.read`, which keeps the reader alive until the body is done.
        private unowned(unsafe) let reader: Reader

        init(_ reader: Reader) {
            self.reader = reader
        }

        /// The number of the commit that it shows.
        package var snapshotID: UInt64 { reader.snapshotID }

        /// The value under `key`, checksum verified; nil if there is none.
        @_lifetime(borrow self)
        package func value(_ table: TableID, _ key: RawSpan) throws(StorageError) -> RawSpan? {
            let entry = try entry(table)
            guard let payload = try lookUp(reader.handle, entry, key, reader.scratch) else {
                return nil
            }
            return _overrideLifetime(RawSpan(_unsafeBytes: payload), borrowing: self)
        }

        /// The number of entries.
        package func entryCount(_ table: TableID) throws(StorageError) -> UInt64 {
            try countEntries(
                reader.handle, try entry(table), registry: reader.environment.registryHandle)
        }

        /// A cursor on a table.
        @_lifetime(borrow self)
        package func cursor(_ table: TableID) throws(StorageError) -> Cursor {
            let entry = try entry(table)
            let cursor = Cursor(
                try reader.takeCursor(entry), entry, scratch: reader.scratch,
                home: reader.idleCursors + Int(entry.handle))
            return _overrideLifetime(cursor, borrowing: self)
        }

        @inline(__always)
        private func entry(_ table: TableID) throws(StorageError) -> TableMap.Entry {
            do throws(StorageError) {
                return try reader.tables.entry(table, at: reader.snapshotID)
            } catch {
                throw reader.missing(error)
            }
        }
    }
}

/// The entries of a table, in constant time: LMDB counts those of a tree, the registry those of a
/// table in the shared tree.
func countEntries(
    _ transaction: OpaquePointer, _ entry: TableMap.Entry, registry: UInt32
) throws(StorageError) -> UInt64 {
    guard entry.isShared else {
        return UInt64(try treeStatistics(transaction, entry).ms_entries)
    }
    let place = TableMap.Entry(id: TableID.registry.rawValue, handle: registry, isShared: false)
    let key = Registry.countKey(entry.id)
    guard let count = try lookUp(transaction, place, key.span.bytes, nil) else { return 0 }
    return Registry.number(count, as: UInt64.self) ?? 0
}

/// LMDB's numbers about the tree that holds a table.
func treeStatistics(
    _ transaction: OpaquePointer, _ entry: TableMap.Entry
) throws(StorageError) -> MDB_stat {
    var statistics = MDB_stat()
    let code = mdb_stat(transaction, entry.handle, &statistics)
    // EINVAL: the handle is younger than the snapshot.
    guard code == 0 else {
        throw code == 22
            ? .noSuchTable(entry.table) : LMDBCode.error(code, "mdb_stat", table: entry.table)
    }
    return statistics
}
