// What belongs to the writer thread: the catalog with the current group's changes, buffers, builds.
//
// The store runs operations one after another on one thread and commits them in groups. Operations
// see and edit this state; `commit` publishes it, `rollBack` returns to what is published.

import BSON
import Query
import Storage
import Synchronization

/// State of the writer thread.
// Unchecked: touched only by operations and commit hooks, all of which the store runs on its one
// writer thread.
final class WriterState: @unchecked Sendable {
    /// The catalog with what this group has changed.
    var catalog: CatalogSnapshot
    /// Running index builds.
    let builds = IndexBuilds()
    /// What a transaction's commit asks the rules again; nil for the writer itself.
    var afterChecks: AfterChecks?
    /// Buffers for changing documents.
    var records: RecordWriter
    /// Where changes are noted for the log.
    let log: ChangeLog
    /// Collections whose record on disk lacks a flag that memory has.
    private var dirty: Set<Namespace> = []
    /// Capped collections that this group added to.
    private var grown: Set<TableID> = []
    /// Capped collections that this group dropped.
    var ended: Set<TableID> = []
    /// Whether a collection that this group dropped left deleted documents.
    var leavesTrash = false
    /// Called behind the commit of such a group; must not wait.
    var whenTrashIsLeft: @Sendable () -> Void = {}
    /// Tells cursors at the end of capped collections, and change streams, that there is more.
    let tails: TailWatch
    private let published: PublishedCatalog

    /// - Parameter intents: what open transactions mean to change; nil for one of theirs.
    init(
        _ published: PublishedCatalog, _ tails: TailWatch, _ log: ChangeLog,
        _ intents: IntentTable?
    ) {
        self.published = published
        self.tails = tails
        self.log = log
        records = RecordWriter(log, intents)
        catalog = published.snapshot
    }

    /// The state behind a transaction's draft: nothing of it is published.
    convenience init(draftOf catalog: CatalogSnapshot) {
        let start = Timestamp(rawValue: 0)
        self.init(
            PublishedCatalog(catalog), TailWatch(logEnd: start),
            ChangeLog(
                LogicalClock(startingAt: start, wallSeconds: LogicalClock.systemSeconds),
                end: ChangeLog.End()), nil)
    }

    // MARK: Commit groups

    /// Before a group's commit: puts down flags that became true.
    func prepareCommit(_ transaction: inout WriteTransaction) throws {
        for namespace in dirty {
            guard let entry = catalog[namespace] else { continue }
            try save(entry, &transaction)
        }
    }

    /// After a group's commit.
    func commit() {
        dirty.removeAll()
        if leavesTrash { whenTrashIsLeft() }
        leavesTrash = false
        published.publish(catalog)
        let touched = log.commit()
        if !touched.isEmpty { tails.note(changesOf: touched, until: log.newest) }
        if !grown.isEmpty {
            tails.note(grown)
            grown.removeAll(keepingCapacity: true)
        }
        for table in ended { tails.forget(table) }
        ended.removeAll()
    }

    /// After a group was undone. Flags stay: they only cost speed, and are saved with the next.
    func rollBack() {
        catalog = published.snapshot
        records.discard()
        log.rollBack()
        grown.removeAll()
        ended.removeAll()
        leavesTrash = false
    }

    /// An operation that ends by appending what it changed to the log.
    func logged<R>(
        _ operation: @escaping @Sendable (inout WriteTransaction) throws -> R
    ) -> @Sendable (inout WriteTransaction) throws -> R {
        { transaction in
            self.log.discard()
            let result = try operation(&transaction)
            try self.log.finish(&transaction)
            return result
        }
    }

    // MARK: Catalog

    /// Adds or replaces a collection's entry, here and on disk.
    func save(_ entry: CollectionEntry, _ transaction: inout WriteTransaction) throws {
        let key = CatalogRecord.key(entry.namespace)
        let record = CatalogRecord.encode(entry)
        try transaction.put(
            .catalog, key: key.span.bytes, value: record.bytes.span.bytes)
        catalog.put(entry)
    }

