// Changing one document with all its index entries, on the writer thread.
//
// Every change has two phases. The first computes what will be different and checks all that can
// fail; it only reads. The second puts and deletes. So a refused statement leaves nothing behind
// and needs no nested transaction. Lent bytes die with the next put: what the second phase needs
// is copied into buffers, which are reused from statement to statement.

import BSON
import Query
import Storage

/// The buffers, and the index entries that wait to be put in key order. Confined to the writer
/// thread.
struct RecordWriter: ~Copyable {
    /// Record key of the document at hand.
    var recordKey = KeyEncoder()
    /// In a capped collection, the record key of the `_id`.
    var idKey = KeyEncoder()
    /// The document as it was.
    var oldDocument: [UInt8] = []
    /// The document as it will be.
    private var newDocument = DocumentWriter()
    /// Entries to put and to delete.
    private var added = EntryList()
    var removed = EntryList()
    /// Entries of non-unique indexes that inserts have yet to put: sorted puts touch fewer pages.
    private var deferred = EntryList()
    var keys = KeyCollector()
    var scratch = MatchScratch()
    private var updateScratch = UpdateScratch()
    /// A record for the trash.
    var trashRecord = DocumentWriter()
    /// Whether a flag of a collection or index became true since `takeFlagsChanged`.
    private var flagsChanged = false
    /// What becomes of the changes.
    let log: ChangeLog
    /// What open transactions mean to change; nil in a transaction's own draft.
    let intents: IntentTable?
    /// The transaction whose changes are being repeated; 0 outside of that.
    var owner: UInt64 = 0

    init(_ log: ChangeLog, _ intents: IntentTable?) {
        self.log = log
        self.intents = intents
    }

    /// Lets `interrupt` end what the operation at hand evaluates; nil for none.
    mutating func watch(_ interrupt: Interrupt?) {
        scratch.watch(interrupt)
        updateScratch.watch(interrupt)
    }

    /// What the app user may do whose request is at hand; nil for those who bypass the rules.
    var access: WriteAccess?

    /// Whether unique indexes are checked by `checkDeferred` and not at each change.
    var defersUniqueness = false
    private var unchecked: [UncheckedEntry] = []

    /// An entry of a unique index that is yet to be checked.
    private struct UncheckedEntry {
        let key: [UInt8]
        let index: IndexEntry
        let entry: CollectionEntry
    }

    /// Checks the entries that `defersUniqueness` left, as far as they still stand.
    /// - Throws: `duplicateKey` (11000), `StorageError`.
    mutating func checkDeferred(_ transaction: borrowing WriteTransaction) throws {
        defer { unchecked.removeAll() }
        for item in unchecked
        where try transaction.value(item.index.table, item.key.span.bytes) != nil {
            try UniqueCheck.check(item.key.span.bytes, item.index, item.entry, transaction)
        }
    }

    // MARK: Insert

    /// Stores a prepared document, or with `isRestored` one that leaves the trash by that.
    /// - Throws: `duplicateKey`, `documentValidationFailure` and other `DBError`s before anything is put; `StorageError`.
    mutating func insert(
        _ document: DocumentView, into entry: CollectionEntry, bypassesValidation: Bool,
        isRestored: Bool = false, builds: IndexBuilds, _ transaction: inout WriteTransaction
    ) throws {
        guard let id = document.value("_id") else {
            throw DBError(.invalidIdField, "The document has no _id")
        }
        guard !document.isNestedTooDeep else {
            throw DBError(
                .overflow, "A document may nest \(Limits.nestingDepthMax) levels deep at most")
        }
        if !bypassesValidation, let validator = entry.traits.validator {
            try validator.check(document, in: entry.namespace, &scratch)
        }
        if !entry.hasKeysOfIDs, let timeSeries = entry.traits.timeSeries {
            try timeSeries.encodeKey(of: document, entry.collation, into: &recordKey)
            try TimeSeries.makeFree(&recordKey, entry.table, transaction)
        } else {
            if RecordKey.encode(id, entry.collation, into: &recordKey), entry.flags.noteCutKey() {
                flagsChanged = true
            }
            let idTable = entry.idTable ?? entry.table
            try intents?.check(idTable, recordKey.bytes.span.bytes, for: owner)
            if try transaction.value(idTable, recordKey.bytes.span.bytes) != nil {
                let error = DuplicateKey.error(entry.namespace, id: id)
                throw isRestored ? error.refusing(restoreOf: id, over: id) : error
            }
            if isRestored { try checkTrashIntent(recordKey.bytes.span.bytes, entry) }
        }
        let capped = entry.traits.capped
        if let capped { try place(document, entry, capped, transaction) }
        added.removeAll()
        for (ordinal, index) in entry.indexes.enumerated() {
            try keys.collect(document, recordKey.bytes, index, ordinal, into: &added)
        }
        try checkUnique(entry, restoring: isRestored ? OwnedValue(copying: id) : nil, transaction)
        noteFlags(entry)
        if isRestored {
            _ = try TrashTable.remove(entry.trash, recordKey.bytes.span.bytes, &transaction)
        }
        try transaction.put(
            entry.table, key: recordKey.bytes.span.bytes, value: document.bytes)
        for position in 0..<added.count {
            let index = entry.indexes[added.ordinal(position)]
            if index.refusesDuplicates {
                try transaction.put(index.table, key: added.key(position), value: RawSpan())
            } else {
                deferred.append(added, position, table: index.table)
            }
        }
        builds.note(recordKey.bytes, entry)
        log.insert(document, entry, isRestored: isRestored)
        if let capped, let idTable = entry.idTable {
            try finishCapped(
                document.bytes.byteCount, entry, idTable, capped, builds, &transaction)
        }
    }

