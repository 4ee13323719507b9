import BSON
import Testing
import TestSupport

@testable import Roost

/// Interval sets against sets of sample values.
@Suite struct KeyIntervalTests {
    private static let values: [Value] = [
        .minKey, .undefined, .null, .double(.nan), .double(-.infinity), -1, 0, 1, 1.5, 2, 3,
        .double(.infinity), "", "a", "ab", "b", .document([:]), ["a": 1], .array([]), [1],
        .bool(false), .bool(true), .date(0), .maxKey,
    ]

    private static func encoded(_ value: Value) -> [UInt8] {
        PathBoundsBuilder.encoded(OwnedValue(value))
    }

    private static func contains(_ set: KeyIntervalSet, _ key: [UInt8]) -> Bool {
        set.intervals.contains { interval in
            !KeyBytes.isLess(key, interval.low.bytes)
                && KeyBytes.isBefore(key, end: interval.high.bytes)
        }
    }

    private static func random(_ random: inout RandomSource) -> KeyIntervalSet {
        var intervals: [KeyInterval] = []
        for _ in 0..<random.below(4) {
            let first = values[random.below(values.count)]
            if random.oneIn(2) {
                intervals.append(KeyInterval(point: encoded(first), OwnedValue(first)))
                continue
            }
            let second = values[random.below(values.count)]
            let bounds = [first, second].sorted { KeyBytes.isLess(encoded($0), encoded($1)) }
            let low =
                random.oneIn(4)
                ? KeyBound.lowest
                : KeyBound(
                    bytes: encoded(bounds[0]), label: .value(OwnedValue(bounds[0])),
                    isInclusive: true)
            let high =
                random.oneIn(4)
                ? KeyBound.highest
                : KeyBound(
                    bytes: KeyBytes.successor(encoded(bounds[1])),
                    label: .value(OwnedValue(bounds[1])), isInclusive: true)
            intervals.append(KeyInterval(low: low, high: high))
        }
        return KeyIntervalSet(union: intervals)
    }

    @Test(arguments: 1...20)
    func setAlgebraIsThatOfValues(seed: UInt64) {
        var random = RandomSource(seed: seed)
        for _ in 0..<200 {
            let left = Self.random(&random)
            let right = Self.random(&random)
            let both = left.intersection(right)
            let either = left.union(right)
            let others = left.complement
            for value in Self.values {
                let key = Self.encoded(value)
                let inLeft = Self.contains(left, key)
                let inRight = Self.contains(right, key)
                #expect(Self.contains(both, key) == (inLeft && inRight))
                #expect(Self.contains(either, key) == (inLeft || inRight))
                #expect(Self.contains(others, key) == !inLeft)
            }
            #expect(both.isSubset(of: left) && both.isSubset(of: right))
            #expect(left.isSubset(of: either) && right.isSubset(of: either))
            if left.isSubset(of: right) {
                for value in Self.values where Self.contains(left, Self.encoded(value)) {
                    #expect(Self.contains(right, Self.encoded(value)))
                }
            }
            for set in [both, either, others] {
                for (before, after) in zip(set.intervals, set.intervals.dropFirst()) {
                    #expect(!before.high.bytes.isEmpty)
                    #expect(!KeyBytes.isLess(after.low.bytes, before.high.bytes))
                }
            }
        }
    }

    @Test func descendingBoundsHoldTheInvertedValues() {
        for low in Self.values {
            for high in Self.values {
                let lowBytes = Self.encoded(low)
                let highBytes = KeyBytes.successor(Self.encoded(high))
                guard KeyBytes.isLess(lowBytes, highBytes) else { continue }
                let inverted = KeyBytes.inverted(low: lowBytes, high: highBytes)
                for value in Self.values {
                    let key = Self.encoded(value)
                    let isIn = !KeyBytes.isLess(key, lowBytes) && KeyBytes.isLess(key, highBytes)
                    let flipped = key.map(~)
                    let isInInverted =
                        !KeyBytes.isLess(flipped, inverted.low)
                        && KeyBytes.isBefore(flipped, end: inverted.high)
                    #expect(isIn == isInInverted)
                }
            }
        }
    }
}
