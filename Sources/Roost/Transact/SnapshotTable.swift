// Snapshots for reads with the concern `snapshot` outside transactions: a session's first read takes
// one and is told its time, and later reads ask for that time again.

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

    private let slots = Mutex<[Timestamp: Slot]>([:])

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

    /// Whether none is kept.
    var isEmpty: Bool { slots.withLock { $0.isEmpty } }

    /// The oldest snapshot kept.
    var oldest: ReadView? {
        slots.withLock { $0.values.min { $0.view.snapshotID < $1.view.snapshotID }?.view }
    }

    /// Lets go of a snapshot for which too many pages are kept.
    func remove(_ view: ReadView) {
        slots.withLock { $0[view.time] = nil }
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
    /// - Throws: `snapshotTooOld` (239) where it isn't kept, `exceededMemoryLimit`.
    package func snapshot(at time: Timestamp?) throws(DBError) -> ReadView {
        if let time, let kept = snapshots.find(time) { return kept }
        let view = try ReadView(self)
        // What a client asks for by the time of its last operation is the newest as long as nothing
        // was committed since.
        if let time, time < view.time {
            view.end(SnapshotTable.tooOld)
            throw SnapshotTable.tooOld
        }
        return snapshots.add(view)
    }
}
