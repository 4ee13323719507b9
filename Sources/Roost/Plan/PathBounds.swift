// What a filter says about the keys that an index holds for one path.
//
// For each predicate the set is complete: a document that matches has at least one key in it (or,
// under a sparse or partial index, no key at all; the planner checks that apart). It is sound when
// a key in the set implies that its document matches. Only sound sets may be complemented, and only
// they make the filter superfluous. "Match" means the whole node, other paths in it included.
//
// Arrays: the index has one key for each element, none for the array as a whole, and the key
// undefined for []. Missing and null share the key null.

import BSON
import Query

/// The keys of one path that matching documents have.
struct PathBounds: Sendable {
    let set: KeyIntervalSet
    /// Whether a key in the set implies a match.
    let isSound: Bool
}

/// Derives `PathBounds` for one part of an index.
struct PathBoundsBuilder {
    /// The part's path.
    let path: FieldPath
    /// Whether some document has an array along the path.
    let isMultikey: Bool
    /// The order of strings in the index's keys.
    let collation: Collation?
    /// Whether the filter compares strings by that order too. If not, keys say nothing about
    /// comparisons with values that may hold strings.
    let comparesText: Bool
    /// Whether conditions are about an array's elements, not about a field's value.
    private var isElement = false
    private let hasPosition: Bool
    /// How values became keys.
    private let kind: ShapePart

    init(
        path: FieldPath, isMultikey: Bool, collation: Collation? = nil, comparesText: Bool = true,
        kind: ShapePart = .ordered
    ) {
        self.kind = kind
        self.path = path
        self.collation = collation
        self.comparesText = comparesText
        self.isMultikey = isMultikey
        hasPosition = path.segments.dropFirst().contains { $0.arrayIndex != nil }
    }

    /// What `node` says about the path, or nil when it says nothing.
    ///
    /// `prefix` is the path of the `$elemMatch` around the node, or nil.
    func bounds(of node: FilterNode, under prefix: String? = nil) -> PathBounds? {
        if case .ordered = kind {} else { return specialBounds(kind, of: node, under: prefix) }
        switch node {
        case .compare(let other, let comparison, let value):
            return names(other, prefix) ? bounds(comparison, value) : nil
        case .in(let other, let values, let patterns):
            return names(other, prefix) ? bounds(in: values, patterns) : nil
        case .not(.exists(let other)):
            guard names(other, prefix) else { return nil }
            return PathBounds(set: Self.point(.null), isSound: false)
        case .type(let other, let types):
            if isArrayAbove(other, types, prefix) {
                return PathBounds(set: .none, isSound: true)
            }
            return names(other, prefix) ? bounds(types) : nil
        case .regex(let other, let pattern):
            guard names(other, prefix) else { return nil }
            return PathBounds(set: KeyIntervalSet(union: intervals(pattern)), isSound: false)
        case .mod(let other, _, _):
            guard names(other, prefix) else { return nil }
            return PathBounds(set: Self.bracket(BSONType.double.canonicalRank), isSound: false)
        case .elementValue(let other, let inner):
            // An element's own elements have no keys: as an element an array is one key.
            if isElement { return PathBounds(set: Self.arrays, isSound: false) }
            return names(other, prefix) ? elementBounds(inner) : nil
        case .elementObject(let other, let inner):
            let deeper = prefix.map { $0 + "." + other.dotted } ?? other.dotted
            guard path.dotted.hasPrefix(deeper), path.dotted.utf8.count > deeper.utf8.count else {
                return nil
            }
            return bounds(of: inner, under: deeper).map { PathBounds(set: $0.set, isSound: false) }
        case .and(let nodes): return conjunction(nodes.map { bounds(of: $0, under: prefix) })
        case .or(let nodes): return disjunction(nodes, prefix)
        case .not(let inner): return negation(inner, prefix)
        case .nor(let nodes):
            return conjunction(nodes.map { negation($0, prefix) })
        default: return nil
        }
    }

