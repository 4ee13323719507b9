// The options of a time-series collection, as `create`, `collMod` and $out bring them.
//
//     granularity   bucketMaxSpanSeconds   bucketRoundingSeconds
//     seconds       3600                   60
//     minutes       86400                  3600
//     hours         2592000                86400
//
// A collection has either a granularity, whose numbers follow, or both numbers, which are equal.
// Without any of the three it is "seconds".

package import BSON

/// What makes a collection a time series. Equal options make the same collection.
package struct TimeSeriesOptions: Sendable, Equatable {
    /// How far apart measurements of one source are expected to be.
    package enum Granularity: String, Sendable, Comparable {
        case seconds, minutes, hours

        /// The longest span of one bucket.
        var spanSeconds: Int64 {
            switch self {
            case .seconds: 3_600
            case .minutes: 86_400
            case .hours: 2_592_000
            }
        }

        /// What the beginning of a bucket is a multiple of.
        var roundingSeconds: Int64 {
            switch self {
            case .seconds: 60
            case .minutes: 3_600
            case .hours: 86_400
            }
        }

        package static func < (one: Granularity, other: Granularity) -> Bool {
            one.spanSeconds < other.spanSeconds
        }
    }

    /// The field that has a measurement's time.
    package let timeField: String
    /// The field that tells where a measurement comes from; nil where there is none.
    package let metaField: String?
    /// Nil where the span was given in seconds.
    package let granularity: Granularity?
    package let bucketMaxSpanSeconds: Int64

    private static let spanSecondsMax: Int64 = 31_536_000

    /// Reads the options of `create` and $out; `place` is what errors call them.
    /// - Throws: 14, 40413, 40414 and 40415 for fields, 2 for unknown granularities and spans out of
    ///   range, 72 for names and numbers that don't go together.
    package static func parse(
        _ object: DocumentView, _ place: String
    ) throws(DBError) -> TimeSeriesOptions {
        let known: Set<String> = [
            "timeField", "metaField", "granularity", "bucketMaxSpanSeconds",
            "bucketRoundingSeconds",
        ]
        var fields = StageFields(place)
        var elements = object.makeIterator()
        while let element = elements.next() { try fields.take(element, known: known) }
        let time = try fields.string("timeField", in: object)
        let meta = try fields.string("metaField", in: object)
        let change = try TimeSeriesChange.read(object, fields, place)
        let timeField = try fields.required(time, "timeField")
        for name in [timeField, meta].compactMap(\.self) where name.utf8.contains(0x2E) {
            throw DBError(.invalidOptions, "'\(name)' of a time series must be no dotted path")
        }
        guard meta != "_id" else {
            throw DBError(.invalidOptions, "Cannot use '_id' as the metaField of a time series")
        }
        guard meta.map({ !$0.utf8.elementsEqual(timeField.utf8) }) ?? true else {
            throw DBError(
                .invalidOptions, "The timeField and metaField of a time series must be distinct")
        }
        return try TimeSeriesOptions(timeField, meta, change)
    }

    private init(
        _ timeField: String, _ metaField: String?, _ given: TimeSeriesChange
    ) throws(DBError) {
        self.timeField = timeField
        self.metaField = metaField
        let (span, rounding) = (given.bucketMaxSpanSeconds, given.bucketRoundingSeconds)
        if given.granularity == nil, span != nil || rounding != nil {
            guard let span, span == rounding else {
                throw DBError(
                    .invalidOptions,
                    "bucketMaxSpanSeconds and bucketRoundingSeconds must both be set, to the same "
                        + "number")
            }
            granularity = nil
            bucketMaxSpanSeconds = span
            return
        }
        let unit = given.granularity ?? .seconds
        guard span ?? unit.spanSeconds == unit.spanSeconds,
            rounding ?? unit.roundingSeconds == unit.roundingSeconds
        else {
            throw DBError(
                .invalidOptions,
                "With granularity '\(unit.rawValue)' bucketMaxSpanSeconds can only be "
                    + "\(unit.spanSeconds)")
        }
        granularity = unit
        bucketMaxSpanSeconds = unit.spanSeconds
    }

    /// Reads options as `document` writes them; nil where they are no such.
    package init?(kept options: DocumentView) {
        guard let timeField = options.value("timeField")?.string else { return nil }
        self.timeField = timeField
        metaField = options.value("metaField")?.string
        granularity = options.value("granularity")?.string.flatMap { Granularity(rawValue: $0) }
        bucketMaxSpanSeconds =
            options.value("bucketMaxSpanSeconds")?.int32.map { Int64($0) }
            ?? Granularity.seconds.spanSeconds
    }

    /// As they are kept and listed.
    package var document: Document {
        Document { writer in
            writer.append("timeField", timeField)
            if let metaField { writer.append("metaField", metaField) }
            if let granularity {
                writer.append("granularity", granularity.rawValue)
            } else {
                writer.append("bucketRoundingSeconds", Int32(clamping: bucketMaxSpanSeconds))
            }
            writer.append("bucketMaxSpanSeconds", Int32(clamping: bucketMaxSpanSeconds))
        }
    }

    /// The options after collMod.
    /// - Throws: 72 for a span that shrinks, and for numbers that don't go together.
    package func changed(by change: TimeSeriesChange) throws(DBError) -> TimeSeriesOptions {
        if change.isEmpty { return self }
        if let wanted = change.granularity {
            guard let granularity, wanted >= granularity else {
                throw DBError(
                    .invalidOptions,
                    "Invalid transition for timeseries.granularity. Can only transition from "
                        + "'seconds' to 'minutes' or 'minutes' to 'hours'.")
            }
        }
        let changed = try TimeSeriesOptions(timeField, metaField, change)
        guard changed.bucketMaxSpanSeconds >= bucketMaxSpanSeconds else {
            throw DBError(
                .invalidOptions,
                "bucketMaxSpanSeconds and bucketRoundingSeconds can only grow; they are "
                    + "\(bucketMaxSpanSeconds)")
        }
        return changed
    }

    /// A number of seconds within its range.
    fileprivate static func checked(
        _ seconds: Int64, _ name: String
    ) throws(DBError) -> Int64 {
        guard (1...spanSecondsMax).contains(seconds) else {
            throw DBError(
                .badValue,
                "BSON field '\(name)' value must be >= 1 and <= \(spanSecondsMax), actual value "
                    + "'\(seconds)'")
        }
        return seconds
    }
}

