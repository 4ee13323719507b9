// Conditions on places, as the matcher asks them and the planner reads bounds from them.

package import BSON

/// What a filter asks of a place: $geoWithin, $geoIntersects, $near or $nearSphere.
package final class GeoPredicate: Sendable, Hashable {
    /// The condition.
    enum Test: Sendable {
        case within(GeoRegion)
        case intersects(GeoShape)
        case near(GeoNear)
    }

    let test: Test
    /// What the condition was read from; equal sources are equal conditions.
    private let source: OwnedValue

    init(_ test: Test, source: OwnedValue) {
        self.test = test
        self.source = source
    }

    /// Whether both were written alike.
    package static func == (left: GeoPredicate, right: GeoPredicate) -> Bool {
        left.source == right.source
    }

    /// Hashes what it was written as.
    package func hash(into hasher: inout Hasher) { hasher.combine(source) }

    /// Whether a value is a place that meets the condition. Points allocate nothing.
    func matches(_ value: ValueView) -> Bool {
        guard let place = GeoValue.stored(value) else { return false }
        switch test {
        case .within(let region): return region.holds(place)
        case .intersects(let shape):
            switch place {
            case .point(let point, _): return point.isOnSphere && shape.holds(point)
            case .shape(let other): return shape.meets(other)
            }
        case .near(let near): return near.distance(of: place).map(near.admits) ?? false
        }
    }

    /// Whether a part of an index of this kind holds every place that meets the condition.
    package func fits(_ kind: IndexPartKind) -> Bool {
        switch (kind, test) {
        case (.sphere, .within(.sphere)), (.sphere, .intersects): true
        case (.sphere, .near(let near)): near.isSpherical
        case (.plane, .within(.sphere(_, let box))): box != nil
        case (.plane, .within): true
        case (.plane, .near(let near)): !near.isGeoJSON
        default: false
        }
    }

    /// What `$near` asks; nil for other conditions.
    package var near: GeoNear? {
        if case .near(let near) = test { near } else { nil }
    }

    /// The same condition answered by a 2d index, which measures angles in its own way.
    var onPlane: GeoPredicate {
        guard var near else { return self }
        near.isByChord = true
        return GeoPredicate(.near(near), source: source)
    }

    /// The same condition within a distance and beyond another, as they are shown.
    func within(_ most: Double, beyond: Double) -> GeoPredicate {
        guard var near, most < near.most || beyond > near.beyond else { return self }
        near.most = min(most, near.most)
        near.beyond = beyond
        return GeoPredicate(.near(near), source: source)
    }

    // MARK: Bounds

    /// Most cells that a region is covered with.
    private static let cellsMax = 24

    /// Ranges of a 2dsphere index's keys that every match has one in; nil for all of them.
    package var sphereRanges: [ClosedRange<Int64>]? {
        let shape: GeoShape?
        switch test {
        case .within(.sphere(let region, _)): shape = region
        case .within: shape = nil
        case .intersects(let other): shape = other
        case .near(let near): shape = near.reach
        }
        guard let shape else { return nil }
        var ranges: [ClosedRange<Int64>] = []
        var around: Set<UInt64> = []
        for cell in shape.cover(most: Self.cellsMax) {
            let range = GeoCell.range(of: cell)
            ranges.append(
                Int64(bitPattern: range.lowerBound)...Int64(bitPattern: range.upperBound))
            var parent = GeoCell.parent(of: cell)
            while let next = parent, around.insert(next).inserted {
                ranges.append(Int64(bitPattern: next)...Int64(bitPattern: next))
                parent = GeoCell.parent(of: next)
            }
        }
        return ranges
    }

    /// Ranges of a 2d index's keys that every match has one in; nil for all of them.
    package func planeRanges(_ grid: PlaneGrid) -> [ClosedRange<Int64>]? {
        let box: GeoBox?
        switch test {
        case .within(let region): box = region.bounds
        case .intersects: box = nil
        case .near(let near): box = near.bounds
        }
        return box.map { grid.ranges($0) }
    }
}

