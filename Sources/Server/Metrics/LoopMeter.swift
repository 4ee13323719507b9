// What the operations of one event loop's connections took. Each loop counts for itself, so that
// counting is an uncontended lock; whoever shows figures adds the loops up.

import BSON
import Query
import Roost
import Synchronization
import Wire

/// Counts operations of one event loop; read from any thread.
final class LoopMeter: Sendable {
    private struct State {
        var times = [LatencyHistogram](
            repeating: LatencyHistogram(), count: OperationKind.allCases.count)
        var usage = NamespaceUsage()
    }

    /// An operation that is answered later.
    struct Pending {
        let kind: OperationKind
        let place: NamespaceUsage.Place
        /// When it began, on the monotonic clock, in nanoseconds.
        let start: UInt64
    }

    private let state = Mutex(State())

    /// Counts an operation that was answered in place.
    func note(_ kind: OperationKind, _ request: borrowing Request, nanos: UInt64) {
        state.withLock { state in
            state.times[kind.rawValue].add(nanos)
            let place = Self.place(kind, request, &state.usage)
            state.usage.note(kind, place, nanos: nanos)
        }
    }

    /// Counts a find of the collection at `place`; false where that isn't its place any more.
    func noteFind(at place: NamespaceUsage.Place, nanos: UInt64) -> Bool {
        state.withLock { state in
            guard state.usage.isValid(place) else { return false }
            state.times[OperationKind.find.rawValue].add(nanos)
            state.usage.note(.find, place, nanos: nanos)
            return true
        }
    }

    /// Counts a find, and says where the next one of the collection counts.
    func noteFind(of namespace: Namespace, nanos: UInt64) -> NamespaceUsage.Place {
        state.withLock { state in
            state.times[OperationKind.find.rawValue].add(nanos)
            let place = state.usage.place(
                namespace.database.utf8Span.span.bytes,
                namespace.collection.utf8Span.span.bytes)
            state.usage.note(.find, place, nanos: nanos)
            return place
        }
    }

    /// Remembers what an operation is that will be answered later.
    func begin(
        _ kind: OperationKind, _ request: borrowing Request, start: UInt64
    ) -> Pending {
        let kind = kind.answeredLater(request.body)
        let place = state.withLock { Self.place(kind, request, &$0.usage) }
        return Pending(kind: kind, place: place, start: start)
    }

    /// Counts an operation that was answered later.
    func end(_ pending: Pending, nanos: UInt64) {
        state.withLock { state in
            state.times[pending.kind.rawValue].add(nanos)
            state.usage.note(pending.kind, pending.place, nanos: nanos)
        }
    }

    /// Adds its times to those by kind.
    func add(to times: inout [LatencyHistogram]) {
        state.withLock { state in
            for kind in OperationKind.allCases {
                times[kind.rawValue].add(state.times[kind.rawValue])
            }
        }
    }

    /// What it knows of each collection.
    var usage: [NamespaceUsage.Entry] { state.withLock { $0.usage.entries } }

    private static func place(
        _ kind: OperationKind, _ request: borrowing Request, _ usage: inout NamespaceUsage
    ) -> NamespaceUsage.Place {
        let body = request.body
        guard let database = body.value("$db")?.utf8, let first = body.first?.value else {
            return .none
        }
        switch kind {
        case .query:
            guard let collection = first.string.flatMap(TextQuery.collection) else { return .none }
            return usage.place(database, collection.utf8Span.span.bytes)
        case .getMore, .wait:
            guard let collection = body.value("collection")?.utf8 else { return .none }
            return usage.place(database, collection)
        default:
            guard first.type == .string, let collection = first.utf8 else { return .none }
            return usage.place(database, collection)
        }
    }
}

extension ServerCore {
    /// The times of operations since the start, by kind.
    var operationTimes: [LatencyHistogram] {
        var times = [LatencyHistogram](
            repeating: LatencyHistogram(), count: OperationKind.allCases.count)
        for meter in meters.withLock({ $0 }) { meter.add(to: &times) }
        return times
    }

    /// How many commands neither read documents by a query nor changed them by a plain write.
    var otherCommands: UInt64 {
        let times = operationTimes
        let kinds: [OperationKind] = [
            .count, .distinct, .findAndModify, .bulkWrite, .commit, .command, .wait,
        ]
        return kinds.reduce(0) { $0 + times[$1.rawValue].count }
    }

    /// What operations took by collection, of those collections that there are.
    var namespaceUsage: [Namespace: NamespaceUsage.Entry] {
        var found: [Namespace: NamespaceUsage.Entry] = [:]
        for meter in meters.withLock({ $0 }) {
            for entry in meter.usage {
                let namespace = entry.namespace
                guard engine.collection(namespace) != nil else { continue }
                guard var sum = found[namespace] else {
                    found[namespace] = entry
                    continue
                }
                for category in NamespaceUsage.Category.allCases {
                    sum.categories[category.rawValue] += entry.categories[category.rawValue]
                }
                sum.reads += entry.reads
                sum.writes += entry.writes
                found[namespace] = sum
            }
        }
        return found
    }
}
