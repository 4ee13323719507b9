// What a collection's options make it do, read once for each version of the catalog.

package import BSON
package import Query

/// The options of a collection that change how it is written.
package struct CollectionTraits: Sendable {
    /// What documents must be like; nil where anything goes.
    package let validator: Validator?
    /// How much the collection holds before its oldest documents go; nil for one without bounds.
    package let capped: CappedLimits?
    /// The order of strings of queries and indexes that name none.
    package let collation: Collation?
    /// Whether change streams may show documents as they were before and after a change.
    package let showsImages: Bool
    /// What a time-series collection does; nil for others.
    package let timeSeries: TimeSeries?
    /// How the `_id` index is presented; nil where it is an index like others.
    package let clusteredIndex: ClusteredIndex?
    /// Age in seconds at which documents expire: those of a clustered collection by their `_id`,
    /// those of a time series by their time.
    package let expireAfterSeconds: Int64?
    /// What becomes of deleted documents; nil where deletes are final.
    package let softDelete: SoftDelete?

    /// Reads a collection's options.
    /// - Throws: what the validator's parser throws; `invalidOptions` (72) and `badValue` (2)
    ///   for a cap that makes no sense.
    package init(_ options: Document) throws(DBError) {
        let view = options.view
        validator = try Validator(view)
        capped = try CappedLimits(view)
        showsImages =
            view.value("changeStreamPreAndPostImages")?.document?.value("enabled")?.isTruthy == true
        clusteredIndex = ClusteredIndex(view)
        timeSeries = TimeSeries(view)
        expireAfterSeconds = view.value("expireAfterSeconds")?.wholeNumber
        softDelete = try SoftDelete(view)
        if softDelete != nil, capped != nil || timeSeries != nil {
            throw DBError(
                .invalidOptions,
                "'softDelete' is not for \(capped != nil ? "capped" : "time-series") collections: "
                    + "their documents make room for others")
        }
        if let document = view.value("collation")?.document {
            collation = try Collation.parse(document)
        } else {
            collation = nil
        }
    }
}

/// The bounds of a capped collection.
package struct CappedLimits: Sendable, Equatable {
    /// Most bytes of documents.
    package let bytesMax: Int64
    /// Most documents; nil for as many as fit.
    package let documentsMax: Int64?

    /// The largest size, one pebibyte.
    private static let bytesLimit: Int64 = 1 << 50

    /// Reads `capped`, `size` and `max`; nil where the collection is not capped.
    init?(_ options: DocumentView) throws(DBError) {
        guard options.value("capped")?.isTruthy == true else {
            guard options.value("size") == nil, options.value("max") == nil else {
                throw DBError(
                    .invalidOptions,
                    "the 'capped' field needs to be true when either the 'size' or 'max' fields "
                        + "are present")
            }
            return nil
        }
        guard let size = options.value("size")?.wholeNumber else {
            throw DBError(
                .invalidOptions, "the 'size' field is required when 'capped' is true")
        }
        bytesMax = try Self.checkedSize(size)
        documentsMax = try options.value("max")?.wholeNumber.flatMap {
            number throws(DBError) in try Self.checkedCount(number)
        }
    }

    /// A size in bytes, rounded up to a multiple of 256 as MongoDB does.
    package static func checkedSize(_ size: Int64) throws(DBError) -> Int64 {
        guard (1...bytesLimit).contains(size) else {
            throw DBError(
                .badValue,
                "BSON field 'size' value must be >= 1 and <= \(bytesLimit), actual value '\(size)'"
            )
        }
        return (size + 255) & ~255
    }

    /// A number of documents; nil where it sets no bound.
    package static func checkedCount(_ count: Int64) throws(DBError) -> Int64? {
        guard count < Int64(Int32.max) else {
            throw DBError(
                .badValue,
                "max in a capped collection has to be < 2^31 or not set")
        }
        return count > 0 ? count : nil
    }
}

extension ValueView {
    /// A number without its fraction; nil for what is no number or none that int64 holds.
    var wholeNumber: Int64? {
        if let int32 { return Int64(int32) }
        if let int64 { return int64 }
        guard let double, double.isFinite else { return nil }
        return Int64(exactly: double.rounded(.towardZero))
    }
}
