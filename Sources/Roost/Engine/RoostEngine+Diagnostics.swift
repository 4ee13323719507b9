// Numbers about what is stored and how the store is doing.

package import BSON
import Storage

extension RoostEngine {
    /// A snapshot of its own for one thread or event loop.
    /// - Throws: `DBError` where no more can be had.
    package func makeReader() throws(DBError) -> Reader {
        do {
            return try store.makeReader()
        } catch {
            throw DBError(storage: error)
        }
    }

    /// Writes that wait for the writer thread.
    package var queuedWrites: Int { store.statistics().queuedOperations }

    /// Bytes in the data file, up to the last page ever used.
    package var fileBytes: UInt64 { store.statistics().fileBytes }

    /// The most that the data file may hold, in bytes.
    package var quotaBytes: UInt64 { store.statistics().quotaBytes }

    /// What the folder may grow to and what is used of that, in bytes: the quota and the file, or
    /// without a quota the file system, with what others keep there.
    package var space: (total: UInt64, used: UInt64) {
        let statistics = store.statistics()
        if let disk = statistics.disk, !statistics.hasQuota {
            return (disk.totalBytes, disk.totalBytes - min(disk.freeBytes, disk.totalBytes))
        }
        return (statistics.quotaBytes, statistics.fileBytes)
    }

    /// What was wrong with the pages of the file when it was opened; nil for nothing. Nothing is
    /// written then.
    package var pageDamage: String? {
        store.pageReport.isSound ? nil : store.pageReport.summary
    }

    /// Why nothing is written; nil while writes work.
    package var writesStoppedReason: String? { store.statistics().writesStoppedReason }

    /// Why ordinary writes would be refused now: stopped, or no room; nil while they work.
    package var writeRefusal: String? {
        store.writeRefusal().map { DBError(engineFailure: $0).message }
    }

    /// How many have locked writes out.
    package var writeLocks: Int { store.writeLocks }

    /// Has writes wait, and brings the folder's files to rest, so that they can be copied. Answers on
    /// a thread of its own how many locks there are; nil, and not locked, where that took longer than
    /// `timeoutMillis`.
    package func lockWrites(
        timeoutMillis: UInt64, completion: @escaping @Sendable (Result<Int?, DBError>) -> Void
    ) {
        background.start { [store] in
            do throws(StorageError) {
                completion(.success(try store.lockWrites(timeoutMillis: timeoutMillis)))
            } catch {
                completion(.failure(DBError(storage: error)))
            }
        }
    }

    /// The process that uses a folder; nil where none does.
    package static func owner(of path: String) -> Int32? { Store.owner(of: path) }

    /// Bytes of the data file that hold nothing, and are used again for what is written next.
    package var freeBytes: UInt64 { store.freeBytes }

    /// Makes a folder's data file anew, without free pages; answers its sizes before and after.
    /// `progress` is told the bytes of entries copied, a batch at a time. Killed at any instant,
    /// nothing is lost.
    /// - Throws: `DBError` where the folder is in use, damaged, or has no room for the copy.
    package static func compact(
        path: String, progress: (_ byteCount: Int) -> Void = { _ in }
    ) throws(DBError) -> (before: UInt64, after: UInt64) {
        do throws(StorageError) {
            return try Store.compact(path: path, progress: progress)
        } catch {
            throw DBError(storage: error)
        }
    }

    /// Ends all locks.
    package func liftWriteLocks() {
        while store.unlockWrites() != nil {}
    }

    /// Ends one lock; answers how many are left, nil where there was none.
    package func unlockWrites() -> Int? { store.unlockWrites() }

    /// From now on a page of the file that can't be read ends the process with a clear message and
    /// status; for a process with this one engine.
    package func explainFaults() { MapFault.explain(folder: path) }

    /// The store's counters, for `serverStatus`.
    package var statistics: Document {
        let statistics = store.statistics()
        return Document { writer in
            writer.append("fileBytes", Int64(clamping: statistics.fileBytes))
            writer.append("freeBytes", Int64(clamping: store.freeBytes))
            writer.append("quotaBytes", Int64(clamping: statistics.quotaBytes))
            writer.append("oldestReaderMillis", Int64(clamping: statistics.oldestReaderMillis))
            writer.append("readers", Int64(statistics.readers))
            writer.append("queuedOperations", Int64(statistics.queuedOperations))
            writer.append("operationsFailed", Int64(clamping: statistics.operationsFailed))
            writer.append("tables", Int64(statistics.tables))
            writer.append("tablesDropping", Int64(statistics.tablesDropping))
            writer.append("groupSizes", Self.document(statistics.groupSizes))
            writer.append("commitMicros", Self.document(statistics.commitMicros))
            if let reason = statistics.writesStoppedReason {
                writer.append("writesStoppedReason", reason)
            }
        }
    }

