// Writing a pipeline's results: $out and $merge.
//
//     reader pool   a chunk of results        (QueryCursor)
//     writer        inserts or updates        (WriteJob)
//     … again until the results are at their end
//
// $out fills a temporary collection with the target's options and indexes, which takes the target's
// place in one operation at the end; an error before removes it and leaves the target as it was.
// $merge changes the target as it goes, as MongoDB does: an error leaves what was written before.
//
// A job passes from thread to thread (caller, reader pool, writer, back) but is on one at a time.

import BSON
import Query
import Storage

/// One $out or $merge under way.
// Unchecked: each step ends by handing the job on, so no two threads run it at once.
final class ResultWriteJob: @unchecked Sendable {
    /// Bounds of one chunk of results.
    private static let chunk = BatchLimits(documentsMax: 1_000, bytesMax: 4 * 1024 * 1024)

    private let engine: RoostEngine
    private let request: AggregateRequest
    private let destination: PipelineDestination
    private let interrupt: Interrupt
    private let completion: @Sendable (Result<Void, DBError>) -> Void
    private let target: Namespace
    private let time: WriteTime
    private var cursor: QueryCursor?
    private var results = ResultSink()
    /// What $out fills; nil for $merge.
    private var replacement: Replacement?
    /// Whether a unique index finds null and missing values; for $merge.
    private var acceptsNull = false
    /// The target's own collation.
    private var recordCollation: Collation?

    /// A temporary collection on its way to replace the target.
    struct Replacement: Sendable {
        let temporary: Namespace
        /// The indexes that the target had at the beginning.
        let indexes: [Document]
    }

    init(
        _ engine: RoostEngine, _ request: AggregateRequest, _ destination: PipelineDestination,
        _ interrupt: Interrupt, completion: @escaping @Sendable (Result<Void, DBError>) -> Void
    ) {
        self.engine = engine
        self.request = request
        self.destination = destination
        self.interrupt = interrupt
        self.completion = completion
        target = Namespace(
            destination.database ?? request.namespace.database, destination.collection)
        time = engine.writeTime
    }

    func run() {
        do throws(DBError) {
            let entry = engine.collection(target)
            acceptsNull = try Self.check(destination, target, entry)
            recordCollation = entry?.collation
            cursor = try engine.openCursor(request, partOf: interrupt)
            if case .out = destination { beginReplacement() } else { look() }
        } catch {
            completion(.failure(error))
        }
    }

    /// Checks that results may be written there, and says whether a $merge matches null and missing
    /// values.
    /// - Throws: 73, 17385, 31319, 31320 and 31321 for the name; 166 for a view, 17152 for a capped
    ///   target of $out, 51183 for a $merge without a unique index.
    static func check(
        _ destination: PipelineDestination, _ target: Namespace, _ entry: CollectionEntry?
    ) throws(DBError) -> Bool {
        try target.checkIsWritable(by: destination.stageName)
        switch destination {
        case .out(let specification):
            if let wanted = specification.timeSeries { try check(wanted, target, entry) }
            try entry?.checkIsNoView()
            if entry?.options["capped"] == true {
                throw DBError(
                    DBError.Code(rawValue: 17152),
                    "namespace '\(target)' is capped so it can't be used for $out")
            }
            return false
        case .merge(let specification):
            try entry?.checkIsNoView()
            guard entry?.traits.timeSeries == nil else {
                throw TimeSeries.refusal("$merge can't write to a time-series collection")
            }
            return try UniqueMatch.acceptsNull(specification, entry)
        }
    }

    /// Checks that a target of $out that is there is the time series that the stage asks for.
    /// - Throws: 7268700 for a target that is none, 7406103 for one with other options.
    private static func check(
        _ wanted: TimeSeriesOptions, _ target: Namespace, _ entry: CollectionEntry?
    ) throws(DBError) {
        guard let entry else { return }
        guard let timeSeries = entry.traits.timeSeries else {
            throw DBError(
                DBError.Code(rawValue: 7_268_700),
                "Cannot create a time-series collection from a non time-series collection or view: "
                    + "\(target)")
        }
        guard timeSeries.options == wanted else {
            throw DBError(
                DBError.Code(rawValue: 7_406_103),
                "Time-series options provided to $out must match those of \(target)")
        }
    }

    private func beginReplacement() {
        let (writer, target) = (engine.writer, target)
        var options = Document()
        if case .out(let specification) = destination, let series = specification.timeSeries {
            options = ["timeseries": .document(series.document)]
        }
        let fresh = options
        engine.submit { transaction in
            try writer.beginReplacement(of: target, fresh: fresh, &transaction)
        } completion: { outcome in
            switch outcome {
            case .failure(let error): self.completion(.failure(error))
            case .success(let replacement):
                self.replacement = replacement
                self.look()
            }
        }
    }

    // MARK: Chunks

    /// Reads the next chunk on a reader thread.
    private func look() {
        do throws(DBError) {
            try engine.readerPool.submitSlices { reader in self.slice(reader) }
        } catch {
            fail(error)
        }
    }

