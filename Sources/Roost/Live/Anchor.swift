// Under which keys a filter is registered.
//
// An anchor is a set of keys of one path (or, for `$or`, one set for each branch) such that every
// document that matches has a key in it. Which keys that are the planner's bounds say. Of a
// conjunction one condition is enough: the most selective one.

import BSON
import Query

/// Where a query is found.
struct Anchor {
    /// Keys of one path.
    struct Place {
        let path: FieldPath
        let intervals: [KeyInterval]
    }

    /// One of them holds a key of each matching document.
    var places: [Place]
    /// How many queries are asked in vain for a document, by a rough guess.
    var cost: Int

    /// Most single values of an anchor.
    static let pointsMax = 1_000

    /// The best anchor of a filter; nil where only looking at each document tells.
    ///
    /// `crowd` answers how many queries share a key already.
    static func choose(
        _ filter: Filter, crowd: @escaping (FieldPath, RawSpan) -> Int
    ) -> Anchor? {
        AnchorSearch(comparesText: filter.collation == nil, crowd: crowd).best(filter.root)
    }

    /// The places as text, for explain.
    var description: String {
        places.map { place in
            let isPoints = place.intervals.allSatisfy(\.isPoint)
            let count = place.intervals.count
            return isPoints
                ? "\(place.path): \(count == 1 ? "one value" : "\(count) values")"
                : "\(place.path): \(count == 1 ? "a range" : "\(count) ranges")"
        }.joined(separator: "; ")
    }
}

/// Looks for anchors in a filter's tree.
private struct AnchorSearch {
    let comparesText: Bool
    let crowd: (FieldPath, RawSpan) -> Int

    func best(_ node: FilterNode) -> Anchor? {
        switch node {
        case .alwaysFalse: return Anchor(places: [], cost: 0)
        case .and(let nodes):
            var best: Anchor?
            for candidate in conjunctions(nodes) + nodes.compactMap({ self.best($0) })
            where candidate.cost < best?.cost ?? .max {
                best = candidate
            }
            return best
        case .or(let nodes):
            var all = Anchor(places: [], cost: 0)
            for node in nodes {
                guard let branch = self.best(node) else { return nil }
                all.places += branch.places
                all.cost += branch.cost
            }
            return all
        default:
            var best: Anchor?
            for path in paths(node, under: nil) {
                guard let intervals = intervals(of: node, path) else { continue }
                let candidate = anchor(path, intervals)
                if candidate.cost < best?.cost ?? .max { best = candidate }
            }
            return best
        }
    }

    /// Anchors of ranges that several conditions on one path bound together.
    ///
    /// Of an array different elements may satisfy them; then the range between its least and its
    /// greatest element overlaps the intersection, and that is what is looked up.
    private func conjunctions(_ nodes: [FilterNode]) -> [Anchor] {
        var ranges: [FieldPath: KeyIntervalSet] = [:]
        var counts: [FieldPath: Int] = [:]
        for node in nodes {
            guard case .compare(let path, let comparison, _) = node, comparison != .equal,
                let set = builder(path).bounds(of: node)?.set, set.intervals.count == 1
            else { continue }
            ranges[path] = ranges[path]?.intersection(set) ?? set
            counts[path, default: 0] += 1
        }
        return ranges.compactMap { path, set in
            guard counts[path] ?? 0 > 1, set.intervals.count == 1, isUseful(set) else { return nil }
            return anchor(path, set.intervals)
        }
    }

    private func intervals(of node: FilterNode, _ path: FieldPath) -> [KeyInterval]? {
        guard let set = builder(path).bounds(of: node)?.set, isUseful(set) else { return nil }
        return set.intervals
    }

    private func builder(_ path: FieldPath) -> PathBoundsBuilder {
        PathBoundsBuilder(path: path, isMultikey: true, comparesText: comparesText)
    }

    /// Whether each interval is bounded by some value, not by a type alone.
    private func isUseful(_ set: KeyIntervalSet) -> Bool {
        guard set.intervals.count(where: \.isPoint) <= Anchor.pointsMax else { return false }
        return set.intervals.allSatisfy { interval in
            guard !interval.low.bytes.isEmpty, !interval.high.bytes.isEmpty else { return false }
            return interval.isPoint || interval.low.isValue || interval.high.isValue
                || interval.low.isRegexBracket
        }
    }

    private func anchor(_ path: FieldPath, _ intervals: [KeyInterval]) -> Anchor {
        var cost = 0
        for interval in intervals {
            if interval.isPoint {
                // Flags and nulls are shared by many documents, whoever asks for them.
                let isCoarse = interval.low.isCoarse
                cost += 1 + crowd(path, interval.low.bytes.span.bytes) + (isCoarse ? 50 : 0)
            } else if interval.low.isRegexBracket {
                cost += 1
            } else {
                cost += interval.low.isValue && interval.high.isValue ? 100 : 1_000
            }
        }
        return Anchor(places: [Anchor.Place(path: path, intervals: intervals)], cost: cost)
    }

    /// The paths that a condition is about.
    private func paths(_ node: FilterNode, under prefix: String?) -> [FieldPath] {
        let full = node.path.map { path in
            prefix.map { $0 + "." + path.dotted } ?? path.dotted
        }
        switch node {
        case .elementObject(_, let inner): return paths(inner, under: full)
        case .and(let nodes), .or(let nodes): return nodes.flatMap { paths($0, under: prefix) }
        case .not(.exists(let path)):
            return [FieldPath(prefix.map { $0 + "." + path.dotted } ?? path.dotted)]
        default: return full.map { [FieldPath($0)] } ?? []
        }
    }
}

extension KeyBound {
    /// Whether the query names it.
    fileprivate var isValue: Bool {
        switch label {
        case .value, .text: true
        case .minKey, .maxKey, .bracket: false
        }
    }

    /// Whether it bounds the stored regular expressions, which go with each pattern.
    fileprivate var isRegexBracket: Bool {
        if case .bracket(let rank, _) = label { return rank == BSONType.regex.canonicalRank }
        return false
    }

    /// Whether it is one of few values.
    fileprivate var isCoarse: Bool {
        guard case .value(let value) = label else { return false }
        return value.type == .bool || value.type == .null || value.type == .undefined
    }
}
