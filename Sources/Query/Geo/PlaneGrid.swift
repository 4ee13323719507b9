// The keys of 2d indexes: the plane cut into 4^bits squares, numbered so that squares of a larger
// square follow each other.

internal import BSON

/// How a 2d index cuts the plane.
package struct PlaneGrid: Sendable, Hashable {
    /// How often each axis is halved: 1 to 32.
    package let bits: Int
    /// The ends of both axes, included.
    package let low: Double
    package let high: Double

    /// A grid.
    package init(bits: Int = 26, low: Double = -180, high: Double = 180) {
        self.bits = bits
        self.low = low
        self.high = high
    }

    /// Most ranges of squares that a rectangle is covered with.
    private static let rangesMax = 24

    /// The key of a point.
    /// - Throws: 13027 for one outside the grid.
    func key(of point: GeoPoint) throws(DBError) -> Int64 {
        guard point.x >= low, point.x <= high, point.y >= low, point.y <= high else {
            throw DBError(
                DBError.Code(rawValue: 13027),
                "point not in interval of [ \(low), \(high) ]: [\(point.x), \(point.y)]")
        }
        return Self.key(Self.interleaved(step(point.x), step(point.y)))
    }

    /// Ranges of keys that hold those of all points within a rectangle.
    func ranges(_ box: GeoBox) -> [ClosedRange<Int64>] {
        let (left, right) = (step(box.low.x), step(box.high.x))
        let (bottom, top) = (step(box.low.y), step(box.high.y))
        var done: [ClosedRange<Int64>] = []
        var open = [Square(x: 0, y: 0, level: 0)]
        for level in 1...bits {
            var next: [Square] = []
            for square in open {
                for quarter in square.quarters {
                    let xs = quarter.steps(quarter.x, bits)
                    let ys = quarter.steps(quarter.y, bits)
                    guard xs.overlaps(left...right), ys.overlaps(bottom...top) else { continue }
                    let isWhole =
                        left <= xs.lowerBound && xs.upperBound <= right
                        && bottom <= ys.lowerBound && ys.upperBound <= top
                    if isWhole || level == bits {
                        done.append(range(quarter))
                    } else {
                        next.append(quarter)
                    }
                }
            }
            open = next
            if open.isEmpty || done.count + 2 * open.count > Self.rangesMax { break }
        }
        return done + open.map(range)
    }

    /// A square of some size: its position among those of its size.
    private struct Square {
        let x: UInt64
        let y: UInt64
        let level: Int

        var quarters: [Square] {
            [(0, 0), (0, 1), (1, 0), (1, 1)].map {
                Square(x: 2 * x + $0.0, y: 2 * y + $0.1, level: level + 1)
            }
        }

        /// The finest steps along one axis.
        func steps(_ position: UInt64, _ bits: Int) -> ClosedRange<UInt64> {
            let shift = UInt64(bits - level)
            return position << shift...(position + 1) << shift - 1
        }
    }

    private func range(_ square: Square) -> ClosedRange<Int64> {
        let (xs, ys) = (square.steps(square.x, bits), square.steps(square.y, bits))
        return Self.key(
            Self.interleaved(xs.lowerBound, ys.lowerBound))...Self.key(
                Self.interleaved(xs.upperBound, ys.upperBound))
    }

    /// Which of the 2^bits steps a coordinate is in.
    private func step(_ coordinate: Double) -> UInt64 {
        let count = Double(UInt64(1) << UInt64(bits))
        let position = (coordinate - low) / (high - low) * count
        return UInt64(max(0, min(position, count - 1)))
    }

    /// The bits of both, x first.
    private static func interleaved(_ x: UInt64, _ y: UInt64) -> UInt64 {
        spread(x) << 1 | spread(y)
    }

    /// The low 32 bits, a gap before each.
    private static func spread(_ value: UInt64) -> UInt64 {
        var bits = value & 0xFFFF_FFFF
        bits = (bits | bits << 16) & 0x0000_FFFF_0000_FFFF
        bits = (bits | bits << 8) & 0x00FF_00FF_00FF_00FF
        bits = (bits | bits << 4) & 0x0F0F_0F0F_0F0F_0F0F
        bits = (bits | bits << 2) & 0x3333_3333_3333_3333
        return (bits | bits << 1) & 0x5555_5555_5555_5555
    }

    /// Signed, in the same order.
    private static func key(_ number: UInt64) -> Int64 { Int64(bitPattern: number ^ 1 << 63) }
}
