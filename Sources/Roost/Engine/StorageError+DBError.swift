// What the store reports, in the words of MongoDB's errors.

package import BSON
package import Storage

extension DBError {
    /// The error that a client reads for one of the store's.
    package init(storage error: StorageError) {
        let code: Code =
            switch error {
            case .quotaExceeded, .diskFull: .outOfDiskSpace
            case .valueTooLarge: .bsonObjectTooLarge
            case .noSuchTable: .queryPlanKilled
            case .busy, .readersFull, .outOfMemory: .exceededMemoryLimit
            case .draftTooLarge: .transactionTooLarge
            case .closed: .interruptedAtShutdown
            case .corrupted, .damaged: .dataCorruptionDetected
            default: .operationFailed
            }
        let message =
            switch error {
            case .noSuchTable: "The collection or index was dropped or renamed while it was read"
            case .draftTooLarge(let bytesMax):
                "A transaction's writes may take at most \(bytesMax) bytes with their index "
                    + "entries; split it into smaller ones"
            default: "\(error)"
            }
        self.init(code, message, underlying: error)
    }

    /// The process that has the folder open, where that is why it can't be opened.
    package var folderOwner: Int? {
        guard case .inUse(_, let pid)? = underlying as? StorageError else { return nil }
        return Int(pid)
    }
}
