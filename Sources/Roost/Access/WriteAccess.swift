// What an app user's write may do to one document, asked on the writer thread before anything is put.
//
// The rules see the document as it is there and then, and as the write would leave it; what they
// look up comes from the same transaction, so that a transaction's own writes count. A filter may
// only ask about what the user could read: a document that may not be seen doesn't match, and
// conditions on hidden fields are refused.

import BSON
import Query
import Rules
import Storage

/// The rights of the request at hand on the writer thread.
struct WriteAccess {
    let request: RequestAccess
    let catalog: CatalogSnapshot
    /// What the commit of a transaction asks again; nil outside of one.
    let afterChecks: AfterChecks?

    init(
        _ request: RequestAccess, _ catalog: CatalogSnapshot, _ afterChecks: AfterChecks? = nil
    ) {
        self.request = request
        self.catalog = catalog
        self.afterChecks = afterChecks
    }

    /// Refuses what the rules don't allow.
    private func check<T: ReadableTransaction & ~Copyable>(
        _ method: RuleMethod, _ namespace: Namespace, old: Document?, new: Document?,
        _ transaction: borrowing T
    ) throws {
        try request.count(namespace)
        let known = KnownDocuments()
        let asked = makeRequest(method, namespace, old: old, new: new)
        let decision = try decide(asked, known, transaction)
        if let afterChecks, let asked, known.hasAfter {
            return afterChecks.note(request, asked, known)
        }
        request.record(asked, decision.isAllowed, known)
        guard decision.isAllowed else { throw request.denial(asked, known) }
    }

    private func makeRequest(
        _ method: RuleMethod, _ namespace: Namespace, old: Document?, new: Document?
    ) -> RuleRequest? {
        guard let document = new ?? old, let id = document.view.value("_id") else { return nil }
        return request.request(method, namespace, id: id, resource: old, newResource: new)
    }

    private func decide<T: ReadableTransaction & ~Copyable>(
        _ asked: RuleRequest?, _ known: KnownDocuments, _ transaction: borrowing T
    ) throws -> RuleDecision {
        guard let asked, let rules = request.deployed?.rules else { return .denied }
        while true {
            let decision = rules.decide(asked, known)
            guard let missing = known.takeMissing() else { return decision }
            known.note(missing, try KnownDocuments.read(missing, catalog, transaction))
        }
    }

    /// What reading a document would give.
    private func reading<T: ReadableTransaction & ~Copyable>(
        _ document: Document, as method: RuleMethod, _ namespace: Namespace,
        _ transaction: borrowing T
    ) throws -> RuleDecision {
        try decide(
            makeRequest(method, namespace, old: document, new: nil), KnownDocuments(), transaction)
    }

    // MARK: Insert

    func checkCreate<T: ReadableTransaction & ~Copyable>(
        _ document: DocumentView, _ namespace: Namespace, _ catalog: CatalogSnapshot,
        _ images: inout DocumentImages, _ transaction: borrowing T
    ) throws {
        try request.checkLasts()
        let new = Document(copying: document)
        try check(.create, namespace, old: nil, new: new, transaction)
        let seen = try reading(new, as: .get, namespace, transaction)
        if let entry = catalog[namespace] { try checkUnique(nil, new, seen.hidden, entry) }
        try review(&images, namespace, transaction)
    }

    // MARK: Update

    /// Whether the filter of a write may ask about this document.
    func mayMatch<T: ReadableTransaction & ~Copyable>(
        _ document: [UInt8], _ target: WriteTarget, _ entry: CollectionEntry,
        _ transaction: borrowing T
    ) throws -> Bool {
        try mayMatch(document, target.filter, entry, transaction)
    }

    private func mayMatch<T: ReadableTransaction & ~Copyable>(
        _ document: [UInt8], _ filter: Filter, _ entry: CollectionEntry,
        _ transaction: borrowing T
    ) throws -> Bool {
        try request.checkLasts()
        // Naming the document tells nothing.
        if let condition = PointFilter.condition(in: filter.root), condition == filter.root {
            return true
        }
        if filter.isEmpty { return true }
        let method: RuleMethod = PointFilter.condition(in: filter.root) == nil ? .list : .get
        let stored = Document(copying: DocumentView(document.span.bytes))
        let seen = try reading(stored, as: method, entry.namespace, transaction)
        guard seen.isAllowed else { return false }
        guard !seen.hidden.isEmpty else { return true }
        let hidden = seen.hidden.map { FieldPath($0) }
        guard let paths = filter.requiredPaths, filter.metadata.isEmpty,
            !paths.contains(where: { path in
                hidden.contains { $0.isPrefix(of: path) || path.isPrefix(of: $0) }
            })
        else { throw request.denial("a write's filter asks for a hidden field") }
        return true
    }