    /// The redo log and its checkpoints, for `serverStatus`.
    package var redoStatistics: Document {
        let statistics = store.statistics()
        let redo = statistics.redo
        return Document { writer in
            writer.append("logBytes", Int64(clamping: redo.logBytes))
            writer.append("segmentBytes", Int64(clamping: redo.segmentBytes))
            writer.append("groupSizes", Self.document(statistics.groupSizes))
            writer.append("syncMicros", Self.document(redo.syncMicros))
            writer.append("checkpointMicros", Self.document(redo.checkpointMicros))
            writer.append("checkpointAgeMillis", Int64(clamping: redo.checkpointAgeMillis))
            writer.append("checkpointLogBytes", Int64(clamping: redo.checkpointLogBytes))
            writer.append("replayedCommits", Int64(clamping: redo.replayedCommits))
            writer.append("replayedBytes", Int64(clamping: redo.replayedBytes))
            writer.append("replayMillis", Int64(clamping: redo.replayMillis))
        }
    }

    /// Element i of `powersOfTwo` counts values from 2^i up to twice that.
    private static func document(_ histogram: StoreStatistics.Histogram) -> Document {
        let used = histogram.buckets.lastIndex { $0 > 0 }.map { $0 + 1 } ?? 0
        return Document { writer in
            writer.append("count", Int64(clamping: histogram.count))
            writer.append("sum", Int64(clamping: histogram.sum))
            writer.append("max", Int64(clamping: histogram.max))
            writer.append(
                "powersOfTwo",
                .array(histogram.buckets[..<used].map { .int64(Int64(clamping: $0)) }))
        }
    }

    /// How much is in a collection, in one snapshot.
    /// - Throws: `DBError`.
    package func numbers(
        of entry: CollectionEntry, _ reader: Reader
    ) throws(DBError) -> CollectionNumbers {
        do {
            return try reader.read { transaction in
                var numbers = CollectionNumbers()
                numbers.documents = Int(clamping: try transaction.count(entry.table))
                numbers.trash = try TrashTable.totals(entry.trash, transaction)
                for index in entry.indexes {
                    numbers.entries.append(
                        (index.name, Int(clamping: try transaction.count(index.table))))
                }
                guard numbers.documents > 0 else { return numbers }
                var cursor = transaction.cursor(entry.table)
                var sampled = 0
                var bytes = 0
                while sampled < CollectionNumbers.sampleMax, try cursor.next() {
                    bytes += try cursor.value().byteCount
                    sampled += 1
                }
                numbers.averageBytes = sampled == 0 ? 0 : bytes / sampled
                return numbers
            }
        } catch {
            throw DBError(engineFailure: error)
        }
    }
}

/// How much is in a collection. Documents and entries are exact; bytes are estimated from a sample,
/// since the store doesn't count them for each table.
package struct CollectionNumbers: Sendable {
    /// Documents looked at for the average size.
    static let sampleMax = 256
    /// About how many bytes an index entry takes.
    package static let entryBytes = 48

    /// Documents.
    package internal(set) var documents = 0
    /// Average size of a document, in bytes.
    package internal(set) var averageBytes = 0
    /// Deleted documents that are kept; exact.
    package internal(set) var trash = TrashTotals()
    /// Entries by index name, the `_id` index left out.
    package internal(set) var entries: [(name: String, count: Int)] = []

    /// The numbers of an empty collection.
    package init() {}

    /// Those of what is no collection of its own: so many documents, of whose bytes nothing is
    /// known.
    package init(documents: Int) {
        self.documents = documents
    }

    /// About how many bytes the documents take.
    package var dataBytes: Int { documents * averageBytes }

    /// About how many bytes the index entries take.
    package var indexBytes: Int { entries.reduce(0) { $0 + $1.count * Self.entryBytes } }
}
