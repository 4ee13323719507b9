// From a command's fields to compiled filters, projections, updates and pipelines: the one place
// where Server meets the query language.

import BSON
import Query
import Roost

/// Compiles what one command brought.
struct QueryCompiler: Sendable {
    /// The command's variables and clock.
    let scope: ExpressionScope
    /// The collation of the collection itself, by which its record keys are made.
    let recordCollation: Collation?
    /// Whether the collection's record keys are made of `_id`s, so that an `_id` finds its document.
    let hasKeysOfIDs: Bool

    /// Reads `let` and `collation`; where there is none, the collection's own holds.
    /// - Parameters:
    ///   - source: the text that the command was made of, for its errors.
    ///   - seesDeleted: whether documents may be deleted ones, so that `$meta` tells of that.
    init(
        _ call: borrowing CommandCall, _ namespace: Namespace? = nil, isUpdate: Bool = false,
        source: TextSource? = nil, seesDeleted: Bool = false
    ) throws(DBError) {
        var scope = ExpressionScope(nowMillis: Clock.wallMillis)
        scope.text = source
        if seesDeleted { scope.metadata = .deletion }
        // As MongoDB: a standalone server has a cluster time for the pipelines of updates alone.
        if call.core.topology.isReplicaSet || isUpdate {
            scope.clusterTime = call.core.clusterTime
        }
        let entry = namespace.flatMap { call.core.engine.collection($0) }
        scope.collation = try Self.collation(call.document("collation"), of: entry)
        scope.collections = EngineCollections(call.core.engine, database: call.database)
        scope.source = namespace.map {
            ForeignCollection(database: $0.database, collection: $0.collection)
        }
        if let variables = call.document("let") { try scope.bind(variables: variables) }
        self.scope = scope
        recordCollation = entry?.collation
        hasKeysOfIDs = entry?.hasKeysOfIDs ?? true
    }

    /// The filter in `document`; without one, everything matches.
    func filter(
        _ document: DocumentView?, in context: FilterContext = .find
    ) throws(DBError) -> Filter {
        if let document { return try Filter.parse(document, scope.filterOptions(context)) }
        let empty = Document()
        return try Filter.parse(empty.view, scope.filterOptions(.find))
    }

    /// find's projection; nil where it changes nothing. It may show the values that `sort` sorts by.
    func projection(
        _ document: DocumentView?, of filter: Filter? = nil, sort: DocumentView? = nil
    ) throws(DBError) -> Projection? {
        guard let document, !document.isEmpty else { return nil }
        var scope = scope
        scope.metadata.formUnion(filter?.metadata ?? [])
        if let sort, !sort.isEmpty { scope.metadata.insert(.sortKey) }
        let projection = try Projection.parse(document, for: .find, scope)
        return projection.isIdentity ? nil : projection
    }

    /// The update argument of one statement.
    func update(
        _ value: ValueView, arrayFilters: DocumentView?, constants: DocumentView?, isMulti: Bool
    ) throws(DBError) -> Update {
        try Update.parse(
            value, arrayFilters: arrayFilters, constants: constants,
            scope.updateOptions(isMulti: isMulti))
    }

    /// The stages of an aggregation.
    func pipeline(_ stages: DocumentView) throws(DBError) -> Pipeline {
        try Pipeline.parse(stages, scope)
    }

    /// Stages that were put together here.
    func pipeline(_ stages: [Value]) throws(DBError) -> Pipeline {
        let value = OwnedValue(.array(stages))
        return try pipeline(DocumentView(value.view.bytes))
    }

    /// The same with a statement's own collation; where there is none, that of its collection.
    func collated(
        by collation: DocumentView?, of entry: CollectionEntry?
    ) throws(DBError) -> QueryCompiler {
        let chosen = try Self.collation(collation, of: entry)
        let hasKeysOfIDs = entry?.hasKeysOfIDs ?? true
        if chosen === scope.collation, entry?.collation === recordCollation,
            hasKeysOfIDs == self.hasKeysOfIDs
        {
            return self
        }
        return QueryCompiler(
            scope, chosen, records: entry?.collation, hasKeysOfIDs: hasKeysOfIDs)
    }

    private init(
        _ scope: ExpressionScope, _ collation: Collation?, records: Collation?,
        hasKeysOfIDs: Bool
    ) {
        var scope = scope
        scope.collation = collation
        self.scope = scope
        recordCollation = records
        self.hasKeysOfIDs = hasKeysOfIDs
    }

    /// The order of strings that a `collation` field asks for; without one (or with `{}`), that of
    /// the collection.
    private static func collation(
        _ document: DocumentView?, of entry: CollectionEntry?
    ) throws(DBError) -> Collation? {
        guard let document, !document.isEmpty else { return entry?.collation }
        return try Collation.parse(document)
    }
}