    /// Whether `bounds` may say something: cheaper, and true when in doubt.
    func mayBound(_ node: FilterNode, under prefix: String?) -> Bool {
        if case .ordered = kind {} else { return true }
        guard let other = node.path else { return true }
        guard prefix == nil else { return true }
        if case .elementObject = node { return true }
        return other.dotted == path.dotted
    }

    // MARK: Logic

    /// All conditions; those that say nothing about the path leave the rest unsound.
    private func conjunction(_ parts: [PathBounds?]) -> PathBounds? {
        var result: PathBounds?
        var isSound = true
        for part in parts {
            guard let part else {
                isSound = false
                continue
            }
            result = combine(result, part)
        }
        return result.map { PathBounds(set: $0.set, isSound: $0.isSound && isSound) }
    }

    private func disjunction(_ nodes: [FilterNode], _ prefix: String?) -> PathBounds? {
        var intervals: [KeyInterval] = []
        var isSound = true
        for node in nodes {
            guard let branch = bounds(of: node, under: prefix) else { return nil }
            intervals += branch.set.intervals
            isSound = isSound && branch.isSound
        }
        return PathBounds(set: KeyIntervalSet(union: intervals), isSound: isSound)
    }

    private func negation(_ node: FilterNode, _ prefix: String?) -> PathBounds? {
        guard let positive = bounds(of: node, under: prefix), positive.isSound else { return nil }
        return PathBounds(set: positive.set.complement, isSound: !isMultikey)
    }

    /// Both conditions. On a multikey path different elements may satisfy them, so the tighter one
    /// alone counts.
    func combine(_ left: PathBounds?, _ right: PathBounds?) -> PathBounds? {
        guard let left else { return right }
        guard let right else { return left }
        if !isMultikey {
            return PathBounds(
                set: left.set.intersection(right.set), isSound: left.isSound && right.isSound)
        }
        let tighter = BoundsRank(right.set) < BoundsRank(left.set) ? right : left
        return PathBounds(set: tighter.set, isSound: false)
    }

    /// Whether a condition asks for an array at a place that this path leads through: an index
    /// that is not multikey says that no document has one.
    private func isArrayAbove(_ other: FieldPath, _ types: TypeSet, _ prefix: String?) -> Bool {
        !isMultikey && !hasPosition && prefix == nil && types == TypeSet(.array)
            && path.segments.count > other.segments.count
            && path.segments.starts(with: other.segments)
    }

    /// Whether `other`, below `prefix`, is this path.
    ///
    /// A number in a path may be a position in an array, where a key is the element there alone,
    /// while a filter also looks into all elements for a field of that name. Such paths get no
    /// bounds; their indexes still give order.
    func names(_ other: FieldPath, _ prefix: String?) -> Bool {
        guard !hasPosition else { return false }
        guard let prefix else { return other.dotted == path.dotted }
        return path.dotted.utf8.count == prefix.utf8.count + 1 + other.dotted.utf8.count
            && path.dotted == prefix + "." + other.dotted
    }

    // MARK: Leaves

    private func bounds(_ comparison: ComparisonOperator, _ value: OwnedValue) -> PathBounds? {
        guard comparesText || !value.type.mayHoldText else { return nil }
        if comparison == .equal { return equality(value) }
        let isOrEqual = comparison == .lessOrEqual || comparison == .greaterOrEqual
        switch value.type {
        case .minKey, .maxKey, .array:
            // These compare with whole arrays too, whose keys are only their elements.
            return nil
        case .null:
            return isOrEqual ? equality(value) : PathBounds(set: .none, isSound: true)
        case .undefined:
            return PathBounds(set: Self.bracket(value.type.canonicalRank), isSound: false)
        default: break
        }
        if Self.isNaN(value) {
            return isOrEqual ? equality(value) : PathBounds(set: .none, isSound: true)
        }
        let encoded = key(of: value)
        let rank = value.type.canonicalRank
        let interval: KeyInterval =
            switch comparison {
            case .greater, .greaterOrEqual:
                KeyInterval(
                    low: KeyBound(
                        bytes: isOrEqual ? encoded : KeyBytes.successor(encoded),
                        label: .value(value), isInclusive: isOrEqual),
                    high: Self.bracketEnd(rank))
            default:
                KeyInterval(
                    low: Self.bracketStart(rank),
                    high: KeyBound(
                        bytes: isOrEqual ? KeyBytes.successor(encoded) : encoded,
                        label: .value(value), isInclusive: isOrEqual))
            }
        return PathBounds(set: KeyIntervalSet(interval), isSound: true)
    }

