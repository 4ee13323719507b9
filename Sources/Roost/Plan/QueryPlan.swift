// What the planner decides: where documents come from, in which order, and what is left to do.

import BSON
import Query

/// A way to find the documents of a query.
struct QueryPlan: Sendable {
    /// Where documents come from.
    enum Access: Sendable {
        /// Nothing can match, or there is no collection.
        case nothing
        /// The collection's table, by ranges of `_id`.
        case table
        /// The entries of an index, each of which names a document.
        case index(IndexEntry)
        /// A collection's deleted documents, by ranges of `_id`.
        case trash(TrashID)
        /// What any of these finds, each document once.
        case union([QueryPlan])

        /// What stands before the record key in the keys of the table that is scanned.
        var keyPrefix: [UInt8] {
            if case .trash(let id) = self { id.prefix } else { [] }
        }
    }

    let access: Access
    /// The ranges of keys to scan.
    var ranges: KeyRanges
    /// Whether to scan from the end.
    var isBackward: Bool
    /// Whether documents come in the order that the query asks for (or it asks for none).
    var providesSort: Bool
    /// Whether every document within the ranges matches, so that the filter needn't be applied.
    var impliesMatch: Bool
    /// Whether a document may have several entries in the ranges.
    var deduplicates: Bool
    /// The bounds behind the ranges; nil for a scan of everything without an index.
    let bounds: IndexBounds?
    /// Whether the flags of the index as they were when planned; for explain.
    let multikeyParts: UInt64
    /// What is wanted of a wildcard index.
    var wildcard: WildcardChoice?
    /// The order by which a union's branches, each in that order, are merged; nil where they are
    /// scanned one after another.
    var mergeOrder: SortPattern?
    /// What the collection's own table is ordered by, where that is not `_id`: a time series' time.
    var timePath: FieldPath?
    /// Whether a distinct leaps from value to value of the index.
    var leaps = false
    /// Whether results are made from index keys alone, where those say all that is asked for.
    var coversProjection = false

    /// The indexes that are read.
    var indexes: [IndexEntry] {
        switch access {
        case .nothing, .table, .trash: []
        case .index(let index): [index]
        case .union(let branches): branches.flatMap(\.indexes)
        }
    }

    /// Whether everything is scanned.
    var isFullScan: Bool { ranges.isAll }

    static let nothing = QueryPlan(
        access: .nothing, ranges: .all, isBackward: false, providesSort: true,
        impliesMatch: true, deduplicates: false, bounds: nil, multikeyParts: 0)

    /// All documents in `_id` order.
    static func collectionScan(
        isBackward: Bool, providesSort: Bool, impliesMatch: Bool
    ) -> QueryPlan {
        QueryPlan(
            access: .table, ranges: .all, isBackward: isBackward, providesSort: providesSort,
            impliesMatch: impliesMatch, deduplicates: false, bounds: nil, multikeyParts: 0)
    }
}

/// What the planner is asked.
struct PlanQuestion {
    /// The whole filter, normalised.
    var filter: FilterNode
    /// The order of strings in filter and sort; nil for that of their bytes.
    var collation: Collation?
    /// The order asked for; nil where none is.
    var sort: SortPattern?
    /// `{$natural: -1}` as sort: nil where it isn't asked for, else whether backward.
    var naturalIsBackward: Bool?
    /// The index to use.
    var hint: Hint?
    /// Bounds given outright, with a hint: documents whose keys are in `[min, max)`.
    var min: Document?
    var max: Document?
    /// The path whose different values are wanted, and nothing else of documents.
    var distinctPath: FieldPath?
    /// Whether deleted documents are seen.
    var scope = ReadScope.live
    /// How many documents are wanted; nil for all.
    var limit: Int?

    init(filter: FilterNode) {
        self.filter = filter
    }
}

/// A demand for a way of access.
enum Hint: Sendable {
    case index(name: String)
    case pattern(Document)
    case natural(isBackward: Bool)

    /// - Throws: `failedToParse` (9) where it is neither a string nor a document, what
    ///   `naturalIsBackward` throws.
    init?(_ value: Value?) throws(DBError) {
        switch value {
        case nil: return nil
        case .string(let name)?: self = .index(name: name)
        case .document(let pattern)?:
            if pattern.isEmpty { return nil }
            if let isBackward = try pattern.naturalIsBackward {
                self = .natural(isBackward: isBackward)
            } else {
                self = .pattern(pattern)
            }
        default: throw DBError(.failedToParse, "Hint must be a string or an object")
        }
    }
}

extension Document {
    /// The direction of `{$natural: ±1}`: whether backward; nil where this is another sort or hint.
    /// - Throws: `badValue` (2) for another number or more fields.
    var naturalIsBackward: Bool? {
        get throws(DBError) {
            guard let direction = view.value("$natural") else { return nil }
            guard view.count == 1 else {
                throw DBError(.badValue, "$natural cannot be combined with other fields")
            }
            if direction.equals(OwnedValue(.int32(1)).view) { return false }
            if direction.equals(OwnedValue(.int32(-1)).view) { return true }
            throw DBError(
                .badValue, "$natural cannot be set to a value other than -1 or 1.")
        }
    }
}