    /// Removes a collection's entry, here and on disk.
    func remove(_ namespace: Namespace, _ transaction: inout WriteTransaction) throws {
        let key = CatalogRecord.key(namespace)
        _ = try transaction.delete(.catalog, key: key.span.bytes)
        catalog.remove(namespace)
    }

    /// The collection of that name, made where it doesn't exist.
    func collection(
        _ namespace: Namespace, _ transaction: inout WriteTransaction
    ) throws -> CollectionEntry {
        if let entry = catalog[namespace] {
            try entry.checkIsNoView()
            return entry
        }
        return try create(namespace, options: Document(), &transaction)
    }

    /// Makes a collection.
    func create(
        _ namespace: Namespace, options: Document, _ transaction: inout WriteTransaction
    ) throws -> CollectionEntry {
        try namespace.checkMayBeCreated()
        try Self.checkCase(of: namespace.database, in: catalog)
        let traits = try CollectionTraits(options)
        try Self.checkMayValidate(namespace, traits)
        let entry = CollectionEntry(
            namespace: namespace, uuid: .random(), table: try transaction.createTable(),
            idTable: traits.capped == nil ? nil : try transaction.createTable(), options: options,
            traits: traits, indexes: [], flags: RecordFlags(hasCutKeys: false))
        try save(entry, &transaction)
        log.note(.create, entry, options)
        if let index = traits.timeSeries?.ownIndex {
            _ = try addIndexes(namespace, [try IndexSpecification(index.view)], &transaction)
            return catalog[namespace] ?? entry
        }
        return entry
    }

    /// MongoDB keeps validators off its own collections.
    static func checkMayValidate(
        _ namespace: Namespace, _ traits: CollectionTraits
    ) throws(DBError) {
        guard traits.validator != nil else { return }
        guard !["admin", "local", "config"].contains(namespace.database),
            !namespace.collection.hasPrefix("system.")
        else {
            throw DBError(
                .invalidOptions,
                "Document validators are not allowed on system collection \(namespace) or in the "
                    + "databases admin, local and config")
        }
    }

    /// Two databases may not differ by case alone, as in MongoDB.
    static func checkCase(
        of database: String, in catalog: CatalogSnapshot
    ) throws(DBError) {
        guard !catalog.databases.contains(where: { $0.hasSameBytes(as: database) }) else { return }
        let folded = database.lowercased()
        if let other = catalog.databases.first(where: { $0.lowercased().hasSameBytes(as: folded) })
        {
            throw DBError(
                DBError.Code(rawValue: 13297),
                "db already exists with different case already have: [\(other)] trying to create "
                    + "[\(database)]")
        }
    }

    // MARK: Statements

    /// Runs statements that name their documents: inserts and those with one `_id`.
    /// - Returns: a result for each; where the request is ordered, an error is the last. A statement
    ///   that a transaction blocks is the last too.
    func run(
        _ range: Range<Int>, of request: WriteRequest, _ transaction: inout WriteTransaction
    ) throws -> [StatementResult] {
        records.discard()
        records.watch(request.interrupt)
        admit(request.access)
        defer { admit(nil) }
        var results: [StatementResult] = []
        results.reserveCapacity(range.count)
        var blocked: StatementResult?
        let known = try request.retry.map { try KnownOutcomes($0, transaction) }
        for position in range {
            let result: StatementResult
            if let first = known?.result(position) {
                results.append(first)
                continue
            }
            do {
                result = try run(request.statements[position], of: request, &transaction)
            } catch let error as DBError {
                result = StatementResult(error: request.access?.told(error) ?? error)
            } catch let error as BlockedByTransaction {
                blocked = StatementResult(blockedBy: error.owner)
                break
            }
            results.append(result)
            guard let error = result.error else { continue }
            if request.isOrdered || error.code.endsCommand { break }
        }
        try records.flush(&transaction)
        try known?.save(results, from: range.lowerBound, &transaction)
        return results + [blocked].compactMap(\.self)
    }

    /// Before the first change of a transaction is repeated.
    func beginReplay(of transaction: UInt64) {
        records.discard()
        records.owner = transaction
        records.defersUniqueness = true
    }