    /// Refuses an update that the rules don't allow.
    /// - Returns: what the user is told: that an update changed nothing would tell what is there.
    func checkUpdate<T: ReadableTransaction & ~Copyable>(
        _ oldBytes: [UInt8], _ change: RecordWriter.Change, _ newBytes: [UInt8],
        _ statement: UpdateStatement, _ entry: CollectionEntry, _ images: inout DocumentImages,
        _ transaction: borrowing T
    ) throws -> RecordWriter.Change {
        let old = Document(copying: DocumentView(oldBytes.span.bytes))
        let new: Document
        switch change {
        case .notMatched: return change
        case .unchanged: new = old
        case .changed: new = Document(copying: DocumentView(newBytes.span.bytes))
        }
        try check(.update, entry.namespace, old: old, new: new, transaction)
        let seen = try reading(old, as: .get, entry.namespace, transaction)
        if statement.update.kind == .pipeline, !seen.isAllowed || !seen.hidden.isEmpty {
            throw request.denial(
                "an update by a pipeline could copy fields that the user may not read")
        }
        for path in seen.hidden where statement.update.touches(FieldPath(path)) {
            throw request.denial("the update changes '\(path)', which is hidden from the user")
        }
        try checkUnique(old, new, seen.hidden, entry)
        try review(&images, entry.namespace, transaction)
        return seen.isAllowed ? change : .changed
    }

    /// Why an update doesn't fit a document, for whoever may read all of it.
    func told<T: ReadableTransaction & ~Copyable>(
        _ error: DBError, of document: [UInt8], _ entry: CollectionEntry,
        _ transaction: borrowing T
    ) throws -> DBError {
        let stored = Document(copying: DocumentView(document.span.bytes))
        let seen = try reading(stored, as: .get, entry.namespace, transaction)
        if seen.isAllowed, seen.hidden.isEmpty { return error }
        return request.denial("the update doesn't fit the document: \(error.message)")
    }

    // MARK: Delete

    /// Whether the filter may ask about the document; refuses what the rules don't allow.
    func mayDelete<T: ReadableTransaction & ~Copyable>(
        _ bytes: [UInt8], _ filter: Filter, _ entry: CollectionEntry,
        _ images: inout DocumentImages, _ transaction: borrowing T
    ) throws -> Bool {
        guard try mayMatch(bytes, filter, entry, transaction) else { return false }
        let old = Document(copying: DocumentView(bytes.span.bytes))
        var scratch = MatchScratch()
        guard try filter.bound(to: entry).matches(old.view, &scratch) else { return false }
        try check(.delete, entry.namespace, old: old, new: nil, transaction)
        if images.isWanted {
            let seen = try reading(old, as: .get, entry.namespace, transaction)
            guard seen.isAllowed else {
                throw request.denial("findAndModify returns a document that may not be read")
            }
            images.hidden = seen.hidden
        }
        return true
    }

    // MARK: What answers tell

    /// Refuses to return documents that may not be read, and hides fields of others.
    private func review<T: ReadableTransaction & ~Copyable>(
        _ images: inout DocumentImages, _ namespace: Namespace, _ transaction: borrowing T
    ) throws {
        guard images.isWanted else { return }
        var hidden: Set<String> = []
        for document in [images.before, images.after].compactMap(\.self) {
            let seen = try reading(document, as: .get, namespace, transaction)
            guard seen.isAllowed else {
                throw request.denial("findAndModify returns a document that may not be read")
            }
            hidden.formUnion(seen.hidden)
        }
        images.hidden = hidden.sorted()
    }

    /// Refuses to set hidden fields of unique indexes: that would tell whether a value is taken.
    private func checkUnique(
        _ old: Document?, _ new: Document, _ hidden: [String], _ entry: CollectionEntry
    ) throws(DBError) {
        guard !hidden.isEmpty else { return }
        let paths = hidden.map { FieldPath($0) }
        for index in entry.indexes where index.refusesDuplicates {
            for part in index.pattern.parts
            where paths.contains(where: { $0.isPrefix(of: part.path) || part.path.isPrefix(of: $0) }
            ) {
                guard let root = part.path.dotted.split(separator: ".").first else { continue }
                if new[String(root)] != old?[String(root)] {
                    throw request.denial(
                        "'\(part.path.dotted)' is hidden from the user and must be unique")
                }
            }
        }
    }
}

extension RecordWriter {
    /// Refuses an insert that the rules don't allow; those who bypass the rules may do all.
    func checkCreate(
        _ document: DocumentView, _ namespace: Namespace, _ catalog: CatalogSnapshot,
        _ images: inout DocumentImages, _ transaction: borrowing WriteTransaction
    ) throws {
        try access?.checkCreate(document, namespace, catalog, &images, transaction)
    }
}

extension RequestAccess {
    /// An error as the user may see it: of other documents' values it tells nothing.
    func told(_ error: DBError) -> DBError {
        switch error.code {
        case .duplicateKey:
            DBError(.duplicateKey, "E11000 duplicate key error: a unique key of it is taken")
        case .documentValidationFailure:
            DBError(.documentValidationFailure, "Document failed validation")
        default: error
        }
    }
}
