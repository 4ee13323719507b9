// An app user's live query: what the rules leave of it, in one snapshot.
//
//   self-contained   The rules ask for the document's own fields (a check, Access/Sight). Then they
//                    are part of the filter, and the query is followed as any other. Where a
//                    document was looked up that no row names (a role, a membership), the query is
//                    bound anew when that changes.
//   others           Rules look documents up for each row, hide fields, or ask for the time; and one
//                    document by its `_id`, and joins. The result is read again under the rules when
//                    a row may have changed or what they looked up has; where they ask for the time,
//                    also every second.
//
// A binding serves while its rules are in force and its token lasts. Then, and when what it stands on
// changes, cursors are sent back to `LiveCursor.begin`: they bind anew, and tell the difference to
// what their client holds; that is what the old binding shows at the client's token.

import BSON
import Query
import Rules
import Storage

/// What the rules leave of a live query. Equal ones may share a result.
struct LiveBinding: Sendable {
    /// How often results are read again whose rules ask for the time.
    static let timeMillis: Int64 = 1_000

    fileprivate let access: RequestAccess
    /// Whether the rules are part of the query's filter.
    let isSelfContained: Bool
    /// Whether the rules ask for the time.
    let usesTime: Bool
    /// What is bound, as bytes.
    let identity: [UInt8]
    /// A hash of it that tokens are marked with.
    let claims: UInt64

    /// The number of the rules.
    var version: Int64 { access.version }

    /// Whether neither the token has ended nor other rules were deployed.
    var isInForce: Bool { access.isInForce }

    /// When the token ends, in milliseconds since 1970.
    var endsAtMillis: Int64? { access.user.expiresAtMillis }

    /// What the rules looked up so far: to bind, and in the reads since.
    var lookedUp: LookedUp { access.lookups?.lookedUp ?? LookedUp() }

    /// The rules for a read of its own, now.
    /// - Parameter isOfPast: whether the read shows what was when they were in force.
    func reading(isOfPast: Bool = false) -> RequestAccess {
        access.again(LookupLog(parent: access.lookups), isOfPast: isOfPast)
    }
}

extension LiveRequest {
    /// Asks the rules.
    /// - Throws: `unauthorized` (13) as a find of the same: where the rules do not allow it, and in
    ///   strict mode where the filter doesn't say what they ask.
    func bound(
        _ given: RequestAccess, _ catalog: CatalogSnapshot,
        _ transaction: borrowing ReadTransaction
    ) throws(DBError) -> LiveRequest {
        try given.countRead(namespace)
        let access = given.noting(LookupLog())
        let source = source(nil, access)
        try source.checkMayAsk(access)
        let sight = try Sight(access, source, catalog, transaction)
        let usesTime = ([namespace] + foreign).contains { name in
            guard let rules = access.deployed?.rules, let path = CollectionPath(name) else {
                return false
            }
            return rules.readsUseTime(of: path.names)
        }
        let isWhole =
            sight.method == .list && sight.residual?.check != nil && !usesTime
            && foreign.isEmpty && !(projection?.isPositional ?? false)
        guard isWhole, let check = sight.residual?.check else {
            let filter = Filter(sight.concerning(asked), collation: asked.collation)
            return bound(
                LiveBinding(
                    access: access, isSelfContained: false, usesTime: usesTime,
                    identity: Array("\(access.version) ".utf8) + (access.user.auth?.bytes ?? []),
                    claims: Self.hash(access.identity)),
                filter: filter)
        }
        let text = sight.isOpen ? "" : check.text
        let binding = LiveBinding(
            access: access, isSelfContained: true, usesTime: false,
            // What is looked up is one user's own.
            identity: Array("\(access.version) \(text)".utf8)
                + (sight.residual?.usesLookups == true ? access.user.auth?.bytes ?? [0] : []),
            claims: sight.isOpen ? 0 : Self.hash(Array(text.utf8)))
        if sight.isOpen { return bound(binding, filter: asked) }
        let allows = ExpressionPredicate(requiredPaths: nil) { document, _ throws(DBError) in
            check.allows(document)
        }
        let filter = Filter(
            .all([sight.bounds(asked.collation), .expression(allows), asked.root]),
            collation: asked.collation)
        return bound(binding, filter: filter)
    }
}
