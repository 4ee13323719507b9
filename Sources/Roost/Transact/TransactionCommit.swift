// The commit of a transaction: one operation on the writer thread, undone as a whole if it fails.

import BSON
import Query
import Storage

/// What a transaction changed.
struct TransactionCommit: Sendable {
    /// A collection that was written to.
    struct Collection: Sendable {
        /// As it was in the snapshot; nil where there was none.
        let before: CollectionEntry?
        /// As the transaction has it.
        let draft: CollectionEntry
    }

    /// The transaction's number.
    let number: UInt64
    /// Shows the snapshot, without the draft.
    let reader: Reader
    /// The catalog of the snapshot.
    let start: CatalogSnapshot
    /// In order.
    let changes: [DraftChange]
    /// Which of them replace whole documents.
    let replacements: Set<Int>
    /// Which of them are part of restoring documents from the trash.
    let restorations: Set<Int>
    let collections: [Collection]
    /// Under what the outcome is kept.
    let retry: RetryIdentity
    /// What was read and must be as it was; nil where that doesn't matter.
    let reads: ReadCheck?
    /// What the rules are asked again with everything written.
    let afterChecks: AfterChecks
    /// Up to where the log was checked for changes of what was read.
    var checkedUntil: LogPosition

    init(
        _ number: UInt64, _ reader: Reader, changes: [DraftChange], replacements: Set<Int>,
        restorations: Set<Int>, from start: CatalogSnapshot, to end: CatalogSnapshot,
        _ retry: RetryIdentity, _ view: ReadView, _ afterChecks: AfterChecks
    ) {
        self.afterChecks = afterChecks
        self.number = number
        self.reader = reader
        self.start = start
        self.changes = changes
        self.replacements = replacements
        self.restorations = restorations
        self.retry = retry
        reads = view.reads?.check
        checkedUntil = .behind(view.time)
        let touched = Set(changes.map(\.table))
        let purged = Set(
            changes.lazy.filter(\.isTrashRemoval).compactMap { TrashKey.id(in: $0.key.span.bytes) })
        collections = end.collections.values.compactMap { draft in
            let before = start[draft.namespace]
            guard
                touched.contains(draft.table) || purged.contains(draft.trash) || before !== draft
            else { return nil }
            return Collection(before: before, draft: draft)
        }
    }

    /// Whether nothing was changed.
    var isEmpty: Bool { collections.isEmpty }

    /// About how much is written, in bytes.
    var byteCount: Int {
        changes.reduce(0) { $0 + $1.key.count + ($1.value?.count ?? 0) }
    }
}

extension WriterState {
    /// Most records of the log that a commit looks at on the writer thread.
    private static let checkedMax = 64

    /// Checks that nothing which the transaction wrote to has changed since its snapshot, and makes
    /// its changes.
    /// - Returns: false where too much was committed since the reads were checked; nothing is done
    ///   then. Not without `mayBeBehind`.
    /// - Throws: `writeConflict` (112).
    func commit(
        _ commit: TransactionCommit, mayBeBehind: Bool, _ transaction: inout WriteTransaction
    ) throws -> Bool {
        if let reads = commit.reads {
            let end = try reads.check(
                since: commit.checkedUntil, atMost: Self.checkedMax, catalog, transaction,
                commit.reader, from: commit.start)
            if end == nil {
                guard mayBeBehind else { throw Transaction.conflict }
                return false
            }
        }
        let before = catalog
        beginReplay(of: commit.number)
        do {
            log.session = ChangeLog.Session(
                id: ["id": .binary(subtype: 4, commit.retry.session)],
                transactionNumber: commit.retry.number)
            let entries = try realize(commit.collections, &transaction)
            try check(commit, entries, transaction)
            try replay(commit, entries, &transaction)
            try commit.afterChecks.confirm(
                catalog, transaction, before: commit.reader, commit.start)
            try OutcomeRecord(commit: commit.retry).save(0, commit.retry, &transaction)
            return true
        } catch {
            catalog = before
            discardReplay()
            throw error is BlockedByTransaction ? Transaction.conflict : error
        }
    }

