// What one read of one collection may see.
//
// A find of one `_id` is a `get`: the rules are asked about the document, and in strict mode the
// read fails where they say no. Everything else is a `list`: the rules are evaluated as far as they
// go without a document (RuleResidual); what is left joins the filter in front of the query's own
// conditions, so that no condition of the query is ever evaluated for a document that may not be
// seen. In strict mode the query's filter must say as much (StrictProof), and the residual is
// applied all the same: MongoDB's conditions match lists that Firestore's don't.
//
// Where fields are hidden, documents lose them before the query's filter sees them, and neither
// index bounds nor orders are taken from conditions on such fields.

import BSON
import Query
import Rules
import Storage

/// What one read sees of one collection. Confined to the thread that runs the read.
// Unchecked: guards in filters hold it, and these run on the thread of the read.
final class Sight: @unchecked Sendable {
    let access: RequestAccess
    let namespace: Namespace
    private let deployed: DeployedRules
    private let path: CollectionPath
    private let query: RuleRequest.Query
    /// `get`, or `list`.
    let method: RuleMethod
    /// What is left of the rules, of a list.
    private(set) var residual: RuleResidual?
    /// The condition on `_id`, of a get.
    private let idCondition: FilterNode
    private let needsArrayPosition: Bool
    /// What is known of the documents that rules look up, in the snapshot at hand.
    private let known = KnownDocuments()
    private var snapshotID: UInt64?
    /// Reads what a document's rules look up, while the read runs.
    var reader: Reader?
    var catalog = CatalogSnapshot()
    /// Fields that some documents lack.
    private let hidden: [FieldPath]
    /// Whether a document was looked at.
    private var hasSeen = false
    /// How many more decisions are recorded, where somebody records.
    private var recordsLeft = AccessRecording.documentsMax
    private var masked = DocumentWriter()

    /// Decides what the read sees.
    /// - Parameter isOfChanges: whether documents are met one by one as they change, so that the
    ///   rules are asked for a `list` whatever the filter names.
    /// - Throws: `unauthorized`.
    init(
        _ access: RequestAccess, _ source: ReadSource, _ catalog: CatalogSnapshot,
        _ transaction: borrowing ReadTransaction, isOfChanges: Bool = false
    ) throws(DBError) {
        namespace = source.namespace
        self.access = access
        self.catalog = catalog
        needsArrayPosition = source.needsArrayPosition
        guard let deployed = access.deployed else {
            throw access.denial("no rules are deployed: app users may do nothing")
        }
        guard let path = CollectionPath(namespace) else {
            throw access.denial("no rule can be about \(namespace)")
        }
        self.deployed = deployed
        self.path = path
        try access.countRead(namespace)
        query = source.ruleQuery
        let point = isOfChanges ? nil : PointFilter.condition(in: source.filter.root)
        idCondition = point ?? .alwaysTrue
        method = point == nil ? .list : .get
        guard method == .list else {
            hidden = deployed.hides ? Self.allHidden(deployed.rules) : []
            try source.checkMayMask(access)
            return
        }
        let key = DeployedRules.ResidualKey(
            namespace: namespace, auth: access.user.auth?.bytes, limit: query.limit,
            offset: query.offset, orderBy: query.orderBy)
        let residual: RuleResidual
        if let kept = deployed.residual(key) {
            residual = kept
        } else {
            residual = try Self.evaluate(
                deployed, access, path, query, known, catalog, transaction)
            deployed.keep(residual, key)
        }
        snapshotID = transaction.snapshotID
        self.residual = residual
        hidden = residual.hidden.map { FieldPath($0) }
        if !hidden.isEmpty { try source.checkMayMask(access) }
        try prove(residual, source.filter)
    }

    private static func evaluate(
        _ deployed: DeployedRules, _ access: RequestAccess, _ path: CollectionPath,
        _ query: RuleRequest.Query, _ known: KnownDocuments, _ catalog: CatalogSnapshot,
        _ transaction: borrowing ReadTransaction
    ) throws(DBError) -> RuleResidual {
        let question = RuleQuestion(
            database: path.database, collection: path.names, auth: access.user.auth,
            timeMillis: access.timeMillis, query: query)
        while true {
            let residual = deployed.rules.residual(question, known)
            guard let missing = known.takeMissing() else { return residual }
            access.lookups?.note(missing)
            do throws(StorageError) {
                known.note(missing, try KnownDocuments.read(missing, catalog, transaction))
            } catch {
                throw DBError(storage: error)
            }
        }
    }