    /// Puts the entries that inserts deferred, in key order. Must run before anything reads
    /// indexes or removes entries, and at the end of an operation.
    mutating func flush(_ transaction: inout WriteTransaction) throws {
        guard deferred.count > 0 else { return }
        deferred.sort()
        try deferred.put(&transaction)
        deferred.removeAll()
    }

    /// Forgets deferred entries: the operation that made them is undone.
    mutating func discard() {
        deferred.removeAll()
        unchecked.removeAll()
        defersUniqueness = false
        owner = 0
    }

    /// Says whether flags changed since it was last asked.
    mutating func takeFlagsChanged() -> Bool {
        defer { flagsChanged = false }
        return flagsChanged
    }

    // MARK: Update

    /// What an update did to a document.
    enum Change {
        case notMatched
        case unchanged
        case changed
    }

    /// Applies an update to the document with that record key if it still matches.
    /// - Parameter images: receives the document before and after, for findAndModify.
    mutating func update(
        _ key: RawSpan, _ statement: UpdateStatement, _ entry: CollectionEntry, time: WriteTime,
        builds: IndexBuilds, images: inout DocumentImages, _ transaction: inout WriteTransaction
    ) throws -> Change {
        try flush(&transaction)
        guard try locate(key, entry, transaction),
            try Self.load(recordKey.bytes, entry, transaction, into: &oldDocument)
        else { return .notMatched }
        if let access, try !access.mayMatch(oldDocument, statement.target, entry, transaction) {
            return .notMatched
        }
        let change = try Self.apply(
            statement, of: entry, to: oldDocument, time: time, images: &images, into: &newDocument,
            &scratch,
            &updateScratch)
        if let access {
            let told = try access.checkUpdate(
                oldDocument, change, newDocument.bytes, statement, entry, &images, transaction)
            if case .unchanged = change, case .changed = told { return told }
        }
        guard case .changed = change else {
            if case .unchanged = change, intents == nil {
                try putUnchanged(entry, &transaction)
            }
            return change
        }
        if !statement.bypassesValidation, let validator = entry.traits.validator {
            try Self.validate(
                newDocument.bytes, replacing: oldDocument, validator, entry, &scratch)
        }
        try putChange(
            statement.update, isReplacement: statement.update.isReplacement, entry, builds,
            &transaction)
        return .changed
    }

    /// Puts a document as it is, so that it belongs to what a transaction writes.
    private mutating func putUnchanged(
        _ entry: CollectionEntry, _ transaction: inout WriteTransaction
    ) throws {
        try transaction.put(
            entry.table, key: recordKey.bytes.span.bytes, value: oldDocument.span.bytes)
    }

    /// Replaces the document with that record key: the repetition of a change.
    mutating func replace(
        _ key: RawSpan, with document: RawSpan, isReplacement: Bool, _ entry: CollectionEntry,
        builds: IndexBuilds, _ transaction: inout WriteTransaction
    ) throws {
        try flush(&transaction)
        setRecordKey(key)
        _ = try Self.load(recordKey.bytes, entry, transaction, into: &oldDocument)
        newDocument.removeAll()
        newDocument.appendRaw(copying: document)
        try putChange(nil, isReplacement: isReplacement, entry, builds, &transaction)
    }