    private func slice(_ reader: Reader) -> ReaderPool.Step {
        do throws(DBError) {
            guard let cursor else { return .done }
            let status = try cursor.advance(reader, Self.chunk, .slice, into: &results)
            if status == .budgetSpent { return .again }
            try write(isLast: status == .exhausted)
        } catch {
            fail(error)
        }
        return .done
    }

    /// Hands a chunk to the writer.
    private func write(isLast: Bool) throws(DBError) {
        let documents = results.take()
        var write = WriteRequest(replacement?.temporary ?? target, time: time)
        // Like MongoDB, $merge goes on with the rest of a chunk after an error.
        if case .merge = destination { write.isOrdered = false }
        write.interrupt = interrupt
        write.access = request.access
        write.bypassesValidation = request.bypassesValidation
        for document in documents {
            switch destination {
            case .out: try write.insert(document.view)
            case .merge(let specification): try append(document, specification, &write)
            }
        }
        guard !write.statements.isEmpty else { return isLast ? finish() : look() }
        engine.write(write) { outcome in
            switch outcome {
            case .failure(let error): self.fail(error)
            case .success(let outcome):
                if let error = self.error(in: outcome) {
                    self.fail(error)
                } else if isLast {
                    self.finish()
                } else {
                    self.look()
                }
            }
        }
    }

    /// Adds the statement that a result means.
    private func append(
        _ result: Document, _ specification: MergeSpecification, _ write: inout WriteRequest
    ) throws(DBError) {
        var document = result
        if specification.on.contains(where: { $0.dotted == "_id" }), document["_id"] == nil {
            var writer = DocumentWriter()
            if try prepareInsert(document.view, time: time, into: &writer) {
                document = Document(unchecked: writer.take())
            }
        }
        guard let update = try specification.update(for: document.view) else {
            return try write.insert(document.view)
        }
        let filter = try specification.filter(for: document.view, acceptsNull: acceptsNull)
        let isUpsert = specification.whenNotMatched == .insert
        write.statements.append(
            .update(
                UpdateStatement(
                    target: WriteTarget(
                        filter: try Filter.parse(
                            filter.view, FilterOptions(collation: specification.collation)),
                        filterDocument: filter, recordCollation: recordCollation),
                    update: update, isMulti: false, isUpsert: isUpsert,
                    bypassesValidation: request.bypassesValidation,
                    insertion: specification.insertsResult ? document : nil)))
    }

    /// The first error of a chunk; a result without its document is one where the stage says so.
    private func error(in outcome: WriteOutcome) -> DBError? {
        if let error = outcome.results.lazy.compactMap(\.error).first {
            return DBError(
                error.code,
                "PlanExecutor error during aggregation :: caused by :: \(error.message)",
                details: error.details, underlying: error.underlying)
        }
        guard case .merge(let specification) = destination,
            specification.whenNotMatched == .fail,
            outcome.results.contains(where: { $0.n == 0 })
        else { return nil }
        return DBError(
            DBError.Code(rawValue: 13113),
            "$merge could not find a matching document in the target collection for at least one "
                + "document in the source collection")
    }

    // MARK: End

    private func finish() {
        guard let replacement else { return completion(.success(())) }
        do throws(DBError) {
            try interrupt.check()
        } catch {
            return fail(error)
        }
        let (writer, target) = (engine.writer, target)
        engine.submit { transaction in
            try writer.finish(replacement, of: target, &transaction)
        } completion: { outcome in
            switch outcome {
            case .failure(let error): self.fail(error)
            case .success: self.completion(.success(()))
            }
        }
    }

    private func fail(_ error: DBError) {
        guard let replacement else { return completion(.failure(error)) }
        // Where even the removal fails the store refuses writes; the next open removes it.
        engine.dropCollection(replacement.temporary) { _ in self.completion(.failure(error)) }
    }
}

/// Copies results.
private struct ResultSink: DocumentSink {
    private var documents: [Document] = []

    mutating func append(_ document: DocumentView) {
        documents.append(Document(copying: document))
    }

    /// Hands the results over.
    mutating func take() -> [Document] {
        defer { documents = [] }
        return documents
    }
}

/// The unique index that $merge needs, so that each result has one document at most.
enum UniqueMatch {
    /// Whether the index over just these paths also finds null and missing values.
    /// - Throws: 51183 where there is no such index.
    static func acceptsNull(
        _ specification: MergeSpecification, _ entry: CollectionEntry?
    ) throws(DBError) -> Bool {
        let collation = specification.collation
        let wanted = Set(specification.on.map(\.dotted))
        if wanted == ["_id"], entry.map({ Collation.areSame($0.collation, collation) }) ?? true {
            return true
        }
        let fitting = (entry?.indexes ?? []).filter {
            $0.isUnique && $0.isReady && $0.partialFilter == nil
                && Collation.areSame($0.pattern.collation, collation)
                && Set($0.pattern.parts.map(\.path.dotted)) == wanted
        }
        guard !fitting.isEmpty else {
            throw DBError(
                DBError.Code(rawValue: 51183),
                "Cannot find index to verify that join fields will be unique; create a unique "
                    + "index over just the fields of 'on', of the pipeline's collation")
        }
        return fitting.contains { !$0.isSparse }
    }
}

