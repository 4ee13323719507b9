// A collection as a Swift program sees it.

public import BSON
import Query

/// A collection whose documents are read and written as `Element`.
public struct Collection<Element: Codable & Sendable>: Sendable {
    private let database: Database
    /// Its name.
    public let namespace: Namespace
    /// Who reads and writes.
    private let principal: Principal

    init(_ database: Database, _ namespace: Namespace, _ principal: Principal = .trusted) {
        self.database = database
        self.namespace = namespace
        self.principal = principal
    }

    /// Refuses app users what no rule can allow them.
    private func checkBypassesRules() throws(DBError) {
        if let access = try database.engine.access(of: principal) {
            throw access.denial("app users may only read and write documents")
        }
    }

    // MARK: Writes

    /// Stores one value; one without `_id` gets an ObjectId.
    /// - Throws: `DBError` (`duplicateKey` …), `EncodingError`.
    public func insert(_ element: Element) throws {
        try insert(contentsOf: [element])
    }

    /// Stores values in order; the first that is refused ends it.
    /// - Throws: `DBError` (`duplicateKey` …), `EncodingError`.
    public func insert(contentsOf elements: some Sequence<Element>) throws {
        var request = WriteRequest(namespace, time: database.engine.writeTime)
        let encoder = DocumentEncoder()
        for element in elements {
            let document = try (element as? Document) ?? encoder.encode(element)
            try validate(document: document.bytes.span.bytes)
            try request.insert(document.view)
        }
        _ = try run(request)
    }

    /// Changes the first document that matches, or all, by update operators or a replacement.
    /// - Returns: how many matched and how many differ from before.
    /// - Throws: `DBError`.
    @discardableResult
    public func update(
        _ filter: Document, _ update: Document, multi: Bool = false, upsert: Bool = false
    ) throws(DBError) -> (matched: Int, modified: Int) {
        var request = WriteRequest(namespace, time: database.engine.writeTime)
        let compiled = try Filter.parse(filter.view, filterOptions)
        let value = OwnedValue(.document(update))
        var options = UpdateOptions()
        options.isMulti = multi
        options.filterOptions = filterOptions
        let change = try Update.parse(value.view, options)
        request.statements.append(
            .update(
                UpdateStatement(
                    target: WriteTarget(
                        filter: compiled, filterDocument: filter,
                        recordCollation: compiled.collation, hasKeysOfIDs: hasKeysOfIDs),
                    update: change, isMulti: multi, isUpsert: upsert)))
        let result = try run(request)
        return (result.upsertedID == nil ? result.n : 0, result.modified)
    }

    /// Removes the first document that matches, or all.
    /// - Returns: how many were removed.
    /// - Throws: `DBError`.
    @discardableResult
    public func delete(_ filter: Document, multi: Bool = true) throws(DBError) -> Int {
        var request = WriteRequest(namespace, time: database.engine.writeTime)
        let compiled = try Filter.parse(filter.view, filterOptions)
        request.statements.append(
            .delete(
                DeleteStatement(
                    target: WriteTarget(
                        filter: compiled, filterDocument: filter,
                        recordCollation: compiled.collation, hasKeysOfIDs: hasKeysOfIDs),
                    isMulti: multi)))
        return try run(request).n
    }

    // MARK: Deleted documents

    /// From now on keeps what is deleted, so that it can be restored: for good, or for a duration
    /// such as `"30d"`. Makes the collection where it doesn't exist.
    /// - Throws: `DBError`: a bad duration, a capped collection.
    public func keepDeleted(for retention: String? = nil) throws(DBError) {
        try checkBypassesRules()
        let given = Document { writer in
            if let retention { writer.append("retention", retention) }
        }
        let value = OwnedValue(.document(given))
        let option = try SoftDelete.option(value.view, "softDelete") ?? Document()
        if database.engine.collection(namespace) == nil {
            try database.wait { completion in
                database.engine.createCollection(
                    namespace, options: ["softDelete": .document(option)], completion: completion)
            }
        } else {
            try modify(.keep(option))
        }
    }

    /// From now on deletes are final. What was kept stays until it is restored or purged.
    /// - Throws: `DBError`.
    public func stopKeepingDeleted() throws(DBError) {
        try modify(.final)
    }

    private func modify(_ softDelete: SoftDeleteModification) throws(DBError) {
        try checkBypassesRules()
        var modification = CollectionModification()
        modification.softDelete = softDelete
        let change = modification
        _ = try database.wait { completion in
            database.engine.modifyCollection(namespace, change, completion: completion)
        }
    }

    /// Makes the deleted documents that match live again.
    /// - Returns: how many.
    /// - Throws: `DBError`; `duplicateKey` where a live document has the `_id` or a key, with
    ///   `deletedId` and `liveId`: what came back before stays.
    @discardableResult
    public func restore(_ filter: Document) throws(DBError) -> Int {
        try run(.restore, filter)
    }

    /// Removes the deleted documents that match for good.
    /// - Returns: how many.
    /// - Throws: `DBError`.
    @discardableResult
    public func purge(_ filter: Document) throws(DBError) -> Int {
        try run(.purge, filter)
    }

