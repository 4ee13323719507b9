// $near and $geoNear: a search in caps that grow.
//
// Results come nearest first. Where only some are wanted, it is enough to look within some distance
// that holds so many: where a cap's matches are fewer, nothing has been handed out yet (the sort by
// distance waits for its whole input) and the search begins again with a larger cap, at last without
// a bound of its own. A find that wants all gets them ring by ring: what lies in a cap is sorted and
// handed out before the ring around it is looked at, so that its first batch costs little.

import BSON
import Query
import Storage

/// How far a search has got.
struct NearSearch {
    /// The filter as it was asked.
    private let whole: Filter
    /// The filter of the cap or ring at hand.
    private(set) var filter: Filter
    private var radius: Double
    /// How many matches are enough; nil for a search in rings.
    private let wanted: Int?
    /// How many documents had matched before this cap.
    private var matchedBefore = 0
    /// How often the cap has grown.
    private var growths = 0
    /// Whether all of a ring is sorted, and being handed out.
    private(set) var isRingEnded = false

    /// How much farther each cap reaches than the one before, and how often.
    private static let growth = 4.0
    private static let growthsMax = 8

    /// Nil where the order isn't that of distance, or stages need all matches at once.
    init?(_ filter: Filter, _ source: ReadSource) {
        switch source {
        case .find(let request):
            guard request.sort?.isEmpty ?? true, request.limit > 0 || request.skip == 0 else {
                return nil
            }
            wanted = request.limit > 0 ? request.limit &+ request.skip : nil
        case .aggregate(let request, _):
            guard let count = request.pipeline.nearestWanted else { return nil }
            wanted = count
        case .count, .distinct, .changes: return nil
        }
        guard let near = filter.root.near, let radius = near.radiusMin else { return nil }
        whole = filter
        self.radius = radius
        self.filter = filter.bound(nearWithin: radius)
    }

    /// Whether this is a search in rings with one more to look at.
    var hasRingsBeyond: Bool { wanted == nil && growths <= Self.growthsMax }

    /// All of the ring has been found.
    mutating func endRing() { isRingEnded = true }

    /// Goes over to the next cap or ring, where `matched` documents in all don't suffice; false
    /// where they do, or where nothing lies farther.
    mutating func grow(matched: Int) -> Bool {
        guard growths <= Self.growthsMax, wanted.map({ matched - matchedBefore < $0 }) ?? true
        else {
            return false
        }
        let beyond = wanted == nil ? radius : -.infinity
        isRingEnded = false
        growths += 1
        matchedBefore = matched
        radius *= Self.growth
        if growths > Self.growthsMax { radius = .infinity }
        filter = whole.bound(nearWithin: radius, beyond: beyond)
        if filter.root.near?.isWithin(radius) == true { growths = Self.growthsMax + 1 }
        return true
    }
}

extension QueryCursor {
    /// At the end of a cap or ring: hands a ring's results on, and begins again farther away where
    /// more are wanted. Nil where the search is at its end, or was none.
    func goOnFarther<Sink: DocumentSink>(
        _ transaction: borrowing ReadTransaction, _ sink: inout Sink
    ) throws -> ReadStatus? {
        guard let collection, let search = nearSearch else { return nil }
        if search.hasRingsBeyond, case .pipeline(let execution) = output {
            if !search.isRingEnded {
                nearSearch?.endRing()
                try execution.finish()
            }
            if try drain(&sink) { return .batchFull }
        }
        guard nearSearch?.grow(matched: counters.matched) == true else { return nil }
        let chosen = try choosePlan(collection, transaction)
        seen = RecordKeySet()
        plan = chosen
        start(chosen)
        output = try source.output(chosen, resources)
        return .budgetSpent
    }
}