    /// Puts the new document in the place of the old one. `update`: what made it, if that is known.
    private mutating func putChange(
        _ update: Update?, isReplacement: Bool, _ entry: CollectionEntry,
        _ builds: IndexBuilds, _ transaction: inout WriteTransaction
    ) throws {
        try Self.collectDifference(
            from: oldDocument, to: newDocument.bytes, recordKey.bytes, update, entry,
            isBuilding: builds.isBuilding(entry), &keys, &removed, &added)
        try intents?.check(entry.table, recordKey.bytes.span.bytes, for: owner)
        try checkUnique(entry, transaction)
        noteFlags(entry)
        try removed.delete(from: entry.indexes, &transaction)
        try transaction.put(
            entry.table, key: recordKey.bytes.span.bytes, value: newDocument.bytes.span.bytes)
        try added.put(in: entry.indexes, &transaction)
        if let idTable = entry.idTable {
            try CappedRecords.add(
                newDocument.bytes.count - oldDocument.count, to: idTable, &transaction)
        }
        builds.note(recordKey.bytes, entry)
        log.update(
            from: oldDocument.span.bytes, to: newDocument.bytes.span.bytes,
            isReplacement: isReplacement, entry)
    }

    // The steps below are static so that they can borrow one buffer while they fill another.

    /// Makes the new document.
    private static func apply(
        _ statement: UpdateStatement, of entry: CollectionEntry, to oldDocument: [UInt8],
        time: WriteTime, images: inout DocumentImages, into newDocument: inout DocumentWriter,
        _ scratch: inout MatchScratch, _ updateScratch: inout UpdateScratch
    ) throws -> Change {
        let old = DocumentView(oldDocument.span.bytes)
        scratch.arrayPosition = nil
        let filter = try statement.target.filter.bound(to: entry)
        guard try filter.matches(old, &scratch) else { return .notMatched }
        images.keepBefore(old)
        newDocument.removeAll()
        let changed = try statement.update.apply(
            to: old, arrayPosition: scratch.arrayPosition, time: time, into: &newDocument,
            &updateScratch)
        guard changed else {
            images.keepAfter(old)
            return .unchanged
        }
        images.keepAfter(DocumentView(newDocument.bytes.span.bytes))
        return .changed
    }

    private static func validate(
        _ newDocument: [UInt8], replacing oldDocument: [UInt8], _ validator: Validator,
        _ entry: CollectionEntry, _ scratch: inout MatchScratch
    ) throws(DBError) {
        try validator.check(
            DocumentView(newDocument.span.bytes), replacing: DocumentView(oldDocument.span.bytes),
            in: entry.namespace, &scratch)
    }

    /// Fills `removed` and `added` with the entries that differ between two documents.
    private static func collectDifference(
        from oldDocument: [UInt8], to newDocument: [UInt8], _ record: [UInt8], _ update: Update?,
        _ entry: CollectionEntry, isBuilding: Bool, _ keys: inout KeyCollector,
        _ removed: inout EntryList, _ added: inout EntryList
    ) throws {
        added.removeAll()
        removed.removeAll()
        let old = DocumentView(oldDocument.span.bytes)
        let new = DocumentView(newDocument.span.bytes)
        for (ordinal, index) in entry.indexes.enumerated() {
            guard mayChange(index, update) else { continue }
            try keys.collect(old, record, index, ordinal, into: &removed)
            try keys.collect(new, record, index, ordinal, into: &added)
        }
        if isBuilding {
            // A build skips documents that a write touched, so their entries must all be there.
            removed.removeAll(in: added)
        } else {
            EntryList.removeCommon(&removed, &added)
        }
    }

    private static func mayChange(_ index: IndexEntry, _ update: Update?) -> Bool {
        guard let update, index.partialFilter == nil, index.isReady else { return true }
        return index.pattern.mayChange { update.touches($0) }
    }

    /// The document that an upsert inserts.
    mutating func upsertDocument(
        of statement: UpdateStatement, time: WriteTime
    ) throws(DBError) -> [UInt8] {
        var writer = DocumentWriter()
        if let insertion = statement.insertion {
            if try !prepareInsert(insertion.view, time: time, into: &writer) {
                return insertion.bytes
            }
            return writer.take()
        }
        let query = statement.target.filterDocument
        try statement.update.upsertDocument(
            query: query.view, time: time, into: &writer, &updateScratch)
        return writer.take()
    }

    // MARK: Delete

    /// Removes the document with that record key if it still matches; it goes to the trash where
    /// the collection keeps what is deleted.
    mutating func delete(
        _ key: RawSpan, _ filter: Filter, _ entry: CollectionEntry, builds: IndexBuilds,
        images: inout DocumentImages, _ transaction: inout WriteTransaction
    ) throws -> Bool {
        try flush(&transaction)
        guard try locate(key, entry, transaction),
            try Self.load(recordKey.bytes, entry, transaction, into: &oldDocument)
        else { return false }
        if let access, try !access.mayDelete(oldDocument, filter, entry, &images, transaction) {
            return false
        }
        guard
            try Self.collectAll(
                of: oldDocument, recordKey.bytes, filter, entry, images: &images, &keys, &removed,
                &scratch)
        else { return false }
        try intents?.check(entry.table, recordKey.bytes.span.bytes, for: owner)
        try removeCollected(entry, builds, &transaction)
        try keepDeleted(entry, &transaction)
        return true
    }

