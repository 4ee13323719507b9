// Sets of encoded values, as the planner computes with them.
//
// KeyEncoder's encodings are prefix-free: no value's encoding begins with another's. So every
// interval over values, with ends in or out, is a half-open range of byte strings [low, high):
// "above v" begins at the first byte string behind all that begin with v's encoding (`successor`).
// Half-open ranges make union, intersection and complement plain merges, and turn into ranges of an
// index's table by putting the encodings of the parts before them in front.

import BSON

/// One end of an interval: the byte string, and what explain shows of it.
struct KeyBound: Sendable {
    /// What the bound stands for.
    enum Label: Sendable {
        case minKey
        case maxKey
        case value(OwnedValue)
        /// A string's UTF-8.
        case text([UInt8])
        /// Below or above all values of a type rank.
        case bracket(rank: UInt8, isHigh: Bool)
    }

    /// The first byte string of the interval (as low), or the first one behind it (as high). Empty
    /// as low: from the start; empty as high: to the end.
    let bytes: [UInt8]
    let label: Label
    /// Whether the labelled value itself lies in the interval.
    let isInclusive: Bool

    static let lowest = KeyBound(bytes: [], label: .minKey, isInclusive: true)
    static let highest = KeyBound(bytes: [], label: .maxKey, isInclusive: true)

    /// The same cut seen from the other side.
    var flipped: KeyBound {
        KeyBound(bytes: bytes, label: label, isInclusive: !isInclusive)
    }
}

/// A half-open range of encoded values: `low.bytes <= x < high.bytes`.
struct KeyInterval: Sendable {
    let low: KeyBound
    let high: KeyBound
    /// Whether it holds the encodings of one value only.
    let isPoint: Bool

    /// All values.
    static let all = KeyInterval(low: .lowest, high: .highest, isPoint: false)

    init(low: KeyBound, high: KeyBound, isPoint: Bool = false) {
        self.low = low
        self.high = high
        self.isPoint = isPoint
    }

    /// Just one value.
    init(point encoded: [UInt8], _ value: OwnedValue) {
        low = KeyBound(bytes: encoded, label: .value(value), isInclusive: true)
        high = KeyBound(
            bytes: KeyBytes.successor(encoded), label: .value(value), isInclusive: true)
        isPoint = true
    }

    var isAll: Bool { low.bytes.isEmpty && high.bytes.isEmpty }
}

/// Disjoint intervals in ascending order.
struct KeyIntervalSet: Sendable {
    private(set) var intervals: [KeyInterval]

    static let all = KeyIntervalSet(intervals: [.all])
    static let none = KeyIntervalSet(intervals: [])

    private init(intervals: [KeyInterval]) {
        self.intervals = intervals
    }

    init(_ interval: KeyInterval) {
        intervals = [interval]
    }

    /// The union of intervals in any order.
    init(union intervals: [KeyInterval]) {
        guard intervals.count > 1, !Self.areOrderedPoints(intervals) else {
            self.intervals = intervals
            return
        }
        let sorted = intervals.sorted { KeyBytes.isLess($0.low.bytes, $1.low.bytes) }
        var merged: [KeyInterval] = []
        merged.reserveCapacity(sorted.count)
        for next in sorted {
            guard let last = merged.last, KeyBytes.reaches(last.high.bytes, next.low.bytes) else {
                merged.append(next)
                continue
            }
            if last.isPoint, next.isPoint {
                // Equal, or neighbours such as false and true.
                if last.low.bytes != next.low.bytes { merged.append(next) }
                continue
            }
            let high =
                KeyBytes.isLessAsHigh(last.high.bytes, next.high.bytes)
                ? next.high : last.high
            merged[merged.count - 1] = KeyInterval(low: last.low, high: high)
        }
        self.intervals = merged
    }

    /// Whether these are different single values in order, as those of a long $in mostly are.
    private static func areOrderedPoints(_ intervals: [KeyInterval]) -> Bool {
        intervals.allSatisfy(\.isPoint)
            && zip(intervals, intervals.dropFirst()).allSatisfy {
                KeyBytes.isLess($0.low.bytes, $1.low.bytes)
            }
    }