extension Namespace {
    /// Refuses targets that no pipeline may write to.
    /// - Throws: 73, 17385 and 31319 for system collections, 31320 and 31321 for databases.
    fileprivate func checkIsWritable(by stage: String) throws(DBError) {
        try validate()
        let isOut = stage == "$out"
        if collection.hasPrefix("system.") {
            throw DBError(
                DBError.Code(rawValue: isOut ? 17385 : 31319),
                "Can't \(stage) to special collection: \(collection)")
        }
        if ["admin", "config", "local"].contains(database) {
            throw DBError(
                DBError.Code(rawValue: isOut ? 31321 : 31320),
                "Can't \(stage) to internal database: \(database)")
        }
    }
}

extension Document {
    /// The options of a temporary collection as those of a lasting one.
    fileprivate var withoutTemp: Document {
        Document { writer in
            var options = view.makeIterator()
            while let option = options.next() {
                if !option.name.equals("temp") { writer.append(option) }
            }
        }
    }
}

extension CollectionEntry {
    /// Whether this is what an unfinished $out left.
    var isTemporary: Bool {
        namespace.collection.hasPrefix("\(Self.temporaryPrefix)") && options["temp"] == true
    }

    /// Refuses to lose documents that were to be kept when they are deleted.
    /// - Throws: `illegalOperation` (20), `StorageError`.
    fileprivate func checkMayBeReplaced(_ transaction: borrowing WriteTransaction) throws {
        guard traits.softDelete != nil, try transaction.entryCount(table) > 0 else { return }
        throw DBError(
            .illegalOperation,
            "$out would replace the documents of \(namespace) without keeping them, and the "
                + "collection has softDelete: delete them first, use $merge, or run collMod with "
                + "{softDelete: false}")
    }

    /// What the names of temporary collections begin with.
    static let temporaryPrefix: StaticString = "tmp.agg_out."
}

extension WriterState {
    /// Makes an empty collection like `target`, to replace it; where that isn't there, one with the
    /// options `fresh`.
    fileprivate func beginReplacement(
        of target: Namespace, fresh: Document, _ transaction: inout WriteTransaction
    ) throws -> ResultWriteJob.Replacement {
        let entry = catalog[target]
        try entry?.checkMayBeReplaced(transaction)
        let options = entry?.options ?? fresh
        let name = UUIDBytes.random().bytes.map { String($0, radix: 16) }.joined()
        let temporary = Namespace(target.database, "\(CollectionEntry.temporaryPrefix)\(name)")
        var marked = DocumentWriter()
        let start = marked.openDocument()
        marked.appendFields(of: options.view)
        if options["temp"] == nil { marked.append("temp", true) }
        marked.close(start)
        _ = try create(temporary, options: Document(unchecked: marked.take()), &transaction)
        let indexes = entry?.indexes.map(\.specification) ?? []
        if !indexes.isEmpty {
            // Of a time series one is there already.
            let specifications = try indexes.map { try IndexSpecification($0.view) }
            _ = try addIndexes(temporary, specifications, &transaction)
        }
        return ResultWriteJob.Replacement(temporary: temporary, indexes: indexes)
    }

    /// Puts the filled collection in the target's place.
    /// - Throws: 125 where the target's indexes are no longer what they were.
    fileprivate func finish(
        _ replacement: ResultWriteJob.Replacement, of target: Namespace,
        _ transaction: inout WriteTransaction
    ) throws {
        guard let entry = catalog[replacement.temporary] else {
            throw DBError(
                .namespaceNotFound,
                "The temporary collection \(replacement.temporary) of $out was dropped")
        }
        let occupant = catalog[target]
        guard (occupant?.indexes.map(\.specification) ?? []) == replacement.indexes else {
            throw DBError(
                .commandFailed,
                "indexes of target collection \(target) changed while processing $out"
            )
        }
        if let occupant {
            // Documents that were filled in as another kind would lie in the wrong places.
            guard occupant.traits.timeSeries?.options == entry.traits.timeSeries?.options,
                occupant.view == nil
            else {
                throw DBError(
                    .commandFailed, "options of target collection \(target) changed during $out")
            }
        }
        try occupant?.checkMayBeReplaced(transaction)
        log.rename(entry, to: target, over: occupant)
        if let occupant { try remove(tablesOf: occupant, keepsTrash: true, &transaction) }
        try remove(replacement.temporary, &transaction)
        var renamed = try entry.renamed(target)
            .with(options: occupant?.options ?? entry.options.withoutTemp)
        if let occupant {
            renamed = renamed.with(trashOf: occupant)
            if occupant.flags.hasCutKeys { _ = renamed.flags.noteCutKey() }
        }
        try save(renamed, &transaction)
    }
}
