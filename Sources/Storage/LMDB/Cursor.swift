import CChecksum
import CLMDB

extension LMDBStore {
    /// A place in a table; see `OrderedCursor`. In a read transaction LMDB's cursor behind it is
    /// the reader's, renewed, so that opening one allocates nothing.
    package struct Cursor: OrderedCursor, ~Copyable, ~Escapable {
        // SAFETY: LMDB's cursor belongs to this value until deinit gives it back; the compiler
        // keeps the transaction borrowed, hence open and unchanged, as long as this value lives.
        // `scratch` and `home` belong to the reader or writer that owns the transaction.
        private let cursor: OpaquePointer?
        private let scratch: UnsafeMutableRawPointer
        private let home: UnsafeMutablePointer<OpaquePointer?>?
        private let entry: TableMap.Entry
        /// Why there is no cursor: the first move says so.
        private let failureCode: Int32
        private var storedKey = MDB_val()
        private var storedValue = MDB_val()
        /// Whether LMDB's cursor stands on an entry of the table.
        private(set) var isPlaced = false
        /// The place in the reader's draft; nil where the draft has nothing of the table.
        var walk: DraftWalk?

        /// Takes over `cursor`, on `entry`; it goes back to `home` at the end, or is closed if that is taken.
        @_lifetime(immortal)
        init(
            _ cursor: OpaquePointer, _ entry: TableMap.Entry, scratch: UnsafeMutableRawPointer,
            home: UnsafeMutablePointer<OpaquePointer?>?
        ) {
            self.cursor = cursor
            self.entry = entry
            self.scratch = scratch
            self.home = home
            failureCode = 0
        }

        /// A cursor whose every move throws.
        @_lifetime(immortal)
        init(failure code: Int32, _ table: TableID, scratch: UnsafeMutableRawPointer) {
            cursor = nil
            entry = TableMap.Entry(id: table.rawValue, handle: 0, isShared: false)
            self.scratch = scratch
            home = nil
            failureCode = code
        }

        deinit {
            guard let cursor else { return }
            if let home, home.pointee == nil {
                home.pointee = cursor
            } else {
                mdb_cursor_close(cursor)
            }
        }

        /// Moves to the first entry.
        @_lifetime(self: copy self)
        package mutating func first() throws(StorageError) -> Bool {
            if let walk { return try first(walk) }
            return try storedFirst()
        }

        /// Moves to the first entry, the draft aside.
        @_lifetime(self: copy self)
        mutating func storedFirst() throws(StorageError) -> Bool {
            entry.isShared ? try find(RawSpan(), inside: true) : try move(MDB_FIRST)
        }

        /// Moves to the last entry.
        @_lifetime(self: copy self)
        package mutating func last() throws(StorageError) -> Bool {
            if let walk { return try last(walk) }
            return try storedLast()
        }

        /// Moves to the last entry, the draft aside.
        @_lifetime(self: copy self)
        mutating func storedLast() throws(StorageError) -> Bool {
            guard entry.isShared else { return try move(MDB_LAST) }
            // The last entry of a shared table is the one before the next id's first.
            StoredBytes.writePrefix(entry.id &+ 1, to: scratch)
            storedKey = MDB_val(mv_size: StoredBytes.prefixBytes, mv_data: scratch)
            return try move(try move(MDB_SET_RANGE, inside: false) ? MDB_PREV : MDB_LAST)
        }

        /// Moves to the first entry whose key is not below `key`.
        @_lifetime(self: copy self)
        package mutating func seek(to key: RawSpan) throws(StorageError) -> Bool {
            if let walk { return try seek(to: key, walk) }
            return try find(key, inside: true)
        }

        /// Moves to the last entry whose key is below `key`.
        @_lifetime(self: copy self)
        package mutating func seek(before key: RawSpan) throws(StorageError) -> Bool {
            if let walk { return try seek(before: key, walk) }
            return try storedSeek(before: key)
        }

        /// Moves to the last entry below `key`, the draft aside.
        @_lifetime(self: copy self)
        mutating func storedSeek(before key: RawSpan) throws(StorageError) -> Bool {
            try move(try find(key, inside: false) ? MDB_PREV : MDB_LAST)
        }

        /// Moves one entry on.
        @_lifetime(self: copy self)
        package mutating func next() throws(StorageError) -> Bool {
            if let walk { return try step(walk, isForward: true) }
            return isPlaced ? try move(MDB_NEXT) : try storedFirst()
        }

        /// Moves one entry back.
        @_lifetime(self: copy self)
        package mutating func previous() throws(StorageError) -> Bool {
            if let walk { return try step(walk, isForward: false) }
            return isPlaced ? try move(MDB_PREV) : try storedLast()
        }

        /// Moves LMDB's cursor one entry on or back.
        @_lifetime(self: copy self)
        mutating func storedStep(isForward: Bool) throws(StorageError) {
            if isPlaced { _ = try move(isForward ? MDB_NEXT : MDB_PREV) }
        }

        /// The key at the cursor; empty when it stands on no entry.
        package var key: RawSpan {
            @_lifetime(borrow self)
            get {
                _overrideLifetime(RawSpan(_unsafeBytes: keyBytes), borrowing: self)
            }
        }

        /// The value at the cursor, its checksum verified at each call.
        @_lifetime(borrow self)
        package func value() throws(StorageError) -> RawSpan {
            if let walk, walk.side != .below {
                let bytes = walk.side == .draft ? walk.entry?.value?.lent : nil
                return _overrideLifetime(
                    RawSpan(_unsafeBytes: bytes ?? Self.nothing), borrowing: self)
            }
            guard isPlaced else { return RawSpan() }
            roost_prefetch_below(storedValue.mv_data, storedValue.mv_size)
            guard let payload = StoredBytes.payload(key: keyBytes, stored: storedValue) else {
                throw .corrupted(table: entry.table, key: Array(keyBytes))
            }
            return _overrideLifetime(RawSpan(_unsafeBytes: payload), borrowing: self)
        }

        private static var nothing: UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(start: nil, count: 0)
        }