/// The options of a time series that can change later; nil leaves one as it is.
package struct TimeSeriesChange: Sendable, Equatable {
    var granularity: TimeSeriesOptions.Granularity?
    var bucketMaxSpanSeconds: Int64?
    var bucketRoundingSeconds: Int64?

    /// Whether nothing is to change.
    var isEmpty: Bool {
        granularity == nil && bucketMaxSpanSeconds == nil && bucketRoundingSeconds == nil
    }

    /// Reads collMod's `timeseries`; `place` is what errors call it.
    /// - Throws: 14, 40413 and 40415 for fields, 2 for values.
    package static func parse(
        _ object: DocumentView, _ place: String
    ) throws(DBError) -> TimeSeriesChange {
        var fields = StageFields(place)
        var elements = object.makeIterator()
        while let element = elements.next() {
            try fields.take(
                element, known: ["granularity", "bucketMaxSpanSeconds", "bucketRoundingSeconds"])
        }
        return try read(object, fields, place)
    }

    fileprivate static func read(
        _ object: DocumentView, _ fields: StageFields, _ place: String
    ) throws(DBError) -> TimeSeriesChange {
        var change = TimeSeriesChange()
        if let name = try fields.string("granularity", in: object) {
            guard let granularity = TimeSeriesOptions.Granularity(rawValue: name) else {
                throw DBError(
                    .badValue,
                    "Enumeration value '\(name)' for field '\(place).granularity' is not a valid "
                        + "value.")
            }
            change.granularity = granularity
        }
        change.bucketMaxSpanSeconds = try seconds("bucketMaxSpanSeconds", object, fields, place)
        change.bucketRoundingSeconds = try seconds("bucketRoundingSeconds", object, fields, place)
        return change
    }

    private static func seconds(
        _ name: StaticString, _ object: DocumentView, _ fields: StageFields, _ place: String
    ) throws(DBError) -> Int64? {
        guard let number = try fields.number(name, in: object) else { return nil }
        return try TimeSeriesOptions.checked(number, "\(place).\(name)")
    }
}
