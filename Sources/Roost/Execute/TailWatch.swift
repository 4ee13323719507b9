// Waiting for more documents at the end of a capped collection.
//
// A waiting read first notes the collection's generation, then reads; when it finds nothing it asks
// to be called once the generation is another. So no document that is committed in between is
// missed. Only commits that add to a capped collection come here.

import BSON
package import Storage
import Synchronization

/// Who waits for which capped collection to grow.
package final class TailWatch: Sendable {
    /// Called once, on the writer thread, after the commit; must be quick.
    package typealias Wake = @Sendable () -> Void

    private struct Tail {
        var generation: UInt64 = 0
        var waiting: [UInt64: Wake] = [:]
    }

    private struct State {
        var tails: [TableID: Tail] = [:]
        var lastNumber: UInt64 = 0
    }

    private let state = Mutex(State())

    /// How often the collection has grown, as far as this process knows.
    package func generation(_ table: TableID) -> UInt64 {
        state.withLock { $0.tails[table]?.generation ?? 0 }
    }

    /// Calls `wake` when the collection grows; answers a number to cancel by, or nil where it has
    /// grown since `generation` and nothing will be called.
    package func wait(
        _ table: TableID, since generation: UInt64, _ wake: @escaping Wake
    ) -> UInt64? {
        state.withLock { state in
            guard state.tails[table, default: Tail()].generation == generation else { return nil }
            state.lastNumber += 1
            state.tails[table, default: Tail()].waiting[state.lastNumber] = wake
            return state.lastNumber
        }
    }

    /// Gives up waiting; false where the call was made or is being made.
    package func cancel(_ table: TableID, _ number: UInt64) -> Bool {
        state.withLock { $0.tails[table]?.waiting.removeValue(forKey: number) != nil }
    }

    /// Notes that collections have grown.
    func note(_ tables: Set<TableID>) {
        let wakes = state.withLock { state in
            var wakes: [Wake] = []
            for table in tables {
                state.tails[table, default: Tail()].generation += 1
                guard let waiting = state.tails[table]?.waiting, !waiting.isEmpty else { continue }
                wakes += waiting.values
                state.tails[table]?.waiting = [:]
            }
            return wakes
        }
        for wake in wakes { wake() }
    }

    /// Forgets a collection that was dropped, and wakes who waits for it.
    func forget(_ table: TableID) {
        let tail = state.withLock { $0.tails.removeValue(forKey: table) }
        for wake in tail?.waiting.values.map({ $0 }) ?? [] { wake() }
    }
}
