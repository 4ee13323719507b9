// Statements that change documents: a batch reads on from the last `_id`, makes the changes, and
// keeps what it replaced and how far it came, in one commit.

import BSON
import Crypto
import Query

/// What a batch looked at and changed.
private struct MigrationBatch {
    let collection: String
    var changes: [DocumentChange] = []
    var scanned = 0
    var first: Value?
    var last: Value?
    var isLast = false

    /// Bytes of documents that are kept or written.
    var byteCount: Int {
        changes.reduce(0) { sum, change in
            sum + (change.before?.bytes.count ?? 0) + (change.after?.bytes.count ?? 0)
        }
    }
}

extension MigrationRunner {
    /// Most documents and bytes of a migration that runs in one transaction.
    private static let wholeCountMax = 1_000
    private static let wholeBytesMax = 4 << 20
    /// About the most bytes of documents in a batch.
    private static let batchBytesMax = 4 << 20
    /// Most rows of a query with groups, orders or limits, whose results are copied.
    private static let rowsMax = 10_000

    /// Runs a migration that is small in one transaction; nil, and nothing is done, for others.
    func runWhole(
        _ start: MigrationRun, _ item: MigrationItem, _ steps: [MigrationStep]
    ) throws(DBError) -> Int64? {
        do throws(WholeFailure) {
            return try attemptWhole(start, item, steps)
        } catch {
            if let reason = error.reason { throw reason }
            return nil
        }
    }

    /// Why a migration didn't run in one transaction: nil for its size.
    private struct WholeFailure: Error {
        let reason: DBError?
    }

    private func attemptWhole(
        _ start: MigrationRun, _ item: MigrationItem, _ steps: [MigrationStep]
    ) throws(WholeFailure) -> Int64 {
        var isTooLarge = false
        do throws(DBError) {
            return try store.transact { transaction throws(DBError) in
                var run = start
                var (count, bytes, changed) = (0, 0, Int64(0))
                try keepLock(transaction)
                while run.step < steps.count {
                    guard case .documents(let command) = steps[run.step].action else { break }
                    let batch = try prepare(
                        command, steps[run.step], run, countMax: Self.wholeCountMax + 1, transaction
                    )
                    count += batch.scanned
                    bytes += batch.byteCount
                    guard count <= Self.wholeCountMax, bytes <= Self.wholeBytesMax else {
                        isTooLarge = true
                        throw DBError(.operationFailed, "the migration is large")
                    }
                    changed += Int64(batch.changes.count)
                    try apply(batch, &run, item, transaction)
                }
                try save(run, transaction)
                return changed
            }
        } catch {
            throw WholeFailure(reason: isTooLarge ? nil : error)
        }
    }

    /// Runs the next batch of a statement.
    func runBatch(
        _ start: MigrationRun, _ item: MigrationItem, _ step: MigrationStep,
        _ command: TextCommand, countMax: Int
    ) throws(DBError) -> Int64 {
        var start = start
        if start.last == nil { start.total = try total(command, step) }
        var limit = countMax
        var changed: Int64 = 0
        let begun = start
        // Others that write the same documents are in the way of a smaller batch less often.
        try store.transact { transaction throws(DBError) in
            var run = begun
            try keepLock(transaction)
            let batch = try prepare(command, step, run, countMax: limit, transaction)
            limit = max(1, limit / 2)
            try apply(batch, &run, item, transaction)
            changed = Int64(batch.changes.count)
            try save(run, transaction)
        }
        return changed
    }

    /// How many documents a statement is about.
    func total(_ command: TextCommand, _ step: MigrationStep) throws(DBError) -> Int64 {
        switch command {
        case .update(let name, let filter, _, _), .delete(let name, let filter):
            return try store.count(
                name, store.filter(filter, store.scope(name, text: step.text)))
        case .insertRows(_, let source, _, let deleted):
            guard deleted == nil else { return 0 }
            return try store.count(source, store.filter(Document(), store.scope(source)))
        case .insert(_, let documents): return Int64(documents.count)
        default: return 0
        }
    }

    // MARK: What is to change