    private func equality(_ value: OwnedValue) -> PathBounds {
        PathBounds(
            set: KeyIntervalSet(union: equalityIntervals(value)), isSound: isSound(value))
    }

    /// Whether a key equal to this operand implies a match.
    private func isSound(_ value: OwnedValue) -> Bool {
        switch value.type {
        case .array, .undefined: false
        // Elements that are no objects give "a.b" the key null, but don't match {"a.b": null}.
        case .null: !isMultikey || path.segments.count == 1
        default: true
        }
    }

    private func bounds(in values: [OwnedValue], _ patterns: [RegexPredicate]) -> PathBounds? {
        guard comparesText || !values.contains(where: { $0.type.mayHoldText }) else { return nil }
        var intervals: [KeyInterval] = []
        intervals.reserveCapacity(values.count)
        var isSound = patterns.isEmpty
        for value in values {
            intervals += equalityIntervals(value)
            isSound = isSound && self.isSound(value)
        }
        for pattern in patterns { intervals += self.intervals(pattern) }
        return PathBounds(set: KeyIntervalSet(union: intervals), isSound: isSound)
    }

    /// `$elemMatch` with operators: one element satisfies all of them, so they may be intersected
    /// even on a multikey path.
    private func elementBounds(_ node: FilterNode) -> PathBounds? {
        var builder = PathBoundsBuilder(
            path: .wholeValue, isMultikey: false, collation: collation, comparesText: comparesText)
        builder.isElement = true
        return builder.bounds(of: node).map { PathBounds(set: $0.set, isSound: false) }
    }

    private func bounds(_ types: TypeSet) -> PathBounds? {
        // An array's own type is not in its keys; where there are no arrays, that says nothing.
        guard !types.contains(.array) || !isMultikey else { return nil }
        var ranks: Set<UInt8> = []
        var isSound = true
        for type in BSONType.allCases where types.contains(type) {
            guard ranks.insert(type.canonicalRank).inserted else { continue }
            switch type.canonicalRank {
            case BSONType.null.canonicalRank, BSONType.undefined.canonicalRank: isSound = false
            default:
                for other in BSONType.allCases where other.canonicalRank == type.canonicalRank {
                    isSound = isSound && types.contains(other)
                }
            }
        }
        return PathBounds(
            set: KeyIntervalSet(
                union: ranks.map {
                    KeyInterval(
                        low: KeyBound(
                            bytes: Self.rankBytes($0, isHigh: false),
                            label: .bracket(rank: $0, isHigh: false), isInclusive: true),
                        high: Self.bracketEnd($0))
                }),
            isSound: isSound)
    }

    // MARK: Encodings

    /// The keys that documents equal to `value` have.
    private func equalityIntervals(_ value: OwnedValue) -> [KeyInterval] {
        let whole = KeyInterval(point: key(of: value), value)
        guard value.type == .array else { return [whole] }
        // An array gives keys of its elements; as an element of another array, its own.
        guard let first = value.view.array?.first else {
            return [KeyInterval(point: Self.encoded(.undefined), .undefined), whole]
        }
        let element = OwnedValue(copying: first.value)
        return [KeyInterval(point: key(of: element), element), whole]
    }

