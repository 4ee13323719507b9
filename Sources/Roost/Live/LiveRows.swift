// The rows of a result that is kept, and what tells one result from the next.

import BSON

/// One row: its id and its document as it is shown.
struct LiveRow: Sendable, Equatable {
    /// What the row is known by.
    let id: OwnedValue
    /// The document, BSON.
    let document: [UInt8]
}

/// Compares results.
enum LiveDifference {
    /// Appends the events that make `old` into `new`, in the order in which they must be applied.
    /// Ids are distinct in each. O(n log n), and O(n) for each row that moved.
    static func write(
        from old: [LiveRow], to new: [LiveRow], isOrdered: Bool, token: String?,
        into events: inout LiveEventWriter
    ) {
        var ranks: [OwnedValue: Int] = [:]
        ranks.reserveCapacity(new.count)
        for (rank, row) in new.enumerated() { ranks[row.id] = rank }
        // From the end, so that places before stay.
        for (place, row) in old.enumerated().reversed() where ranks[row.id] == nil {
            events.append(
                .removed, id: row.id.view, nil, index: isOrdered ? place : nil, token: token)
        }
        let kept = old.filter { ranks[$0.id] != nil }
        if isOrdered {
            arrange(kept, ranks, new, token, &events)
        } else {
            var before: [OwnedValue: [UInt8]] = [:]
            for row in kept { before[row.id] = row.document }
            for row in new where before[row.id] != row.document {
                let document = DocumentView(row.document.span.bytes)
                events.append(
                    before[row.id] == nil ? .added : .changed, id: row.id.view, document,
                    token: token)
            }
        }
    }

    /// Adds, moves and changes rows so that `kept`, all of which are in `new`, becomes it. As few
    /// move as can be.
    private static func arrange(
        _ kept: [LiveRow], _ ranks: [OwnedValue: Int], _ new: [LiveRow], _ token: String?,
        _ events: inout LiveEventWriter
    ) {
        var list = kept.map { (rank: ranks[$0.id] ?? 0, document: $0.document) }
        var isSettled = Array(repeating: false, count: new.count)
        for place in longestRise(list.map(\.rank)) { isSettled[list[place].rank] = true }
        var place = 0
        while place < new.count {
            let row = new[place]
            let document = DocumentView(row.document.span.bytes)
            guard place < list.count, list[place].rank == place else {
                if place < list.count, !isSettled[list[place].rank] {
                    // It belongs further back: behind all that are settled before it.
                    let moved = list.remove(at: place)
                    let target =
                        list.firstIndex { isSettled[$0.rank] && $0.rank > moved.rank }
                        ?? list.count
                    if target > place {
                        move(moved.rank, new, from: place, to: target, token, &events)
                        isSettled[moved.rank] = true
                        list.insert((moved.rank, new[moved.rank].document), at: target)
                        continue
                    }
                    list.insert(moved, at: place)
                }
                if let from = list.firstIndex(where: { $0.rank == place }) {
                    list.remove(at: from)
                    move(place, new, from: from, to: place, token, &events)
                } else {
                    events.append(.added, id: row.id.view, document, index: place, token: token)
                }
                isSettled[place] = true
                list.insert((place, row.document), at: place)
                place += 1
                continue
            }
            if list[place].document != row.document {
                events.append(.changed, id: row.id.view, document, index: place, token: token)
            }
            isSettled[place] = true
            place += 1
        }
    }

    private static func move(
        _ rank: Int, _ new: [LiveRow], from: Int, to: Int, _ token: String?,
        _ events: inout LiveEventWriter
    ) {
        let row = new[rank]
        events.append(
            .moved, id: row.id.view, DocumentView(row.document.span.bytes), index: to,
            from: from, token: token)
    }

    /// The places of a longest strictly increasing run of distinct numbers. O(n log n).
    private static func longestRise(_ numbers: [Int]) -> [Int] {
        var tails: [Int] = []
        var previous = Array(repeating: -1, count: numbers.count)
        for (place, number) in numbers.enumerated() {
            var low = 0
            var high = tails.count
            while low < high {
                let middle = (low + high) / 2
                if numbers[tails[middle]] < number { low = middle + 1 } else { high = middle }
            }
            previous[place] = low > 0 ? tails[low - 1] : -1
            if low == tails.count { tails.append(place) } else { tails[low] = place }
        }
        var rise: [Int] = []
        var place = tails.last ?? -1
        while place >= 0 {
            rise.append(place)
            place = previous[place]
        }
        return rise.reversed()
    }
}
