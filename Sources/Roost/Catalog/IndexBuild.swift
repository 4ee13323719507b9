// Building indexes over documents that are there.
//
// A build runs beside other commands:
//   1. The catalog lists the index as not ready; from now on writes keep its entries (IndexBuilds).
//   2. A reader thread scans the collection in short snapshots and sorts the entries, in memory
//      up to a bound and in temporary files beyond it (ExternalSorter).
//   3. The writer puts the sorted entries in small operations, leaving out those of documents that
//      a write has touched meanwhile: these have their entries already.
//   4. The catalog lists the index as ready.
// A duplicate in a unique index ends the build and removes the index. A build that the process
// doesn't survive is removed when the folder is opened again.

import BSON
import Query
import Storage

/// The build of one createIndexes command.
// Unchecked: `progress` aside, each step ends by handing the build on to the next thread.
final class IndexBuild: @unchecked Sendable {
    /// Entries put by one operation on the writer thread.
    static let entriesPerOperation = 2_000
    /// How long one scan holds its snapshot.
    static let sliceMax = Duration.milliseconds(10)

    private let engine: RoostEngine
    private let namespace: Namespace
    private let indexes: [IndexEntry]
    private let interrupt: Interrupt
    private let completion: @Sendable (DBError?) -> Void
    /// How far the build is.
    let progress = BuildProgress()

    init(
        _ engine: RoostEngine, _ namespace: Namespace, _ indexes: [IndexEntry],
        _ interrupt: Interrupt, completion: @escaping @Sendable (DBError?) -> Void
    ) {
        self.engine = engine
        self.namespace = namespace
        self.indexes = indexes
        self.interrupt = interrupt
        self.completion = completion
    }

    /// Starts the build on a thread of its own.
    func start() {
        engine.background.start { self.run() }
    }

    private func run() {
        engine.builds.add(
            BuildList.Item(
                namespace: namespace, indexes: indexes.map(\.name), progress: progress,
                interrupt: interrupt))
        defer { engine.builds.remove(progress) }
        do {
            let reader = try engine.store.makeReader()
            let sorters = try scan(reader)
            for (index, sorter) in zip(indexes, sorters) {
                try load(index, sorter)
            }
            try finish()
            completion(nil)
        } catch {
            let failure = DBError(engineFailure: error)
            giveUp()
            completion(failure)
        }
    }

    // MARK: Scan

    /// Reads every document and collects its keys, an ExternalSorter for each index.
    private func scan(_ reader: Reader) throws -> [ExternalSorter] {
        let sorters = indexes.map { _ in ExternalSorter(folder: engine.temporaryFolder) }
        guard let entry = engine.collection(namespace) else { throw Self.dropped(namespace) }
        var last: [UInt8]?
        var isAtEnd = false
        while !isAtEnd {
            isAtEnd = try reader.read { transaction in
                try scanSlice(entry, &last, sorters, transaction)
            }
            try checkStillWanted()
        }
        return sorters
    }

    /// Scans on from `last` for one slice; true at the end of the collection.
    private func scanSlice(
        _ entry: CollectionEntry, _ last: inout [UInt8]?, _ sorters: [ExternalSorter],
        _ transaction: borrowing ReadTransaction
    ) throws -> Bool {
        progress.note(total: Int(try transaction.entryCount(entry.table)))
        let end = ContinuousClock.now + Self.sliceMax
        var keys = IndexKeys()
        var scratch = MatchScratch()
        var cursor = transaction.cursor(entry.table)
        var found: Bool
        if let last {
            found = try cursor.seek(to: last.span.bytes)
            if found, cursor.key.equals(last.span.bytes) { found = try cursor.next() }
        } else {
            found = try cursor.first()
        }
        var scanned = 0
        while found {
            try collect(DocumentView(try cursor.value()), cursor.key, sorters, &keys, &scratch)
            scanned += 1
            if scanned & 63 == 0, ContinuousClock.now > end {
                last = [UInt8](copying: cursor.key)
                progress.note(scanned: scanned)
                for sorter in sorters { try sorter.spillIfLarge() }
                return false
            }
            found = try cursor.next()
        }
        progress.note(scanned: scanned)
        return true
    }

