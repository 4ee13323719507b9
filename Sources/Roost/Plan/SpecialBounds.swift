// Bounds of the parts of an index that are not plainly ordered: hashed, 2dsphere, 2d, text and
// wildcard. All of them are supersets, never sound: the filter is applied again.

import BSON
import Query

/// The parts of a special index as the planner sees them. Wildcard parts become two: path, value.
struct SpecialParts {
    private let pattern: IndexKeyPattern
    private let flags: UInt64
    /// What is wanted of a wildcard index.
    private let wildcard: WildcardChoice?
    private(set) var paths: [FieldPath] = []
    private(set) var descending: [Bool] = []
    private(set) var kinds: [ShapePart] = []
    private(set) var multikeyParts: UInt64 = 0

    init(_ pattern: IndexKeyPattern, _ flags: UInt64, _ wildcard: WildcardChoice?) {
        self.pattern = pattern
        self.flags = flags
        self.wildcard = wildcard
    }

    /// Takes every part of the pattern.
    mutating func takeAll() {
        for (position, part) in pattern.parts.enumerated() {
            let isMultikey = flags >> UInt64(position) & 1 != 0
            switch part.kind {
            case .ordered: append(part.path, part.descending, .ordered, isMultikey)
            case .hashed: append(part.path, false, .hashed, isMultikey)
            case .sphere: append(part.path, false, .sphere, isMultikey)
            case .plane: append(part.path, false, .plane(pattern.grid), isMultikey)
            case .text: append(part.path, false, .text, true)
            case .wildcard:
                guard let wildcard else {
                    // A document has an entry for each of its paths.
                    append(FieldPath("$_path"), false, .unknown, true)
                    append(part.path, part.descending, .unknown, true)
                    break
                }
                let path = wildcard.path
                if wildcard.isTree {
                    append(FieldPath("$_path"), false, .wildcardTree(path.dotted), true)
                    append(path, part.descending, .unknown, true)
                } else {
                    // Where a part in front is open, other paths of a document are met too.
                    append(
                        FieldPath("$_path"), false, .wildcardPath(path.dotted),
                        pattern.parts.count > 1)
                    append(path, part.descending, .ordered, isMultikey)
                }
            }
        }
    }

    private mutating func append(
        _ path: FieldPath, _ isDescending: Bool, _ kind: ShapePart, _ isMultikey: Bool
    ) {
        if isMultikey { multikeyParts |= 1 << UInt64(paths.count) }
        paths.append(path)
        descending.append(isDescending)
        kinds.append(kind)
    }
}

extension PathBoundsBuilder {
    /// What `node` says about a part of that kind, or nil when it says nothing.
    func specialBounds(
        _ kind: ShapePart, of node: FilterNode, under prefix: String?
    ) -> PathBounds? {
        switch (kind, node) {
        case (.wildcardPath(let path), _): return Self.superset([Self.point(.string(path))])
        case (.wildcardTree(let path), _): return Self.superset(Self.tree(path))
        case (.text, .text(let predicate)):
            return Self.superset(predicate.indexTerms.map { Self.point(.string($0)) })
        case (.hashed, .compare(let other, .equal, let value)):
            guard names(other, prefix), let point = hashPoint(value) else { return nil }
            return Self.superset([point])
        case (.hashed, .in(let other, let values, let patterns)):
            guard patterns.isEmpty, names(other, prefix) else { return nil }
            var points: [KeyInterval] = []
            for value in values {
                guard let point = hashPoint(value) else { return nil }
                points.append(point)
            }
            return Self.superset(points)
        case (.sphere, .geo(let other, let predicate)):
            guard names(other, prefix), predicate.fits(.sphere) else { return nil }
            return predicate.sphereRanges.map { Self.superset($0.map(Self.interval)) }
                ?? Self.places
        case (.plane(let grid), .geo(let other, let predicate)):
            guard names(other, prefix), predicate.fits(.plane) else { return nil }
            return predicate.planeRanges(grid).map { Self.superset($0.map(Self.interval)) }
                ?? Self.places
        default: return nil
        }
    }

    /// The hash of a value that no array equals; nil where keys say nothing of it.
    private func hashPoint(_ value: OwnedValue) -> KeyInterval? {
        guard comparesText || !value.type.mayHoldText else { return nil }
        switch value.type {
        case .array, .undefined: return nil
        default: return Self.interval(HashedKey.hash(of: value.view, collation))
        }
    }

    private static func superset(_ intervals: [KeyInterval]) -> PathBounds {
        PathBounds(set: KeyIntervalSet(union: intervals), isSound: false)
    }

