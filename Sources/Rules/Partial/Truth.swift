// What partial evaluation knows of a condition on documents: when it is true, and when false.
//
// A condition that fails for a document is neither, so the two sides are no complements. Each side
// has a filter that every such document matches (for the planner; it may match more) and one that
// has to follow from a query's filter for a proof (it may be harder to meet). Being exact is the
// business of the check.

internal import BSON
internal import Query

/// The documents for which a condition is true, or for which it is false.
struct TruthSide {
    /// Every such document matches.
    var bounds: FilterNode
    /// Firestore's documents that match are such.
    var proof: FilterNode

    static let always = TruthSide(bounds: .alwaysTrue, proof: .alwaysTrue)
    static let never = TruthSide(bounds: .alwaysFalse, proof: .alwaysFalse)
    /// Nothing is known.
    static let unknown = TruthSide(bounds: .alwaysTrue, proof: .alwaysFalse)

    static func both(_ left: TruthSide, _ right: TruthSide) -> TruthSide {
        TruthSide(
            bounds: .all([left.bounds, right.bounds]), proof: .all([left.proof, right.proof]))
    }

    static func either(_ left: TruthSide, _ right: TruthSide) -> TruthSide {
        TruthSide(
            bounds: .any([left.bounds, right.bounds]), proof: .any([left.proof, right.proof]))
    }
}

/// A condition on documents.
struct Truth {
    var whenTrue: TruthSide
    var whenFalse: TruthSide
    /// The node that decides; nil where only evaluating the rule does.
    var check: Int32?
}

/// What an expression comes to while the document is open.
enum Partial {
    case known(RuleValue)
    /// It fails for every document; not for good.
    case failed
    /// `resource`.
    case resource
    /// A field of the document; `resource.data` without names.
    case field([String])
    /// A segment of the document's path behind `documents`.
    case segment(Int)
    case condition(Truth)
    case unknown
}