/// What $near asks: places in order of their distance, and within bounds of it.
package struct GeoNear: Sendable {
    /// Where distances are measured from.
    let center: GeoPoint
    /// Whether on the sphere, in radians; else on the plane.
    package let isSpherical: Bool
    /// Whether the query spoke GeoJSON, so that distances are in metres.
    package let isGeoJSON: Bool
    /// The distances admitted, as they are shown.
    let least: Double
    fileprivate(set) var most: Double
    /// Documents are wanted whose nearest place is farther than this: a search in rings has had the
    /// others.
    package fileprivate(set) var beyond = -Double.infinity
    /// Whether angles are computed as MongoDB's 2d indexes do; the last digits differ.
    var isByChord = false

    /// What stands for the path where the one geo index of the collection is meant.
    static let openPath = FieldPath("$geoNear")

    /// The earth's radius as MongoDB has it, in metres.
    static let earthRadiusMetres = 6_378_100.0

    /// A distance to begin a search with, as it is shown: about a hundred metres on the earth. Nil
    /// where the condition itself reaches no farther, or begins farther away.
    package var radiusMin: Double? {
        let angle = 1.6e-5
        let radius =
            isGeoJSON ? angle * Self.earthRadiusMetres : isSpherical ? angle : angle * 180 / .pi
        return most > 4 * radius && least <= radius ? radius : nil
    }

    /// Whether no distance is admitted that is greater.
    package func isWithin(_ distance: Double) -> Bool { most < distance }

    /// How far a place is: radians or the plane's units; nil where that can't be said.
    func distance(of place: GeoValue) -> Double? {
        switch place {
        case .point(let point, _):
            if !isSpherical { return center.planeDistance(to: point) }
            guard point.isOnSphere else { return nil }
            return isByChord ? center.angleByChord(to: point) : center.angle(to: point)
        case .shape(let shape): return isSpherical ? shape.angle(to: center) : nil
        }
    }

    /// Whether such a distance is within the bounds.
    func admits(_ distance: Double) -> Bool {
        let shown = shown(distance)
        return least <= shown && shown <= most
    }

    /// The greatest distance admitted, in radians or the plane's units.
    private var reached: Double { isGeoJSON ? most / Self.earthRadiusMetres : most }

    /// A distance as it is shown: metres for GeoJSON.
    func shown(_ distance: Double) -> Double {
        isSpherical && isGeoJSON ? distance * Self.earthRadiusMetres : distance
    }

    /// The cap that holds all that is near enough; nil for the whole sphere.
    var reach: GeoShape? {
        guard isSpherical, reached < .pi else { return nil }
        return try? GeoShape([.cap(center, radius: reached * (1 + 1e-12) + 1e-12)])
    }

    /// The rectangle that holds all that is near enough; nil for the whole plane.
    var bounds: GeoBox? {
        guard most.isFinite else { return nil }
        return isSpherical
            ? GeoBox(aroundCapAt: center, radians: reached) : GeoBox(around: center, most)
    }

    /// The nearest place among the values that a path leads to, and its distance as it is shown.
    package func nearest(
        in document: DocumentView, at path: FieldPath
    ) -> (distance: Double, place: OwnedValue)? {
        var best: (distance: Double, place: OwnedValue)?
        PlaceWalk.forEach(in: document, path) { value in
            guard let place = GeoValue.stored(value), let distance = self.distance(of: place),
                admits(distance), best.map({ distance < $0.distance }) ?? true
            else { return }
            best = (distance, OwnedValue(copying: value))
        }
        return best.map { (shown($0.distance), $0.place) }
    }
}

/// Finds the values that may be places: those at a path's end, and the elements of arrays there.
enum PlaceWalk {
    /// Runs `body` for each value at the path, as the matcher finds them.
    static func forEach(
        in document: DocumentView, _ path: FieldPath, _ body: (ValueView) -> Void
    ) {
        PathEnds.forEach(in: document, path) { value in
            body(value)
            guard let array = value.array else { return }
            var elements = array.makeIterator()
            while let element = elements.next() { body(element.value) }
        }
    }
}
