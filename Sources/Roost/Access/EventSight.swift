// What an app user sees of a change stream.
//
// Each event is decided about as of its own place in the log: the document before and after it, the
// documents that rules look up as they were then, and its time. A document that comes into sight is
// an `insert`, one that leaves it a `delete`, and of what is hidden nothing is told: changes of it
// alone are no event. A stream belongs to one user's claims and one version of the rules, which its
// tokens are marked with; it ends when the token, the session or the rules do.

import BSON
import Crypto
import Query
import Rules
import Storage

/// What one change stream of an app user sees of its collection. Confined to the stream's thread.
final class EventSight {
    private let access: RequestAccess
    private let namespace: Namespace
    private let deployed: DeployedRules
    /// What is left of the rules, where that is the same for all events.
    private let residual: RuleResidual?
    private var past = PastDocuments()
    /// What rules looked up at `knownPlace`.
    private let known = KnownDocuments()
    private var knownPlace: LogPosition?
    private var masked = DocumentWriter()

    /// Asks the rules about a stream, as about a query of the whole collection; conditions of its
    /// leading `$match` on `fullDocument` count in strict mode.
    /// - Throws: `unauthorized` (13).
    init(
        _ request: ChangeStreamRequest, _ access: RequestAccess, _ catalog: CatalogSnapshot,
        _ transaction: borrowing ReadTransaction
    ) throws(DBError) {
        guard case .collection(let namespace) = request.scope else {
            throw access.denial(
                "no rule is about a database or the server: app users watch collections")
        }
        guard let deployed = access.deployed else {
            throw access.denial("no rules are deployed: app users may do nothing")
        }
        guard let path = CollectionPath(namespace) else {
            throw access.denial("no rule can be about \(namespace)")
        }
        if request.showsExpandedEvents {
            throw access.denial("showExpandedEvents tells of indexes and options")
        }
        if case .at = request.start {
            throw access.denial(
                "a stream of an app user begins now or behind a token: what was in sight at a time "
                    + "isn't known")
        }
        self.access = access
        self.namespace = namespace
        self.deployed = deployed
        let source = ReadSource.changes(request)
        var matches = FindRequest(
            namespace,
            filter: Filter(source.changesFilter.below("fullDocument"), collation: nil))
        matches.access = access
        let sight = try Sight(access, .find(matches), catalog, transaction, isOfChanges: true)
        let isFixed = !deployed.rules.readsUseTime(of: path.names)
        residual = sight.residual.flatMap { isFixed && !$0.usesLookups ? $0 : nil }
    }

    /// Refuses to go on where the token, the session or the rules have ended.
    /// - Throws: `unauthorized` (13).
    func checkLasts() throws(DBError) { try access.checkLasts() }

    /// A document as the user sees it at the place of a record, nil where it may not be seen then;
    /// without a place: now.
    func see(
        _ document: [UInt8], at place: LogPosition?, _ timeMillis: Int64, _ engine: RoostEngine,
        _ transaction: borrowing ReadTransaction
    ) throws -> [UInt8]? {
        let view = DocumentView(document.span.bytes)
        if let residual {
            if residual.allowsAll { return document }
            if residual.hidden.isEmpty, let check = residual.check {
                return check.allows(view) ? document : nil
            }
        }
        guard let id = view.value("_id"),
            var request = access.request(
                .list, namespace, id: id, resource: Document(copying: view))
        else { return nil }
        request.timeMillis = timeMillis
        let decision = try decide(request, at: place, engine, transaction)
        guard decision.isAllowed else { return nil }
        if decision.hidden.isEmpty { return document }
        masked.removeAll()
        FieldMask.write(view, hiding: decision.hidden, into: &masked)
        return masked.bytes
    }

    private func decide(
        _ request: RuleRequest, at place: LogPosition?, _ engine: RoostEngine,
        _ transaction: borrowing ReadTransaction
    ) throws -> RuleDecision {
        if place == nil || knownPlace != place { known.removeAll() }
        knownPlace = place
        while true {
            let decision = deployed.rules.decide(request, known)
            guard let missing = known.takeMissing() else { return decision }
            let catalog = engine.catalog
            if let place {
                let found = try past.document(missing, behind: place, catalog, transaction)
                known.note(missing, found)
            } else {
                known.note(missing, try KnownDocuments.read(missing, catalog, transaction))
            }
        }
    }
}

extension RequestAccess {
    /// Who asks under which rules, without what differs from one token to the next.
    var identity: [UInt8] {
        let passing = ["exp", "iat", "nbf", "jti", "sid", "auth_time"]
        return Document { writer in
            writer.append("rules", version)
            guard let auth = user.auth else { return }
            if let uid = auth.view.value("uid") { writer.append("uid", uid) }
            guard let token = auth.view.value("token")?.document else { return }
            let start = writer.openDocument("token")
            var claims = token.makeIterator()
            while let claim = claims.next() {
                if !passing.contains(claim.nameString) { writer.append(claim) }
            }
            writer.close(start)
        }.bytes
    }

    /// The history that a user's resume tokens name, where `epoch` is the log's: another for each
    /// claims and rules. Nobody can tell it without knowing the log's.
    func epoch(_ epoch: UInt64) -> UInt64 {
        var hash = SHA256()
        withUnsafeBytes(of: epoch.bigEndian) { hash.update(bufferPointer: $0) }
        identity.withUnsafeBytes { hash.update(bufferPointer: $0) }
        return hash.finalize().prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Collections of the database in which rules look documents up, as far as their paths say it.
    func lookupNames(in namespace: Namespace) -> [Namespace] {
        guard CollectionPath(namespace) != nil, let rules = deployed?.rules else { return [] }
        return rules.lookupCollections.map { Namespace(namespace.database, $0) }
    }
}

extension ReadSource {
    /// What events must match before anything else happens.
    fileprivate var changesFilter: FilterNode {
        guard case .changes(let request) = self else { return .alwaysTrue }
        return request.pipeline.leading.filter?.root ?? .alwaysTrue
    }
}

extension FilterNode {
    /// What the conditions say of the document in the field `name`; nothing where they say it of
    /// others too.
    fileprivate func below(_ name: String) -> FilterNode {
        switch self {
        case .and(let nodes): return .all(nodes.map { $0.below(name) })
        case .or(let nodes): return .any(nodes.map { $0.below(name) })
        case .compare(let path, let comparison, let value):
            return path.below(name).map { .compare($0, comparison, value) } ?? .alwaysTrue
        case .in(let path, let values, let patterns):
            return path.below(name).map { .in($0, values, patterns) } ?? .alwaysTrue
        default: return .alwaysTrue
        }
    }
}

extension FieldPath {
    /// The path behind a first name; nil where it begins otherwise or ends there.
    fileprivate func below(_ name: String) -> FieldPath? {
        dotted.hasPrefix(name + ".") ? FieldPath(String(dotted.dropFirst(name.count + 1))) : nil
    }
}