    private func run(_ action: TrashStatement.Action, _ filter: Document) throws(DBError) -> Int {
        try checkBypassesRules()
        var request = WriteRequest(namespace, time: database.engine.writeTime)
        let compiled = try Filter.parse(filter.view, filterOptions)
        let target = WriteTarget(
            filter: compiled, filterDocument: filter, recordCollation: compiled.collation,
            hasKeysOfIDs: hasKeysOfIDs)
        request.statements.append(.trash(TrashStatement(action, target: target)))
        return try run(request).n
    }

    private var hasKeysOfIDs: Bool {
        database.engine.collection(namespace)?.hasKeysOfIDs ?? true
    }

    /// Makes an index, and builds it over what is there.
    /// - Throws: `DBError`: a clash with another index, duplicates for a unique one.
    public func createIndex(
        _ key: Document, name: String? = nil, unique: Bool = false
    ) throws(DBError) {
        try checkBypassesRules()
        let parts = key.keys.map {
            "\($0)_\(key[$0].map { ShellNotation.string(OwnedValue($0).view) } ?? "")"
        }
        let document = Document { writer in
            writer.append("key", key)
            writer.append("name", name ?? parts.joined(separator: "_"))
            if unique { writer.append("unique", true) }
        }
        let specification = try IndexSpecification(document.view)
        _ = try database.wait { completion in
            database.engine.createIndexes(namespace, [specification], completion: completion)
        }
    }

    /// Removes the collection with its documents and indexes.
    public func drop() throws(DBError) {
        try checkBypassesRules()
        _ = try database.wait { completion in
            database.engine.dropCollection(namespace, completion: completion)
        }
    }

    // MARK: Reads

    /// The documents that match; `scope` says whether deleted ones are among them.
    /// - Throws: `DBError` for a bad filter, `DecodingError`.
    public func find(
        _ filter: Document = [:], sort: Document? = nil, skip: Int = 0, limit: Int = 0,
        scope: ReadScope = .live
    ) throws -> [Element] {
        let documents = try findDocuments(
            filter, sort: sort, skip: skip, limit: limit, scope: scope)
        if let documents = documents as? [Element] { return documents }
        let decoder = DocumentDecoder()
        return try documents.map { try decoder.decode(Element.self, from: $0) }
    }

    /// The first document that matches, or nil.
    /// - Throws: `DBError` for a bad filter, `DecodingError`.
    public func first(_ filter: Document = [:], sort: Document? = nil) throws -> Element? {
        try find(filter, sort: sort, limit: 1).first
    }

    /// How many documents match.
    /// - Throws: `DBError`.
    public func count(
        _ filter: Document = [:], scope: ReadScope = .live
    ) throws(DBError) -> Int {
        var counted = CountRequest(
            namespace, filter: try Filter.parse(filter.view, filterOptions))
        counted.scope = scope
        counted.access = try database.engine.access(of: principal)
        let request = counted
        return try database.withReader { reader throws(DBError) in
            try database.engine.count(request, reader)
        }
    }

    /// Filters go by the collection's own collation.
    private var filterOptions: FilterOptions {
        FilterOptions(collation: database.engine.collection(namespace)?.collation)
    }

    private func findDocuments(
        _ filter: Document, sort: Document?, skip: Int, limit: Int, scope: ReadScope
    ) throws(DBError) -> [Document] {
        var request = FindRequest(
            namespace, filter: try Filter.parse(filter.view, filterOptions))
        request.sort = sort
        request.skip = skip
        request.limit = limit
        request.scope = scope
        request.access = try database.engine.access(of: principal)
        return try database.withReader { reader throws(DBError) in
            let cursor = try database.engine.openCursor(request)
            var sink = DocumentList()
            while try cursor.advanceFully(reader, documentsMax: .max, into: &sink) != .exhausted {}
            return sink.documents
        }
    }

    private func run(_ request: WriteRequest) throws(DBError) -> StatementResult {
        var allowed = request
        allowed.access = try database.engine.access(of: principal)
        let asked = allowed
        let outcome = try database.wait { database.engine.write(asked, completion: $0) }
        if let error = outcome.results.last?.error { throw error }
        return outcome.results.last ?? StatementResult()
    }
}

/// Copies what a cursor yields.
struct DocumentList: DocumentSink {
    private(set) var documents: [Document] = []
    private(set) var byteCount = 0

    mutating func append(_ document: DocumentView) {
        documents.append(Document(copying: document))
        byteCount += document.bytes.byteCount
    }
}

extension Document: Codable {
    /// Only `DocumentEncoder` encodes documents, as they are.
    public func encode(to encoder: any Encoder) throws {
        throw EncodingError.invalidValue(
            self, .init(codingPath: encoder.codingPath, debugDescription: "Use DocumentEncoder"))
    }

    /// Only `DocumentDecoder` decodes documents, as they are.
    public init(from decoder: any Decoder) throws {
        throw DecodingError.dataCorrupted(
            .init(codingPath: decoder.codingPath, debugDescription: "Use DocumentDecoder"))
    }
}