    /// Fills `removed` with all entries of a document; false if it doesn't match.
    static func collectAll(
        of oldDocument: [UInt8], _ record: [UInt8], _ filter: Filter, _ entry: CollectionEntry,
        images: inout DocumentImages, _ keys: inout KeyCollector, _ removed: inout EntryList,
        _ scratch: inout MatchScratch
    ) throws -> Bool {
        let old = DocumentView(oldDocument.span.bytes)
        guard try filter.bound(to: entry).matches(old, &scratch) else { return false }
        images.keepBefore(old)
        removed.removeAll()
        for (ordinal, index) in entry.indexes.enumerated() {
            try keys.collect(old, record, index, ordinal, into: &removed)
        }
        return true
    }

    // MARK: Parts

    mutating func setRecordKey(_ key: RawSpan) {
        recordKey.removeAll()
        recordKey.append(copying: key)
    }

    /// Notes what the entries to be added need readers to know.
    private mutating func noteFlags(_ entry: CollectionEntry) {
        for position in 0..<added.count {
            let flags = entry.indexes[added.ordinal(position)].flags
            let parts = added.multikeyParts(position)
            if parts != 0, flags.note(multikeyParts: parts) { flagsChanged = true }
            if flags.note(inexactParts: added.inexactParts(position)) { flagsChanged = true }
            if added.isCut(position), flags.noteCutKey() { flagsChanged = true }
        }
    }

    /// Refuses entries whose parts another document has; while changes are repeated only notes
    /// them, since a later one may remove what stands in the way.
    /// - Parameter restoring: the `_id` of a document that comes back from the trash.
    private mutating func checkUnique(
        _ entry: CollectionEntry, restoring: OwnedValue? = nil,
        _ transaction: borrowing WriteTransaction
    ) throws {
        for position in 0..<added.count {
            let index = entry.indexes[added.ordinal(position)]
            guard index.refusesDuplicates else { continue }
            if let intents, let parts = IndexEntryKey.parts(in: added.key(position)) {
                try intents.check(index.table, parts, for: owner)
            }
            if defersUniqueness {
                unchecked.append(
                    UncheckedEntry(
                        key: [UInt8](copying: added.key(position)), index: index, entry: entry))
                continue
            }
            try UniqueCheck.check(
                added.key(position), index, entry, restoring: restoring, transaction)
        }
    }
}

/// Derives a document's entries in an index.
struct KeyCollector: ~Copyable {
    private var keys = IndexKeys()
    private var scratch = MatchScratch()

    /// Appends the document's entries; none where the index leaves it out.
    mutating func collect(
        _ document: DocumentView, _ record: [UInt8], _ index: IndexEntry, _ ordinal: Int,
        into list: inout EntryList
    ) throws {
        keys.removeAll()
        if let filter = index.partialFilter, try !filter.matches(document, &scratch) { return }
        try index.pattern.keys(of: document, sparse: index.isSparse, into: &keys)
        for position in 0..<keys.count {
            list.append(
                parts: keys[position], record: record.span.bytes, ordinal: ordinal,
                multikeyParts: keys.multikeyParts, inexactParts: keys.inexactParts)
        }
    }
}

/// The document before and after a findAndModify.
struct DocumentImages {
    /// Whether anyone wants them.
    var isWanted = false
    /// Fields that nobody is shown.
    var hidden: [String] = []
    /// The document as it was.
    private(set) var before: Document?
    /// The document as it is.
    private(set) var after: Document?

    /// Images for findAndModify.
    static var wanted: DocumentImages {
        var images = DocumentImages()
        images.isWanted = true
        return images
    }

    mutating func keepBefore(_ document: DocumentView) {
        if isWanted { before = Document(copying: document) }
    }

    mutating func keepAfter(_ document: DocumentView) {
        if isWanted { after = Document(copying: document) }
    }

    /// One of the documents as it may be shown.
    func shown(_ document: Document?) -> Document? {
        guard let document, !hidden.isEmpty else { return document }
        var writer = DocumentWriter()
        FieldMask.write(document.view, hiding: hidden, into: &writer)
        return Document(copying: DocumentView(writer.bytes.span.bytes))
    }
}
