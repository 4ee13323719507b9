// A filter as a tree: what the planner reads bounds from, upserts read equalities from, and the
// matcher is compiled from. Normalised when made: $and flattened, $in of one value an equality,
// $ne and $nin negations, $all a conjunction.

package import BSON

/// How a value is compared with a constant.
package enum ComparisonOperator: UInt8, Sendable, Hashable {
    case equal
    case less
    case lessOrEqual
    case greater
    case greaterOrEqual
}

/// A set of BSON types.
package struct TypeSet: Sendable, Hashable {
    private var bits: UInt32 = 0

    /// The empty set.
    package init() {}

    /// The types listed.
    package init(_ types: BSONType...) {
        for type in types { insert(type) }
    }

    /// Adds a type.
    package mutating func insert(_ type: BSONType) { bits |= Self.bit(type) }

    /// Adds the types of another set.
    package mutating func formUnion(_ other: TypeSet) { bits |= other.bits }

    /// Whether the type is in the set.
    package func contains(_ type: BSONType) -> Bool { bits & Self.bit(type) != 0 }

    /// Whether no type is in the set.
    package var isEmpty: Bool { bits == 0 }

    /// The types in the set.
    package var types: [BSONType] { BSONType.allCases.filter { contains($0) } }

    /// double, int, long and decimal.
    package static let numbers = TypeSet(.double, .int32, .int64, .decimal128)

    private static func bit(_ type: BSONType) -> UInt32 {
        switch type {
        case .minKey: 1 << 30
        case .maxKey: 1 << 31
        default: 1 << UInt32(type.rawValue)
        }
    }
}

