// All who ask for the same: one evaluation, one encoding.

import BSON
import Query
import Storage

/// A query group: identical live queries.
// Unchecked: touched under the lock of `LiveQueries` only, but for what is immutable.
final class LiveGroup: @unchecked Sendable {
    let request: LiveRequest
    /// What the matcher asks documents.
    let filter: Filter
    let projection: LiveProjection
    /// What tokens carry.
    let hash: UInt64
    /// Who gets the events of the next pass.
    var subscriptions: [LiveSubscription] = []
    /// Subscribers, also those that are still reading the result they begin with.
    var members = 0
    /// Tells groups apart, in the order of their making.
    let serial: UInt64
    /// Where the predicate index has it; nil: it is asked about every change.
    var anchor: Anchor?
    /// The change for which the group was last a candidate.
    var mark: UInt64 = 0
    /// Whether the pass under way touched it.
    var isTouched = false
    /// Events of the pass under way.
    var events = LiveEventWriter()
    /// The result, where one is kept; as of `position`.
    var rows: [LiveRow]?
    var position = Timestamp(rawValue: 0)
    /// Whether the result must be read again.
    var isStale = false

    init(_ request: LiveRequest, serial: UInt64) {
        self.request = request
        self.serial = serial
        filter = request.filter
        hash = request.hash
        projection = LiveProjection(request.projection, request.filter)
    }

    /// Whether the result is kept, since a change alone does not say what becomes of it.
    var keepsRows: Bool {
        if case .rows = request.shape { false } else { true }
    }

    // MARK: Changes

    /// Notes what a change does to the rows.
    /// - Throws: what the filter and the projection throw.
    func apply(
        _ change: ChangeSet.Change, of set: borrowing ChangeSet, _ token: String,
        _ scratch: inout MatchScratch
    ) throws(DBError) {
        var matched = false
        if let before = change.before {
            matched = try filter.matches(set.image(before), &scratch)
        }
        var matches = false
        if let after = change.after {
            matches = try filter.matches(set.image(after), &scratch)
        }
        guard matched || matches else { return }
        if keepsRows {
            isStale = true
            return
        }
        guard matches, let after = change.after else {
            return events.append(.removed, id: set.id(change), nil, token: token)
        }
        let start = events.open(matched ? .changed : .added, id: set.id(change))
        let document = events.byteCount
        try events.project(set.image(after), projection)
        if matched, !projection.isIdentity, let before = change.before,
            try isSame(set.image(before), as: document)
        {
            return events.abandon(start)
        }
        events.close(start, token)
    }

    /// Whether a document is shown as what was written behind `offset`.
    private func isSame(_ before: DocumentView, as offset: Int) throws(DBError) -> Bool {
        var other = LiveEventWriter()
        try other.project(before, projection)
        return other.writer.bytes.elementsEqual(events.writer.bytes[offset...])
    }

    // MARK: Results

    /// Reads the result in the reader's snapshot.
    /// - Throws: what the query throws.
    func read(_ engine: RoostEngine, _ reader: Reader) throws(DBError) -> [LiveRow] {
        try LiveRead.rows(request, nil, engine, reader, projection)
    }

    /// Brings the kept result up to the reader's snapshot and notes what became of it.
    func refresh(
        _ engine: RoostEngine, _ reader: Reader, _ end: Timestamp, _ token: String
    ) throws(DBError) {
        guard let old = rows else { return }
        let new = try read(engine, reader)
        LiveDifference.write(
            from: old, to: new, isOrdered: request.isOrdered, token: token, into: &events)
        rows = new
        position = end
        isStale = false
    }

    // MARK: Delivery

    /// Hands the events of the pass to the subscribers.
    func deliver(end: Timestamp) -> Int {
        guard events.count > 0 else { return 0 }
        guard events.byteCount <= Limits.documentBytesMax else {
            events.removeAll()
            giveUp("the changes of one command are larger than a batch")
            return 0
        }
        let frame = events.take(end: end)
        let count = subscriptions.count
        subscriptions.removeAll { !$0.push(frame) }
        return count
    }

    /// Has all subscribers read the result anew.
    func giveUp(_ reason: String) {
        events.removeAll()
        rows = nil
        isStale = false
        for subscription in subscriptions { subscription.giveUp(reason) }
        subscriptions = []
    }

    /// Ends all subscriptions with an error.
    func fail(_ error: DBError) {
        events.removeAll()
        rows = nil
        isStale = false
        for subscription in subscriptions { subscription.fail(error) }
        subscriptions = []
    }
}
