// How far index builds are, for currentOp and the log.

import Synchronization

/// Counters of one index build; any thread may read them.
package final class BuildProgress: Sendable {
    private let documents = Atomic<Int>(0)
    private let documentsTotal = Atomic<Int>(0)
    private let entries = Atomic<Int>(0)

    /// Documents scanned so far.
    package var scanned: Int { documents.load(ordering: .relaxed) }
    /// Documents in the collection when the scan was last asked.
    package var total: Int { documentsTotal.load(ordering: .relaxed) }
    /// Entries put so far.
    package var loaded: Int { entries.load(ordering: .relaxed) }

    func note(total: Int) { documentsTotal.store(total, ordering: .relaxed) }
    func note(scanned count: Int) { documents.add(count, ordering: .relaxed) }
    func note(loaded count: Int) { entries.add(count, ordering: .relaxed) }
}

/// The builds under way.
package final class BuildList: Sendable {
    /// One build as currentOp shows it.
    package struct Item: Sendable {
        package let namespace: Namespace
        package let indexes: [String]
        package let progress: BuildProgress
    }

    private let items = Mutex<[Item]>([])

    /// All of them.
    package var all: [Item] { items.withLock { $0 } }

    func add(_ progress: BuildProgress, _ namespace: Namespace, _ indexes: [String]) {
        items.withLock {
            $0.append(Item(namespace: namespace, indexes: indexes, progress: progress))
        }
    }

    func remove(_ progress: BuildProgress) {
        items.withLock { $0.removeAll { $0.progress === progress } }
    }
}