    /// Refuses, in strict mode, a query that could meet a document which may not be seen.
    private func prove(_ residual: RuleResidual, _ filter: Filter) throws(DBError) {
        guard !access.filters, !residual.allowsAll,
            !StrictProof.holds(filter.root, residual.proof)
        else { return }
        let request = RuleRequest(
            .list, database: path.database, [path.names.joined(separator: ".")],
            auth: access.user.auth, timeMillis: access.timeMillis, query: query)
        access.record(request, false, known)
        throw access.denial(listRequest: request, known)
    }

    private static func allHidden(_ rules: RuleSet) -> [FieldPath] {
        Array(Set(rules.syntax.allows.flatMap(\.hidden))).map { FieldPath($0) }
    }

    // MARK: Slices

    /// Prepares for a slice: rules that look documents up are evaluated anew in a new snapshot.
    /// - Throws: `unauthorized` where the rules changed or the token ended.
    func begin(
        _ reader: Reader?, _ catalog: CatalogSnapshot, _ transaction: borrowing ReadTransaction
    ) throws(DBError) {
        try access.checkLasts()
        self.reader = reader
        self.catalog = catalog
        guard snapshotID != transaction.snapshotID else { return }
        if snapshotID != nil || method == .get { known.removeAll() }
        snapshotID = transaction.snapshotID
        guard let residual, residual.usesLookups else { return }
        self.residual = try Self.evaluate(
            deployed, access, path, query, known, catalog, transaction)
    }

    /// The read has no more input.
    /// - Throws: `unauthorized` in strict mode for a document that isn't there and may not be asked
    ///   for.
    func end() throws(DBError) {
        guard method == .get, !hasSeen, !access.filters,
            case .compare(_, _, let id) = idCondition
        else { return }
        let request = access.request(.get, namespace, id: id.view, resource: nil)
        guard try !decide(request).isAllowed else { return }
        throw access.denial(request, known)
    }

    // MARK: Filters

    /// Whether documents must go through `see`. Guards in the filter would change which element of
    /// an array it found.
    var looksAtEach: Bool { method == .get || !hidden.isEmpty || needsArrayPosition }

    /// Restricts what the planner is asked: it must choose by what the user may know.
    func restrict(_ question: inout PlanQuestion, _ filter: Filter) {
        guard !isOpen else { return }
        question.filter = planned(filter)
        question.distinctPath = nil
        // A sparse index that lacks the document would tell that it lacks a field.
        if method == .get { question.hint = nil }
        if looksAtEach { question.sort = nil }
    }

    /// Whether documents may be asked about on other threads than the read's.
    var isSelfContained: Bool {
        guard let residual else { return false }
        return hidden.isEmpty && residual.check != nil && !residual.usesLookups
    }

    /// Whether the read is as a trusted one's.
    var isOpen: Bool { residual?.allowsAll == true }

    /// What matching documents are asked: the query's filter behind the guard, unless `see` is.
    func joined(_ filter: Filter) -> Filter {
        if looksAtEach || isOpen { return filter }
        return Filter(
            .all([bounds(filter.collation), .expression(guardPredicate), filter.root]),
            collation: filter.collation)
    }

    /// What the plan is made from.
    func planned(_ filter: Filter) -> FilterNode {
        if isOpen { return filter.root }
        guard looksAtEach else { return filter.root }
        if method == .get { return .all([idCondition, .expression(guardPredicate)]) }
        return .all([
            bounds(filter.collation), .expression(guardPredicate), visible(filter.root),
        ])
    }

    /// Bounds compare strings by their bytes; a query with a collation doesn't.
    func bounds(_ collation: Collation?) -> FilterNode {
        collation == nil ? residual?.bounds ?? .alwaysTrue : .alwaysTrue
    }

    /// The conditions of a filter that are on no field which may be hidden.
    private func visible(_ node: FilterNode) -> FilterNode {
        let nodes: [FilterNode] = if case .and(let nodes) = node { nodes } else { [node] }
        return .all(
            nodes.filter { node in
                guard let paths = Filter(node).requiredPaths else { return false }
                return !paths.contains { mayHide($0) }
            })
    }

    /// What documents must match, as they are stored, to matter for a list of what matches
    /// `filter` or a get.
    func concerning(_ filter: Filter) -> FilterNode {
        method == .get ? idCondition : hidden.isEmpty ? filter.root : visible(filter.root)
    }

    /// Whether some document lacks a field at, above or below that path.
    func mayHide(_ path: FieldPath) -> Bool {
        hidden.contains { $0.isPrefix(of: path) || path.isPrefix(of: $0) }
    }

    private var guardPredicate: ExpressionPredicate {
        ExpressionPredicate(requiredPaths: nil) { document, _ throws(DBError) in
            try self.admits(document)
        }
    }

