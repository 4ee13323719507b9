// $near with a limit: a search in caps that grow until they hold enough.
//
// Results come nearest first and no more than the limit are wanted, so it is enough to look within
// some distance that holds so many. The first cap is small; where its matches are fewer than
// wanted, nothing has been handed out yet (the sort by distance waits for its whole input) and the
// search begins again with a larger one, at last without a bound of its own.

import BSON
import Query
import Storage

/// How far a search has got.
struct NearSearch {
    /// The filter as it was asked.
    private let whole: Filter
    /// The filter of the cap at hand.
    private(set) var filter: Filter
    private var radius: Double
    /// How many matches are enough.
    private let wanted: Int
    /// How many documents had matched before this cap.
    private var matchedBefore = 0
    /// How often the cap has grown.
    private var growths = 0

    /// How much farther each cap reaches than the one before, and how often.
    private static let growth = 4.0
    private static let growthsMax = 8

    /// Nil where the order isn't that of distance, or all matches are wanted.
    init?(_ filter: Filter, _ question: PlanQuestion, _ source: ReadSource) {
        guard case .find(let request) = source, let wanted = question.limit,
            request.sort?.isEmpty ?? true, let near = filter.root.near,
            let radius = near.radiusMin
        else { return nil }
        whole = filter
        self.wanted = wanted
        self.radius = radius
        self.filter = filter.bound(nearWithin: radius)
    }

    /// Goes over to the next cap, where `matched` documents in all don't suffice; false where they
    /// do, or where nothing lies farther.
    mutating func grow(matched: Int) -> Bool {
        guard growths <= Self.growthsMax, matched - matchedBefore < wanted else { return false }
        growths += 1
        matchedBefore = matched
        radius *= Self.growth
        filter = growths > Self.growthsMax ? whole : whole.bound(nearWithin: radius)
        if filter.root.near?.isWithin(radius) == true { growths = Self.growthsMax + 1 }
        return true
    }
}
