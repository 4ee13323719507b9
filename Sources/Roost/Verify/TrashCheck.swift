// Checking the trash: every record readable, under the key of its `_id`, of a collection that is
// there, and counted; every entry by age with its record.

import BSON
import Query
import Storage

/// The check of all deleted documents, on one snapshot.
struct TrashCheck {
    /// What was met of one collection.
    private struct Found {
        var totals = TrashTotals()
        var ages: Int64 = 0
    }

    private static let place = "trash"

    /// The collections by their part of the trash.
    private let owners: [TrashID: CollectionEntry]
    private var found: [TrashID: Found] = [:]
    private var key = KeyEncoder()
    private var interrupts: InterruptMeter

    init(_ catalog: CatalogSnapshot, _ interrupt: Interrupt?) {
        var owners: [TrashID: CollectionEntry] = [:]
        for entry in catalog.collections.values { owners[entry.trash] = entry }
        self.owners = owners
        interrupts = InterruptMeter(interrupt)
    }

    /// Goes over the whole table.
    mutating func run(
        _ transaction: borrowing ReadTransaction, _ report: inout VerificationReport
    ) throws {
        // A folder of an earlier release that can't be written has no trash.
        guard try transaction.has(.trash) else { return }
        var dropped: Set<TrashID> = []
        var marks = transaction.cursor(.trash)
        let prefix = TrashKey.prefix(.dropped)
        var isMarked = try marks.seek(to: prefix.span.bytes)
        while isMarked, marks.key.starts(with: prefix.span.bytes) {
            if let id = TrashKey.kind(of: marks.key)?.id { dropped.insert(id) }
            isMarked = try marks.next()
        }
        var cursor = transaction.cursor(.trash)
        while try cursor.next() {
            try interrupts.spend(64)
            do {
                let value = try cursor.value()
                if let id = TrashKey.id(in: cursor.key) {
                    // What a dropped collection left is nobody's, and is on its way out.
                    if dropped.contains(id) { continue }
                    report.deletedDocuments += 1
                    try check(value, cursor.key, id, transaction, &report)
                } else if let (kind, id) = TrashKey.kind(of: cursor.key) {
                    if kind == .age, !dropped.contains(id) {
                        try checkAge(cursor.key, id, transaction, &report)
                    }
                } else {
                    report.add(Self.place, "an entry's key makes no sense: \(describe(cursor.key))")
                }
            } catch let error as StorageError {
                guard case .corrupted = error else { throw error }
                report.add(Self.place, "\(error)")
            } catch let error as DBError {
                report.add(Self.place, "\(describe(cursor.key)): \(error.message)")
            }
        }
        try checkTotals(transaction, dropped, &report)
    }

    /// A record: a document of a collection, under the key of its `_id`, known by its age.
    private mutating func check(
        _ value: RawSpan, _ recordKey: RawSpan, _ id: TrashID,
        _ transaction: borrowing ReadTransaction, _ report: inout VerificationReport
    ) throws {
        found[id, default: Found()].totals.count += 1
        found[id, default: Found()].totals.bytes += Int64(value.byteCount)
        let record = try TrashRecord(value)
        try validate(document: record.document.bytes)
        guard let owner = owners[id] else {
            report.add(
                Self.place,
                "\(describe(recordKey)): a deleted document of a collection that is not "
                    + "there (table \(id.rawValue))")
            return
        }
        guard let documentID = record.document.value("_id") else {
            return report.add(
                "\(owner.namespace) trash", "\(describe(recordKey)): the document has no _id")
        }
        _ = RecordKey.encode(documentID, owner.collation, into: &key)
        let suffix = TrashKey.record(in: recordKey)
        if !key.bytes.span.bytes.equals(suffix) {
            report.add(
                "\(owner.namespace) trash",
                "_id \(ShellNotation.string(documentID)) lies under another key: "
                    + describe(recordKey))
        }
        let age = TrashKey.age(id, record.millis, suffix)
        if try transaction.value(.trash, age.span.bytes) == nil {
            report.add(
                "\(owner.namespace) trash",
                "the deleted document with _id \(ShellNotation.string(documentID)) is not known by "
                    + "its age, so that it would never be purged")
        }
    }

    /// An entry by age: its record is there.
    private mutating func checkAge(
        _ ageKey: RawSpan, _ id: TrashID, _ transaction: borrowing ReadTransaction,
        _ report: inout VerificationReport
    ) throws {
        found[id, default: Found()].ages += 1
        guard let suffix = TrashKey.record(inAge: ageKey) else {
            return report.add(Self.place, "an entry's key makes no sense: \(describe(ageKey))")
        }
        let recordKey = TrashKey.record(id, suffix.span.bytes)
        guard let value = try transaction.value(.trash, recordKey.span.bytes) else {
            return report.add(Self.place, "an age without its document: \(describe(ageKey))")
        }
        if try TrashRecord(value).millis != TrashKey.millis(inAge: ageKey) {
            report.add(Self.place, "an age that is not its document's: \(describe(ageKey))")
        }
    }

    /// The counts that the table keeps agree with what is there.
    private func checkTotals(
        _ transaction: borrowing ReadTransaction, _ dropped: Set<TrashID>,
        _ report: inout VerificationReport
    ) throws {
        for id in Set(found.keys).union(owners.keys) where !dropped.contains(id) {
            let met = found[id] ?? Found()
            let kept = try TrashTable.totals(id, transaction)
            let place = owners[id].map { "\($0.namespace) trash" } ?? Self.place
            if met.totals != kept {
                report.add(
                    place,
                    "\(met.totals.count) deleted documents of \(met.totals.bytes) bytes where "
                        + "\(kept.count) of \(kept.bytes) are counted")
            }
            if met.ages != met.totals.count {
                report.add(
                    place, "\(met.ages) entries by age for \(met.totals.count) deleted documents")
            }
        }
    }

    private func describe(_ key: RawSpan) -> String {
        var text = "key "
        for byte in [UInt8](copying: key) {
            text += (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }
        return text
    }
}
