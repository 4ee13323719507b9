// Other collections for the stages of a running read: $lookup, $graphLookup, $unionWith.
//
// A foreign read is a cursor of its own, planned as any other, with the interrupt of the read that
// it is part of. It runs on that read's thread and reader: while the outer read is in a snapshot,
// the inner one sees the same.

package import BSON
package import Query

/// Reads other collections for one cursor. Confined to the cursor's thread.
final class EngineForeignReader: ForeignReader {
    /// The reader of the call that runs now; nil between calls.
    var reader: Reader?
    /// The catalog of the view that the call reads; nil for the newest.
    var heldCatalog: CatalogSnapshot?
    /// Where a serializable transaction keeps what it reads.
    var heldReads: ReadSet?

    /// What was read of each collection, for explain; nil where nobody wants to know.
    var reports: [Namespace: ForeignReport]?

    private let engine: RoostEngine
    private let interrupt: Interrupt
    private let allowsDiskUse: Bool
    /// What an app user may see; nil for those who bypass the rules.
    private let access: RequestAccess?

    init(
        _ engine: RoostEngine, _ interrupt: Interrupt, allowsDiskUse: Bool, _ access: RequestAccess?
    ) {
        self.engine = engine
        self.access = access
        self.interrupt = interrupt
        self.allowsDiskUse = allowsDiskUse
    }

    func open(
        _ collection: ForeignCollection, _ pipeline: Pipeline
    ) throws(DBError) -> any ForeignCursor {
        let namespace = Namespace(collection.database, collection.collection)
        var request = AggregateRequest(namespace, pipeline: pipeline)
        request.allowsDiskUse = allowsDiskUse
        request.access = access
        let source = ReadSource.aggregate(request, leading: pipeline.leading)
        return Cursor(QueryCursor(engine, source, partOf: interrupt), self)
    }

    /// One foreign read.
    private final class Cursor: ForeignCursor {
        private let cursor: QueryCursor
        /// What of its counts is in the report.
        private var reported = ReadCounters()
        private var isReported = false
        // The outer cursor owns the owner, and the stages of that cursor own this.
        private unowned let owner: EngineForeignReader

        init(_ cursor: QueryCursor, _ owner: EngineForeignReader) {
            self.cursor = cursor
            self.owner = owner
        }

        func next(into batch: inout DocumentBatch) throws(DBError) -> Bool {
            guard let reader = owner.reader else {
                throw DBError(.internalError, "A foreign read ran outside of its cursor's calls")
            }
            // The outer read holds the view.
            cursor.heldCatalog = owner.heldCatalog
            cursor.heldReads = owner.heldReads
            let limits = BatchLimits(
                documentsMax: DocumentBatch.documentsMax, bytesMax: DocumentBatch.bytesMax)
            var status = ReadStatus.budgetSpent
            while status == .budgetSpent {
                status = try cursor.advance(reader, limits, .slice, into: &batch)
            }
            if owner.reports != nil { report() }
            return status == .batchFull
        }

        private func report() {
            let counters = cursor.counters
            var report = owner.reports?[cursor.namespace] ?? ForeignReport()
            report.documentsExamined += counters.documentsExamined - reported.documentsExamined
            report.keysExamined += counters.keysExamined - reported.keysExamined
            if !isReported, let plan = cursor.plan { report.note(plan) }
            owner.reports?[cursor.namespace] = report
            reported = counters
            isReported = true
        }
    }
}

/// What stages of one pipeline read of another collection.
struct ForeignReport {
    var documentsExamined = 0
    var keysExamined = 0
    /// How many reads looked at the whole collection.
    private(set) var collectionScans = 0
    /// The names of the indexes that were used.
    private(set) var indexes: [String] = []

    fileprivate mutating func note(_ plan: QueryPlan) {
        if case .table = plan.access {
            if plan.isFullScan {
                collectionScans += 1
            } else {
                note(CollectionEntry.idIndexName)
            }
        }
        for index in plan.indexes { note(index.name) }
    }

    private mutating func note(_ index: String) {
        if !indexes.contains(index) { indexes.append(index) }
    }

    /// Appends what explain tells of it, as MongoDB names it.
    func write(into writer: inout DocumentWriter) {
        writer.append("totalDocsExamined", Int64(documentsExamined))
        writer.append("totalKeysExamined", Int64(keysExamined))
        writer.append("collectionScans", Int64(collectionScans))
        writer.append("indexesUsed", .array(indexes.map { .string($0) }))
    }
}

extension DocumentBatch: DocumentSink {}

/// The engine's collections, for pipelines of a command on one database.
package struct EngineCollections: ForeignCollections {
    private let engine: RoostEngine
    private let database: String

    /// Collections for a command on `database`.
    package init(_ engine: RoostEngine, database: String) {
        self.engine = engine
        self.database = database
    }

    /// The collection of that name, behind views the one that they read in the end.
    ///
    /// Throws 73 for a bad name, 165 for views that lie too deep.
    package func resolve(
        database: String?, collection: String
    ) throws(DBError) -> ForeignCollection {
        let namespace = Namespace(database ?? self.database, collection)
        try namespace.validate()
        guard let view = try engine.resolveView(namespace) else {
            return ForeignCollection(database: namespace.database, collection: collection)
        }
        return ForeignCollection(
            database: view.namespace.database, collection: view.namespace.collection,
            viewStages: view.stages)
    }
}
