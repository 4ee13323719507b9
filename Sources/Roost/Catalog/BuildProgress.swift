// How far index builds are, for currentOp and the log.

import BSON
package import Query
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
        /// Ends the build, which then removes what it made.
        package let interrupt: Interrupt
    }

    private struct State {
        var items: [Item] = []
        var isEnding = false
    }

    private let state = Mutex(State())

    /// All of them.
    package var all: [Item] { state.withLock { $0.items } }

    func add(_ item: Item) {
        let isEnding = state.withLock { state in
            state.items.append(item)
            return state.isEnding
        }
        if isEnding { item.interrupt.kill(.interruptedAtShutdown) }
    }

    /// Ends all builds, also those to come: the store is being closed.
    func endAll() {
        let items = state.withLock { state in
            state.isEnding = true
            return state.items
        }
        for item in items { item.interrupt.kill(.interruptedAtShutdown) }
    }

    func remove(_ progress: BuildProgress) {
        state.withLock { $0.items.removeAll { $0.progress === progress } }
    }
}
