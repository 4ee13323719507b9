// Preferred numbers (ISO 3, IEC 60063, 1-2-5, powers of two): the boundaries that $bucketAuto takes
// with `granularity`.

import BSON
import Glibc

/// A series of preferred numbers: one decade, which repeats with every power of ten.
struct Granularity: Sendable {
    /// The numbers of one decade, ascending, the first a power of ten; empty for powers of two.
    private let decade: [Double]

    /// The series of that name; nil for an unknown one.
    init?(_ name: String) {
        guard let decade = Self.decades[name] else { return nil }
        self.decade = decade
    }

    private static let renard40: [Double] = [
        100, 106, 112, 118, 125, 132, 140, 150, 160, 170, 180, 190, 200, 212, 224, 236, 250, 265,
        280, 300, 315, 335, 355, 375, 400, 425, 450, 475, 500, 530, 560, 600, 630, 670, 710, 750,
        800, 850, 900, 950,
    ]
    private static let renard80Between: [Double] = [
        103, 109, 115, 122, 128, 136, 145, 155, 165, 175, 185, 195, 206, 218, 230, 243, 258, 272,
        290, 307, 325, 345, 365, 387, 412, 437, 462, 487, 515, 545, 575, 615, 650, 690, 730, 775,
        825, 875, 925, 975,
    ]
    private static let e24: [Double] = [
        10, 11, 12, 13, 15, 16, 18, 20, 22, 24, 27, 30, 33, 36, 39, 43, 47, 51, 56, 62, 68, 75, 82,
        91,
    ]

    /// The series of IEC 60063 above 24: powers of 10 rounded to three digits, but for one.
    private static func electronic(_ count: Int) -> [Double] {
        (0..<count).map { index in
            let value = (100 * pow(10, Double(index) / Double(count))).rounded()
            return value == 919 ? 920 : value
        }
    }

    private static func every(_ step: Int, of numbers: [Double]) -> [Double] {
        stride(from: 0, to: numbers.count, by: step).map { numbers[$0] }
    }

    private static let decades: [String: [Double]] = [
        "R5": [10, 16, 25, 40, 63],
        "R10": [100, 125, 160, 200, 250, 315, 400, 500, 630, 800],
        "R20": every(2, of: renard40),
        "R40": renard40,
        "R80": (renard40 + renard80Between).sorted(),
        "1-2-5": [10, 20, 50],
        "E6": every(4, of: e24),
        "E12": every(2, of: e24),
        "E24": e24,
        "E48": electronic(48),
        "E96": electronic(96),
        "E192": electronic(192),
        "POWERSOF2": [],
    ]

    /// The smallest number of the series above `value`, which is not negative; 0 for 0.
    func above(_ value: Double) -> Double {
        guard value > 0, value.isFinite else { return value }
        guard let first = decade.first else {
            return exp2((log2(value)).rounded(.down) + 1)
        }
        var scale = Self.scale(below: value, first)
        while true {
            for number in decade where number * scale > value { return number * scale }
            scale *= 10
        }
    }

    /// The largest number of the series below `value`, which is not negative; 0 for 0.
    func below(_ value: Double) -> Double {
        guard value > 0, value.isFinite else { return value }
        guard let first = decade.first else {
            return exp2((log2(value)).rounded(.up) - 1)
        }
        var scale = Self.scale(below: value, first) * 10
        while scale > 0 {
            for number in decade.reversed() where number * scale < value { return number * scale }
            scale /= 10
        }
        return 0
    }

    /// A power of ten with which `first` is at most `value`.
    private static func scale(below value: Double, _ first: Double) -> Double {
        pow(10, log10(value / first).rounded(.down) - 1)
    }
}
