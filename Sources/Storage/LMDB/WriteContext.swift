import CLMDB

/// What the writer keeps across and within its transactions. Used by the writer's thread only.
final class WriteContext {
    /// What an undone transaction puts back.
    struct Undoable {
        var tables: TableMap
        /// Changes to the entry counts of tables in the shared tree.
        var countChanges: [UInt64: Int64] = [:]
    }

    let environment: Environment
    var undoable: Undoable
    /// Changes made in the current transaction; undone ones count too.
    var changes: UInt64 = 0
    /// A code that spoils the transaction: it must be undone as a whole.
    var failure: StorageError?
    /// What the current transaction did, for the redo log.
    let redo = RedoBuffer()
    /// The space that may still be taken.
    var space: SpaceBudget
    /// What is changed in place of the store's own tables; nil for the writer.
    var draft: Draft?
    /// Never goes back, so that an undone number isn't used again either.
    var nextTable: TableID
    /// For each handle, how often in a row a new key was not the last: ascending inserts append,
    /// which fills pages, and others don't pay for trying.
    private var appendMisses = [UInt8](repeating: 0, count: Environment.handlesMax + 2)
    // SAFETY: allocated in init, freed in deinit; lent to calls and cursors that end before.
    let scratch: UnsafeMutableRawPointer

    init(_ environment: Environment) {
        self.environment = environment
        undoable = Undoable(tables: environment.tables)
        nextTable = environment.firstFreeTable
        space = SpaceBudget(environment)
        scratch = .allocate(byteCount: StoredBytes.storedKeyBytesMax, alignment: 8)
    }

    deinit {
        scratch.deallocate()
    }

    /// Forgets the last transaction.
    func reset() {
        undoable = Undoable(tables: environment.tables)
        changes = 0
        failure = nil
        redo.reset()
    }

    /// Whether an insert should first be tried as an append.
    func shouldTryAppend(_ handle: UInt32) -> Bool {
        let misses = appendMisses[Int(handle)]
        if misses < 4 { return true }
        appendMisses[Int(handle)] = misses == 64 ? 3 : misses + 1
        return false
    }

    /// Notes whether trying was right.
    func noteAppend(_ handle: UInt32, succeeded: Bool) {
        appendMisses[Int(handle)] = succeeded ? 0 : appendMisses[Int(handle)] + 1
    }

    /// Notes a failure that spoils the transaction and answers it.
    func spoil(_ code: Int32, _ operation: String, _ table: TableID) -> StorageError {
        var error = LMDBCode.error(code, operation, table: table)
        if code == MDB_MAP_FULL { error = space.exceeded }
        if failure == nil { failure = error }
        return error
    }
}
