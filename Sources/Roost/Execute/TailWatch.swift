// Waiting for more documents at the end of a capped collection, or for changes.
//
// A waiting read first notes the generation of what it follows, then reads; when it finds nothing
// it asks to be called once the generation is another. So nothing that is committed in between is
// missed. Only commits that add to a capped collection, or to a scope that somebody watches, come
// here: a change stream costs nothing while other collections are written.

import BSON
package import Storage
import Synchronization

/// Who waits for which capped collection to grow, or for changes in which scope.
package final class TailWatch: Sendable {
    /// What can be followed.
    package enum Key: Hashable, Sendable {
        /// A capped collection.
        case table(TableID)
        /// The change log, as far as it is about a scope. `watch` must have named the scope.
        case changes(ChangeScope)
    }

    /// Called once, on the writer thread, after the commit; must be quick.
    package typealias Wake = @Sendable () -> Void

    fileprivate struct Tail {
        var generation: UInt64 = 0
        var waiting: [UInt64: Wake] = [:]
        /// Change streams that follow it; 0 for a capped collection.
        var watchers = 0
    }

    private struct State {
        var tails: [Key: Tail] = [:]
        var lastNumber: UInt64 = 0
        /// How many scopes of changes are in `tails`.
        var watched = 0
        /// The newest command whose changes were noted.
        var logEnd: Timestamp
    }

    private let state: Mutex<State>

    init(logEnd: Timestamp) {
        state = Mutex(State(logEnd: logEnd))
    }

    /// How often it has grown, as far as this process knows.
    package func generation(_ key: Key) -> UInt64 {
        state.withLock { $0.tails[key]?.generation ?? 0 }
    }

    /// Calls `wake` when it grows; answers a number to cancel by, or nil where it has grown since
    /// `generation` and nothing will be called.
    package func wait(
        _ key: Key, since generation: UInt64, _ wake: @escaping Wake
    ) -> UInt64? {
        state.withLock { state in
            guard state.tails[key, default: Tail()].generation == generation else { return nil }
            state.lastNumber += 1
            state.tails[key, default: Tail()].waiting[state.lastNumber] = wake
            return state.lastNumber
        }
    }

    /// Gives up waiting; false where the call was made or is being made.
    package func cancel(_ key: Key, _ number: UInt64) -> Bool {
        state.withLock { $0.tails[key]?.waiting.removeValue(forKey: number) != nil }
    }

    /// Notes that capped collections have grown.
    func note(_ tables: Set<TableID>) {
        let wakes = state.withLock { state in
            tables.reduce(into: [Wake]()) { wakes, table in
                state.tails[.table(table), default: Tail()].grow(&wakes)
            }
        }
        for wake in wakes { wake() }
    }

    /// Forgets a collection that was dropped, and wakes who waits for it.
    func forget(_ table: TableID) {
        let tail = state.withLock { $0.tails.removeValue(forKey: .table(table)) }
        for wake in tail?.waiting.values.map({ $0 }) ?? [] { wake() }
    }

    // MARK: Changes

    /// Begins to count the changes of a scope; `unwatch` ends it.
    func watch(_ scope: ChangeScope) {
        state.withLock { state in
            if state.tails[.changes(scope)] == nil { state.watched += 1 }
            state.tails[.changes(scope), default: Tail()].watchers += 1
        }
    }

    /// Ends what `watch` began.
    func unwatch(_ scope: ChangeScope) {
        state.withLock { state in
            guard var tail = state.tails[.changes(scope)] else { return }
            tail.watchers -= 1
            state.tails[.changes(scope)] = tail.watchers > 0 ? tail : nil
            if tail.watchers == 0 { state.watched -= 1 }
        }
    }

    /// The generation of a watched scope, and the timestamp up to which it counts: while the
    /// generation stays, no change in the scope has that timestamp or an earlier one.
    func progress(_ scope: ChangeScope) -> (generation: UInt64, logEnd: Timestamp) {
        state.withLock { ($0.tails[.changes(scope)]?.generation ?? 0, $0.logEnd) }
    }

    /// Notes the changes of a commit.
    func note(changesOf namespaces: Set<Namespace>, until logEnd: Timestamp) {
        let wakes = state.withLock { state in
            state.logEnd = logEnd
            var wakes: [Wake] = []
            guard state.watched > 0 else { return wakes }
            var databases: Set<String> = []
            for namespace in namespaces {
                databases.insert(namespace.database)
                state.tails[.changes(.collection(namespace))]?.grow(&wakes)
            }
            for database in databases {
                state.tails[.changes(.database(database))]?.grow(&wakes)
            }
            state.tails[.changes(.server)]?.grow(&wakes)
            return wakes
        }
        for wake in wakes { wake() }
    }
}

extension TailWatch.Tail {
    /// Counts growth and hands over who waited for it.
    fileprivate mutating func grow(_ wakes: inout [TailWatch.Wake]) {
        generation += 1
        if waiting.isEmpty { return }
        wakes += waiting.values
        waiting = [:]
    }
}
