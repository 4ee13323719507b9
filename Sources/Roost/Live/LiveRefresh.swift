// Results that are brought up to date apart from the matcher: what no change alone tells (a join, a
// window whose spare tail ran short), and stages behind a $group that take long.
//
//     pass ──▶ order ──▶ reader pool ──▶ LiveRefresh ──▶ next pass
//
// Nothing waits for it: not the matcher, nor other queries, nor who subscribes; and the pool keeps
// threads for others (ReaderPool.Weight). Meanwhile the group's changes are not noted. The next pass
// tells the difference to what was told before, as of the snapshot, then applies what the log has
// behind it. If that makes the result stale again, subscribers have come forward all the same.

import BSON
import Storage

/// A result that was brought up to date.
struct LiveRefresh {
    /// A result that is to be.
    struct Order: Sendable {
        let group: LiveGroup
        let replaced: LiveResult
        /// Where only stages are to be run over what is kept: the newest command that it shows.
        let keptPosition: Timestamp?
        let epoch: UInt64
    }

    let group: LiveGroup
    /// The result that subscribers know; the same as `result` for the first of a group.
    let replaced: LiveResult
    let result: LiveResult
    /// Where in the log the result stands.
    let position: Timestamp
    /// What subscribers are to be told.
    var events = LiveEventWriter()

    /// Whether the group still waits for it. Under the lock of `LiveQueries`.
    var isWanted: Bool { group.result === replaced }

    /// Puts the result in place of the old one, and the difference in the group's events.
    func install() {
        group.isRefreshing = false
        group.position = position
        group.result = result
        group.lookedUp = result.lookedUp
        group.events.append(contentsOf: events)
    }
}

extension LiveRefresh.Order {
    /// The result as it is now, or at `keptPosition`.
    /// - Throws: what the query throws.
    func read(_ engine: RoostEngine, _ reader: Reader) throws -> LiveRefresh {
        var refresh = try readResult(engine, reader)
        LiveDifference.write(
            from: replaced.all, to: refresh.result.all, isOrdered: group.request.isOrdered,
            token: group.request.token(refresh.position, epoch: epoch).text,
            into: &refresh.events)
        return refresh
    }

    private func readResult(_ engine: RoostEngine, _ reader: Reader) throws -> LiveRefresh {
        if let keptPosition, let result = try LiveResult(runningStagesOf: replaced) {
            return LiveRefresh(
                group: group, replaced: replaced, result: result, position: keptPosition)
        }
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