    private func prepare(
        _ command: TextCommand, _ step: MigrationStep, _ run: MigrationRun, countMax: Int,
        _ transaction: Transaction
    ) throws(DBError) -> MigrationBatch {
        do throws(DBError) {
            switch command {
            case .update(let name, let filter, let stages, _):
                var batch = MigrationBatch(collection: name)
                let scope = store.scope(name, text: step.text)
                let documents = try fetch(
                    name, try store.filter(filter, scope), run, countMax, &batch, transaction)
                batch.changes = try Self.updated(documents, stages, scope)
                return batch
            case .delete(let name, let filter):
                var batch = MigrationBatch(collection: name)
                let scope = store.scope(name, text: step.text)
                let documents = try fetch(
                    name, try store.filter(filter, scope), run, countMax, &batch, transaction)
                batch.changes = documents.map { document in
                    DocumentChange(id: document["_id"] ?? .null, before: document, after: nil)
                }
                return batch
            case .insert(let name, let documents):
                return inserted(documents, name, run, countMax)
            case .insertRows(let name, let source, let stages, let deleted):
                return try copied(
                    name, source, stages, deleted, step, run, countMax, transaction)
            default: return MigrationBatch(collection: command.collection, isLast: true)
            }
        } catch {
            throw error.leavesMigration ? error : TextQuery.located(error, in: step.text)
        }
    }

    /// The next documents of a collection in the order of `_id`.
    private func fetch(
        _ collection: String, _ filter: Filter, _ run: MigrationRun, _ countMax: Int,
        _ batch: inout MigrationBatch, scope: ReadScope = .live, _ transaction: Transaction
    ) throws(DBError) -> [Document] {
        var request = FindRequest(store.namespace(collection), filter: filter)
        request.view = transaction.view
        request.scope = scope
        request.sort = ["_id": 1]
        if scope == .live {
            request.hint = .document(["_id": 1])
            if let last = run.last { request.min = ["_id": last] }
        }
        var (documents, isLast) = try store.read(
            request, countMax: countMax + 1, bytesMax: Self.batchBytesMax)
        // `min` is included.
        if let last = run.last, documents.first?["_id"] == last { documents.removeFirst() }
        if documents.count > countMax {
            documents.removeLast(documents.count - countMax)
            isLast = false
        }
        batch.scanned = documents.count
        batch.first = documents.first?["_id"]
        batch.last = documents.last?["_id"]
        batch.isLast = isLast
        return documents
    }

    /// What the stages of an update make of documents.
    static func updated(
        _ documents: [Document], _ stages: [Value], _ scope: ExpressionScope
    ) throws(DBError) -> [DocumentChange] {
        let value = OwnedValue(.array(stages))
        let update = try Update.parse(value.view, scope.updateOptions(isMulti: true))
        let time = WriteTime(
            millis: scope.nowMillis, timestamp: Timestamp(rawValue: UInt64(scope.nowMillis)))
        var scratch = UpdateScratch()
        var changes: [DocumentChange] = []
        for document in documents {
            var writer = DocumentWriter()
            let id = document["_id"] ?? .null
            do throws(DBError) {
                guard
                    try update.apply(to: document.view, time: time, into: &writer, &scratch)
                else { continue }
            } catch {
                let shown = ShellNotation.string(OwnedValue(id).view)
                throw DBError(
                    error.code, "\(error.message)\nin the document whose _id is \(shown)",
                    details: error.details)
            }
            let after = Document(copying: DocumentView(writer.bytes.span.bytes))
            if after != document {
                changes.append(DocumentChange(id: id, before: document, after: after))
            }
        }
        return changes
    }

    private func inserted(
        _ documents: [Document], _ collection: String, _ run: MigrationRun, _ countMax: Int
    ) -> MigrationBatch {
        var batch = MigrationBatch(collection: collection)
        let rest = documents.dropFirst(Int(run.scanned))
        batch.scanned = min(countMax, rest.count)
        batch.isLast = batch.scanned == rest.count
        batch.changes = rest.prefix(countMax).map { Self.insertion($0) }
        batch.first = batch.changes.first?.id
        batch.last = batch.changes.last?.id
        return batch
    }

    /// A new document; one without `_id` gets one, by which it can be taken back.
    private static func insertion(_ document: Document) -> DocumentChange {
        let id = document["_id"] ?? .objectID(.generate())
        let whole = Document { writer in
            writer.append("_id", id)
            var fields = document.view.makeIterator()
            while let field = fields.next() {
                if !field.name.equals("_id") { writer.append(field) }
            }
        }
        return DocumentChange(id: id, before: nil, after: whole)
    }

    // MARK: Copies

    /// Stages whose rows come each of one document.
    private static let rowStages: Set<String> = [
        "$match", "$set", "$unset", "$replaceWith", "$unwind", "$lookup",
    ]

