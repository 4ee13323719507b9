// Results that are read again: what no change alone brings up to date (a join, a window whose spare
// tail ran short).
//
//     pass ──▶ order ──▶ reader pool, in a snapshot of its own ──▶ LiveRefresh ──▶ next pass
//
// Nothing waits for the reading: not the matcher, nor other queries, nor who subscribes. Meanwhile
// the group's changes are not noted. The next pass tells the difference to what was told before, as
// of the snapshot, then applies what the log has behind it. If that makes the result stale again,
// subscribers have come forward all the same.

import BSON
import Storage

/// A result that was read.
struct LiveRefresh {
    /// A result that is to be read.
    struct Order: Sendable {
        let group: LiveGroup
        let replaced: LiveResult
    }

    let group: LiveGroup
    /// The result that subscribers know; the same as `result` for the first of a group.
    let replaced: LiveResult
    let result: LiveResult
    /// Where in the log the snapshot stands.
    let position: Timestamp

    /// Whether the group still waits for it. Under the lock of `LiveQueries`.
    var isWanted: Bool { group.result === replaced }

    /// Puts the result in place of the old one, and the difference in the group's events.
    func install(epoch: UInt64) {
        group.isRefreshing = false
        group.position = position
        if result === replaced { return }
        group.result = result
        LiveDifference.write(
            from: replaced.all, to: result.all, isOrdered: group.request.isOrdered,
            token: group.token(position, epoch: epoch), into: &group.events)
    }
}

extension LiveRefresh.Order {
    /// Reads the result as it is now.
    /// - Throws: what the query throws.
    func read(_ engine: RoostEngine, _ reader: Reader) throws -> LiveRefresh {
        let view = try ReadView(engine)
        defer { view.end(DBError(.snapshotUnavailable, "The result was read")) }
        let end = try view.use { reader, _ in
            try reader.read { transaction in try transaction.logEnd() }
        }
        return LiveRefresh(
            group: group, replaced: replaced,
            result: try LiveResult(group.request, view, engine, reader),
            position: end ?? Timestamp(rawValue: 0))
    }
}
