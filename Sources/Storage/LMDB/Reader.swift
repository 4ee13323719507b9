import CLMDB
import Glibc
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
        /// LMDB's code if the snapshot could not be taken.
        private(set) var failureCode: Int32 = 0
        private var isOpen = false
        private var isPinned = false
        /// Whether the snapshot of a read that ends is kept for the next one.
        private var isRetaining = false
        /// Whether a snapshot is kept that no read uses.
        private var isKept = false
        /// What edits changed; reads show it.
        private(set) var draft: Draft?
        private var draftContext: WriteContext?

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

        /// Keeps the snapshots of reads that end, one at a time, until `release`.
        package func retain() { isRetaining = true }

        /// Lets go of a kept snapshot.
        package func release() {
            isRetaining = false
            if isKept { letGo() }
        }

        /// Takes the newest snapshot and keeps it until `invalidate`.
        @discardableResult
        package func pin() throws(StorageError) -> UInt64 {
            if isPinned { end() }
            begin()
            if failureCode != 0 {
                let error = LMDBCode.error(failureCode, "mdb_txn_renew")
                end()
                throw error
            }
            isPinned = true
            return snapshotID
        }

        /// Lets go of the pinned snapshot, and of the draft.
        package func invalidate() {
            guard isPinned else { return }
            _ = endDraft()
            end()
        }

        /// Begins a draft of at most `bytesMax` bytes over the pinned snapshot.
        package func beginDraft(bytesMax: Int) {
            let context = WriteContext(environment)
            context.undoable.tables = tables
            let draft = Draft(bytesMax: bytesMax)
            context.draft = draft
            self.draft = draft
            draftContext = context
        }

        /// The draft's changes in order.
        package var draftChanges: [DraftChange] { draft?.changes ?? [] }

        /// Changes the draft; throws `closed` where none was begun.
        package func edit<R>(_ body: (inout WriteTransaction) throws -> R) throws -> R {
            guard let draftContext, isPinned else { throw StorageError.closed }
            var transaction = WriteTransaction(draftContext, handle)
            return try body(&transaction)
        }

        /// As `read`, without what the draft changed.
        package func readBelowDraft<R: ~Copyable, E: Error>(
            _ body: (borrowing ReadTransaction) throws(E) -> R
        ) throws(E) -> R {
            let kept = draft
            draft = nil
            defer { draft = kept }
            return try read(body)
        }

        /// Ends the draft, so that reads show the snapshot as it is, and answers its changes.
        package func endDraft() -> [DraftChange] {
            defer {
                draft = nil
                draftContext = nil
            }
            return draftChanges
        }

        private func begin() {
            isOpen = true
            if isKept {
                if isKeptNewest {
                    isKept = false
                    return
                }
                letGo()
            }
            let code = mdb_txn_renew(handle)
            guard code == 0 else {
                beginFailedSlowPath(code)
                return
            }
            failureCode = 0
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
            failureCode = code
            tables = .empty
            snapshotID = 0
        }

        private func end() {
            isOpen = false
            if isRetaining, !isPinned, failureCode == 0 {
                isKept = true
            } else {
                letGo()
            }
            isPinned = false
        }

        /// Whether the kept snapshot is what a new one would be.
        private var isKeptNewest: Bool {
            environment.newestCommit.load(ordering: .acquiring) == snapshotID
                && environment.tablesGeneration.load(ordering: .relaxed) == tablesGeneration
        }

        private func letGo() {
            isKept = false
            activeSnapshot.store(0, ordering: .releasing)
            if failureCode == 0 { mdb_txn_reset(handle) }
        }

        /// The error for a table that the map doesn't have.
        @inline(never)
        func missing(_ table: TableID) -> StorageError {
            failureCode == 0
                ? environment.missing(table) : LMDBCode.error(failureCode, "mdb_txn_renew")
        }

        /// LMDB's code for a cursor on a table that the map doesn't have.
        @inline(never)
        fileprivate func codeOfMissing(_ table: TableID) -> Int32 {
            environment.damagedTables.contains(table.rawValue) ? MDB_CORRUPTED : MDB_BAD_DBI
        }

        /// A cursor on a table: the idle one of its handle, or a new one.
        @_lifetime(immortal)
        func makeCursor(_ entry: TableMap.Entry) -> Cursor {
            let home = idleCursors + Int(entry.handle)
            if let idle = home.pointee {
                home.pointee = nil
                if mdb_cursor_renew(handle, idle) == 0 {
                    return Cursor(idle, entry, scratch: scratch, home: home)
                }
                mdb_cursor_close(idle)
            }
            var made: OpaquePointer?
            let code = mdb_cursor_open(handle, entry.handle, &made)
            guard code == 0, let made else {
                // EINVAL: the handle is younger than the snapshot.
                let code = code == EINVAL ? MDB_BAD_DBI : code
                return Cursor(failure: code, entry.table, scratch: scratch)
            }
            return Cursor(made, entry, scratch: scratch, home: home)
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
            if let changed = reader.draft?.table(table) {
                if let own = changed.find(key) {
                    guard let bytes = own.value?.lent else { return nil }
                    return _overrideLifetime(RawSpan(_unsafeBytes: bytes), borrowing: self)
                }
                if changed.isNew { return nil }
            }
            let entry = try entry(table)
            guard let payload = try lookUp(reader.handle, entry, key, reader.scratch) else {
                return nil
            }
            return _overrideLifetime(RawSpan(_unsafeBytes: payload), borrowing: self)
        }

        /// Replaces `bytes` by a copy of the value under `key`; false if there is none.
        package func copyValue(
            _ table: TableID, _ key: RawSpan, into bytes: inout [UInt8]
        ) throws(StorageError) -> Bool {
            bytes.removeAll(keepingCapacity: true)
            guard let value = try value(table, key) else { return false }
            value.withUnsafeBytes { bytes.append(contentsOf: $0) }
            return true
        }

        /// The number of entries.
        package func entryCount(_ table: TableID) throws(StorageError) -> UInt64 {
            let changed = reader.draft?.table(table)
            if let changed, changed.isNew { return UInt64(0).addingClamped(changed.countChange) }
            let count = try countEntries(
                reader.handle, try entry(table), registry: reader.environment.registryHandle)
            return changed.map { count.addingClamped($0.countChange) } ?? count
        }

        /// A cursor on a table; its first move throws what stands in its way.
        @_lifetime(borrow self)
        package func cursor(_ table: TableID) -> Cursor {
            guard let changed = reader.draft?.table(table) else { return storedCursor(table) }
            var cursor = storedCursor(table)
            cursor.walk = DraftWalk(changed)
            return cursor
        }

        /// Keys that divide a range, read off the tree's branch pages. None under a draft, which may
        /// have changed what lies where.
        package func splitKeys(
            _ table: TableID, _ range: SplitRange, partsMax: Int, partBytesMin: Int
        ) -> [[UInt8]] {
            guard reader.draft?.table(table) == nil,
                let entry = reader.tables.find(table, at: reader.snapshotID),
                let split = TreeSplit.find(reader.handle, entry, folder: reader.environment.path)
            else { return [] }
            return split.keys(range, partsMax: partsMax, partBytesMin: partBytesMin)
        }

        @_lifetime(borrow self)
        private func storedCursor(_ table: TableID) -> Cursor {
            guard let entry = reader.tables.find(table, at: reader.snapshotID) else {
                let code =
                    reader.failureCode == 0 ? reader.codeOfMissing(table) : reader.failureCode
                return _overrideLifetime(
                    Cursor(failure: code, table, scratch: reader.scratch), borrowing: self)
            }
            return _overrideLifetime(reader.makeCursor(entry), borrowing: self)
        }

        @inline(__always)
        private func entry(_ table: TableID) throws(StorageError) -> TableMap.Entry {
            guard let entry = reader.tables.find(table, at: reader.snapshotID) else {
                throw reader.missing(table)
            }
            return entry
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
        throw code == EINVAL
            ? .noSuchTable(entry.table) : LMDBCode.error(code, "mdb_stat", table: entry.table)
    }
    return statistics
}
