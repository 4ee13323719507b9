// Shapes on the sphere, by S2: the one file that speaks to it.
//
// Positions are degrees, longitude first; distances are radians.

internal import BSON
internal import CS2
import Glibc

/// A point on the sphere or the plane: longitude and latitude, or x and y.
struct GeoPoint: Sendable, Hashable {
    let x: Double
    let y: Double

    /// Whether these are a longitude and a latitude in degrees.
    var isOnSphere: Bool { x >= -180 && x <= 180 && y >= -90 && y <= 90 }

    /// The angle between two positions on the sphere, in radians.
    func angle(to other: GeoPoint) -> Double {
        cs2_point_distance(x, y, other.x, other.y)
    }

    /// The same angle by the chord between the two, whose last digits differ.
    func angleByChord(to other: GeoPoint) -> Double {
        let degree = Double.pi / 180
        let (x1, y1, x2, y2) = (x * degree, y * degree, other.x * degree, other.y * degree)
        let dx = cos(y1) * cos(x1) - cos(y2) * cos(x2)
        let dy = cos(y1) * sin(x1) - cos(y2) * sin(x2)
        let dz = sin(y1) - sin(y2)
        return 2 * asin(min(1, 0.5 * (dx * dx + dy * dy + dz * dz).squareRoot()))
    }

    /// The distance on the plane.
    func planeDistance(to other: GeoPoint) -> Double {
        let (dx, dy) = (x - other.x, y - other.y)
        return (dx * dx + dy * dy).squareRoot()
    }

    /// The finest cell of S2 that the position lies in.
    var cell: UInt64 { cs2_point_cell(x, y) }
}

/// Points, lines, polygons and caps on the sphere.
// Unchecked: one thread builds it (`GeoShape.init` returns it finished); it never changes after.
final class GeoShape: @unchecked Sendable {
    /// What a shape is made of.
    enum Piece {
        case point(GeoPoint)
        case line([GeoPoint])
        /// Closed rings, the outer one first. `keepsWinding`: its inside is on the left of the
        /// outer ring, however large.
        case polygon([[GeoPoint]], keepsWinding: Bool)
        /// All within so many radians.
        case cap(GeoPoint, radius: Double)
    }

    private let handle: OpaquePointer

    /// - Throws: `badValue` (2) for lines and polygons that S2 finds wrong.
    init(_ pieces: [Piece]) throws(DBError) {
        guard let handle = cs2_new() else { throw Self.noMemory }
        self.handle = handle
        for piece in pieces { try Self.add(piece, to: handle) }
        guard cs2_finish(handle) else { throw Self.noMemory }
    }

    deinit { cs2_free(handle) }

    private static func add(_ piece: Piece, to handle: OpaquePointer) throws(DBError) {
        switch piece {
        case .point(let point): cs2_add_point(handle, point.x, point.y)
        case .cap(let center, let radius): cs2_add_cap(handle, center.x, center.y, radius)
        case .line(let points):
            let positions = points.flatMap { [$0.x, $0.y] }
            try check { cs2_add_line(handle, positions, points.count, $0) }
        case .polygon(let rings, let keepsWinding):
            let positions = rings.flatMap { ring in ring.flatMap { [$0.x, $0.y] } }
            let counts = rings.map(\.count)
            try check {
                cs2_add_polygon(handle, positions, counts, rings.count, keepsWinding, $0)
            }
        }
    }

    /// Calls S2 with room for a message, which becomes the error's.
    private static func check(
        _ call: (UnsafeMutablePointer<CChar>) -> Bool
    ) throws(DBError) {
        var message = [CChar](repeating: 0, count: Int(CS2_MESSAGE_BYTES))
        // SAFETY: the pointer stays in this closure and has the room that CS2 asks for.
        let isGood = message.withUnsafeMutableBufferPointer { buffer in
            buffer.baseAddress.map(call) ?? false
        }
        guard !isGood else { return }
        let bytes = message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        throw DBError(
            .badValue, "Can't make a geometry of that: " + String(decoding: bytes, as: UTF8.self))
    }

    private static let noMemory = DBError(.internalError, "No memory for a geometry")

    // MARK: Questions

    /// Whether the shape holds a position.
    func holds(_ point: GeoPoint) -> Bool { cs2_holds_point(handle, point.x, point.y) }

    /// Whether the shape holds all of another one, which has no caps.
    func holds(_ other: GeoShape) -> Bool { cs2_holds(handle, other.handle) }

    /// Whether it shares a position with another one, which has no caps.
    func meets(_ other: GeoShape) -> Bool { cs2_meets(handle, other.handle) }

    /// The angle to a position; 0 inside. Not for shapes with caps.
    func angle(to point: GeoPoint) -> Double { cs2_distance(handle, point.x, point.y) }

    /// Cells of S2 that together cover the shape, at most so many.
    func cover(most count: Int) -> [UInt64] {
        [UInt64](unsafeUninitializedCapacity: count) { buffer, written in
            // SAFETY: the buffer has room for `count` cells, which is all that CS2 writes.
            written = buffer.baseAddress.map { cs2_cover(handle, $0, count) } ?? 0
        }
    }
}

/// Cells of S2: squares on the sphere, each the parent of four.
enum GeoCell {
    /// The finest cells within a cell: first and last.
    static func range(of cell: UInt64) -> ClosedRange<UInt64> {
        var first: UInt64 = 0
        var last: UInt64 = 0
        cs2_cell_range(cell, &first, &last)
        return first...last
    }

    /// The cell around a cell; nil for the largest.
    static func parent(of cell: UInt64) -> UInt64? {
        let parent = cs2_cell_parent(cell)
        return parent == 0 ? nil : parent
    }
}
