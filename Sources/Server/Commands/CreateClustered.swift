// The options of create that make a clustered collection, and that let its documents expire.

import BSON
import Roost

enum CreateClustered {
    /// Reads `clusteredIndex`; nil where the collection is not to be clustered.
    /// - Throws: MongoDB's codes for what the option can't hold or go together with.
    static func clusteredIndex(_ call: borrowing CommandCall) throws(DBError) -> Document? {
        guard let value = call.value("clusteredIndex") else { return nil }
        guard call.truth("capped") != true else {
            throw error(6_049_200, "'clusteredIndex' and 'capped' exclude each other")
        }
        let index = try read(value)
        guard index != nil else { return nil }
        guard call.value("viewOn") == nil else {
            throw error(6_026_500, "'clusteredIndex' is not allowed for a view")
        }
        guard call.document("timeseries") == nil, call.document("idIndex") == nil else {
            throw DBError(
                .invalidOptions,
                "'clusteredIndex' goes together with neither 'timeseries' nor 'idIndex'")
        }
        guard call.value("max") == nil, call.value("size") == nil else {
            throw error(6_049_204, "'size' and 'max' are not allowed with 'clusteredIndex'")
        }
        return index
    }

    /// Reads `expireAfterSeconds`.
    /// - Throws: 14 for another type, 72 for an age out of range and for collections whose documents
    ///   do not expire by their `_id`.
    static func expireAfterSeconds(
        _ call: borrowing CommandCall, isClustered: Bool
    ) throws(DBError) -> Int64? {
        guard let seconds = call.integer("expireAfterSeconds") else { return nil }
        guard isClustered || call.document("timeseries") != nil else {
            throw DBError(
                .invalidOptions,
                "'expireAfterSeconds' is only supported on time-series collections or when the "
                    + "'clusteredIndex' option is specified; make an index with it instead")
        }
        try ClusteredIndex.check(expireAfterSeconds: seconds)
        return seconds
    }

    private static let indexFields = [
        FieldSpec("v", .number), FieldSpec("key", .document, required: true),
        FieldSpec("name", .string), FieldSpec("unique", .truth, required: true),
    ]

    private static func read(_ value: ValueView) throws(DBError) -> Document? {
        guard let index = value.document else {
            guard value.isTruthy else { return nil }
            throw error(
                5_979_703, "'clusteredIndex' must be a document: {key: {_id: 1}, unique: true}")
        }
        try StatementReader.check(index, "create.clusteredIndex", indexFields)
        guard index.value("unique")?.isTruthy == true else {
            throw error(5_979_700, "The clusteredIndex option requires unique: true")
        }
        guard let key = index.value("key")?.document, key.count == 1, let part = key.first,
            part.name.equals("_id"), part.value.exactInteger == 1
        else {
            throw DBError(
                .invalidIndexSpecificationOption,
                "The clusteredIndex option supports the key pattern {_id: 1} alone")
        }
        if let version = index.value("v"), version.truncatedInteger ?? 2 != 2 {
            throw error(5_979_704, "A clusteredIndex is of version 2: leave 'v' out")
        }
        return ClusteredIndex.option(name: index.value("name")?.string)
    }

    private static func error(_ code: Int32, _ message: String) -> DBError {
        DBError(DBError.Code(rawValue: code), message)
    }
}
