// What read commands ask for, with filters, projections and pipelines already compiled.

package import BSON
package import Query

/// What find asks for.
package struct FindRequest: Sendable {
    package let namespace: Namespace
    package let filter: Filter
    /// The order; `{$natural: ±1}` for the stored one.
    package var sort: Document?
    package var projection: Projection?
    package var skip = 0
    /// Most documents; 0 for all.
    package var limit = 0
    /// An index's name or key pattern, or `{$natural: ±1}`.
    package var hint: Value?
    /// Lowest index key, included; needs a hint.
    package var min: Document?
    /// Highest index key, not included; needs a hint.
    package var max: Document?
    /// Return index keys in place of documents.
    package var returnsKey = false
    /// Add `$recordId` to each document.
    package var showsRecordID = false
    /// Whether a sort may use temporary files.
    package var allowsDiskUse = true
    /// Wait at the end of a capped collection instead of ending there.
    package var isTailable = false
    /// Whether a getMore at that end waits for documents.
    package var awaitsData = false
    /// Whether deleted documents are seen.
    package var scope = ReadScope.live
    /// Whether filter, sort or projection ask when and by whom a document was deleted.
    package var showsDeletion = false
    /// The snapshot to read; nil for the newest at each slice.
    package var view: ReadView?
    /// When the request gives up with `maxTimeMSExpired`, on the monotonic clock.
    package var deadline: ContinuousClock.Instant?
    /// What an app user may see; nil for those who bypass the rules.
    package var access: RequestAccess?

    package init(_ namespace: Namespace, filter: Filter) {
        self.namespace = namespace
        self.filter = filter
    }
}

/// What aggregate asks for.
package struct AggregateRequest: Sendable {
    package let namespace: Namespace
    package let pipeline: Pipeline
    package var hint: Value?
    /// Whether deleted documents are seen, of the collection alone that the pipeline begins with.
    package var scope = ReadScope.live
    /// Whether a stage asks when and by whom a document was deleted.
    package var showsDeletion = false
    /// The snapshot to read; nil for the newest at each slice.
    package var view: ReadView?
    package var deadline: ContinuousClock.Instant?
    /// What an app user may see; nil for those who bypass the rules.
    package var access: RequestAccess?
    /// Whether sorts and groups may use temporary files.
    package var allowsDiskUse = true
    /// Whether $out and $merge store results without asking the collection's validator.
    package var bypassesValidation = false

    package init(_ namespace: Namespace, pipeline: Pipeline) {
        self.namespace = namespace
        self.pipeline = pipeline
    }
}

/// What count asks for.
package struct CountRequest: Sendable {
    package let namespace: Namespace
    package let filter: Filter
    package var skip = 0
    /// Most documents counted; 0 for all.
    package var limit = 0
    package var hint: Value?
    /// Whether deleted documents are counted.
    package var scope = ReadScope.live
    /// Whether the filter asks when and by whom a document was deleted.
    package var showsDeletion = false
    package var deadline: ContinuousClock.Instant?
    /// What an app user may see; nil for those who bypass the rules.
    package var access: RequestAccess?

    package init(_ namespace: Namespace, filter: Filter) {
        self.namespace = namespace
        self.filter = filter
    }
}

/// What distinct asks for.
package struct DistinctRequest: Sendable {
    package let namespace: Namespace
    /// The path whose values are wanted.
    package let path: FieldPath
    package let filter: Filter
    package var hint: Value?
    /// Whether deleted documents are seen.
    package var scope = ReadScope.live
    /// Whether the filter asks when and by whom a document was deleted.
    package var showsDeletion = false
    /// The snapshot to read; nil for the newest at each slice.
    package var view: ReadView?
    package var deadline: ContinuousClock.Instant?
    /// What an app user may see; nil for those who bypass the rules.
    package var access: RequestAccess?

    package init(_ namespace: Namespace, path: FieldPath, filter: Filter) {
        self.namespace = namespace
        self.path = path
        self.filter = filter
    }
}
