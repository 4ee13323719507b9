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
    /// What the rules looked up for the result; collections in `watchedLookups` are followed.
    var lookedUp: LookedUp
    var watchedLookups: Set<Namespace> = []
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
    /// Whether the pass under way changed what is kept.
    var isNoted = false
    /// Events of the pass under way.
    var events = LiveEventWriter()
    /// The result, where one is kept; as of `position`.
    var result: LiveResult?
    var position = Timestamp(rawValue: 0)
    /// The token that was made last, and of which command.
    private var lastToken = (end: Timestamp(rawValue: 0), text: "")
    /// Whether a result was read, or is being read, that a pass has yet to bring up to its end:
    /// until then changes are not noted.
    var isRefreshing = false

    init(_ request: LiveRequest, serial: UInt64) {
        self.request = request
        self.serial = serial
        filter = request.filter
        projection = LiveProjection(request.projection, request.asked)
        lookedUp = request.binding?.lookedUp ?? LookedUp()
    }

    /// Whether the result is kept.
    var keepsRows: Bool { request.keepsRows }

    /// What a client that was told all up to `end` resumes with.
    func token(_ end: Timestamp, epoch: UInt64) -> String {
        if lastToken.end != end || lastToken.text.isEmpty {
            lastToken = (end, request.token(end, epoch: epoch).text)
        }
        return lastToken.text
    }

    /// Whether other rules were deployed since the group was made.
    func isOutdated(_ version: Int64) -> Bool {
        request.binding.map { $0.version != version } ?? false
    }

    // MARK: Changes

    /// Notes what a change does to the rows; `end` and `epoch` are the token's.
    /// - Throws: what the filter and the projection throw.
    func apply(
        _ change: ChangeSet.Change, of set: borrowing ChangeSet, _ end: Timestamp, epoch: UInt64,
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
            try note(change, of: set, matched: matched, matches: matches)
        } else {
            try events.append(
                change, of: set, projection, matched: matched, matches: matches,
                token: token(end, epoch: epoch))
        }
    }

    private func note(
        _ change: ChangeSet.Change, of set: borrowing ChangeSet, matched: Bool, matches: Bool
    ) throws(DBError) {
        guard let result, !isRefreshing else { return }
        isNoted = true
        // Views can't be optional fields of a call's tuple, so there is a call for each case.
        switch (change.before, change.after) {
        case (let before?, let after?):
            try result.note(
                set.image(before), set.image(after), matched: matched, matches: matches)
        case (let before?, nil):
            try result.note(set.image(before), nil, matched: matched, matches: false)
        case (nil, let after?):
            try result.note(nil, set.image(after), matched: false, matches: matches)
        case (nil, nil): break
        }
    }

    // MARK: Results

    /// Notes what became of the kept result.
    /// - Throws: what the query throws.
    func settle(
        end: Timestamp, epoch: UInt64, _ stageNanosLeft: inout UInt64
    ) throws(DBError) -> LiveResult.Settlement {
        isNoted = false
        guard let result, !isRefreshing else { return .done }
        let settlement = try result.settle(
            token(end, epoch: epoch), &stageNanosLeft, into: &events)
        switch settlement {
        case .done, .stale(isTold: true): position = end
        case .stale(isTold: false), .stages: break
        }
        return settlement
    }

    // MARK: Delivery

    /// Hands the events of the pass to the subscribers.
    func deliver(end: Timestamp, epoch: UInt64) -> Int {
        guard events.count > 0 else { return 0 }
        guard events.byteCount <= Limits.documentBytesMax else {
            events.removeAll()
            giveUp("the changes of one command are larger than a batch")
            return 0
        }
        let frame = events.take(
            end: end, token: token(end, epoch: epoch), isOrdered: request.isOrdered)
        let count = subscriptions.count
        subscriptions.removeAll { !$0.push(frame) }
        return count
    }

    /// Has all subscribers read the result anew.
    func giveUp(_ reason: String) {
        events.removeAll()
        result = nil
        isNoted = false
        isRefreshing = false
        for subscription in subscriptions { subscription.giveUp(reason) }
        subscriptions = []
    }

    /// Ends all subscriptions with an error. Where the rules refuse to read it again, each asks them
    /// itself.
    func end(_ error: DBError) {
        if request.binding != nil, error.code == .unauthorized {
            giveUp("the security rules show something else now")
        } else {
            fail(error)
        }
    }

    /// Ends all subscriptions with an error.
    func fail(_ error: DBError) {
        events.removeAll()
        result = nil
        isNoted = false
        isRefreshing = false
        for subscription in subscriptions { subscription.fail(error) }
        subscriptions = []
    }
}

extension LiveEventWriter {
    /// Appends what a change does to the rows of a query that keeps none.
    /// - Throws: what the projection throws.
    mutating func append(
        _ change: ChangeSet.Change, of set: borrowing ChangeSet, _ projection: LiveProjection,
        matched: Bool, matches: Bool, token: String?
    ) throws(DBError) {
        guard matches, let after = change.after else {
            return append(.removed, id: set.id(change), nil, token: token)
        }
        if matched, let before = change.before, projection.isIdentity,
            set.image(before).bytes.equals(set.image(after).bytes)
        {
            return
        }
        let start = open(matched ? .changed : .added, id: set.id(change))
        let document = byteCount
        try project(set.image(after), projection)
        if matched, let before = change.before, !projection.isIdentity {
            var other = LiveEventWriter()
            try other.project(set.image(before), projection)
            let bytes = writer.bytes
            let otherBytes = other.writer.bytes
            // Both begin with the five bytes of the field `doc`.
            if otherBytes.span.bytes.extracting(5...).equals(
                bytes.span.bytes.extracting((document + 5)...))
            {
                return abandon(start)
            }
        }
        close(start, token)
    }
}