    /// Whether a document of a list may be seen.
    private func admits(_ document: DocumentView) throws(DBError) -> Bool {
        if let check = residual?.check {
            let isAllowed = check.allows(document)
            if access.recorder != nil { record(document, isAllowed) }
            return isAllowed
        }
        return try decide(document).isAllowed
    }

    // MARK: Documents

    /// A document as the user sees it, without what is hidden; nil where it may not be seen.
    /// - Throws: `unauthorized` in strict mode for a get.
    func see(_ document: DocumentView) throws(DBError) -> [UInt8]? {
        hasSeen = true
        let decision = try decide(document)
        guard decision.isAllowed else {
            guard method == .get, !access.filters, let id = document.value("_id") else {
                return nil
            }
            throw access.denial(
                access.request(
                    .get, namespace, id: id, resource: Document(copying: document)), known)
        }
        masked.removeAll()
        FieldMask.write(document, hiding: decision.hidden, into: &masked)
        return masked.bytes
    }

    /// Records what was decided without asking the rules anew.
    @inline(never)
    private func record(_ document: DocumentView, _ isAllowed: Bool) {
        guard recordsLeft > 0, let id = document.value("_id"),
            var request = access.request(
                method, namespace, id: id, resource: Document(copying: document))
        else { return }
        recordsLeft -= 1
        request.query = query
        access.record(request, isAllowed, known)
    }

    private func decide(_ document: DocumentView) throws(DBError) -> RuleDecision {
        guard let id = document.value("_id") else { return try decide(nil) }
        return try decide(
            access.request(method, namespace, id: id, resource: Document(copying: document)))
    }

    private func decide(_ request: RuleRequest?) throws(DBError) -> RuleDecision {
        guard var request else {
            return RuleDecision.denied
        }
        if method == .list { request.query = query }
        while true {
            let decision = deployed.rules.decide(request, known)
            guard let missing = known.takeMissing() else {
                if access.recorder != nil, recordsLeft > 0 {
                    recordsLeft -= 1
                    access.record(request, decision.isAllowed, hidden: decision.hidden, known)
                }
                return decision
            }
            access.lookups?.note(missing)
            guard let reader else {
                throw DBError(.internalError, "Rules were asked outside of a read")
            }
            do {
                let catalog = catalog
                known.note(
                    missing,
                    try reader.read { transaction in
                        try KnownDocuments.read(missing, catalog, transaction)
                    })
            } catch {
                throw DBError(engineFailure: error)
            }
        }
    }
}

extension RequestAccess {
    /// The error for a query that strict rules don't allow.
    func denial(listRequest request: RuleRequest, _ known: KnownDocuments) -> DBError {
        guard let rules = deployed?.rules else { return denial("no rules are deployed") }
        let account = RuleExplanation(rules, request, known).text
        return denial(
            "the query could meet documents that may not be seen; say in its filter what the "
                + "rules ask for, or use option mode = 'filter'\n\(account)")
    }
}

extension ReadSource {
    /// The query's shape as rules see it.
    fileprivate var ruleQuery: RuleRequest.Query {
        var query = RuleRequest.Query()
        var sort: Document?
        switch self {
        case .find(let request):
            if request.limit > 0 { query.limit = Int64(request.limit) }
            if request.skip > 0 { query.offset = Int64(request.skip) }
            sort = request.sort
        case .aggregate(_, let leading):
            query.limit = leading.limit.map { Int64($0) }
            query.offset = leading.skip.map { Int64($0) }
        case .count(let request):
            if request.limit > 0 { query.limit = Int64(request.limit) }
        case .distinct, .changes: break
        }
        query.orderBy = sort?.keys ?? []
        return query
    }

    /// Refuses what would tell of hidden fields however documents are masked.
    fileprivate func checkMayMask(_ access: RequestAccess) throws(DBError) {
        if !filter.metadata.isEmpty {
            throw access.denial("text and place searches can't be used where fields are hidden")
        }
        if case .find(let request) = self, request.hint != nil {
            throw access.denial("a hint can't be used where fields may be hidden")
        }
    }

    /// Refuses what app users may not ask for at all.
    func checkMayAsk(_ access: RequestAccess) throws(DBError) {
        if scope != .live { throw access.denial("deleted documents are for service accounts") }
        guard case .find(let request) = self else { return }
        if request.isTailable || request.min != nil || request.max != nil || request.returnsKey {
            throw access.denial("tailable, min, max and returnKey are for service accounts")
        }
    }
}

extension PointFilter {
    /// The condition that asks for one `_id`; nil where a filter has none.
    static func condition(in node: FilterNode) -> FilterNode? {
        guard recordKey(of: node, nil, comparesText: true) != nil else { return nil }
        switch node {
        case .compare: return node
        case .and(let nodes): return nodes.lazy.compactMap { condition(in: $0) }.first
        default: return nil
        }
    }
}