    /// Repeats a transaction's change; `finishReplay` ends the last one.
    /// - Parameter isRestored: whether the document comes back from the trash.
    func replay(
        _ change: DraftChange, isReplacement: Bool, isRestored: Bool = false,
        in entry: CollectionEntry, _ transaction: inout WriteTransaction
    ) throws {
        defer { noteFlags(entry) }
        let key = change.key.span.bytes
        guard let document = change.value else {
            var images = DocumentImages()
            _ = try records.delete(
                key, .everything, entry, builds: builds, images: &images, &transaction)
            return
        }
        var (isThere, isSame) = (false, false)
        if let now = try transaction.value(entry.table, key) {
            isThere = true
            isSame = now.equals(document.span.bytes)
        }
        // An update that changed nothing.
        if isSame { return }
        if isThere {
            try records.replace(
                key, with: document.span.bytes, isReplacement: isReplacement, entry,
                builds: builds, &transaction)
        } else {
            try records.insert(
                DocumentView(document.span.bytes), into: entry, bypassesValidation: true,
                isRestored: isRestored, builds: builds, &transaction)
        }
    }

    /// Puts what the repeated changes deferred, and checks unique indexes.
    /// - Throws: `duplicateKey` (11000), `StorageError`.
    func finishReplay(_ transaction: inout WriteTransaction) throws {
        defer { discardReplay() }
        try records.flush(&transaction)
        try records.checkDeferred(transaction)
    }

    /// Forgets repeated changes that are undone.
    func discardReplay() {
        records.discard()
    }

    private func run(
        _ statement: WriteStatement, of request: WriteRequest,
        _ transaction: inout WriteTransaction
    ) throws -> StatementResult {
        var result = StatementResult()
        var images = DocumentImages()
        switch statement {
        case .refused(let error): throw error
        case .insert(let collection, let document):
            let bytes = request.documents.bytes.span.bytes.extracting(document)
            try records.checkCreate(
                DocumentView(bytes), request.namespaces[collection], catalog, &images, transaction)
            let entry = try self.collection(request.namespaces[collection], &transaction)
            defer { noteFlags(entry) }
            try records.insert(
                DocumentView(bytes), into: entry, bypassesValidation: request.bypassesValidation,
                builds: builds, &transaction)
            noteGrowth(entry)
            result.n = 1
        case .update(let update):
            let key = update.target.point ?? []
            let namespace = request.namespaces[update.target.collection]
            result = try apply(
                update, to: key.span.bytes, namespace, time: request.time, images: &images,
                &transaction)
            if result.n == 0, update.isUpsert {
                result = try upsert(
                    update, namespace, time: request.time, images: &images, &transaction)
            }
        case .delete(let delete):
            let key = delete.target.point ?? []
            result = try apply(
                delete, to: key.span.bytes, request.namespaces[delete.target.collection],
                images: &images, &transaction)
        case .trash(let trash):
            let key = trash.target.point ?? []
            result = try apply(
                trash, to: key.span.bytes, request.namespaces[trash.target.collection],
                &transaction)
        }
        return result
    }

    /// Lets an app user's request do what the rules allow, and no more; nil for the others.
    func admit(_ access: RequestAccess?) {
        records.access = access.map { WriteAccess($0, catalog, afterChecks) }
    }

    /// Lets `interrupt` end what the operation at hand evaluates; nil for none.
    func watch(_ interrupt: Interrupt?) {
        records.watch(interrupt)
    }

    /// Applies an update to one document by its record key, if it still matches.
    func apply(
        _ update: UpdateStatement, to key: RawSpan, _ namespace: Namespace, time: WriteTime,
        images: inout DocumentImages, _ transaction: inout WriteTransaction
    ) throws -> StatementResult {
        var result = StatementResult()
        guard let entry = catalog[namespace] else { return result }
        if !entry.hasKeysOfIDs { try entry.traits.timeSeries?.check(update) }
        defer { noteFlags(entry) }
        try forEachRecord(key, entry, &transaction) { key, transaction in
            switch try records.update(
                key, update, entry, time: time, builds: builds, images: &images, &transaction)
            {
            case .notMatched: break
            case .unchanged: result.n += 1
            case .changed:
                result.n += 1
                result.modified += 1
            }
            return true
        }
        return result
    }

