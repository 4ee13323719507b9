// Which collections' deleted documents the log keeps whole, for live queries: those that somebody
// follows, and for a while after, so that who comes back is told what went. Also after a restart:
// the log's table has a mark for each (LogEntries).

import BSON
import Storage
import Synchronization

/// Collections with live queries. Asked by the writer at each delete.
final class ObservedNames: Sendable {
    /// How long documents are kept behind the last live query, in milliseconds.
    static let keptMillis: Int64 = 30 * 60 * 1_000

    private let count = Atomic<Int>(0)
    /// Until when, in milliseconds since 1970; `.max` while there are live queries.
    private let names: Mutex<[Namespace: Int64]>

    /// The collections that a log has marks of, all kept for a while from `now` on.
    init(_ marked: [Namespace] = [], now: Int64 = 0) {
        let ends = marked.map { ($0, now + Self.keptMillis) }
        names = Mutex(Dictionary(ends) { first, _ in first })
        count.store(marked.count, ordering: .relaxed)
    }

    /// Whether the collection's deleted documents are to be kept.
    func contains(_ namespace: Namespace) -> Bool {
        guard count.load(ordering: .acquiring) > 0 else { return false }
        return names.withLock { $0[namespace] != nil }
    }

    /// Keeps them while somebody follows the collection, or until a time at least; true where they
    /// weren't kept before.
    func follow(_ namespace: Namespace, until end: Int64 = .max) -> Bool {
        names.withLock { names in
            let known = names[namespace]
            names[namespace] = max(known ?? end, end)
            count.store(names.count, ordering: .releasing)
            return known == nil
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

    /// Ends what was to be kept until `now` only; answers those collections.
    func expire(now: Int64) -> [Namespace] {
        guard count.load(ordering: .acquiring) > 0 else { return [] }
        return names.withLock { names in
            let ended = names.filter { $0.value <= now }.map(\.key)
            for name in ended { names[name] = nil }
            count.store(names.count, ordering: .releasing)
            return ended
        }
    }
}

/// The marks of followed collections in the log's table.
enum ObservedMarks {
    private static let prefix = [UInt8](repeating: 0, count: 8) + [2]

    private static func key(_ namespace: Namespace) -> [UInt8] {
        prefix + Array(namespace.database.utf8) + [0] + Array(namespace.collection.utf8)
    }

    /// Marks a collection, or removes its mark.
    static func set(
        _ namespace: Namespace, isMarked: Bool, _ transaction: inout WriteTransaction
    ) throws {
        let key = key(namespace)
        if isMarked {
            try transaction.put(.changeLog, key: key.span.bytes, value: RawSpan())
        } else {
            _ = try transaction.delete(.changeLog, key: key.span.bytes)
        }
    }

    /// The marked collections.
    static func read(_ transaction: borrowing ReadTransaction) throws -> [Namespace] {
        var names: [Namespace] = []
        var cursor = transaction.cursor(.changeLog)
        var isFound = try cursor.seek(to: prefix.span.bytes)
        while isFound, cursor.key.starts(with: prefix.span.bytes) {
            let name = [UInt8](copying: cursor.key.extracting(prefix.count..<cursor.key.byteCount))
            if let end = name.firstIndex(of: 0) {
                names.append(
                    Namespace(
                        String(decoding: name[..<end], as: UTF8.self),
                        String(decoding: name[(end + 1)...], as: UTF8.self)))
            }
            isFound = try cursor.next()
        }
        return names
    }
}