    /// The collections to write to by their tables in the draft, made where the transaction made
    /// them.
    private func realize(
        _ collections: [TransactionCommit.Collection], _ transaction: inout WriteTransaction
    ) throws -> [TableID: CollectionEntry] {
        var entries: [TableID: CollectionEntry] = [:]
        for collection in collections {
            let draft = collection.draft
            guard catalog[draft.namespace] === collection.before else {
                throw Transaction.conflict
            }
            guard collection.before !== draft else {
                entries[draft.table] = draft
                continue
            }
            // A transaction makes collections, and indexes only on those.
            try Self.checkCase(of: draft.namespace.database, in: catalog)
            let table = try transaction.createTable()
            let idTable = draft.idTable == nil ? nil : try transaction.createTable()
            var indexes: [IndexEntry] = []
            for index in draft.indexes { indexes.append(try realize(index, &transaction)) }
            let entry = CollectionEntry(
                namespace: draft.namespace, uuid: draft.uuid, table: table, idTable: idTable,
                options: draft.options, traits: draft.traits, indexes: indexes, flags: draft.flags)
            try save(entry, &transaction)
            log.note(.create, entry, draft.options)
            if !indexes.isEmpty {
                log.note(
                    .createIndexes, entry, .listing(indexes: indexes.map(\.specification)))
            }
            entries[draft.table] = entry
        }
        return entries
    }

    private func realize(
        _ index: IndexEntry, _ transaction: inout WriteTransaction
    ) throws -> IndexEntry {
        let specification = index.specification
        return IndexEntry(
            try IndexSpecification(specification.view),
            table: try transaction.createTable(), isReady: true, flags: index.flags)
    }

    /// Compares the documents of the write set with those of the snapshot.
    private func check(
        _ commit: TransactionCommit, _ entries: [TableID: CollectionEntry],
        _ transaction: borrowing WriteTransaction
    ) throws {
        var seen: Set<TableKey> = []
        var now: [UInt8] = []
        for change in commit.changes
        where (entries[change.table] != nil && !change.table.isInDraft) || change.isTrashRemoval {
            guard seen.insert(TableKey(table: change.table, key: change.key)).inserted else {
                continue
            }
            let isThere = try transaction.copyValue(
                change.table, change.key.span.bytes, into: &now)
            let isSame = try commit.reader.read { base throws(StorageError) in
                try change.isSame(base, isThere ? now : nil)
            }
            guard isSame else { throw Transaction.conflict }
        }
    }

    private func replay(
        _ commit: TransactionCommit, _ entries: [TableID: CollectionEntry],
        _ transaction: inout WriteTransaction
    ) throws {
        for (index, change) in commit.changes.enumerated() {
            let isRestored = commit.restorations.contains(index)
            // A restored document leaves the trash when it is stored.
            if change.isTrashRemoval, !isRestored { try purge(change, commit, &transaction) }
            guard let entry = entries[change.table] else { continue }
            try replay(
                change, isReplacement: commit.replacements.contains(index),
                isRestored: isRestored, in: entry, &transaction)
        }
        do {
            try finishReplay(&transaction)
        } catch let error as DBError where error.code == .duplicateKey {
            // Within the transaction all was well: another commit has the key.
            throw Transaction.conflict
        }
    }

    /// Repeats the removal of a deleted document.
    private func purge(
        _ change: DraftChange, _ commit: TransactionCommit, _ transaction: inout WriteTransaction
    ) throws {
        let key = change.key.span.bytes
        guard let id = TrashKey.id(in: key),
            let draft = commit.collections.first(where: { $0.draft.trash == id })?.draft,
            let entry = catalog[draft.namespace]
        else { return }
        _ = try TrashTable.remove(entry.trash, TrashKey.record(in: key), &transaction)
    }
}
