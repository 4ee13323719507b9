// $out: the results become a collection. And what $out and $merge have in common.

import BSON

/// Where a pipeline's results go.
package enum PipelineDestination: Sendable {
    /// They replace a collection.
    case out(OutSpecification)
    /// They are merged into a collection.
    case merge(MergeSpecification)

    /// The stage's name.
    package var stageName: String {
        switch self {
        case .out: "$out"
        case .merge: "$merge"
        }
    }

    /// The database; nil for the one that the command runs on.
    package var database: String? {
        switch self {
        case .out(let specification): specification.database
        case .merge(let specification): specification.database
        }
    }

    /// The collection.
    package var collection: String {
        switch self {
        case .out(let specification): specification.collection
        case .merge(let specification): specification.collection
        }
    }
}

/// A parsed $out.
package struct OutSpecification: Sendable {
    /// The database; nil for the one that the command runs on.
    package let database: String?
    /// The collection.
    package let collection: String

    /// What the target is to be where it isn't there yet; nil for a plain collection.
    package var timeSeries: TimeSeriesOptions?

    /// Reads the stage's argument: a collection's name, or `{db, coll, timeseries}`.
    ///
    /// Throws 16990 for another type, 14, 40413, 40414 and 40415 for the fields, and what
    /// `TimeSeriesOptions.parse` throws.
    static func parse(_ value: ValueView) throws(DBError) -> OutSpecification {
        if let name = value.string { return OutSpecification(database: nil, collection: name) }
        guard let object = value.document else {
            throw .location(
                16990,
                "$out only supports a string or object argument, but found \(value.type.alias)")
        }
        var fields = StageFields("$out")
        var elements = object.makeIterator()
        while let element = elements.next() {
            try fields.take(element, known: ["db", "coll", "timeseries"])
        }
        let database = try fields.string("db", in: object)
        let collection = try fields.string("coll", in: object)
        var timeSeries: TimeSeriesOptions?
        if let series = try fields.document("timeseries", in: object) {
            timeSeries = try TimeSeriesOptions.parse(series, "$out.timeseries")
        }
        return OutSpecification(
            database: try fields.required(database, "db"),
            collection: try fields.required(collection, "coll"), timeSeries: timeSeries)
    }
}

/// Checks the fields of a stage's argument.
struct StageFields {
    private let place: String
    private var seen: Set<String> = []

    /// `place` is what messages call the argument.
    init(_ place: String) {
        self.place = place
    }

    /// Refuses names that are not `known` (40415) or come twice (40413).
    mutating func take(_ element: ElementView, known: Set<String>) throws(DBError) {
        let name = element.nameString
        guard known.contains(name) else {
            throw DBError.location(
                40415, "BSON field '\(place).\(name)' is an unknown field.")
        }
        guard seen.insert(name).inserted else {
            throw DBError.location(
                40413, "BSON field '\(place).\(name)' is a duplicate field")
        }
    }

    /// The string in a field; nil for null and for none. Throws 14 for other types.
    func string(_ name: StaticString, in object: DocumentView) throws(DBError) -> String? {
        guard let value = object.value(name), !value.isNullish else { return nil }
        guard let string = value.string else {
            throw DBError(
                .typeMismatch,
                "BSON field '\(place).\(name)' is the wrong type '\(value.type.alias)', expected "
                    + "type 'string'")
        }
        return string
    }

    /// The document in a field; nil for null and for none. Throws 14 for other types.
    @_lifetime(copy object)
    func document(_ name: StaticString, in object: DocumentView) throws(DBError) -> DocumentView? {
        guard let value = object.value(name), !value.isNullish else { return nil }
        guard let document = value.document else {
            throw DBError(
                .typeMismatch,
                "BSON field '\(place).\(name)' is the wrong type '\(value.type.alias)', expected "
                    + "type 'object'")
        }
        return document
    }

    /// The number in a field as commands read it; nil for null and for none. Throws 14 for other
    /// types.
    func number(_ name: StaticString, in object: DocumentView) throws(DBError) -> Int64? {
        guard let value = object.value(name), !value.isNullish else { return nil }
        guard let number = value.truncatedInteger else {
            throw DBError(
                .typeMismatch,
                "BSON field '\(place).\(name)' is the wrong type '\(value.type.alias)', expected "
                    + "types '[long, int, decimal, double]'")
        }
        return number
    }

    /// What must be there. Throws 40414.
    func required(_ value: String?, _ name: StaticString) throws(DBError) -> String {
        guard let value else {
            throw DBError.location(
                40414,
                "BSON field '\(place).\(name)' is missing but a required field")
        }
        return value
    }
}

extension ValueView {
    /// Whether a field with this value counts as not written.
    var isNullish: Bool { type == .null || type == .undefined }
}
