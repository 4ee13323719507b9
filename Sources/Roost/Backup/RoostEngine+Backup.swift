// Backups, as the engine gives them out: see Backup.md.
//
// A backup copies all entries of the store's tables in short snapshots, a batch at a time, and then
// the redo log from before the first batch on: replayed over the copy, it makes one state of it, the
// one at its end. No snapshot is held, so the data file doesn't grow, and writes never wait. Later
// the log alone is fetched, from where it ended; until then the store keeps it.

package import BSON
import Storage

/// What a backup begins with.
package struct BackupStart: Sendable {
    /// Names the data; a restored copy has another.
    package let identity: [UInt8]
    /// Where the log begins.
    package let place: BackupPlace
    /// What is to be copied.
    package let trees: [UInt64]
    /// No change before was later.
    package let newest: Timestamp

    /// All of it.
    package init(
        identity: [UInt8],
        place: BackupPlace,
        trees: [UInt64],
        newest: Timestamp
    ) {
        self.identity = identity
        self.place = place
        self.trees = trees
        self.newest = newest
    }
}

/// A place in the log: before a record, or within it.
package struct BackupPlace: Hashable, Sendable {
    /// The record's number.
    package var sequence: UInt64
    /// Bytes of it that were read.
    package var offset: Int

    /// Before a record, or within it.
    package init(sequence: UInt64, offset: Int = 0) {
        self.sequence = sequence
        self.offset = offset
    }
}

/// Copied entries, as operations that put them.
package struct BackupEntries: Sendable {
    /// The operations.
    package let bytes: [UInt8]
    /// The last entry's key; nil at the tree's end.
    package let last: [UInt8]?

    /// All of it.
    package init(
        bytes: [UInt8],
        last: [UInt8]?
    ) {
        self.bytes = bytes
        self.last = last
    }
}

/// Part of the log, and the newest change in it.
package struct BackupLog: Sendable {
    /// The part.
    package let bytes: [UInt8]
    /// Where the next part begins.
    package let next: BackupPlace
    /// The number behind the log's newest record.
    package let end: UInt64
    /// The cluster time of the newest change whose record ends in it; nil where none does.
    package let newest: Timestamp?

    /// All of it.
    package init(
        bytes: [UInt8],
        next: BackupPlace,
        end: UInt64,
        newest: Timestamp?
    ) {
        self.bytes = bytes
        self.next = next
        self.end = end
        self.newest = newest
    }
}

extension RoostEngine {
    /// Names the data.
    package var identity: [UInt8] { store.identity }

    /// Keeps the log from now on for a backup of that name (letters, digits and `-`), and says what
    /// to copy.
    /// - Throws: `DBError`.
    package func beginBackup(_ name: String) throws(DBError) -> BackupStart {
        try Self.checkBackup(name)
        return try stored {
            let place = try store.holdLog(name)
            let trees = try makeReader().read { transaction in transaction.copiedTrees }
            return BackupStart(
                identity: store.identity, place: BackupPlace(sequence: place.sequence),
                trees: trees.map(\.rawValue), newest: clock.newest)
        }
    }

    /// Copies entries of a tree behind a key, in a snapshot of their own.
    /// - Throws: `dataCorruptionDetected` where a checksum fails; `DBError`.
    package func copyEntries(
        of tree: UInt64, after key: [UInt8]?, bytesMax: Int
    ) throws(DBError) -> BackupEntries {
        try stored {
            let copied = try makeReader().read { transaction in
                try transaction.copyEntries(
                    of: CopiedTree(rawValue: tree), after: key, bytesMax: bytesMax)
            }
            return BackupEntries(bytes: copied.bytes, last: copied.last)
        }
    }

    /// Reads the log for a backup.
    /// - Throws: `changeStreamHistoryLost` (286) where it is no longer kept; `DBError`.
    package func backupLog(
        _ name: String, from place: BackupPlace, bytesMax: Int
    ) throws(DBError) -> BackupLog {
        try stored {
            var newest: Timestamp?
            let start = ShippedPlace(sequence: place.sequence, offset: place.offset)
            let log = try store.shipLog(name, from: start, bytesMax: bytesMax) {
                operations throws(StorageError) in
                let found = try ChangeTimes.newest(in: operations)
                newest = [newest, found].compactMap { $0 }.max()
            }
            return BackupLog(
                bytes: log.bytes,
                next: BackupPlace(sequence: log.next.sequence, offset: log.next.offset),
                end: log.end, newest: newest)
        }
    }

    /// Lets go of the log before a record, which the backup of that name has; nil ends the backup.
    /// - Throws: `changeStreamHistoryLost` (286) where it is no longer kept; `DBError`.
    package func releaseBackupLog(
        _ name: String, before sequence: UInt64?
    ) throws(DBError) {
        try stored {
            try store.moveHold(name, to: sequence.map { ShippedPlace(sequence: $0) })
        }
    }

    private static func checkBackup(_ name: String) throws(DBError) {
        let isName = name.utf8.allSatisfy { byte in
            byte == UInt8(ascii: "-") || 48...57 ~= byte || 65...90 ~= byte || 97...122 ~= byte
        }
        guard isName, (1...64).contains(name.utf8.count) else {
            throw DBError(.badValue, "a backup's name has 1 to 64 letters, digits and '-'")
        }
    }

    private func stored<R>(_ body: () throws -> R) throws(DBError) -> R {
        do {
            return try body()
        } catch StorageError.logGone {
            throw DBError(.changeStreamHistoryLost, "\(StorageError.logGone)")
        } catch {
            throw DBError(engineFailure: error)
        }
    }
}

/// The times of changes, as the operations of the log's records show them.
enum ChangeTimes {
    /// The cluster time of the newest change that the operations log; nil for none.
    static func newest(in operations: RawSpan) throws(StorageError) -> Timestamp? {
        var newest: Timestamp?
        try BackupOperation.walk(operations) { operation, key throws(StorageError) in
            guard let place = logged(operation, key) else { return }
            newest = max(newest ?? place, place)
        }
        return newest
    }

    /// The cluster time of the change that the operation logs, if it logs one.
    static func logged(_ operation: BackupOperation, _ key: RawSpan) -> Timestamp? {
        guard operation.isPut, operation.table == .changeLog else { return nil }
        return LogPosition(key: key)?.sequence
    }
}