    private static func point(_ value: Value) -> KeyInterval {
        let owned = OwnedValue(value)
        return KeyInterval(point: encoded(owned), owned)
    }

    /// A path, and those that begin with it and a dot.
    private static func tree(_ path: String) -> [KeyInterval] {
        var encoder = KeyEncoder()
        let below = Array((path + ".").utf8)
        encoder.appendStringPrefix(below.span.bytes, .low)
        let low = encoder.bytes
        let behind = KeyBytes.successor(below)
        return [
            point(.string(path)),
            KeyInterval(
                low: KeyBound(bytes: low, label: .text(below), isInclusive: true),
                high: KeyBound(
                    bytes: KeyBytes.successor(low), label: .text(behind), isInclusive: false)),
        ]
    }

    /// All cells and squares.
    private static var places: PathBounds {
        PathBounds(set: bracket(BSONType.date.canonicalRank), isSound: false)
    }

    private static func interval(_ number: Int64) -> KeyInterval { interval(number...number) }

    /// Numbers of cells, squares and hashes as their keys have them.
    private static func interval(_ range: ClosedRange<Int64>) -> KeyInterval {
        let low = SpecialKey.encoded(range.lowerBound)
        if range.lowerBound == range.upperBound {
            return KeyInterval(point: low, OwnedValue(.int64(range.lowerBound)))
        }
        return KeyInterval(
            low: KeyBound(
                bytes: low, label: .value(OwnedValue(.int64(range.lowerBound))),
                isInclusive: true),
            high: KeyBound(
                bytes: KeyBytes.successor(SpecialKey.encoded(range.upperBound)),
                label: .value(OwnedValue(.int64(range.upperBound))), isInclusive: true))
    }
}

/// What a plan wants of a wildcard index.
struct WildcardChoice: Sendable {
    /// The path whose values are wanted.
    let path: FieldPath
    /// Whether all paths below it are, too.
    let isTree: Bool
}

/// Which paths of a query a wildcard index can serve.
struct WildcardReader {
    let index: IndexEntry
    let conjuncts: [Conjunct]
    let implication: Implication

    /// The paths that some condition is about, each once, as far as every match has an entry of
    /// that path within its bounds: the conditions must want a value there that is no object or
    /// array, or only that there is something.
    func choices(_ collation: Collation?) -> [WildcardChoice] {
        guard let wildcard = index.pattern.wildcard else { return [] }
        var paths: [FieldPath] = []
        var choices: [WildcardChoice] = []
        for conjunct in conjuncts {
            for path in Self.paths(of: conjunct.node, under: conjunct.prefix)
            where !paths.contains(path) && !Self.hasPosition(path) && wildcard.holds(path)
                && implication.exists(path)
            {
                paths.append(path)
                if wantsScalar(path, collation) {
                    choices.append(WildcardChoice(path: path, isTree: false))
                } else if case .exists = conjunct.node, wildcard.holdsTree(path) {
                    choices.append(WildcardChoice(path: path, isTree: true))
                }
            }
        }
        return choices
    }

    private static func paths(of node: FilterNode, under prefix: String?) -> [FieldPath] {
        switch node {
        case .or(let nodes), .and(let nodes): return nodes.flatMap { paths(of: $0, under: prefix) }
        default:
            guard let path = node.path else { return [] }
            return [prefix.map { FieldPath($0 + "." + path.dotted) } ?? path]
        }
    }

    /// Whether a path may step through an array by position, which keys don't show.
    private static func hasPosition(_ path: FieldPath) -> Bool {
        path.segments.contains { $0.arrayIndex != nil }
    }

    /// Whether there are bounds, and all of them allow only keys of values that have an entry of
    /// their own: any one of them may become the scan's, the others are then only rechecked.
    private func wantsScalar(_ path: FieldPath, _ collation: Collation?) -> Bool {
        let builder = PathBoundsBuilder(
            path: path, isMultikey: true, collation: index.pattern.collation,
            comparesText: Collation.areSame(collation, index.pattern.collation))
        var isBounded = false
        for conjunct in conjuncts {
            guard let bounds = builder.bounds(of: conjunct.node, under: conjunct.prefix) else {
                continue
            }
            guard Self.kept.allSatisfy({ bounds.set.intersection($0).isEmpty }) else {
                return false
            }
            isBounded = true
        }
        return isBounded
    }

    /// Values that are held below their path, or not at all.
    private static let kept: [KeyIntervalSet] =
        [BSONType.null, .undefined, .document, .array].map {
            PathBoundsBuilder.bracket($0.canonicalRank)
        }
}
