import CLMDB
import Synchronization

/// Gives back the space of dropped tables, in steps of the writer's thread between groups: each
/// step is one bounded transaction, so that no write waits long behind it. Contents first; then,
/// when no reader can hold the table any more, its handle and its place in the registry.
final class Reclaimer {
    private let environment: Environment
    private var dropped: [TableMap.Entry]
    /// Tables whose handle LMDB has closed though the commit behind it failed.
    private var closedHandles: Set<UInt64> = []
    private var nextStep: UInt64 = 0

    /// Entries removed in one step.
    private static let stepEntries = 4096
    /// A tree of at most so many pages is dropped whole.
    private static let wholePages = 16_384
    private static let waitMillis: UInt64 = 200

    init(_ environment: Environment) {
        self.environment = environment
        dropped = environment.tables.entries.filter { !$0.isLive }
        note()
    }

    /// Takes over the tables that a commit dropped.
    func lookForDropped(_ tables: TableMap) {
        for entry in tables.entries where !entry.isLive {
            if !dropped.contains(where: { $0.id == entry.id }) { dropped.append(entry) }
        }
        note()
    }

    /// How long the writer may sleep; nil for as long as it likes.
    var pauseMillis: UInt64? {
        if dropped.isEmpty { return nil }
        let now = Clock.nanos()
        return nextStep > now ? (nextStep - now) / 1_000_000 + 1 : 0
    }

    /// Whether there is a step to do now.
    var isDue: Bool {
        !dropped.isEmpty && Clock.nanos() >= nextStep
    }

    /// Does one step of the first table that allows one.
    func step(_ context: WriteContext) {
        let oldest = environment.readers.summary(overdueMillis: .max).oldestSnapshot ?? .max
        for index in dropped.indices {
            let entry = dropped[index]
            let progress: Progress
            do throws(StorageError) {
                progress = try step(entry, context, oldestReader: oldest)
            } catch {
                if LMDBCode.stopsWrites(error) { environment.stopWrites(error.reason) }
                break
            }
            if progress == .blocked { continue }
            if progress == .done {
                dropped.remove(at: index)
                note()
            }
            // Writes that wait go first.
            nextStep = Clock.nanos() + 2_000_000
            return
        }
        nextStep = Clock.nanos() + Self.waitMillis * 1_000_000
    }

    private enum Progress {
        case more, done, blocked
    }

    private func step(
        _ entry: TableMap.Entry, _ context: WriteContext, oldestReader: UInt64
    ) throws(StorageError) -> Progress {
        var entry = entry
        let isWhole = try isSmall(entry)
        let drops = !entry.isShared && isWhole
        if drops, !mayCloseHandle(entry, oldestReader) { return .blocked }
        context.reset()
        let handle = try Registry.begin(environment.handle, flags: 0)
        do throws(StorageError) {
            if closedHandles.contains(entry.id) {
                entry.handle = try Registry.open(handle, String(entry.id), create: false)
            }
            var transaction = LMDBStore.WriteTransaction(context, handle)
            if drops {
                closedHandles.insert(entry.id)
                let code = mdb_drop(handle, entry.handle, 1)
                guard code == 0 else { throw LMDBCode.error(code, "mdb_drop") }
                context.redo.drop(RedoTree(entry))
                try transaction.forget(entry.id)
            } else if try removeSome(handle, entry, context) == 0, entry.isShared {
                try transaction.forget(entry.id)
                context.undoable.tables = context.undoable.tables.removing(entry.id)
            }
            try transaction.recordCounts()
        } catch {
            mdb_txn_abort(handle)
            throw error
        }
        let isForgotten = drops || !context.undoable.tables.entries.contains { $0.id == entry.id }
        try environment.commit(handle, context.redo)
        guard isForgotten else { return .more }
        closedHandles.remove(entry.id)
        if !drops { environment.publish(context.undoable.tables) }
        return .done
    }

    /// Whether no reader can use the table any more. New readers are first given a map without it;
    /// a reader that has the old one took its snapshot no later than the drop.
    private func mayCloseHandle(_ entry: TableMap.Entry, _ oldestReader: UInt64) -> Bool {
        if oldestReader <= entry.droppedIn { return false }
        environment.publish(environment.tables.removing(entry.id))
        let oldest = environment.readers.summary(overdueMillis: .max).oldestSnapshot ?? .max
        return oldest > entry.droppedIn
    }

    private func isSmall(_ entry: TableMap.Entry) throws(StorageError) -> Bool {
        if entry.isShared { return false }
        if closedHandles.contains(entry.id) { return true }
        let handle = try Registry.begin(environment.handle, flags: UInt32(MDB_RDONLY))
        defer { mdb_txn_abort(handle) }
        let pages = try treeStatistics(handle, entry)
        let count = pages.ms_leaf_pages + pages.ms_branch_pages + pages.ms_overflow_pages
        return count <= Self.wholePages
    }

    /// Removes the first entries of a table; answers how many.
    private func removeSome(
        _ transaction: OpaquePointer, _ entry: TableMap.Entry, _ context: WriteContext
    ) throws(StorageError) -> Int {
        var removed = 0
        while removed < Self.stepEntries {
            // Deleted by key, not by cursor, and sought anew each time: LMDB 0.9.24 is at its
            // soundest so.
            guard let key = try firstKey(transaction, entry, context) else { break }
            let code = key.withUnsafeBytes { bytes in
                var view = StoredBytes.view(bytes)
                let code = mdb_del(transaction, entry.handle, &view, nil)
                if code == 0 { context.redo.delete(RedoTree(entry), key: bytes) }
                return code
            }
            guard code == 0 else { throw LMDBCode.error(code, "mdb_del") }
            removed += 1
        }
        return removed
    }

    /// The first key as stored, prefix and all.
    private func firstKey(
        _ transaction: OpaquePointer, _ entry: TableMap.Entry, _ context: WriteContext
    ) throws(StorageError) -> [UInt8]? {
        var opened: OpaquePointer?
        let code = mdb_cursor_open(transaction, entry.handle, &opened)
        guard code == 0, let opened else { throw LMDBCode.error(code, "mdb_cursor_open") }
        var cursor = LMDBStore.Cursor(opened, entry, scratch: context.scratch, home: nil)
        guard try cursor.first() else { return nil }
        let key = Array(copying: cursor.key)
        guard entry.isShared else { return key }
        return withUnsafeBytes(of: entry.id.bigEndian) { Array($0) } + key
    }

    private func note() {
        let count = dropped.count
        environment.statistics.withLock { $0.tablesDropping = count }
    }
}