    /// Removes one document by its record key, if it still matches.
    func apply(
        _ delete: DeleteStatement, to key: RawSpan, _ namespace: Namespace,
        images: inout DocumentImages, _ transaction: inout WriteTransaction
    ) throws -> StatementResult {
        var result = StatementResult()
        guard let entry = catalog[namespace] else { return result }
        try forEachRecord(key, entry, &transaction) { key, transaction in
            if try records.delete(
                key, delete.target.filter, entry, builds: builds, images: &images, &transaction)
            {
                result.n += 1
            }
            return delete.isMulti || result.n == 0
        }
        return result
    }

    /// Calls `body` for the documents that a key stands for: one, but of a time series all that
    /// share time and `_id`; until it answers false.
    private func forEachRecord(
        _ key: RawSpan, _ entry: CollectionEntry, _ transaction: inout WriteTransaction,
        _ body: (RawSpan, inout WriteTransaction) throws -> Bool
    ) throws {
        guard !entry.hasKeysOfIDs else {
            _ = try body(key, &transaction)
            return
        }
        for one in try TimeSeries.keys(of: key, entry.table, transaction) {
            guard try body(one.span.bytes, &transaction) else { return }
        }
    }

    /// Inserts the document that an upsert makes where nothing matched.
    func upsert(
        _ update: UpdateStatement, _ namespace: Namespace, time: WriteTime,
        images: inout DocumentImages, _ transaction: inout WriteTransaction
    ) throws -> StatementResult {
        let bytes = try records.upsertDocument(of: update, time: time)
        let document = DocumentView(bytes.span.bytes)
        images.keepAfter(document)
        try records.checkCreate(document, namespace, catalog, &images, transaction)
        let entry = try collection(namespace, &transaction)
        defer { noteFlags(entry) }
        try records.insert(
            document, into: entry, bypassesValidation: update.bypassesValidation, builds: builds,
            &transaction)
        noteGrowth(entry)
        var result = StatementResult()
        result.n = 1
        if let id = document.value("_id") { result.upsertedID = OwnedValue(copying: id) }
        return result
    }

    /// Stores a copy of a document from another collection as it is.
    func copyRecord(
        _ document: [UInt8], into entry: CollectionEntry, _ transaction: inout WriteTransaction
    ) throws {
        defer { noteFlags(entry) }
        try records.insert(
            DocumentView(document.span.bytes), into: entry, bypassesValidation: true,
            builds: builds, &transaction)
    }

    private func noteGrowth(_ entry: CollectionEntry) {
        if !entry.isClustered { grown.insert(entry.table) }
    }

    /// Puts deferred index entries; ends every operation that used the functions above.
    func finishOperation(_ transaction: inout WriteTransaction) throws {
        try records.flush(&transaction)
    }

    func noteFlags(_ entry: CollectionEntry) {
        if records.takeFlagsChanged() { dirty.insert(entry.namespace) }
    }

    /// Notes that a build set flags of a collection's index.
    func noteFlagsChanged(_ namespace: Namespace) {
        dirty.insert(namespace)
    }
}

/// The catalog that readers see.
final class PublishedCatalog: Sendable {
    private let current: Mutex<CatalogSnapshot>
    private let currentVersion: Atomic<Int>

    init(_ snapshot: CatalogSnapshot) {
        current = Mutex(snapshot)
        currentVersion = Atomic(snapshot.version)
    }

    /// The version of the newest one, or of the one before while that is being published.
    var version: Int { currentVersion.load(ordering: .acquiring) }

    /// The newest committed version.
    var snapshot: CatalogSnapshot { current.withLock { $0 } }

    /// The collection of that name in the newest committed version.
    func collection(_ namespace: Namespace) -> CollectionEntry? {
        current.withLock { $0[namespace] }
    }

    func publish(_ snapshot: CatalogSnapshot) {
        current.withLock { $0 = snapshot }
        currentVersion.store(snapshot.version, ordering: .releasing)
    }
}
