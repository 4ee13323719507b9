// The option of create that makes a time-series collection.

import BSON
import Query

enum CreateTimeSeries {
    /// Options that say something of plain collections and views only.
    private static let excluded: [StaticString] = [
        "autoIndexId", "capped", "changeStreamPreAndPostImages", "idIndex", "max", "pipeline",
        "size", "validationAction", "validationLevel", "validator", "viewOn",
    ]

    /// Reads `timeseries`; nil where the collection is not to be one.
    /// - Throws: what `TimeSeriesOptions.parse` throws; 72 for options that don't go together.
    static func options(_ call: borrowing CommandCall) throws(DBError) -> TimeSeriesOptions? {
        guard let document = call.document("timeseries") else { return nil }
        for option in excluded where call.value(option) != nil {
            throw DBError(
                .invalidOptions, "'timeseries' is not allowed with '\(option)'")
        }
        return try TimeSeriesOptions.parse(document, "create.timeseries")
    }
}