        private var keyBytes: UnsafeRawBufferPointer {
            if let walk, walk.side != .below {
                return walk.side == .draft ? walk.entry?.key.lent ?? Self.nothing : Self.nothing
            }
            return storedKeyBytes
        }

        /// The key at LMDB's cursor, the draft aside.
        var storedKeyBytes: UnsafeRawBufferPointer {
            guard isPlaced else { return Self.nothing }
            let stored = StoredBytes.bytes(storedKey)
            guard entry.isShared else { return stored }
            return UnsafeRawBufferPointer(rebasing: stored[StoredBytes.prefixBytes...])
        }

        @_lifetime(self: copy self)
        mutating func find(_ key: RawSpan, inside: Bool) throws(StorageError) -> Bool {
            guard key.byteCount <= StoredBytes.keyBytesMax else {
                throw .invalidKey(byteCount: key.byteCount)
            }
            if key.isEmpty, !entry.isShared {
                // Nothing is below the empty key; MDB_SET_RANGE would refuse it.
                return try move(MDB_FIRST, inside: true)
            }
            let count = key.byteCount
            let start = entry.isShared ? StoredBytes.prefixBytes : 0
            if entry.isShared { StoredBytes.writePrefix(entry.id, to: scratch) }
            let scratch = scratch
            key.withUnsafeBytes { bytes in
                if let base = bytes.baseAddress {
                    (scratch + start).copyMemory(from: base, byteCount: count)
                }
            }
            storedKey = MDB_val(mv_size: start + count, mv_data: scratch)
            return try move(MDB_SET_RANGE, inside: inside)
        }

        /// Moves LMDB's cursor. With `inside`, an entry of another table sharing the same tree
        /// counts as none.
        @_lifetime(self: copy self)
        private mutating func move(
            _ step: MDB_cursor_op, inside: Bool = true
        ) throws(StorageError) -> Bool {
            isPlaced = false
            guard let cursor else {
                if let walk, walk.table.isNew { return false }
                throw LMDBCode.error(failureCode, "mdb_cursor_open", table: entry.table)
            }
            var key = storedKey
            var value = storedValue
            let code = mdb_cursor_get(cursor, &key, &value, step)
            storedKey = key
            storedValue = value
            guard code == 0 else {
                if code == MDB_NOTFOUND { return false }
                throw LMDBCode.error(code, "mdb_cursor_get", table: entry.table)
            }
            if entry.isShared, inside {
                let stored = StoredBytes.bytes(storedKey)
                guard stored.count > StoredBytes.prefixBytes,
                    stored.loadUnaligned(as: UInt64.self).bigEndian == entry.id
                else { return false }
            }
            isPlaced = true
            return true
        }
    }
}
