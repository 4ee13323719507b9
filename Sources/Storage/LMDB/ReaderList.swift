import CLMDB
import Synchronization

/// All readers of a store, so that the writer knows which snapshots are in use.
final class ReaderList: Sendable {
    private struct Member: @unchecked Sendable {
        // SAFETY: a reader removes itself in deinit, under the same lock as any look at it.
        unowned(unsafe) let reader: LMDBStore.Reader
    }

    private let members = Mutex<[ObjectIdentifier: Member]>([:])
    private let lastCheck = Atomic<UInt64>(0)

    func add(_ reader: LMDBStore.Reader) {
        let member = Member(reader: reader)
        members.withLock { $0[ObjectIdentifier(reader)] = member }
    }

    func remove(_ reader: LMDBStore.Reader) {
        let id = ObjectIdentifier(reader)
        members.withLock { _ = $0.removeValue(forKey: id) }
    }

    /// What is in use now.
    struct Summary {
        var count = 0
        /// The oldest snapshot in use; nil if none is.
        var oldestSnapshot: UInt64?
        var oldestMillis: UInt64 = 0
        var overdue = 0
    }

    /// Looks at all readers; linear in their number.
    func summary(overdueMillis: UInt64) -> Summary {
        let now = Clock.coarseNanos()
        return members.withLock { members in
            var summary = Summary(count: members.count)
            for member in members.values {
                let snapshot = member.reader.activeSnapshot.load(
                    ordering: .sequentiallyConsistent)
                guard snapshot != 0 else { continue }
                let since = member.reader.activeSince.load(ordering: .relaxed)
                let age = now > since ? (now - since) / 1_000_000 : 0
                summary.oldestSnapshot = min(summary.oldestSnapshot ?? .max, snapshot)
                summary.oldestMillis = max(summary.oldestMillis, age)
                if age > overdueMillis { summary.overdue += 1 }
            }
            return summary
        }
    }
}

extension ReaderList {
    /// Frees the slots of processes that died, now and then. Writer's thread only.
    func checkDead(_ environment: Environment, everyMillis: UInt64) {
        let now = Clock.coarseNanos()
        guard now - lastCheck.load(ordering: .relaxed) >= everyMillis * 1_000_000 else { return }
        lastCheck.store(now, ordering: .relaxed)
        var dead: Int32 = 0
        mdb_reader_check(environment.handle, &dead)
    }
}
