// What a request asks and what is known about it.

package import BSON

/// A request that rules decide about.
package struct RuleRequest: Sendable {
    /// What shapes a query.
    package struct Query: Sendable {
        /// Most documents; nil for all.
        package var limit: Int64?
        /// How many are left out at the front.
        package var offset: Int64?
        /// Names of fields.
        package var orderBy: [String]

        /// A query; all documents without arguments.
        package init(limit: Int64? = nil, offset: Int64? = nil, orderBy: [String] = []) {
            self.limit = limit
            self.offset = offset
            self.orderBy = orderBy
        }
    }

    /// What is done.
    package var method: RuleMethod
    /// The name of the database.
    package var database: String
    /// Collection and id by turns; that of a list may end with a collection.
    package var segments: [String]
    /// `{uid, token}`; nil for nobody.
    package var auth: Document?
    /// The request's time, in milliseconds since 1970.
    package var timeMillis: Int64
    /// The document as it is; nil where there is none.
    package var resource: Document?
    /// The document as it will be; nil where there will be none.
    package var newResource: Document?
    /// For lists.
    package var query: Query?
    /// Whether this is one of several: then more documents may be looked up.
    package var isOfMany: Bool

    /// A request; `segments` lead from the database to the document.
    package init(
        _ method: RuleMethod, database: String = "(default)", _ segments: [String],
        auth: Document? = nil, timeMillis: Int64 = 0, resource: Document? = nil,
        newResource: Document? = nil, query: Query? = nil, isOfMany: Bool = false
    ) {
        self.method = method
        self.database = database
        self.segments = segments
        self.auth = auth
        self.timeMillis = timeMillis
        self.resource = resource
        self.newResource = newResource
        self.query = query
        self.isOfMany = isOfMany
    }

    /// `/databases/NAME/documents/…`.
    package var path: RulePath { RulePath(["databases", database, "documents"] + segments) }
}

/// Where rules look documents up: the request's snapshot.
///
/// A rule set asks for each document once for a request. Paths have an even number of segments; a
/// document that isn't there is nil.
package protocol RuleDocuments: Sendable {
    /// The document at a path, before or after everything that the request writes.
    /// - Throws: what keeps the store from answering; it ends the evaluation.
    func document(
        at segments: ArraySlice<String>, in database: String, after: Bool
    ) throws(DBError) -> Document?
}

/// No documents at all.
package struct NoRuleDocuments: RuleDocuments {
    /// No documents.
    package init() {}

    /// Nil.
    package func document(
        at segments: ArraySlice<String>, in database: String, after: Bool
    ) throws(DBError) -> Document? {
        nil
    }
}
