// Deleted documents whose time is over, and those of collections that are gone. The thread that
// deletes expired documents (Catalog/Expiry.swift) calls this at each of its passes, and for the
// latter as soon as a collection is dropped. Each operation
// on the writer thread removes a bounded number of records, and others have their turn between.

package import BSON
import Storage
import Synchronization

extension RoostEngine {
    /// Purges what was deleted longer ago than its collection keeps it, as of that time in
    /// milliseconds since 1970, and what dropped collections left; answers how many documents of
    /// the first kind. Waits for the writer thread, so never from there.
    @discardableResult
    package func purgeTrash(at millis: Int64) -> Int {
        var purged = 0
        for entry in catalog.collections.values {
            guard let seconds = entry.traits.softDelete?.retentionSeconds else { continue }
            let (id, cutoff) = (entry.trash, millis - seconds * 1_000)
            purged += repeatedly { transaction in
                try TrashTable.purge(id, until: cutoff, &transaction)
            }
        }
        expiry.note(purged: purged)
        removeDroppedTrash()
        return purged
    }

    /// Removes what dropped collections left. Waits for the writer thread, so never from there.
    func removeDroppedTrash() {
        _ = repeatedly { transaction in try TrashTable.removeDropped(&transaction) }
    }

    /// Runs an operation until it answers 0; answers the sum.
    private func repeatedly(
        _ operation: @escaping @Sendable (inout WriteTransaction) throws -> Int
    ) -> Int {
        var sum = 0
        while !expiry.isStopped {
            do {
                let count = try submitAndWait(
                    OperationOptions(mayUseReserve: true), operation)
                if count == 0 { break }
                sum += count
            } catch {
                // The next pass tries again.
                notePurgeFailure(error)
                break
            }
        }
        return sum
    }

    /// How much deleted documents take, of all collections.
    /// - Throws: `DBError`.
    package func trashTotals(_ reader: Reader) throws(DBError) -> TrashTotals {
        do {
            return try reader.read { transaction in try TrashTable.totals(transaction) }
        } catch {
            throw DBError(engineFailure: error)
        }
    }
}
