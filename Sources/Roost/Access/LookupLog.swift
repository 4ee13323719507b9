// Which documents rules looked up while they decided about a read: when one of them changes, another
// result may be right.

import BSON
import Query
import Synchronization

/// Documents that were looked up, whether they are there or not, by collection and record key.
struct LookedUp: Sendable {
    /// Most keys that are kept; beyond that any document of a collection stands for all.
    private static let keysMax = 100_000

    private var keys: [Namespace: Set<[UInt8]>] = [:]
    private var count = 0

    /// The collections.
    var names: Set<Namespace> { Set(keys.keys) }

    /// Notes a document that a path may mean.
    fileprivate mutating func note(_ place: KnownDocuments.Place) {
        let (namespace, ids) = CollectionPath.target(of: place.segments, in: place.database)
        guard count < Self.keysMax else {
            if keys[namespace] == nil { keys[namespace] = [] }
            return
        }
        for id in ids
        where keys[namespace, default: []].insert(Self.key(id.view)).inserted { count += 1 }
    }

    /// Whether one of them is among the changes of its collection.
    func isTouched(by set: borrowing ChangeSet) -> Bool {
        guard let known = keys[set.namespace] else { return false }
        if set.isUnknown || count >= Self.keysMax { return true }
        for change in set.changes where known.contains(Self.key(set.id(change))) { return true }
        return false
    }

    private static func key(_ id: ValueView) -> [UInt8] {
        var key = KeyEncoder()
        _ = RecordKey.encode(id, nil, into: &key)
        return key.bytes
    }
}

/// Takes notes of what rules look up, for all reads of one request.
final class LookupLog: Sendable {
    private let state = Mutex(LookedUp())
    /// Is told as well.
    private let parent: LookupLog?

    init(parent: LookupLog? = nil) {
        self.parent = parent
    }

    /// What was looked up so far.
    var lookedUp: LookedUp { state.withLock { $0 } }

    func note(_ place: KnownDocuments.Place) {
        state.withLock { $0.note(place) }
        parent?.note(place)
    }
}
