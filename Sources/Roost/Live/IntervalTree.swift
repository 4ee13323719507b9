// Intervals of keys, found by overlap: a treap by lower ends in which each node knows the highest
// upper end below it.
//
// Ends are the first 16 bytes of an encoded value. That keeps comparisons to two words; what is cut
// off only makes an interval a little wider, and who is found is asked anyway.

import BSON

/// Groups by intervals of one path's keys.
struct IntervalTree {
    /// The first bytes of a key, comparable.
    typealias Prefix = UInt128

    /// Plain memory, so that looking at it counts no references.
    private struct Node {
        let low: Prefix
        let high: Prefix
        /// Tells apart intervals with one lower end.
        let serial: UInt64
        let priority: UInt64
        var highest: Prefix
        var left: Int32 = -1
        var right: Int32 = -1
    }

    private var nodes: [Node] = []
    /// The group of each node; nil for a free one.
    private var groups: [LiveGroup?] = []
    private var free: [Int32] = []
    private var root: Int32 = -1

    /// The number of intervals.
    var count: Int { nodes.count - free.count }

    /// The first bytes of a key.
    static func prefix(_ key: RawSpan) -> Prefix {
        var prefix: Prefix = 0
        let count = min(16, key.byteCount)
        for index in 0..<count {
            // SAFETY: the index is below the span's size.
            prefix = prefix << 8 | Prefix(key.unsafeLoad(fromByteOffset: index, as: UInt8.self))
        }
        return prefix << Prefix(8 * (16 - count))
    }

    /// Adds an interval, ends included. O(log n) expected.
    mutating func insert(low: Prefix, high: Prefix, _ group: LiveGroup) {
        let node = Node(
            low: low, high: high, serial: group.serial,
            priority: Self.mix(group.serial ^ UInt64(truncatingIfNeeded: low >> 64)),
            highest: high)
        let place: Int32
        if let known = free.popLast() {
            place = known
            nodes[Int(place)] = node
            groups[Int(place)] = group
        } else {
            place = Int32(truncatingIfNeeded: nodes.count)
            nodes.append(node)
            groups.append(group)
        }
        let (left, right) = split(root, low, group.serial)
        root = merge(merge(left, place), right)
    }

    /// Removes an interval that was added. O(log n) expected.
    mutating func remove(low: Prefix, _ group: LiveGroup) {
        let (left, rest) = split(root, low, group.serial)
        let (found, right) = split(rest, low, group.serial + 1)
        root = merge(left, right)
        guard found >= 0 else { return }
        groups[Int(found)] = nil
        free.append(found)
    }

    /// Appends the groups of intervals that overlap, and that don't have the mark yet, which they
    /// get. O(log n + found).
    func find(_ low: Prefix, _ high: Prefix, _ mark: UInt64, into found: inout [LiveGroup]) {
        find(root, low, high, mark, &found)
    }

    private func find(
        _ place: Int32, _ low: Prefix, _ high: Prefix, _ mark: UInt64, _ found: inout [LiveGroup]
    ) {
        guard place >= 0 else { return }
        let node = nodes[Int(place)]
        guard node.highest >= low else { return }
        find(node.left, low, high, mark, &found)
        guard node.low <= high else { return }
        if node.high >= low, let group = groups[Int(place)], group.mark != mark {
            group.mark = mark
            found.append(group)
        }
        find(node.right, low, high, mark, &found)
    }

    // MARK: Treap

    /// Splits into what is below (`low`, `serial`) and the rest.
    private mutating func split(
        _ place: Int32, _ low: Prefix, _ serial: UInt64
    ) -> (Int32, Int32) {
        guard place >= 0 else { return (-1, -1) }
        let node = nodes[Int(place)]
        if (node.low, node.serial) < (low, serial) {
            let (left, right) = split(node.right, low, serial)
            nodes[Int(place)].right = left
            update(place)
            return (place, right)
        }
        let (left, right) = split(node.left, low, serial)
        nodes[Int(place)].left = right
        update(place)
        return (left, place)
    }

    /// Joins two trees of which the first is below the second.
    private mutating func merge(_ first: Int32, _ second: Int32) -> Int32 {
        guard first >= 0 else { return second }
        guard second >= 0 else { return first }
        let (left, right) = (nodes[Int(first)], nodes[Int(second)])
        if left.priority > right.priority {
            let merged = merge(left.right, second)
            nodes[Int(first)].right = merged
            update(first)
            return first
        }
        let merged = merge(first, right.left)
        nodes[Int(second)].left = merged
        update(second)
        return second
    }

    private mutating func update(_ place: Int32) {
        let node = nodes[Int(place)]
        let below = max(highest(node.left), highest(node.right))
        nodes[Int(place)].highest = max(node.high, below)
    }

    private func highest(_ place: Int32) -> Prefix {
        place >= 0 ? nodes[Int(place)].highest : 0
    }

    /// SplitMix64's finisher.
    private static func mix(_ number: UInt64) -> UInt64 {
        var state = number &+ 0x9E37_79B9_7F4A_7C15
        state = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
        state = (state ^ state >> 27) &* 0x94D0_49BB_1331_11EB
        return state ^ state >> 31
    }
}
