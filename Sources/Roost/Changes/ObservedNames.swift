// Which collections' deleted documents the log keeps whole, for live queries: those that somebody
// follows, and for a while after, so that who comes back is told what went.

import Synchronization

/// Collections with live queries. Asked by the writer at each delete.
final class ObservedNames: Sendable {
    /// How long documents are kept behind the last live query, in milliseconds.
    static let keptMillis: Int64 = 30 * 60 * 1_000

    private let count = Atomic<Int>(0)
    /// Until when, in milliseconds since 1970; `.max` while there are live queries.
    private let names = Mutex<[Namespace: Int64]>([:])

    /// Whether the collection's deleted documents are to be kept.
    func contains(_ namespace: Namespace) -> Bool {
        guard count.load(ordering: .acquiring) > 0 else { return false }
        return names.withLock { $0[namespace] != nil }
    }

    /// Keeps them until that time, in milliseconds since 1970.
    func keep(_ namespace: Namespace, until millis: Int64) {
        names.withLock { names in
            names[namespace] = millis
            count.store(names.count, ordering: .releasing)
        }
    }

    /// Lets go of collections that nobody follows any more, after a while.
    func release(except followed: Set<Namespace>, now: Int64) {
        names.withLock { names in
            for (name, end) in names where end == .max && !followed.contains(name) {
                names[name] = now + Self.keptMillis
            }
        }
    }

    /// Ends what was to be kept until `now` only.
    func expire(now: Int64) {
        names.withLock { names in
            names = names.filter { $0.value > now }
            count.store(names.count, ordering: .releasing)
        }
    }
}
