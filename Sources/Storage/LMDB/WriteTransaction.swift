import CLMDB

extension LMDBStore {
    /// The transaction that an operation runs in; see `WritableTransaction`. Lent by the writer, on
    /// its thread.
    package struct WriteTransaction: WritableTransaction, ~Copyable {
        // SAFETY: the writer keeps the context alive and the transaction open while it lends this
        // value; the value can't be copied out of the operation.
        private unowned(unsafe) let context: WriteContext
        private let handle: OpaquePointer

        init(_ context: WriteContext, _ handle: OpaquePointer) {
            self.context = context
            self.handle = handle
        }

        /// The number that the commit will have.
        package var snapshotID: UInt64 { UInt64(mdb_txn_id(handle)) }

        /// The value under `key`, checksum verified; nil if there is none.
        @_lifetime(borrow self)
        package func value(_ table: TableID, _ key: RawSpan) throws(StorageError) -> RawSpan? {
            guard let payload = try find(table, key) else { return nil }
            return _overrideLifetime(RawSpan(_unsafeBytes: payload), borrowing: self)
        }

        /// Replaces `bytes` by a copy of the value under `key`; false if there is none.
        package func copyValue(
            _ table: TableID, _ key: RawSpan, into bytes: inout [UInt8]
        ) throws(StorageError) -> Bool {
            bytes.removeAll(keepingCapacity: true)
            guard let payload = try find(table, key) else { return false }
            bytes.append(contentsOf: payload)
            return true
        }

        /// The value under `key`, in the draft or the store.
        ///
        /// SAFETY: the answer lives until the transaction is next written to.
        @inline(__always)
        private func find(
            _ table: TableID, _ key: RawSpan
        ) throws(StorageError) -> UnsafeRawBufferPointer? {
            if let changed = context.draft?.table(table) {
                if let own = changed.find(key) { return own.value?.lent }
                if changed.isNew { return nil }
            }
            return try lookUp(handle, try entry(table), key, context.scratch)
        }

        /// The number of entries.
        package func entryCount(_ table: TableID) throws(StorageError) -> UInt64 {
            let changed = context.draft?.table(table)
            if let changed, changed.isNew { return UInt64(0).addingClamped(changed.countChange) }
            let entry = try entry(table)
            let count = try countEntries(
                handle, entry, registry: context.environment.registryHandle)
            if let changed { return count.addingClamped(changed.countChange) }
            guard entry.isShared else { return count }
            return count.addingClamped(context.undoable.countChanges[entry.id] ?? 0)
        }

        /// A cursor on a table; the transaction can't be written to while it lives.
        @_lifetime(borrow self)
        package func cursor(_ table: TableID) -> Cursor {
            guard let changed = context.draft?.table(table) else { return storedCursor(table) }
            var cursor = storedCursor(table)
            cursor.walk = DraftWalk(changed)
            return cursor
        }

        @_lifetime(borrow self)
        private func storedCursor(_ table: TableID) -> Cursor {
            let scratch = context.scratch
            guard !table.isInDraft,
                let entry = context.undoable.tables.find(table, at: .max - 1)
            else {
                return _overrideLifetime(
                    Cursor(failure: MDB_BAD_DBI, table, scratch: scratch), borrowing: self)
            }
            var made: OpaquePointer?
            let code = mdb_cursor_open(handle, entry.handle, &made)
            guard code == 0, let made else {
                return _overrideLifetime(
                    Cursor(failure: code, table, scratch: scratch), borrowing: self)
            }
            return _overrideLifetime(
                Cursor(made, entry, scratch: scratch, home: nil), borrowing: self)
        }

        /// Stores `value` under `key`, replacing what is there.
        package mutating func put(
            _ table: TableID, key: RawSpan, value: RawSpan
        ) throws(StorageError) {
            let entry = try prepare(table, key, value)
            if let draft = context.draft {
                let wasThere = try find(table, key) != nil
                return try draft.set(table, key, value, wasThere: wasThere)
            }
            try store(entry, key, value, flags: 0)
        }

        /// Stores `value` under `key` if there is nothing yet. Runs of ascending keys are appended.
        package mutating func insert(
            _ table: TableID, key: RawSpan, value: RawSpan
        ) throws(StorageError) -> Bool {
            let entry = try prepare(table, key, value)
            if context.draft != nil {
                guard try find(table, key) == nil else { return false }
                try put(table, key: key, value: value)
                return true
            }
            if !entry.isShared, context.shouldTryAppend(entry.handle) {
                let appended = try store(entry, key, value, flags: MDB_APPEND)
                context.noteAppend(entry.handle, succeeded: appended)
                if appended { return true }
            }
            return try store(entry, key, value, flags: MDB_NOOVERWRITE)
        }

        /// As `put`, with the hint that `key` is above all keys of the table.
        package mutating func append(
            _ table: TableID, key: RawSpan, value: RawSpan
        ) throws(StorageError) {
            let entry = try prepare(table, key, value)
            if context.draft != nil { return try put(table, key: key, value: value) }
            if !entry.isShared, try store(entry, key, value, flags: MDB_APPEND) { return }
            try store(entry, key, value, flags: 0)
        }

        /// Removes `key`; false if it wasn't there.
        package mutating func delete(_ table: TableID, key: RawSpan) throws(StorageError) -> Bool {
            let entry = try entry(table)
            let count = key.byteCount
            guard count > 0, count <= StoredBytes.keyBytesMax else { return false }
            if let draft = context.draft {
                guard try find(table, key) != nil else { return false }
                try draft.set(table, key, nil, wasThere: true)
                return true
            }
            let handle = handle
            let redo = context.redo
            let code = withStoredKey(key, entry, context.scratch) { stored, _ in
                var stored = stored
                let code = mdb_del(handle, entry.handle, &stored, nil)
                if code == 0 { redo.delete(RedoTree(entry), key: StoredBytes.bytes(stored)) }
                return code
            }
            if code == MDB_NOTFOUND { return false }
            guard code == 0 else { throw context.spoil(code, "mdb_del", table) }
            context.changes += 1
            if entry.isShared { context.undoable.countChanges[entry.id, default: 0] -= 1 }
            return true
        }

        /// Makes an empty table with an id never used before.
        package mutating func createTable() throws(StorageError) -> TableID {
            if let draft = context.draft {
                let table = draft.createTable()
                let entry = TableMap.Entry(id: table.rawValue, handle: 0, isShared: false)
                context.undoable.tables = context.undoable.tables.setting(entry)
                return table
            }
            let table = context.nextTable
            let following = TableID(rawValue: table.rawValue + 1)
            context.nextTable = following
            context.changes += 1
            let tables = context.undoable.tables
            var entry = TableMap.Entry(
                id: table.rawValue, handle: context.environment.sharedHandle, isShared: true)
            let ownTables = tables.entries.count { !$0.isShared }
            if ownTables < context.environment.options.ownTablesMax {
                let name = String(table.rawValue)
                let code = mdb_dbi_open(handle, name, UInt32(MDB_CREATE), &entry.handle)
                if code == 0 {
                    entry.isShared = false
                    context.redo.create(RedoTree(entry))
                } else if code != MDB_DBS_FULL {
                    throw context.spoil(code, "mdb_dbi_open", table)
                }
            }
            try record(
                Registry.tableKey(entry.id),
                Registry.entryValue(isShared: entry.isShared, isDropped: false))
            try record(Registry.nextTableKey, Registry.value(following.rawValue))
            context.undoable.tables = tables.setting(entry)
            return table
        }

        /// Makes a table unreachable with this commit; a draft drops none.
        package mutating func dropTable(_ table: TableID) throws(StorageError) {
            guard context.draft == nil else {
                throw .unexpected(operation: "dropping a table in a draft", code: 0)
            }
            var entry = try entry(table)
            context.changes += 1
            entry.droppedIn = snapshotID
            try record(
                Registry.tableKey(entry.id),
                Registry.entryValue(isShared: entry.isShared, isDropped: true))
            context.undoable.tables = context.undoable.tables.setting(entry)
        }

        /// Runs `body`, and undoes all that it did if it throws.
        package mutating func nested<R>(
            _ body: (inout WriteTransaction) throws -> R
        ) throws -> R {
            // Who edits a draft gives it up when an edit fails.
            if context.draft != nil { return try body(&self) }
            var begun: OpaquePointer?
            let code = mdb_txn_begin(context.environment.handle, handle, 0, &begun)
            guard code == 0, let child = begun else {
                throw context.spoil(code, "mdb_txn_begin", .registry)
            }
            let before = context.undoable
            let redoBytes = context.redo.bodyBytes
            var transaction = WriteTransaction(context, child)
            let result: R
            do {
                result = try body(&transaction)
            } catch {
                mdb_txn_abort(child)
                context.undoable = before
                context.redo.truncate(to: redoBytes)
                throw error
            }
            // After a failed change the parent is not to be trusted with what the child did.
            if let failure = context.failure {
                mdb_txn_abort(child)
                context.undoable = before
                context.redo.truncate(to: redoBytes)
                throw failure
            }
            let committed = mdb_txn_commit(child)
            guard committed == 0 else {
                context.undoable = before
                throw context.spoil(committed, "commit of a nested transaction", .registry)
            }
            return result
        }

        /// Writes the changed entry counts of shared tables; part of every commit.
        mutating func recordCounts() throws(StorageError) {
            for (id, change) in context.undoable.countChanges where change != 0 {
                let entry = TableMap.Entry(
                    id: id, handle: context.environment.sharedHandle, isShared: true)
                let count = try countEntries(
                    handle, entry, registry: context.environment.registryHandle)
                try record(
                    Registry.countKey(id), Registry.value(count.addingClamped(change)))
            }
            context.undoable.countChanges.removeAll(keepingCapacity: true)
        }

        /// Removes the registry's entries of a table whose contents are gone.
        mutating func forget(_ id: UInt64) throws(StorageError) {
            for key in [Registry.tableKey(id), Registry.countKey(id)] {
                let code = key.withUnsafeBytes { bytes in
                    var view = StoredBytes.view(bytes)
                    let code = mdb_del(handle, context.environment.registryHandle, &view, nil)
                    if code == 0 { context.redo.delete(.registry, key: bytes) }
                    return code
                }
                guard code == 0 || code == MDB_NOTFOUND else {
                    throw context.spoil(code, "mdb_del", .registry)
                }
            }
            context.undoable.countChanges[id] = nil
            context.changes += 1
        }

        private func entry(_ table: TableID) throws(StorageError) -> TableMap.Entry {
            // Nothing is dropped later than this transaction.
            guard let entry = context.undoable.tables.find(table, at: .max - 1) else {
                throw context.environment.missing(table)
            }
            return entry
        }

        private func prepare(
            _ table: TableID, _ key: RawSpan, _ value: RawSpan
        ) throws(StorageError) -> TableMap.Entry {
            let entry = try entry(table)
            guard key.byteCount > 0, key.byteCount <= StoredBytes.keyBytesMax else {
                throw .invalidKey(byteCount: key.byteCount)
            }
            guard value.byteCount <= StoredBytes.valueBytesMax else {
                throw .valueTooLarge(byteCount: value.byteCount)
            }
            guard context.draft != nil || context.space.charge(key.byteCount + value.byteCount)
            else {
                let error = context.space.exceeded
                context.failure = context.failure ?? error
                throw error
            }
            return entry
        }

        /// Stores; false where a flag forbids it (the key is there, or is not the last).
        @discardableResult
        private mutating func store(
            _ entry: TableMap.Entry, _ key: RawSpan, _ value: RawSpan, flags: Int32
        ) throws(StorageError) -> Bool {
            let entriesBefore = entry.isShared ? try treeStatistics(handle, entry).ms_entries : 0
            let code = storeValue(
                handle, entry, key, value, flags: flags, scratch: context.scratch,
                redo: context.redo)
            if code == MDB_KEYEXIST { return false }
            guard code == 0 else { throw context.spoil(code, "mdb_put", entry.table) }
            context.changes += 1
            if entry.isShared, try treeStatistics(handle, entry).ms_entries > entriesBefore {
                context.undoable.countChanges[entry.id, default: 0] += 1
            }
            return true
        }

        private mutating func record(_ key: [UInt8], _ value: [UInt8]) throws(StorageError) {
            let place = TableMap.Entry(
                id: TableID.registry.rawValue, handle: context.environment.registryHandle,
                isShared: false)
            let code = storeValue(
                handle, place, key.span.bytes, value.span.bytes, flags: 0, scratch: nil,
                redo: context.redo)
            if code != 0 { throw context.spoil(code, "mdb_put", .registry) }
        }
    }
}

extension UInt64 {
    /// This count changed by so many, never below 0.
    func addingClamped(_ change: Int64) -> UInt64 {
        change < 0 ? self - Swift.min(self, change.magnitude) : self &+ change.magnitude
    }
}