    var isAll: Bool { intervals.count == 1 && intervals[0].isAll }
    var isEmpty: Bool { intervals.isEmpty }
    /// Whether it holds single values only.
    var isPoints: Bool { intervals.allSatisfy(\.isPoint) }
    /// Whether it holds exactly one value.
    var isSinglePoint: Bool { intervals.count == 1 && intervals[0].isPoint }

    /// Values in either set.
    func union(_ other: KeyIntervalSet) -> KeyIntervalSet {
        if isEmpty || other.isAll { return other }
        if other.isEmpty || isAll { return self }
        return KeyIntervalSet(union: intervals + other.intervals)
    }

    /// Values in both sets. O(n + m).
    func intersection(_ other: KeyIntervalSet) -> KeyIntervalSet {
        if isAll { return other }
        if other.isAll { return self }
        var result: [KeyInterval] = []
        var left = 0
        var right = 0
        while left < intervals.count, right < other.intervals.count {
            let a = intervals[left]
            let b = other.intervals[right]
            let low = KeyBytes.isLess(a.low.bytes, b.low.bytes) ? b.low : a.low
            let aEndsFirst = KeyBytes.isLessAsHigh(a.high.bytes, b.high.bytes)
            let high = aEndsFirst ? a.high : b.high
            if high.bytes.isEmpty || KeyBytes.isLess(low.bytes, high.bytes) {
                result.append(KeyInterval(low: low, high: high, isPoint: a.isPoint || b.isPoint))
            }
            if aEndsFirst { left += 1 } else { right += 1 }
        }
        return KeyIntervalSet(intervals: result)
    }

    /// All other values.
    var complement: KeyIntervalSet {
        var result: [KeyInterval] = []
        var low = KeyBound.lowest
        for interval in intervals {
            if KeyBytes.isLess(low.bytes, interval.low.bytes) {
                result.append(KeyInterval(low: low, high: interval.low.flipped))
            }
            if interval.high.bytes.isEmpty { return KeyIntervalSet(intervals: result) }
            low = interval.high.flipped
        }
        result.append(KeyInterval(low: low, high: .highest))
        return KeyIntervalSet(intervals: result)
    }

    /// Whether every value of this set is in `other`.
    func isSubset(of other: KeyIntervalSet) -> Bool {
        var right = 0
        for interval in intervals {
            while right < other.intervals.count,
                !KeyBytes.isBefore(interval.low.bytes, end: other.intervals[right].high.bytes)
            {
                right += 1
            }
            guard right < other.intervals.count else { return false }
            let container = other.intervals[right]
            guard !KeyBytes.isLess(interval.low.bytes, container.low.bytes),
                !KeyBytes.isLessAsHigh(container.high.bytes, interval.high.bytes)
            else { return false }
        }
        return true
    }
}

/// Order of byte strings, and the cuts between them.
enum KeyBytes {
    /// Byte order; a prefix is smaller.
    static func isLess(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        left.span.bytes.compareBytes(right.span.bytes) < 0
    }

    /// The order of high ends, where empty means "to the end".
    static func isLessAsHigh(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        if left.isEmpty { return false }
        return right.isEmpty || isLess(left, right)
    }

    /// Whether an interval that ends at `high` touches or overlaps one that begins at `low`.
    static func reaches(_ high: [UInt8], _ low: [UInt8]) -> Bool {
        high.isEmpty || !isLess(high, low)
    }

    /// Whether `low` lies before the high end `end`.
    static func isBefore(_ low: [UInt8], end: [UInt8]) -> Bool {
        end.isEmpty || isLess(low, end)
    }

    /// The smallest byte string behind all that begin with `prefix`; empty (to the end) when
    /// there is none.
    static func successor(_ prefix: [UInt8]) -> [UInt8] {
        var key = KeyEncoder()
        key.append(copying: prefix.span.bytes)
        key.moveBehind()
        return key.bytes
    }

    /// The interval of a descending part: its encodings are stored with all bits inverted.
    ///
    /// No encoding is a strict prefix of a bound, so "x begins with or is above low" turns into
    /// "the inverse begins with or is below inverted low".
    static func inverted(low: [UInt8], high: [UInt8]) -> (low: [UInt8], high: [UInt8]) {
        (
            low: high.isEmpty ? [] : successor(high.map(~)),
            high: low.isEmpty ? [] : successor(low.map(~))
        )
    }
}
