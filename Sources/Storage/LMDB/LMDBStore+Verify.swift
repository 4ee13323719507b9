// Walks every entry of every table: keys strictly ascend, checksums hold, and the counts agree.
//
// Guarantees: a walk sees each table in slices of a bounded time, each on a new snapshot, so that
// it can run beside writes without holding freed pages. What only disagrees because of a commit
// between two slices is not reported: counts are compared where one snapshot served the whole
// table.

import CLMDB

extension LMDBStore {
    /// How long one snapshot is held, and after how many entries the clock is looked at.
    private static let sliceNanos: UInt64 = 500_000_000
    private static let sliceEntries = 1024

    /// Goes over every table and entry, or only some tables and the registry. `progress` is called now and then with what was seen so
    /// far. Throws where the walk itself can't go on (`damaged`, `closed` …); faults of single
    /// entries are in the report.
    package func verify(
        only tables: Set<TableID>? = nil, progress: (VerifyReport) -> Void = { _ in }
    ) throws(StorageError) -> VerifyReport {
        let reader = try makeReader()
        var report = VerifyReport()
        for entry in reader.tablesToVerify()
        where entry.table == .registry || tables?.contains(entry.table) ?? true {
            report.tables += 1
            try verify(entry, reader, &report, progress)
        }
        return report
    }

    private func verify(
        _ entry: TableMap.Entry, _ reader: Reader, _ report: inout VerifyReport,
        _ progress: (VerifyReport) -> Void
    ) throws(StorageError) {
        var walk = TableWalk()
        while !walk.isDone {
            let snapshot = try reader.pin()
            defer { reader.invalidate() }
            if walk.firstSnapshot == 0 { walk.firstSnapshot = snapshot }
            do throws(StorageError) {
                try slice(entry, reader, &walk, &report)
            } catch {
                // Dropped meanwhile: nothing left to verify.
                if case .noSuchTable = error { return }
                throw error
            }
            if walk.isDone, walk.firstSnapshot == snapshot {
                let expected = try countEntries(
                    reader.handle, entry, registry: reader.environment.registryHandle)
                if expected != walk.entries {
                    report.add(
                        entry.table, [],
                        "\(walk.entries) entries found, \(expected) counted")
                }
            }
            progress(report)
        }
    }

    /// Where the walk of one table is.
    private struct TableWalk {
        var previous: [UInt8] = []
        var entries: UInt64 = 0
        var firstSnapshot: UInt64 = 0
        var isDone = false
    }

    private func slice(
        _ entry: TableMap.Entry, _ reader: Reader, _ walk: inout TableWalk,
        _ report: inout VerifyReport
    ) throws(StorageError) {
        let deadline = Clock.nanos() + Self.sliceNanos
        var cursor = reader.makeCursor(entry)
        var found = try cursor.seek(to: walk.previous.span.bytes)
        // The entry at which the last slice ended was looked at.
        if found, !walk.previous.isEmpty, Array(copying: cursor.key) == walk.previous {
            found = try cursor.next()
        }
        while found {
            let key = Array(copying: cursor.key)
            if !walk.previous.isEmpty, !walk.previous.lexicographicallyPrecedes(key) {
                report.add(entry.table, key, "key out of order")
            }
            report.bytes += UInt64(key.count)
            do throws(StorageError) {
                report.bytes += UInt64(try cursor.value().byteCount)
            } catch {
                report.add(entry.table, key, "checksum failure")
            }
            walk.previous = key
            walk.entries += 1
            report.entries += 1
            if walk.entries.isMultiple(of: UInt64(Self.sliceEntries)), Clock.nanos() > deadline {
                return
            }
            found = try cursor.next()
        }
        walk.isDone = true
    }
}

extension LMDBStore.Reader {
    /// All live tables and the store's own registry.
    fileprivate func tablesToVerify() -> [TableMap.Entry] {
        let registry = TableMap.Entry(
            id: TableID.registry.rawValue, handle: environment.registryHandle, isShared: false)
        return [registry] + environment.tables.entries.filter { $0.isLive }
    }
}
