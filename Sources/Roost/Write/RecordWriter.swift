// Changing one document with all its index entries, on the writer thread.
//
// Every function checks all that can fail before its first put, so a refused statement leaves
// nothing behind and needs no nested transaction. Lent bytes die with the next put: what is needed
// after it is copied first.

import BSON
import Query
import Storage

/// Buffers that the writer thread reuses from statement to statement, and the index entries that
/// wait to be put in key order. Confined to the writer thread.
struct RecordWriter: ~Copyable {
    private var recordKey = KeyEncoder()
    private var keys = IndexKeys()
    private var added = EntryList()
    private var removed = EntryList()
    private var matchScratch = MatchScratch()
    private var updateScratch = UpdateScratch()
    private var newDocument = DocumentWriter()
    /// Entries of non-unique indexes that inserts have yet to put: sorted puts touch fewer pages.
    private var deferred = EntryList()
    /// Set when a flag of a collection or index became true.
    private(set) var flagsChanged = false

    // MARK: Insert

    /// Stores a prepared document.
    /// - Throws: `duplicateKey` and other `DBError`s before anything is put; `StorageError`.
    mutating func insert(
        _ document: DocumentView, into entry: CollectionEntry, builds: borrowing IndexBuilds,
        _ transaction: inout WriteTransaction
    ) throws {
        guard let id = document.value("_id") else {
            throw DBError(.invalidIdField, "The document has no _id")
        }
        if RecordKey.encode(id, into: &recordKey), entry.flags.noteCutKey() { flagsChanged = true }
        if try transaction.value(entry.table, recordKey.bytes.span.bytes) != nil {
            throw DuplicateKey.error(entry.namespace, id: id)
        }
        added.removeAll()
        for (ordinal, index) in entry.indexes.enumerated() {
            try collectKeys(of: document, index)
            try append(keys, ordinal, to: &added)
            if index.isUnique {
                try checkUnique(added, ordinal, index, entry, &transaction)
            }
        }
        noteFlags(entry)
        try transaction.put(
            entry.table, key: recordKey.bytes.span.bytes, value: document.bytes)
        for position in 0..<added.count {
            let index = entry.indexes[added.ordinal(position)]
            if index.isUnique {
                try transaction.put(index.table, key: added.key(position), value: RawSpan())
            } else {
                deferred.append(added.key(position), table: index.table)
            }
        }
        builds.note(recordKey.bytes, entry)
    }

    /// Puts the entries that inserts deferred, in key order. Must run before anything reads
    /// indexes or removes entries, and at the end of an operation.
    mutating func flush(_ transaction: inout WriteTransaction) throws {
        guard deferred.count > 0 else { return }
        deferred.sort()
        for position in 0..<deferred.count {
            try transaction.put(
                deferred.table(position), key: deferred.key(position), value: RawSpan())
        }
        deferred.removeAll()
    }

    /// Forgets deferred entries: the operation that made them is undone.
    mutating func discard() {
        deferred.removeAll()
        flagsChanged = false
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
        builds: borrowing IndexBuilds, images: inout DocumentImages,
        _ transaction: inout WriteTransaction
    ) throws -> Change {
        try flush(&transaction)
        guard let bytes = try transaction.value(entry.table, key) else { return .notMatched }
        let old = DocumentView(bytes)
        matchScratch.arrayPosition = nil
        guard try statement.target.filter.matches(old, &matchScratch) else { return .notMatched }
        images.keepBefore(old)
        newDocument.removeAll()
        let changed = try statement.update.apply(
            to: old, arrayPosition: matchScratch.arrayPosition, time: time,
            into: &newDocument, &updateScratch)
        guard changed else {
            images.keepAfter(old)
            return .unchanged
        }
        let new = DocumentView(newDocument.bytes.span.bytes)
        images.keepAfter(new)
        recordKey.removeAll()
        recordKey.append(copying: key)
        added.removeAll()
        removed.removeAll()
        for (ordinal, index) in entry.indexes.enumerated() {
            guard mayChange(index, statement.update) else { continue }
            try collectKeys(of: old, index)
            try append(keys, ordinal, to: &removed)
            try collectKeys(of: new, index)
            try append(keys, ordinal, to: &added)
        }
        if builds.isBuilding(entry) {
            // A build skips documents that a write touched, so their entries must all be there.
            removed.removeAll(notIn: added)
        } else {
            EntryList.removeCommon(&removed, &added)
        }
        for (ordinal, index) in entry.indexes.enumerated() where index.isUnique {
            try checkUnique(added, ordinal, index, entry, &transaction)
        }
        noteFlags(entry)
        for position in 0..<removed.count {
            _ = try transaction.delete(
                entry.indexes[removed.ordinal(position)].table, key: removed.key(position))
        }
        try transaction.put(
            entry.table, key: recordKey.bytes.span.bytes, value: newDocument.bytes.span.bytes)
        for position in 0..<added.count {
            try transaction.put(
                entry.indexes[added.ordinal(position)].table, key: added.key(position),
                value: RawSpan())
        }
        builds.note(recordKey.bytes, entry)
        return .changed
    }

