// Snapshots for reads with the concern `snapshot` outside transactions: a session's first read takes
// one and is told its time, and later reads ask for that time again. And those that the results of
// live queries are read from, as fast as their clients take them. Either is given up when too many
// pages are kept for it (RoostEngine.endCostlySnapshots).

package import BSON
import Synchronization

/// The snapshots that can be asked for by time.
package final class SnapshotTable: Sendable {
    /// Most snapshots kept: each keeps all pages freed since.
    static let countMax = 32
    /// How long one is kept after its last use.
    static let idleNanoseconds: UInt64 = 60_000_000_000

    private struct Slot {
        let view: ReadView
        var lastUse: UInt64
    }

    /// A snapshot that belongs to its reader.
    private struct Lent {
        weak var view: ReadView?
    }

    private let slots = Mutex<[Timestamp: Slot]>([:])
    private let lent = Mutex<[Lent]>([])

    /// The kept snapshot of that time.
    func find(_ time: Timestamp) -> ReadView? {
        slots.withLock { slots in
            slots[time]?.lastUse = MonotonicClock.nanoseconds
            return slots[time]?.view
        }
    }

    /// Keeps a snapshot; one of the same time that is there already wins.
    func add(_ view: ReadView) -> ReadView {
        let now = MonotonicClock.nanoseconds
        let (kept, dropped) = slots.withLock { slots -> (ReadView, ReadView?) in
            if let other = slots[view.time]?.view { return (other, view) }
            var dropped: ReadView?
            if slots.count >= Self.countMax,
                let oldest = slots.min(by: { $0.value.lastUse < $1.value.lastUse })
            {
                dropped = slots.removeValue(forKey: oldest.key)?.view
            }
            slots[view.time] = Slot(view: view, lastUse: now)
            return (view, dropped)
        }
        dropped?.end(Self.tooOld)
        return kept
    }

    /// Minds a snapshot that its reader holds for as long as a client takes to read.
    func lend(_ view: ReadView) {
        lent.withLock { lent in
            lent.removeAll { $0.view?.isHeld != true }
            lent.append(Lent(view: view))
        }
    }

    /// Whether there is none.
    var isEmpty: Bool { oldest == nil }

    /// The oldest snapshot that is held.
    var oldest: ReadView? {
        let kept = slots.withLock { $0.values.map(\.view) }
        let lent = lent.withLock { $0.compactMap(\.view) }.filter(\.isHeld)
        return (kept + lent).min { $0.snapshotID < $1.snapshotID }
    }

    /// Lets go of a snapshot for which too many pages are kept.
    func remove(_ view: ReadView) {
        slots.withLock { slots in
            if slots[view.time]?.view === view { slots[view.time] = nil }
        }
        view.end(Self.tooOld)
    }

    /// Lets go of snapshots that nobody asked for lately.
    package func expire() {
        let now = MonotonicClock.nanoseconds
        let dropped = slots.withLock { slots in
            let old = slots.filter { now > $0.value.lastUse + Self.idleNanoseconds }
            for time in old.keys { slots[time] = nil }
            return old.values.map(\.view)
        }
        for view in dropped { view.end(Self.tooOld) }
    }

    static var tooOld: DBError {
        DBError(
            .snapshotTooOld,
            "The snapshot of that time is gone: it is kept for \(idleNanoseconds / 1_000_000_000) "
                + "seconds after its last use, and at most \(countMax) are kept. Read again without "
                + "atClusterTime")
    }
}

extension RoostEngine {
    /// The snapshot of that time, or without one the newest.
    /// - Throws: `invalidOptions` (72) for a time that no command has had yet, `snapshotTooOld` (239)
    ///   where it isn't kept, `exceededMemoryLimit`.
    package func snapshot(at time: Timestamp?) throws(DBError) -> ReadView {
        if let time, let kept = snapshots.find(time) { return kept }
        let view = try ReadView(self)
        // What a client asks for by the time of its last operation is the newest as long as nothing
        // was committed since.
        if let time, time != view.time {
            let isFuture = time > view.time
            view.end(SnapshotTable.tooOld)
            throw isFuture
                ? DBError(
                    .invalidOptions,
                    "readConcern atClusterTime value must not be greater than the current "
                        + "clusterTime. Requested clusterTime: \(time); current clusterTime: "
                        + "\(view.time)")
                : SnapshotTable.tooOld
        }
        defer { transactions.lookAnew() }
        return snapshots.add(view)
    }
}