/// A condition on documents or values. `wholeValue` as path means the element that an enclosing
/// `elementValue` looks at.
package indirect enum FilterNode: Sendable, Hashable {
    case alwaysTrue
    case alwaysFalse
    /// All of them; at least two, none of them an `and`.
    case and([FilterNode])
    /// One of them; at least two.
    case or([FilterNode])
    /// None of them; at least one.
    case nor([FilterNode])
    case not(FilterNode)
    /// Some value at the path compares so with the constant.
    case compare(FieldPath, ComparisonOperator, OwnedValue)
    /// Some value at the path equals one of the constants (sorted, distinct) or matches a pattern;
    /// together at least two.
    case `in`(FieldPath, [OwnedValue], [RegexPredicate])
    /// The path leads to something. `$exists: false` is its negation.
    case exists(FieldPath)
    case type(FieldPath, TypeSet)
    case regex(FieldPath, RegexPredicate)
    /// An array of exactly so many elements.
    case size(FieldPath, Int)
    case mod(FieldPath, divisor: Int64, remainder: Int64)
    case bits(FieldPath, BitsTest)
    /// An array with an element (document or array) that matches.
    case elementObject(FieldPath, FilterNode)
    /// An array with an element that meets all conditions, whose path is `wholeValue`.
    case elementValue(FieldPath, FilterNode)
    /// Some place at the path meets the condition.
    case geo(FieldPath, GeoPredicate)
    /// The document's texts answer a search.
    case text(TextPredicate)
    case expression(ExpressionPredicate)
    case schema(JSONSchema)
    /// True at random, so often.
    case sampleRate(Double)

    /// The conjunction, flattened.
    package static func all(_ nodes: [FilterNode]) -> FilterNode {
        var flat: [FilterNode] = []
        for node in nodes {
            switch node {
            case .alwaysTrue: break
            case .and(let inner): flat.append(contentsOf: inner)
            default: flat.append(node)
            }
        }
        if flat.contains(.alwaysFalse) { return .alwaysFalse }
        if flat.isEmpty { return .alwaysTrue }
        return flat.count == 1 ? flat[0] : .and(flat)
    }

    /// The disjunction. Equal branches count once, which lets an upsert take their value.
    package static func any(_ nodes: [FilterNode]) -> FilterNode {
        var flat: [FilterNode] = []
        var seen: Set<FilterNode> = []
        for node in nodes where node != .alwaysFalse && seen.insert(node).inserted {
            flat.append(node)
        }
        if flat.contains(.alwaysTrue) { return .alwaysTrue }
        if flat.isEmpty { return .alwaysFalse }
        return flat.count == 1 ? flat[0] : .or(flat)
    }

    /// Membership in a list of values and patterns. O(n log n).
    package static func membership(
        _ path: FieldPath, _ values: [OwnedValue], _ patterns: [RegexPredicate]
    ) -> FilterNode {
        var distinct: [OwnedValue] = []
        for value in values.sorted(by: { $0.view.compare($1.view) < 0 }) {
            if let last = distinct.last, last.view.equals(value.view) { continue }
            distinct.append(value)
        }
        if patterns.isEmpty {
            if distinct.isEmpty { return .alwaysFalse }
            if distinct.count == 1 { return .compare(path, .equal, distinct[0]) }
        } else if distinct.isEmpty, patterns.count == 1 {
            return .regex(path, patterns[0])
        }
        return .in(path, distinct, patterns)
    }

    /// What the condition gives for `$meta`.
    var metadata: MetadataKinds {
        switch self {
        case .text: .textScore
        case .geo(_, let predicate): predicate.near == nil ? [] : .distance
        case .and(let nodes), .or(let nodes):
            nodes.reduce(into: []) { $0.formUnion($1.metadata) }
        default: []
        }
    }

    /// The near condition that leaves its path to the collection's indexes.
    var openNear: GeoPredicate? {
        switch self {
        case .geo(let path, let predicate): path == GeoNear.openPath ? predicate : nil
        case .and(let nodes): nodes.lazy.compactMap(\.openNear).first
        default: nil
        }
    }

    /// The same condition with that path filled in.
    func bound(nearPath: FieldPath, onPlane: Bool) -> FilterNode {
        switch self {
        case .geo(GeoNear.openPath, let predicate):
            .geo(nearPath, onPlane ? predicate.onPlane : predicate)
        case .and(let nodes):
            .and(nodes.map { $0.bound(nearPath: nearPath, onPlane: onPlane) })
        default: self
        }
    }

    /// What a $near that every match must meet asks for.
    package var near: GeoNear? {
        switch self {
        case .geo(_, let predicate): predicate.near
        case .and(let nodes): nodes.lazy.compactMap(\.near).first
        default: nil
        }
    }

    /// The same condition, its $near within a distance and beyond another, as they are shown.
    func bound(nearWithin distance: Double, beyond: Double) -> FilterNode {
        switch self {
        case .geo(let path, let predicate):
            .geo(path, predicate.within(distance, beyond: beyond))
        case .and(let nodes):
            .and(nodes.map { $0.bound(nearWithin: distance, beyond: beyond) })
        default: self
        }
    }

    /// The same condition with `$text` bound to a text index.
    func bound(to index: TextIndexSpecification) -> FilterNode {
        switch self {
        case .text(let predicate): .text(predicate.bound(to: index))
        case .and(let nodes): .and(nodes.map { $0.bound(to: index) })
        case .or(let nodes): .or(nodes.map { $0.bound(to: index) })
        default: self
        }
    }

    /// The path of a condition on one path, else nil.
    package var path: FieldPath? {
        switch self {
        case .compare(let path, _, _), .in(let path, _, _), .exists(let path), .type(let path, _),
            .regex(let path, _), .size(let path, _), .mod(let path, _, _), .bits(let path, _),
            .elementObject(let path, _), .elementValue(let path, _), .geo(let path, _):
            path
        case .alwaysTrue, .alwaysFalse, .and, .or, .nor, .not, .text, .expression, .schema,
            .sampleRate:
            nil
        }
    }
}

/// An aggregation expression as a condition (`$expr`). Made by the expression compiler, which
/// filters reach through `FilterOptions.parseExpression`.
package final class ExpressionPredicate: Sendable, Hashable {
    /// Whether the expression's value for a document is true.
    package typealias Test =
        @Sendable (_ document: DocumentView, _ scratch: inout MatchScratch) throws(DBError) -> Bool

    let test: Test
    /// The paths that the expression reads; nil for the whole document.
    package let requiredPaths: [FieldPath]?
    /// Whether the expression may do much for a small document.
    let loops: Bool

    /// A predicate that asks `test`.
    package init(requiredPaths: [FieldPath]?, loops: Bool = false, _ test: @escaping Test) {
        self.loops = loops
        self.requiredPaths = requiredPaths
        self.test = test
    }

    /// The same predicate.
    package static func == (left: ExpressionPredicate, right: ExpressionPredicate) -> Bool {
        left === right
    }

    /// Hashes the identity.
    package func hash(into hasher: inout Hasher) {
        hasher.combine(ObjectIdentifier(self))
    }
}
