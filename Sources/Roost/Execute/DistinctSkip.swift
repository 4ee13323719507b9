// Distinct by an index: one entry for each value, the others with that value are leapt over.

import BSON
import Query
import Storage

/// Whether and how a distinct leaps.
struct DistinctSkip {
    private let isDescending: Bool
    private var decoder = KeyDecoder()

    /// Nil where a document behind an entry may hold other values of the path than the key's, or
    /// may not match.
    init?(_ source: ReadSource, _ plan: QueryPlan) {
        guard case .distinct(let request) = source, case .index(let index) = plan.access,
            index.pattern.isOrdered, index.pattern.parts[0].path == request.path,
            plan.impliesMatch, plan.multikeyParts == 0, !index.flags.hasCutKeys,
            Collation.areSame(source.collation, index.pattern.collation),
            plan.bounds?.parts.dropFirst().allSatisfy(\.isAll) ?? false
        else { return nil }
        isDescending = index.pattern.parts[0].descending
    }

    /// The first part of an entry's key; nil where another entry with it may give another value:
    /// missing fields have the key of null.
    mutating func value(of key: RawSpan) -> [UInt8]? {
        var offset = 0
        guard let type = decoder.next(in: key, at: &offset, descending: isDescending),
            type != .null
        else { return nil }
        return [UInt8](copying: key.extracting(0..<offset))
    }
}

extension RangeWalk {
    /// Moves past all entries that begin with `prefix`, of which the cursor is at one; false at the
    /// end.
    mutating func leap(
        over prefix: [UInt8], _ cursor: inout ReadTransaction.Cursor
    ) throws(StorageError) -> Bool {
        let found = isBackward ? try cursor.previous() : try cursor.next()
        // Where values are mostly different, the next entry is the one.
        guard found, cursor.key.starts(with: prefix.span.bytes) else {
            return try settle(&cursor, found)
        }
        if isBackward { return try settle(&cursor, try cursor.seek(before: prefix.span.bytes)) }
        let behind = KeyBytes.successor(prefix)
        if behind.isEmpty { return try settle(&cursor, false) }
        return try settle(&cursor, try cursor.seek(to: behind.span.bytes))
    }
}
