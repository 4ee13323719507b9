// Checking a folder: every document readable and in its place, every index entry against its
// document and back.
//
// The check runs on one snapshot. For each document it derives the entries that each index must
// hold and looks them up; then the numbers of derived and of stored entries must agree, which
// leaves no room for an entry without a document.

package import BSON
package import Query
import Storage

/// Something wrong in a folder.
package struct Fault: Sendable, CustomStringConvertible {
    /// Where: a namespace, with an index's name where one is concerned.
    package let place: String
    /// What is wrong, and with which document.
    package let problem: String

    /// `place: problem`.
    package var description: String { "\(place): \(problem)" }
}

/// What a check of a folder found.
package struct VerificationReport: Sendable {
    /// Collections checked.
    package fileprivate(set) var collections = 0
    /// Documents checked.
    package fileprivate(set) var documents = 0
    /// Deleted documents checked, which the trash keeps.
    package internal(set) var deletedDocuments = 0
    /// Index entries checked.
    package fileprivate(set) var entries = 0
    /// Records of the change log checked.
    package internal(set) var changes = 0
    /// What is wrong; empty where all is well.
    package fileprivate(set) var faults: [Fault] = []
    /// Faults beyond those listed.
    package fileprivate(set) var faultsOmitted = 0

    /// Most faults listed.
    static let faultsMax = 1_000

    mutating func add(_ place: String, _ problem: String) {
        if faults.count < Self.faultsMax {
            faults.append(Fault(place: place, problem: problem))
        } else {
            faultsOmitted += 1
        }
    }
}

extension RoostEngine {
    /// Checks every collection, or only one, until `interrupt` ends it. Holds one snapshot while it
    /// runs.
    /// - Throws: `DBError` when the check itself can't go on; faults are in the report.
    package func verify(
        _ namespace: Namespace? = nil, _ interrupt: Interrupt? = nil
    ) throws(DBError) -> VerificationReport {
        do {
            let reader = try store.makeReader()
            var report = VerificationReport()
            if namespace == nil {
                addStoreFaults(&report, try store.verify(only: [.catalog, .outcomes, .accounts]))
            }
            for entry in catalog.collections.values
            where namespace == nil || entry.namespace == namespace {
                try verify(entry, reader, interrupt, &report)
            }
            if namespace == nil {
                try verifyTrash(reader, interrupt, &report)
                try report.noting(damageOf: "change log") { report in
                    try reader.read { transaction in try LogCheck.run(transaction, &report) }
                }
            }
            return report
        } catch {
            throw DBError(engineFailure: error)
        }
    }
}

extension RoostEngine {
    /// How often a collection is checked again when its indexes change meanwhile.
    private static let checksMax = 20

    /// Checks one collection. Beside a running server it may change between the look at the catalog
    /// and the snapshot; what was found is only told where it stood still.
    private func verify(
        _ listed: CollectionEntry, _ reader: Reader, _ interrupt: Interrupt?,
        _ report: inout VerificationReport
    ) throws {
        var entry = listed
        var isGone = false
        for _ in 0..<Self.checksMax {
            var found = report
            found.collections += 1
            isGone = false
            do {
                try reader.read { transaction in
                    var check = CollectionCheck(entry, interrupt)
                    try found.noting(damageOf: "\(entry.namespace)") { report in
                        try check.run(transaction, &report)
                    }
                }
            } catch StorageError.noSuchTable {
                isGone = true
            }
            guard let now = collection(entry.namespace) else { return }
            if now === entry, !isGone {
                report = found
                return
            }
            entry = now
        }
        if isGone {
            return report.add("\(entry.namespace)", "its table, or that of an index, is missing")
        }
        throw DBError(
            .queryPlanKilled,
            "The indexes of \(entry.namespace) changed during each of \(Self.checksMax) checks; try "
                + "again when they stand still")
    }

    /// Checks the trash, again where collections came or went meanwhile.
    private func verifyTrash(
        _ reader: Reader, _ interrupt: Interrupt?, _ report: inout VerificationReport
    ) throws {
        for _ in 0..<Self.checksMax {
            let before = catalog
            var found = report
            try reader.read { transaction in
                var check = TrashCheck(before, interrupt)
                try found.noting(damageOf: "trash") { report in
                    try check.run(transaction, &report)
                }
            }
            guard catalogVersion == before.version else { continue }
            report = found
            return
        }
        throw DBError(
            .queryPlanKilled,
            "Collections came or went during each of \(Self.checksMax) checks of the trash; try again "
                + "when they stand still")
    }

    /// What is wrong below the documents: pages, and the engine's own tables.
    private func addStoreFaults(_ report: inout VerificationReport, _ found: VerifyReport) {
        var places: [TableID: String] = [
            .catalog: "catalog", .changeLog: "change log",
            .outcomes: "outcomes of retryable writes", .trash: "trash",
            .accounts: "users, roles and keys",
        ]
        for entry in catalog.collections.values {
            places[entry.table] = "\(entry.namespace)"
            if let table = entry.idTable { places[table] = "\(entry.namespace)" }
            for index in entry.indexes {
                places[index.table] = "\(entry.namespace) index \(index.name)"
            }
        }
        for fault in store.pageReport.faults {
            report.add(fault.table.flatMap { places[$0] } ?? "data file", fault.description)
        }
        for fault in store.redoFaults { report.add("redo log", fault) }
        for fault in found.faults {
            report.add(places[fault.table] ?? "\(fault.table)", fault.description)
        }
    }
}

