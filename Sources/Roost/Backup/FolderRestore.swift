// Makes a database's folder from a backup's parts: the copied entries, then the log's pieces.
//
// A record of the log is one commit of the store, which may hold several commands. Where a restore
// ends within one, the operations of the commands up to there are applied: each command's own end
// with its records in the change log. Behind them the group's last word on catalog entries follows
// for collections that are there: it says, for instance, that an index has lists.

package import BSON
import Storage

/// A folder being restored. Its caller removes it where anything throws.
package final class FolderRestore {
    /// What a restore came to.
    package struct Outcome: Sendable {
        /// The cluster time of the newest change; nil where the log of changes is empty.
        package var newest: Timestamp?
        /// Commits replayed.
        package var commits = 0
    }

    private let path: String
    private let until: Timestamp?
    private let builder: StoreBuilder
    private var outcome = Outcome()
    /// The number of the record that comes next; nil before the first.
    private var nextSequence: UInt64?
    /// A record whose pieces are being gathered.
    private var gathered: [UInt8] = []
    /// A whole record, which the next one may undo.
    private var waiting: [UInt8]?
    /// Whether `until` was passed: the rest of the log is of no interest.
    package private(set) var isComplete = false
    private var wasCut = false

    /// Begins a folder.
    /// - Parameter until: the last change to be in it; nil for all that there is.
    /// - Throws: `DBError`.
    package init(path: String, until: Timestamp?) throws(DBError) {
        self.path = path
        self.until = until
        do throws(StorageError) {
            builder = try StoreBuilder(path: path)
        } catch {
            throw DBError(storage: error)
        }
    }

    /// Adds copied entries.
    /// - Throws: `dataCorruptionDetected` where a checksum fails; `DBError`.
    package func add(entries: [UInt8]) throws(DBError) {
        try stored { () throws(StorageError) in try builder.apply(entries.span.bytes) }
    }

    /// Adds pieces of the log, which lie behind each other.
    /// - Throws: `dataCorruptionDetected` where something is missing; `DBError`.
    package func add(log bytes: [UInt8]) throws(DBError) {
        var rest = bytes[...]
        while !rest.isEmpty, !isComplete {
            guard let piece = ShippedPiece(rest) else { throw Self.damaged("a piece is not whole") }
            rest = rest.dropFirst(ShippedPiece.headBytes)
            guard piece.sequence == nextSequence ?? piece.sequence,
                piece.offset == gathered.count
            else { throw Self.damaged("record \(nextSequence ?? 0) of the log is missing") }
            nextSequence = piece.sequence
            gathered += rest.prefix(piece.byteCount)
            rest = rest.dropFirst(piece.byteCount)
            guard gathered.count == piece.bodyBytes else { continue }
            let record = gathered
            gathered = []
            nextSequence = piece.sequence + 1
            if piece.isAbort {
                waiting = nil
            } else {
                try applyWaiting()
                waiting = record
            }
        }
    }

    /// Ends the folder: whole, durable, and the beginning of a new history, so that no old resume
    /// token is good for it.
    /// - Throws: `DBError`.
    package func finish() throws(DBError) -> Outcome {
        guard gathered.isEmpty else { throw Self.damaged("the log ends within a record") }
        try applyWaiting()
        try stored { () throws(StorageError) in try builder.finish(recounts: wasCut) }
        do {
            let store = try Store.open(path: path)
            defer { store.close() }
            outcome.newest = try Self.beginHistory(store)
        } catch {
            throw DBError(engineFailure: error)
        }
        return outcome
    }

    /// Gives the log of changes another epoch; answers its newest change.
    private static func beginHistory(_ store: Store) throws -> Timestamp? {
        let (header, newest) = try store.makeReader().read { transaction in
            var cursor = transaction.cursor(.changeLog)
            var newest: Timestamp?
            if try cursor.last(), let place = LogPosition(key: cursor.key) {
                newest = place.sequence
            }
            return (try LogHeader.read(transaction), newest)
        }
        var new = header
        new.epoch = LogHeader.make().epoch
        let bytes = new.bytes
        try store.perform(OperationOptions(mayUseReserve: true)) { transaction in
            let (key, mark) = (LogHeader.key, LossMark.key)
            try transaction.put(.changeLog, key: key.span.bytes, value: bytes.span.bytes)
            _ = try transaction.delete(.changeLog, key: mark.span.bytes)
        }
        return newest
    }

    private func applyWaiting() throws(DBError) {
        guard let record = waiting, !isComplete else { return }
        waiting = nil
        try stored { () throws(StorageError) in
            if let until, let newest = try ChangeTimes.newest(in: record.span.bytes),
                newest > until
            {
                isComplete = true
                try applyPart(of: record, until: until)
            } else {
                try builder.apply(record.span.bytes)
            }
        }
        outcome.commits += 1
    }

    /// Applies the commands of a group up to a time.
    private func applyPart(of record: [UInt8], until: Timestamp) throws(StorageError) {
        var end = 0
        var lastLogged = 0
        try BackupOperation.walk(record.span.bytes) { operation, key throws(StorageError) in
            guard let time = ChangeTimes.logged(operation, key) else { return }
            if time <= until { end = operation.range.upperBound }
            lastLogged = operation.range.upperBound
        }
        guard end > 0 else { return }
        wasCut = true
        let part = Array(record[..<end])
        try builder.apply(part.span.bytes)
        var closing: [Range<Int>] = []
        try BackupOperation.walk(record.span.bytes) { operation, key throws(StorageError) in
            guard operation.range.lowerBound >= lastLogged, operation.isPut,
                operation.table == .catalog, try builder.contains(.catalog, key: key)
            else { return }
            closing.append(operation.range)
        }
        for range in closing {
            let operation = Array(record[range])
            try builder.apply(operation.span.bytes)
        }
    }

    private func stored<R>(_ body: () throws(StorageError) -> R) throws(DBError) -> R {
        do throws(StorageError) {
            return try body()
        } catch {
            throw DBError(storage: error)
        }
    }

    private static func damaged(_ what: String) -> DBError {
        DBError(.dataCorruptionDetected, "the backup is damaged: \(what)")
    }
}
