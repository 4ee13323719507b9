// A find that was planned once, for those that differ from it in one or two values only.
//
// An indexed range begins and ends at the encodings of the values that the query compares with, or
// just behind them (KeyInterval.swift). Where that explains both ends of a plan's range, the plan
// for other values of the same types is the same range about their encodings: no parsing, no
// planning, no cursor. Only small results are read so; the caller turns to a cursor for others.

package import BSON
import Query
import Storage

/// A plan over one range of an index whose ends follow from the query's values. Immutable.
package final class PreparedRange: Sendable {
    /// What an end of the range is.
    private enum End {
        /// The encoding of the first or second value.
        case value(isSecond: Bool)
        /// The first byte string behind all that begin with it.
        case behind(isSecond: Bool)
        /// The same whatever the values: the end of their type.
        case constant([UInt8])

        /// The value that it follows from; nil for a constant.
        var origin: Origin? {
            switch self {
            case .value(let isSecond), .behind(let isSecond): isSecond ? .second : .first
            case .constant: nil
            }
        }
    }

    private enum Origin {
        case first, second
    }

    /// How a filter compares its field with its values.
    package enum Comparison: Sendable {
        /// With one value, by `$eq`.
        case equality
        /// With one value, by another operator.
        case oneSided
        /// With two values, by other operators.
        case twoSided
    }

    /// Most documents that are read: what more there may be needs a cursor.
    private static let documentsMax = 100
    /// Most bytes of them.
    private static let bytesMax = 1 << 20

    private let engine: RoostEngine
    private let catalogVersion: Int
    private let collection: CollectionEntry
    private let index: IndexEntry
    private let low: End
    private let high: End
    private let isBackward: Bool
    private let isDescending: Bool
    /// How many documents are wanted; nil for all.
    private let limit: Int?

    /// The plan of a finished read for `first` and `second`, the only values in its filter. Nil
    /// where other values could mean another plan, or where the documents would not go out as they
    /// are.
    package init?(
        _ cursor: QueryCursor, _ comparison: Comparison, _ first: ValueView,
        _ second: ValueView?
    ) {
        guard case .find(let request) = cursor.source, request.skip == 0, request.view == nil,
            !request.isTailable, cursor.shape == nil, cursor.metadata == nil,
            case .direct = cursor.output, cursor.counters.matched <= Self.documentsMax,
            let plan = cursor.plan, case .index(let index) = plan.access,
            plan.impliesMatch, !plan.deduplicates, !plan.coversProjection,
            plan.providesSort, plan.ranges.count == 1, plan.wildcard == nil,
            index.pattern.isOrdered, index.pattern.collation == nil, index.partialFilter == nil,
            request.filter.collation == nil, let collection = cursor.collection
        else { return nil }
        engine = cursor.engine
        catalogVersion = engine.catalogVersion
        guard engine.collection(cursor.namespace) === collection else { return nil }
        self.collection = collection
        self.index = index
        isBackward = plan.isBackward
        isDescending = index.pattern.parts[0].descending
        limit = request.limit > 0 ? request.limit : nil
        low = Self.end([UInt8](copying: plan.ranges.low(0)), first, second, isDescending)
        high = Self.end([UInt8](copying: plan.ranges.high(0)), first, second, isDescending)
        guard !first.isNaN, second?.isNaN != true, explainsBothEnds(comparison) else { return nil }
    }

    /// Whether other values move the ends and nothing else. Values at the edge of their type, or equal
    /// ones, could look like another comparison.
    private func explainsBothEnds(_ comparison: Comparison) -> Bool {
        switch (comparison, low.origin, high.origin) {
        case (.equality, .first, .first): true
        case (.oneSided, .first, nil), (.oneSided, nil, .first): true
        case (.twoSided, .first, .second), (.twoSided, .second, .first): true
        default: false
        }
    }

    private static func end(
        _ bytes: [UInt8], _ first: ValueView, _ second: ValueView?, _ isDescending: Bool
    ) -> End {
        var encoder = KeyEncoder()
        encoder.append(first, descending: isDescending)
        if bytes == encoder.bytes { return .value(isSecond: false) }
        if bytes == KeyBytes.successor(encoder.bytes) { return .behind(isSecond: false) }
        guard let second else { return .constant(bytes) }
        encoder.removeAll()
        encoder.append(second, descending: isDescending)
        if bytes == encoder.bytes { return .value(isSecond: true) }
        if bytes == KeyBytes.successor(encoder.bytes) { return .behind(isSecond: true) }
        return .constant(bytes)
    }

    /// Reads the documents for other values of the same types; false where it takes a cursor, with
    /// some documents perhaps appended already.
    ///
    /// - Throws: `dataCorruptionDetected`, errors of the store.
    package func read<Sink: DocumentSink>(
        _ first: ValueView, _ second: ValueView?, _ buffers: inout RangeBuffers, _ reader: Reader,
        into sink: inout Sink
    ) throws(DBError) -> Bool {
        if first.isNaN || second?.isNaN == true { return false }
        Self.encode(low, first, second, isDescending, &buffers.low)
        Self.encode(high, first, second, isDescending, &buffers.high)
        guard buffers.low.count <= IndexEntryKey.prefixBytes,
            buffers.high.count <= IndexEntryKey.prefixBytes
        else { return false }
        let outcome: Outcome
        do throws(StorageError) {
            outcome = try reader.read { transaction throws(StorageError) in
                // The flags are read after the snapshot was taken, as planning does.
                guard engine.catalogVersion == catalogVersion, !index.flags.isMultikey,
                    !index.flags.hasCutKeys
                else { return .needsCursor }
                return try scan(
                    buffers.low.bytes.span.bytes, buffers.high.bytes.span.bytes, transaction, &sink)
            }
        } catch .noSuchTable {
            return false
        } catch {
            throw DBError(storage: error)
        }
        if outcome == .dangling { throw QueryCursor.danglingEntry(collection.namespace) }
        return outcome == .whole
    }

    private enum Outcome {
        case whole
        case needsCursor
        /// An entry names a document that isn't there.
        case dangling
    }

    private static func encode(
        _ end: End, _ first: ValueView, _ second: ValueView?, _ isDescending: Bool,
        _ key: inout KeyEncoder
    ) {
        key.removeAll()
        switch end {
        case .constant(let bytes): key.append(copying: bytes.span.bytes)
        case .value(let isSecond), .behind(let isSecond):
            if isSecond, let second {
                key.append(second, descending: isDescending)
            } else {
                key.append(first, descending: isDescending)
            }
        }
        if case .behind = end { key.moveBehind() }
    }

    /// Appends the range's documents.
    private func scan<Sink: DocumentSink>(
        _ low: RawSpan, _ high: RawSpan, _ transaction: borrowing ReadTransaction,
        _ sink: inout Sink
    ) throws(StorageError) -> Outcome {
        var cursor = transaction.cursor(index.table)
        var count = 0
        var byteCount = 0
        var isFound =
            if isBackward {
                high.isEmpty ? try cursor.last() : try cursor.seek(before: high)
            } else {
                try cursor.seek(to: low)
            }
        while isFound {
            let isInside =
                isBackward
                ? cursor.key.compareBytes(low) >= 0
                : high.isEmpty || cursor.key.compareBytes(high) < 0
            guard isInside else { return .whole }
            if count == Self.documentsMax || byteCount > Self.bytesMax { return .needsCursor }
            guard let size = try append(cursor.key, transaction, to: &sink) else {
                return .dangling
            }
            byteCount += size
            count += 1
            if count == limit { return .whole }
            isFound = isBackward ? try cursor.previous() : try cursor.next()
        }
        return .whole
    }

    /// Appends the document of an index entry, and tells its size; nil where it isn't there.
    private func append<Sink: DocumentSink>(
        _ key: RawSpan, _ transaction: borrowing ReadTransaction, to sink: inout Sink
    ) throws(StorageError) -> Int? {
        guard let record = IndexEntryKey.record(in: key),
            let document = try transaction.value(collection.table, record)
        else { return nil }
        sink.append(DocumentView(document))
        return document.byteCount
    }
}

/// Buffers for the ends of a range; one for each event loop.
package struct RangeBuffers: ~Copyable {
    var low = KeyEncoder(reserving: 256)
    var high = KeyEncoder(reserving: 256)

    package init() {}
}