extension VerificationReport {
    /// Runs a part of the check; a table that can't be read ends that part.
    fileprivate mutating func noting(
        damageOf place: String, _ body: (inout VerificationReport) throws -> Void
    ) throws {
        do {
            try body(&self)
        } catch let error as StorageError {
            guard case .damaged = error else { throw error }
            add(place, "\(error)")
        }
    }
}

/// The check of one collection.
private struct CollectionCheck: ~Copyable {
    let entry: CollectionEntry
    var expected: [UInt64]
    /// Which indexes are ready and have no damaged pages.
    var isReadable: [Bool]
    var recordKey = KeyEncoder()
    var keys = IndexKeys()
    var scratch = MatchScratch()

    var interrupts: InterruptMeter

    init(_ entry: CollectionEntry, _ interrupt: Interrupt?) {
        self.entry = entry
        interrupts = InterruptMeter(interrupt)
        expected = [UInt64](repeating: 0, count: entry.indexes.count)
        isReadable = [Bool](repeating: false, count: entry.indexes.count)
    }

    mutating func run(
        _ transaction: borrowing ReadTransaction, _ report: inout VerificationReport
    ) throws {
        for (ordinal, index) in entry.indexes.enumerated() where index.isReady {
            try report.noting(damageOf: "\(entry.namespace) index \(index.name)") { _ in
                _ = try transaction.entryCount(index.table)
                isReadable[ordinal] = true
            }
        }
        var cursor = transaction.cursor(entry.table)
        while try cursor.next() {
            report.documents += 1
            try interrupts.spend(256)
            do {
                try check(DocumentView(try cursor.value()), cursor.key, transaction, &report)
            } catch let error as StorageError {
                guard case .corrupted = error else { throw error }
                report.add("\(entry.namespace)", "\(error)")
            } catch let error as DBError {
                report.add("\(entry.namespace)", "\(describe(cursor.key)): \(error.message)")
            }
        }
        for (ordinal, index) in entry.indexes.enumerated() where isReadable[ordinal] {
            try checkEntries(ordinal, index, transaction, &report)
        }
    }

    /// A document: valid BSON, under its key, with its entries in every index.
    private mutating func check(
        _ document: DocumentView, _ key: RawSpan, _ transaction: borrowing ReadTransaction,
        _ report: inout VerificationReport
    ) throws {
        try validate(document: document.bytes)
        guard let id = document.value("_id") else {
            report.add("\(entry.namespace)", "\(describe(key)): the document has no _id")
            return
        }
        if let timeSeries = entry.traits.timeSeries {
            try timeSeries.encodeKey(of: document, entry.collation, into: &recordKey)
        } else {
            _ = RecordKey.encode(id, entry.collation, into: &recordKey)
        }
        if !(try isInPlace(key, transaction)) {
            report.add(
                "\(entry.namespace)",
                "_id \(ShellNotation.string(id)) lies under another key: \(describe(key))")
        }
        for (ordinal, index) in entry.indexes.enumerated() where isReadable[ordinal] {
            keys.removeAll()
            if let filter = index.partialFilter, try !filter.matches(document, &scratch) {
                continue
            }
            try index.pattern.keys(of: document, sparse: index.isSparse, into: &keys)
            expected[ordinal] += UInt64(keys.count)
            for position in 0..<keys.count {
                var entryKey: [UInt8] = []
                _ = IndexEntryKey.append(parts: keys[position], record: key, to: &entryKey)
                if try transaction.value(index.table, entryKey.span.bytes) == nil {
                    report.add(
                        "\(entry.namespace) index \(index.name)",
                        "no entry for the document with _id \(ShellNotation.string(id))")
                }
            }
        }
    }

    /// Whether the document whose `_id` is in `recordKey` is found under `key`.
    private func isInPlace(
        _ key: RawSpan, _ transaction: borrowing ReadTransaction
    ) throws -> Bool {
        guard let idTable = entry.idTable else {
            // Behind the key that time and `_id` give may stand a copy's number.
            return entry.traits.timeSeries == nil
                ? recordKey.bytes.span.bytes.equals(key)
                : key.starts(with: recordKey.bytes.span.bytes)
        }
        guard let place = try transaction.value(idTable, recordKey.bytes.span.bytes) else {
            return false
        }
        return place.equals(key)
    }

    /// An index's entries: readable, in order, as many as the documents call for.
    private mutating func checkEntries(
        _ ordinal: Int, _ index: IndexEntry, _ transaction: borrowing ReadTransaction,
        _ report: inout VerificationReport
    ) throws {
        let place = "\(entry.namespace) index \(index.name)"
        var cursor = transaction.cursor(index.table)
        var count: UInt64 = 0
        while try cursor.next() {
            count += 1
            try interrupts.spend(64)
            do {
                _ = try cursor.value()
            } catch {
                guard case .corrupted = error else { throw error }
                report.add(place, "\(error)")
            }
            guard let record = IndexEntryKey.record(in: cursor.key) else {
                report.add(place, "an entry's key makes no sense: \(describe(cursor.key))")
                continue
            }
            if try transaction.value(entry.table, record) == nil {
                report.add(place, "an entry without its document: \(describe(cursor.key))")
            }
        }
        report.entries += Int(count)
        if count != expected[ordinal] {
            report.add(
                place, "\(count) entries where the documents call for \(expected[ordinal])")
        }
    }

    private func describe(_ key: RawSpan) -> String {
        var text = "key "
        for index in 0..<key.byteCount {
            let byte = key.unsafeLoad(fromByteOffset: index, as: UInt8.self)
            text += (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }
        return text
    }
}
