// What $geoWithin can ask for: regions of the plane and of the sphere.

internal import BSON
import Glibc

/// A region of the plane or the sphere.
enum GeoRegion: Sendable {
    case box(GeoBox)
    case circle(center: GeoPoint, radius: Double)
    /// A ring of at least three points; the last is joined with the first.
    case ring([GeoPoint])
    /// Polygons or a cap on the sphere. The cap's rectangle in degrees, where it is one.
    case sphere(GeoShape, GeoBox?)

    /// Whether all of a place lies within the region.
    func holds(_ value: GeoValue) -> Bool {
        switch (self, value) {
        case (.sphere(let region, _), .point(let point, _)):
            point.isOnSphere && region.holds(point)
        case (.sphere(let region, _), .shape(let shape)): region.holds(shape)
        case (_, .point(let point, _)): holds(point)
        case (_, .shape): false
        }
    }

    /// Whether a point of the plane lies within the region.
    private func holds(_ point: GeoPoint) -> Bool {
        switch self {
        case .box(let box): box.holds(point)
        case .circle(let center, let radius): center.planeDistance(to: point) <= radius
        case .ring(let points): Self.holds(points, point)
        case .sphere(let region, _): region.holds(point)
        }
    }

    /// The even-odd rule by a ray to the right. Vertices and points on level or upright edges are
    /// inside; on slanted edges, those to whose left the inside is.
    private static func holds(_ ring: [GeoPoint], _ point: GeoPoint) -> Bool {
        guard var start = ring.last else { return false }
        var isInside = false
        for end in ring {
            defer { start = end }
            if point == start || point == end { return true }
            let (low, high) = (min(start.y, end.y), max(start.y, end.y))
            let (left, right) = (min(start.x, end.x), max(start.x, end.x))
            if start.y == end.y {
                if point.y == start.y, left <= point.x, point.x <= right { return true }
                continue
            }
            guard low < point.y, point.y <= high, point.x <= right else { continue }
            if start.x == end.x {
                if point.x == start.x { return true }
                isInside.toggle()
                continue
            }
            let slope = (end.x - start.x) / (end.y - start.y)
            if point.x <= (point.y - start.y) * slope + start.x { isInside.toggle() }
        }
        return isInside
    }

    /// A rectangle of the plane around the region; nil where there is no useful one.
    var bounds: GeoBox? {
        switch self {
        case .box(let box): box
        case .circle(let center, let radius): GeoBox(around: center, radius)
        case .ring(let points): GeoBox(around: points)
        case .sphere(_, let box): box
        }
    }
}

/// An upright rectangle, its edges included.
struct GeoBox: Sendable, Hashable {
    var low: GeoPoint
    var high: GeoPoint

    init(_ low: GeoPoint, _ high: GeoPoint) {
        self.low = GeoPoint(x: min(low.x, high.x), y: min(low.y, high.y))
        self.high = GeoPoint(x: max(low.x, high.x), y: max(low.y, high.y))
    }

    /// The rectangle around a circle.
    init(around center: GeoPoint, _ radius: Double) {
        low = GeoPoint(x: center.x - radius, y: center.y - radius)
        high = GeoPoint(x: center.x + radius, y: center.y + radius)
    }

    /// The rectangle around points.
    init?(around points: [GeoPoint]) {
        guard let first = points.first else { return nil }
        low = first
        high = first
        for point in points {
            low = GeoPoint(x: min(low.x, point.x), y: min(low.y, point.y))
            high = GeoPoint(x: max(high.x, point.x), y: max(high.y, point.y))
        }
    }

    /// A rectangle in degrees around a cap of the sphere; nil where the cap wraps around it.
    init?(aroundCapAt center: GeoPoint, radians: Double) {
        // A little more, for what rounding takes.
        let radius = radians * (1 + 1e-12) + 1e-12
        let degrees = radius * 180 / .pi
        guard center.y - degrees > -90, center.y + degrees < 90 else { return nil }
        let latitude = center.y * .pi / 180
        let reach = sin(radius) / cos(latitude)
        guard reach < 1, radius < .pi / 2 else { return nil }
        let width = asin(reach) * 180 / .pi * (1 + 1e-12) + 1e-10
        guard center.x - width >= -180, center.x + width <= 180 else { return nil }
        low = GeoPoint(x: center.x - width, y: center.y - degrees)
        high = GeoPoint(x: center.x + width, y: center.y + degrees)
    }

    /// Whether a point lies in the rectangle.
    func holds(_ point: GeoPoint) -> Bool {
        low.x <= point.x && point.x <= high.x && low.y <= point.y && point.y <= high.y
    }
}
