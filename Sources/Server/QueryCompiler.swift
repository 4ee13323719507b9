// From a command's fields to compiled filters, projections, updates and pipelines: the one place
// where Server meets the query language.

import BSON
import Query
import Roost

/// Compiles what one command brought.
struct QueryCompiler: Sendable {
    /// The command's variables and clock.
    let scope: ExpressionScope

    /// Reads `let`.
    init(_ call: borrowing CommandCall) throws(DBError) {
        var scope = ExpressionScope(nowMillis: Clock.wallMillis)
        if let variables = call.document("let") { try scope.bind(variables: variables) }
        self.scope = scope
        try Self.checkCollation(call.document("collation"), call.command.name)
    }

    /// The filter in `document`; without one, everything matches.
    func filter(_ document: DocumentView?) throws(DBError) -> Filter {
        if let document { return try Filter.parse(document, scope.filterOptions(.find)) }
        let empty = Document()
        return try Filter.parse(empty.view, FilterOptions())
    }

    /// find's projection; nil where it changes nothing.
    func projection(_ document: DocumentView?) throws(DBError) -> Projection? {
        guard let document, !document.isEmpty else { return nil }
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

    /// Only the binary comparison is there; anything else must not be ignored.
    static func checkCollation(_ collation: DocumentView?, _ place: StaticString) throws(DBError) {
        guard let collation, !collation.isEmpty else { return }
        guard let locale = collation.value("locale")?.string else {
            throw DBError(
                .idlMissingField,
                "BSON field 'collation.locale' is missing but a required field")
        }
        guard locale == "simple" else {
            throw DBError(
                .notImplemented,
                "\(place) with a collation other than {locale: \"simple\"} is not supported yet")
        }
    }
}