    /// Hands a document's keys to the sorters. Flags are set before the index becomes ready, so
    /// before any reader uses it.
    private func collect(
        _ document: DocumentView, _ record: RawSpan, _ sorters: [ExternalSorter],
        _ keys: inout IndexKeys, _ scratch: inout MatchScratch
    ) throws {
        for (index, sorter) in zip(indexes, sorters) {
            // A large document may mean many entries.
            try interrupt.check()
            keys.removeAll()
            if let filter = index.partialFilter, try !filter.matches(document, &scratch) {
                continue
            }
            try index.pattern.keys(of: document, sparse: index.isSparse, into: &keys)
            for position in 0..<keys.count {
                sorter.add(parts: keys[position], record: record)
                if sorter.lastWasCut { _ = index.flags.noteCutKey() }
            }
            _ = index.flags.note(inexactParts: keys.inexactParts)
            if keys.multikeyParts != 0 {
                _ = index.flags.note(multikeyParts: keys.multikeyParts)
            }
        }
    }

    // MARK: Load

    /// Puts the sorted entries of one index.
    private func load(_ index: IndexEntry, _ sorter: ExternalSorter) throws {
        let writer = engine.writer
        let namespace = namespace
        var merge = try sorter.sorted()
        while true {
            try interrupt.check()
            let chunk = try merge.next(Self.entriesPerOperation)
            if chunk.isEmpty { break }
            try engine.submitAndWait { transaction in
                try writer.putBuilt(chunk, index, namespace, &transaction)
            }
            progress.note(loaded: chunk.count)
        }
    }

    // MARK: End

    private func finish() throws {
        let writer = engine.writer
        let namespace = namespace
        let names = Set(indexes.map(\.name))
        try engine.submitAndWait { transaction in
            guard let entry = writer.catalog[namespace] else { throw Self.dropped(namespace) }
            let indexes = entry.indexes.map { names.contains($0.name) ? $0.ready() : $0 }
            writer.log.note(
                .createIndexes, entry,
                .listing(
                    indexes: entry.indexes.filter { names.contains($0.name) }
                        .map(\.specification)))
            try writer.save(entry.with(indexes: indexes), &transaction)
            for index in entry.indexes where names.contains(index.name) {
                writer.builds.end(index.table)
            }
        }
    }

    private func giveUp() {
        let writer = engine.writer
        let namespace = namespace
        let tables = Set(indexes.map(\.table))
        // Where even this fails the store refuses writes; the next open removes the index.
        try? engine.submitAndWait { transaction in
            for table in tables { writer.builds.end(table) }
            guard let entry = writer.catalog[namespace] else { return }
            for index in entry.indexes where tables.contains(index.table) {
                try transaction.dropTable(index.table)
            }
            let kept = entry.indexes.filter { !tables.contains($0.table) }
            try writer.save(entry.with(indexes: kept), &transaction)
        }
    }

    private func checkStillWanted() throws {
        let tables = Set(indexes.map(\.table))
        guard let entry = engine.collection(namespace),
            entry.indexes.count(where: { tables.contains($0.table) }) == tables.count
        else { throw Self.dropped(namespace) }
    }

    private static func dropped(_ namespace: Namespace) -> DBError {
        DBError(
            DBError.Code(rawValue: 276),
            "Index build aborted: the index or its collection \(namespace) was dropped")
    }
}

extension WriterState {
    /// Puts entries of a build, in key order, leaving out documents that writes have touched.
    /// - Throws: `duplicateKey` before any put.
    fileprivate func putBuilt(
        _ chunk: [[UInt8]], _ index: IndexEntry, _ namespace: Namespace,
        _ transaction: inout WriteTransaction
    ) throws {
        guard let entry = catalog[namespace],
            entry.indexes.contains(where: { $0.table == index.table })
        else {
            throw DBError(
                DBError.Code(rawValue: 276),
                "Index build aborted: the index or its collection \(namespace) was dropped")
        }
        var wanted: [[UInt8]] = []
        wanted.reserveCapacity(chunk.count)
        var previous: [UInt8] = []
        for key in chunk {
            let span = key.span.bytes
            guard let record = IndexEntryKey.record(in: span),
                !builds.isTouched([UInt8](copying: record), by: index.table)
            else { continue }
            if index.isUnique {
                try UniqueCheck.check(span, index, entry, transaction)
                try UniqueCheck.check(span, follows: previous.span.bytes, index, entry, transaction)
                previous = key
            }
            wanted.append(key)
        }
        for key in wanted {
            try transaction.append(index.table, key: key.span.bytes, value: RawSpan())
        }
    }
}