    /// The document that an upsert inserts.
    mutating func upsertDocument(
        of statement: UpdateStatement, time: WriteTime
    ) throws(DBError) -> [UInt8] {
        var writer = DocumentWriter()
        try statement.update.upsertDocument(
            query: statement.target.filterDocument.view, time: time, into: &writer, &updateScratch)
        return writer.take()
    }

    private func mayChange(_ index: IndexEntry, _ update: Update) -> Bool {
        guard index.partialFilter == nil, index.isReady else { return true }
        return index.pattern.parts.contains { update.touches($0.path) }
    }

    // MARK: Delete

    /// Removes the document with that record key if it still matches.
    mutating func delete(
        _ key: RawSpan, _ filter: Filter?, _ entry: CollectionEntry,
        builds: borrowing IndexBuilds, images: inout DocumentImages,
        _ transaction: inout WriteTransaction
    ) throws -> Bool {
        try flush(&transaction)
        guard let bytes = try transaction.value(entry.table, key) else { return false }
        let old = DocumentView(bytes)
        if let filter, try !filter.matches(old, &matchScratch) { return false }
        images.keepBefore(old)
        recordKey.removeAll()
        recordKey.append(copying: key)
        removed.removeAll()
        for (ordinal, index) in entry.indexes.enumerated() {
            try collectKeys(of: old, index)
            try append(keys, ordinal, to: &removed)
        }
        for position in 0..<removed.count {
            _ = try transaction.delete(
                entry.indexes[removed.ordinal(position)].table, key: removed.key(position))
        }
        _ = try transaction.delete(entry.table, key: recordKey.bytes.span.bytes)
        builds.note(recordKey.bytes, entry)
        return true
    }

    // MARK: Keys

    /// Fills `keys` with the document's keys in an index; none where the index leaves it out.
    private mutating func collectKeys(of document: DocumentView, _ index: IndexEntry) throws {
        keys.removeAll()
        if let filter = index.partialFilter, try !filter.matches(document, &matchScratch) { return }
        try index.pattern.keys(of: document, sparse: index.isSparse, into: &keys)
    }

    /// Appends the collected keys as entries of the document whose record key is at hand.
    private func append(
        _ keys: borrowing IndexKeys, _ ordinal: Int, to list: inout EntryList
    ) throws {
        for position in 0..<keys.count {
            list.append(
                parts: keys.span(position), record: recordKey.bytes.span.bytes, ordinal: ordinal,
                multikeyParts: keys.multikeyParts)
        }
    }

    /// Notes what the entries to be added need readers to know.
    private mutating func noteFlags(_ entry: CollectionEntry) {
        for position in 0..<added.count {
            let flags = entry.indexes[added.ordinal(position)].flags
            let parts = added.multikeyParts(position)
            if parts != 0, flags.note(multikeyParts: parts) { flagsChanged = true }
            if added.isCut(position), flags.noteCutKey() { flagsChanged = true }
        }
    }

    /// Refuses entries whose parts another document has.
    private func checkUnique(
        _ list: borrowing EntryList, _ ordinal: Int, _ index: IndexEntry, _ entry: CollectionEntry,
        _ transaction: inout WriteTransaction
    ) throws {
        for position in 0..<list.count where list.ordinal(position) == ordinal {
            try UniqueCheck.check(
                list.key(position), index, entry, &transaction)
        }
    }
}

/// The document before and after a findAndModify.
struct DocumentImages {
    /// Whether anyone wants them.
    var isWanted = false
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
}