    private func copied(
        _ collection: String, _ source: String, _ stages: [Value], _ deleted: TextDeleted?,
        _ step: MigrationStep, _ run: MigrationRun, _ countMax: Int, _ transaction: Transaction
    ) throws(DBError) -> MigrationBatch {
        var batch = MigrationBatch(collection: collection)
        var scope = store.scope(source, text: step.text)
        if deleted != nil { scope.metadata = .deletion }
        let isByRow =
            deleted == nil
            && stages.allSatisfy { stage in
                if case .document(let stage) = stage {
                    Self.rowStages.contains(stage.keys.first ?? "")
                } else {
                    false
                }
            }
        var all = stages
        if isByRow {
            let everything = try store.filter(Document(), scope)
            let documents = try fetch(
                source, everything, run, countMax, &batch, transaction)
            let ids = Value.array(documents.map { $0["_id"] ?? .null })
            all.insert(["$match": ["_id": ["$in": ids]]], at: 0)
            if documents.isEmpty { return batch }
        } else {
            batch.isLast = true
        }
        let list = OwnedValue(.array(all))
        var request = AggregateRequest(
            store.namespace(source),
            pipeline: try Pipeline.parse(DocumentView(list.view.bytes), scope))
        request.view = transaction.view
        if let deleted {
            request.scope = deleted == .onlyDeleted ? .onlyDeleted : .withDeleted
            request.showsDeletion = true
        }
        let rows = try store.read(
            request, countMax: Self.rowsMax + 1, bytesMax: 2 * Self.batchBytesMax)
        guard rows.isLast, rows.documents.count <= Self.rowsMax else {
            throw DBError(
                .illegalOperation,
                "a query whose rows can't be copied document by document (it sorts, groups, limits "
                    + "or reads deleted ones), or a batch of copies, may have at most "
                    + "\(Self.rowsMax) rows and \(2 * Self.batchBytesMax) bytes in a migration")
        }
        if !isByRow { batch.scanned = rows.documents.count }
        batch.changes = rows.documents.map { Self.insertion($0) }
        return batch
    }

    // MARK: Making the changes

    /// Makes a batch's changes and notes them.
    private func apply(
        _ batch: MigrationBatch, _ run: inout MigrationRun, _ item: MigrationItem,
        _ transaction: Transaction
    ) throws(DBError) {
        let creates = !batch.changes.isEmpty && store.entry(batch.collection) == nil
        try store.apply(batch.changes, to: batch.collection, transaction)
        let record = Document { writer in
            writer.append("_id", Self.batchID(run.group, run.batches))
            writer.append("migration", Int64(item.file.number))
            writer.append("direction", item.direction.rawValue)
            writer.append("step", Int64(run.step))
            writer.append("collection", batch.collection)
            if let first = batch.first { writer.append("first", first) }
            if let last = batch.last { writer.append("last", last) }
            writer.append("scanned", Int64(batch.scanned))
            writer.append("changed", Int64(batch.changes.count))
            writer.append("at", dateMillis: LogicalClock.wallMillis)
            if creates { writer.append("creates", true) }
            writer.append("images", .array(batch.changes.map { .document(Self.image($0)) }))
        }
        try store.put(record, in: MigrationNames.batches, transaction)
        run.batches += 1
        run.scanned += Int64(batch.scanned)
        run.changed += Int64(batch.changes.count)
        if batch.isLast {
            run.advance()
        } else {
            run.last = batch.last ?? run.last
        }
    }

    static func batchID(_ group: Int64, _ number: Int64) -> Document {
        ["group": .int64(group), "n": .int64(number)]
    }

    /// What takes a change back: the document before, a hash of the one after, and the names of the
    /// fields that differ.
    private static func image(_ change: DocumentChange) -> Document {
        Document { writer in
            writer.append("id", change.id)
            if let before = change.before { writer.append("before", before) }
            if let after = change.after { writer.append("after", hash(after)) }
            if let before = change.before, let after = change.after {
                let names = Set(before.keys + after.keys).filter { before[$0] != after[$0] }
                writer.append("fields", .array(names.sorted().map { .string($0) }))
            }
        }
    }

    /// Half of a SHA-256 of the document's bytes, as 16 bytes of binary.
    static func hash(_ document: Document) -> Value {
        .binary(subtype: 0, Array(SHA256.hash(data: document.bytes).prefix(16)))
    }
}
