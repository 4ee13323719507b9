// What open transactions mean to change, so that the second writer of a document fails at once and
// not only at its commit.

import Storage
import Synchronization

/// A key of a table.
struct TableKey: Hashable, Sendable {
    let table: TableID
    let key: [UInt8]
}

/// Who means to change which document.
final class IntentTable: Sendable {
    private let owners = Mutex<[TableKey: ObjectIdentifier]>([:])

    /// Claims a document; false where another open transaction has.
    func claim(_ key: TableKey, by owner: ObjectIdentifier) -> Bool {
        owners.withLock { owners in
            if let other = owners[key] { return other == owner }
            owners[key] = owner
            return true
        }
    }

    /// Gives claims up.
    func release(_ keys: Set<TableKey>) {
        guard !keys.isEmpty else { return }
        owners.withLock { owners in
            for key in keys { owners[key] = nil }
        }
    }
}
