// Time-series collections, as MongoDB presents them.
//
// MongoDB packs measurements into buckets and shows them through a view. Roost stores each
// measurement as a document of its own, in the order of time:
//
//     table   key of the time, record key of `_id`                      ->  document
//             the same, 0xFF, number of the copy in 4 bytes big-endian  ->  a further document of
//                                                                           equal time and `_id`
//
// So scans, sorts and expiry by time need no index, and an `_id` may come more than once, as in
// MongoDB; there is no index over `_id`. Granularity and bucket spans are kept and shown, and
// nothing follows from them. Index entries end with the key in `table`, as everywhere.

package import BSON
package import Query
import Storage

/// What the options of a time-series collection make it do.
package struct TimeSeries: Sendable {
    package let options: TimeSeriesOptions
    /// The field that has a measurement's time, the first part of its key.
    package let timePath: FieldPath

    /// Longest measurement, in bytes.
    private static let bytesMax = 4 * 1024 * 1024

    /// Reads a collection's options; nil for one that is no time series.
    init?(_ options: DocumentView) {
        guard let document = options.value("timeseries")?.document,
            let options = TimeSeriesOptions(kept: document)
        else { return nil }
        self.options = options
        timePath = FieldPath(options.timeField)
    }

    /// Replaces `key` with the first that a measurement may have.
    /// - Throws: 2 for one without a date, 10334 for one that is too long.
    func encodeKey(
        of document: DocumentView, _ collation: Collation?, into key: inout KeyEncoder
    ) throws(DBError) {
        guard let time = document.value(named: options.timeField), time.type == .date else {
            throw DBError(
                .badValue,
                "'\(options.timeField)' must be present and contain a valid BSON UTC datetime "
                    + "value")
        }
        guard let id = document.value("_id") else {
            throw DBError(.invalidIdField, "The document has no _id")
        }
        guard document.bytes.byteCount <= Self.bytesMax else {
            throw DBError(
                .bsonObjectTooLarge,
                "Measurement of size \(document.bytes.byteCount) exceeds the maximum of "
                    + "\(Self.bytesMax)")
        }
        key.removeAll()
        key.append(time)
        _ = RecordKey.append(id, collation, to: &key)
    }

    /// Appends to a measurement's first key what makes it one that no document has yet.
    static func makeFree(
        _ key: inout KeyEncoder, _ table: TableID, _ transaction: borrowing WriteTransaction
    ) throws(StorageError) {
        guard try transaction.value(table, key.bytes.span.bytes) != nil else { return }
        let start = key.count
        key.append(byte: copyMark)
        key.append(copying: [0xFF, 0xFF, 0xFF, 0xFF].span.bytes)
        var copy: UInt32 = 1
        var cursor = transaction.cursor(table)
        if try cursor.seek(before: key.bytes.span.bytes), cursor.key.byteCount == start + 5 {
            let last = cursor.key.extracting(start + 1..<start + 5)
            // SAFETY: the span has the four bytes.
            copy = UInt32(bigEndian: last.unsafeLoadUnaligned(as: UInt32.self)) &+ 1
        }
        key.truncate(to: start + 1)
        let number = withUnsafeBytes(of: copy.bigEndian) { Array($0) }
        key.append(copying: number.span.bytes)
    }

    /// The keys of all documents of the time and `_id` that a first key stands for.
    static func keys(
        of first: RawSpan, _ table: TableID, _ transaction: borrowing WriteTransaction
    ) throws(StorageError) -> [[UInt8]] {
        var keys: [[UInt8]] = []
        var cursor = transaction.cursor(table)
        var isFound = try cursor.seek(to: first)
        while isFound, cursor.key.starts(with: first) {
            keys.append([UInt8](copying: cursor.key))
            isFound = try cursor.next()
        }
        return keys
    }

    /// Stands between a first key and a copy's number; begins no key.
    private static let copyMark: UInt8 = 0xFF

    // MARK: What MongoDB refuses

    /// Refuses updates that MongoDB refuses: it changes the meta field alone, of documents found by
    /// the meta field.
    /// - Throws: 72.
    func check(_ update: UpdateStatement) throws(DBError) {
        guard update.isMulti else {
            throw Self.refusal("Cannot perform a non-multi update on a time-series collection")
        }
        guard !update.isUpsert else {
            throw Self.refusal("Cannot perform an upsert on a time-series collection")
        }
        guard update.update.kind == .operators else {
            throw Self.refusal(
                "An update of a time-series collection must use operators, no replacement and no "
                    + "pipeline")
        }
        guard let meta = options.metaField else {
            throw Self.refusal(
                "Cannot perform an update on a time-series collection that has no metaField")
        }
        guard update.target.filter.root.isAbout(meta) else {
            throw Self.refusal(
                "Cannot perform an update on a time-series collection when querying on a field "
                    + "that is not the metaField '\(meta)'")
        }
        guard update.update.writes(onlyBelow: meta) else {
            throw Self.refusal(
                "Cannot perform an update on a time-series collection which updates a field that "
                    + "is not the metaField '\(meta)'")
        }
    }

    /// Refuses indexes that MongoDB refuses.
    /// - Throws: 72.
    func check(_ index: IndexSpecification) throws(DBError) {
        guard !index.isUnique, !index.preparesUnique else {
            throw Self.refusal("Unique indexes are not supported on time-series collections")
        }
        guard !index.isSparse else {
            throw Self.refusal("Sparse indexes are not supported on time-series collections")
        }
        guard index.pattern.text == nil else {
            throw Self.refusal("Text indexes are not supported on time-series collections")
        }
        let document = index.document.view
        guard document.value("expireAfterSeconds") != nil else { return }
        guard index.pattern.parts.first?.path == timePath else {
            throw Self.refusal(
                "TTL indexes on time-series collections must be on the timeField "
                    + "'\(options.timeField)'")
        }
        guard let condition = index.partialFilter else { return }
        guard let meta = options.metaField, condition.root.isAbout(meta) else {
            throw Self.refusal(
                "A TTL index with a partialFilterExpression on a time-series collection may name "
                    + "the metaField alone in it")
        }
    }

    /// Refuses what collMod can't change in a time series.
    /// - Throws: 72.
    func check(_ modification: CollectionModification) throws(DBError) {
        guard modification.validator == nil, modification.validationLevel == nil,
            modification.validationAction == nil
        else { throw Self.refusal("A time-series collection can't have a validator") }
        guard modification.showsImages == nil else {
            throw Self.refusal(
                "changeStreamPreAndPostImages are not supported on time-series collections")
        }
    }

    /// An operation that time-series collections don't have.
    static func refusal(_ reason: String) -> DBError {
        DBError(.invalidOptions, reason)
    }

    /// The index that every time series with a meta field has from the beginning.
    var ownIndex: Document? {
        // No index can be over a field without a name.
        guard let meta = options.metaField, !meta.isEmpty, !options.timeField.isEmpty else {
            return nil
        }
        return [
            "v": 2, "key": .document([meta: 1, options.timeField: 1]),
            "name": .string("\(meta)_1_\(options.timeField)_1"),
        ]
    }
}

extension CollectionEntry {
    /// Refuses time series for what MongoDB takes for a command on a view.
    /// - Throws: `commandNotSupportedOnView` (166).
    package func checkIsNoTimeSeries() throws(DBError) {
        if traits.timeSeries != nil {
            throw DBError(
                .commandNotSupportedOnView, "Namespace \(namespace) is a timeseries collection")
        }
    }
}

extension FilterNode {
    /// Whether each condition is about that top-level field or what lies below it.
    fileprivate func isAbout(_ field: String) -> Bool {
        switch self {
        case .alwaysTrue, .alwaysFalse: true
        case .and(let nodes), .or(let nodes), .nor(let nodes):
            nodes.allSatisfy { $0.isAbout(field) }
        case .not(let node): node.isAbout(field)
        case .compare(let path, _, _), .in(let path, _, _), .exists(let path),
            .type(let path, _), .regex(let path, _), .size(let path, _), .mod(let path, _, _),
            .bits(let path, _), .elementObject(let path, _), .elementValue(let path, _),
            .geo(let path, _):
            path.segments.first.map { $0.name.elementsEqual(field.utf8) } ?? false
        case .text, .expression, .schema, .sampleRate: false
        }
    }
}