    /// The strings that begin with the pattern's literal prefix, and regular expressions (a stored
    /// one matches its equal).
    ///
    /// Under a collation strings of one prefix needn't lie together.
    private func intervals(_ pattern: RegexPredicate) -> [KeyInterval] {
        let stored = Self.bracket(BSONType.regex.canonicalRank).intervals
        guard collation == nil, let prefix = pattern.literalPrefix, !prefix.isEmpty else {
            return Self.bracket(BSONType.string.canonicalRank).intervals + stored
        }
        var encoder = KeyEncoder()
        encoder.appendStringPrefix(prefix.span.bytes, .low)
        let low = encoder.bytes
        let end = KeyBytes.successor(prefix)
        return [
            KeyInterval(
                low: KeyBound(bytes: low, label: .text(prefix), isInclusive: true),
                high: KeyBound(
                    bytes: KeyBytes.successor(low), label: .text(end), isInclusive: false))
        ] + stored
    }

    /// The key of a value in the index.
    private func key(of value: OwnedValue) -> [UInt8] {
        var encoder = KeyEncoder()
        encoder.append(value.view, order: collation)
        return encoder.bytes
    }

    static func encoded(_ value: OwnedValue) -> [UInt8] {
        var encoder = KeyEncoder()
        encoder.append(value.view)
        return encoder.bytes
    }

    private static func point(_ value: OwnedValue) -> KeyIntervalSet {
        KeyIntervalSet(KeyInterval(point: encoded(value), value))
    }

    private static let arrays = bracket(BSONType.array.canonicalRank)

    static func bracket(_ rank: UInt8) -> KeyIntervalSet {
        KeyIntervalSet(KeyInterval(low: bracketStart(rank), high: bracketEnd(rank)))
    }

    /// Below all values that compare with those of `rank`: NaN, the least number, compares with
    /// itself only.
    private static func bracketStart(_ rank: UInt8) -> KeyBound {
        let bytes =
            rank == BSONType.double.canonicalRank
            ? KeyBytes.successor(encoded(.notANumber)) : rankBytes(rank, isHigh: false)
        return KeyBound(
            bytes: bytes, label: .bracket(rank: rank, isHigh: false), isInclusive: true)
    }

    private static func bracketEnd(_ rank: UInt8) -> KeyBound {
        KeyBound(
            bytes: rankBytes(rank, isHigh: true), label: .bracket(rank: rank, isHigh: true),
            isInclusive: true)
    }

    private static func rankBytes(_ rank: UInt8, isHigh: Bool) -> [UInt8] {
        var encoder = KeyEncoder()
        encoder.appendBracket(rank: rank, isHigh ? .high : .low)
        return encoder.bytes
    }

    private static func isNaN(_ value: OwnedValue) -> Bool {
        value.type.isNumeric && encoded(value) == encoded(.notANumber)
    }
}

extension OwnedValue {
    static let null = OwnedValue(.null)
    static let undefined = OwnedValue(.undefined)
    static let notANumber = OwnedValue(.double(.nan))
}

/// How tight a set of intervals is; smaller is tighter.
struct BoundsRank: Comparable {
    private let kind: Int
    private let intervals: Int

    init(_ set: KeyIntervalSet) {
        intervals = set.intervals.count
        if set.isEmpty {
            kind = 0
        } else if set.isPoints {
            kind = 1
        } else if set.isAll {
            kind = 5
        } else {
            var open = 0
            for interval in set.intervals {
                if interval.low.isOpenEnd { open = max(open, 1) }
                if interval.high.isOpenEnd { open = max(open, 1) }
                if interval.low.bytes.isEmpty || interval.high.bytes.isEmpty { open = 2 }
            }
            kind = 2 + open
        }
    }

    static func < (left: BoundsRank, right: BoundsRank) -> Bool {
        (left.kind, left.intervals) < (right.kind, right.intervals)
    }
}

extension KeyBound {
    /// Whether this is the end of all values or of a type, not one that the query names.
    fileprivate var isOpenEnd: Bool {
        switch label {
        case .value, .text: false
        default: true
        }
    }
}
