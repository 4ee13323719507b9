// Filters: which documents a query is about.
//
// A filter goes through three forms. `FilterParser` reads MongoDB's documents into a tree
// (`FilterNode`), refusing what is malformed with MongoDB's codes and bringing equal filters into
// one shape; the planner reads index bounds from the tree. `MatchCompiler` flattens the tree into
// a `MatchProgram`: an array of small instructions with paths split, constants in one pool, and
// neighbouring fields found in one walk. The program runs over a document's bytes where they lie
// and allocates nothing.

package import BSON

/// Where a filter is used, which decides what it may contain.
package enum FilterContext: Sendable {
    case find
    /// A `$match` stage.
    case match
    /// A collection's validator.
    case validator
    /// An update's `arrayFilters`, or the condition of `$pull`.
    case arrayFilter
    /// A projection's `$elemMatch`.
    case projection
    /// An index's `partialFilterExpression`.
    case partialIndex
}

/// How a filter is to be read.
package struct FilterOptions: Sendable {
    /// Compiles the operand of `$expr`.
    package typealias ExpressionParser =
        @Sendable (_ expression: ValueView) throws(DBError) -> ExpressionPredicate

    /// Where the filter is used.
    package var context: FilterContext
    /// The expression compiler with the variables in scope; without it `$expr` is refused.
    package var parseExpression: ExpressionParser?
    /// A name that stands for the value looked at, as the identifiers of `arrayFilters` do: paths
    /// begin with it, and the filter is to be asked `matches(value:)`.
    package var placeholder: String?
    /// The order of strings; nil for that of their bytes.
    package var collation: Collation?

    /// Options for a filter in that place.
    package init(
        context: FilterContext = .find, placeholder: String? = nil,
        collation: Collation? = nil,
        parseExpression: ExpressionParser? = nil
    ) {
        self.context = context
        self.placeholder = placeholder
        self.collation = collation
        self.parseExpression = parseExpression
    }
}

/// A compiled filter. Immutable, so executions on any thread share it.
package final class Filter: Sendable {
    /// The normalised tree, for planner and upserts.
    package let root: FilterNode
    /// The order of strings that comparisons go by; nil for that of their bytes.
    package let collation: Collation?
    private let program: MatchProgram
    /// Whether it leaves something to the collection's indexes, which must be filled in before
    /// documents are asked.
    package let needsIndexes: Bool

    /// Compiles a tree.
    package init(_ root: FilterNode, collation: Collation? = nil) {
        self.root = root
        self.collation = collation
        needsIndexes = root.metadata.contains(.textScore) || root.openNear != nil
        program = MatchCompiler.compile(root, collation)
    }

    /// The filter that every document matches.
    package static let everything = Filter(.alwaysTrue)

    /// Reads a filter. Errors are MongoDB's: 2 BadValue for most, 9 FailedToParse, 14
    /// TypeMismatch, 51074, 51075, 51091, 51108 for regular expressions.
    package static func parse(
        _ filter: DocumentView, _ options: FilterOptions = FilterOptions()
    ) throws(DBError) -> Filter {
        let parser = FilterParser(options)
        return Filter(
            try parser.parseDocument(filter, depth: 0), collation: options.collation)
    }

    /// Reads a condition on a value, as it stands behind a field's name: an operator document, a
    /// pattern, or a value to equal. To be asked `matches(value:)`.
    package static func parse(
        condition: ValueView, _ options: FilterOptions = FilterOptions()
    ) throws(DBError) -> Filter {
        let parser = FilterParser(options)
        return Filter(
            try parser.parseCondition(.wholeValue, condition, depth: 0),
            collation: options.collation)
    }

    /// What the filter gives for `$meta`.
    package var metadata: MetadataKinds { root.metadata }

    /// Whether the filter holds a `$text`, which must be bound before documents are asked.
    package var hasText: Bool { !program.textPredicates.isEmpty }

    /// The same filter, its `$text` bound to a text index.
    package func bound(to index: TextIndexSpecification) -> Filter {
        Filter(root.bound(to: index), collation: collation)
    }

    /// The near condition that leaves its path to the collection's indexes.
    package var openNear: GeoPredicate? { root.openNear }

    /// The same filter with that path filled in.
    package func bound(nearPath: FieldPath, onPlane: Bool) -> Filter {
        Filter(root.bound(nearPath: nearPath, onPlane: onPlane), collation: collation)
    }

    /// The same filter, its $near within a distance and beyond another, as they are shown.
    package func bound(
        nearWithin distance: Double, beyond: Double = -.infinity
    ) -> Filter {
        Filter(root.bound(nearWithin: distance, beyond: beyond), collation: collation)
    }

    /// Whether the filter asks for nothing.
    package var isEmpty: Bool { root == .alwaysTrue }

    /// Whether `$expr` may do much for a small document.
    package var loops: Bool { program.expressions.contains { $0.loops } }

    /// The most steps that a document of so many bytes may cost: each condition looks at all of it.
    package func stepsMax(byteCount: Int) -> Int {
        let (steps, overflow) = byteCount.multipliedReportingOverflow(
            by: program.instructions.count)
        return overflow ? .max : steps
    }

    /// Whether a document matches. Allocates nothing; O(bytes of the document). Errors: 51156 from
    /// a runaway pattern, and what `$expr` throws.
    package func matches(
        _ document: DocumentView, _ scratch: inout MatchScratch
    ) throws(DBError) -> Bool {
        scratch.arrayPosition = nil
        return try program.matches(
            ValueView(type: .document, bytes: document.bytes), &scratch)
    }

    /// Whether a value matches: a condition's value, the element that a placeholder stands for, or
    /// an object (an array counts as one with index names) for a filter of field names.
    package func matches(
        value: ValueView, _ scratch: inout MatchScratch
    ) throws(DBError) -> Bool {
        scratch.arrayPosition = nil
        return try program.matches(value, &scratch)
    }
}
