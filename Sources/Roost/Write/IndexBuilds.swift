// Running index builds, as the writer thread sees them.
//
// From the moment an index is in the catalog, writes keep its entries. The build adds the entries
// of documents that no write has touched since it began; touched ones have theirs already. So the
// writer notes the record key of each document it changes in a collection that has a build.

import BSON
import Storage

/// The builds that are under way. Confined to the writer thread.
final class IndexBuilds {
    private var touched: [TableID: Set<[UInt8]>] = [:]

    /// Begins to note changes for the index in `table`.
    func begin(_ table: TableID) {
        touched[table] = []
    }

    /// Ends a build, finished or given up.
    func end(_ table: TableID) {
        touched[table] = nil
    }

    /// Notes that a document of the collection changed.
    func note(_ recordKey: [UInt8], _ entry: CollectionEntry) {
        guard !touched.isEmpty else { return }
        for index in entry.indexes where !index.isReady {
            touched[index.table]?.insert(recordKey)
        }
    }

    /// Whether a write changed that document since the build of the index in `table` began.
    func isTouched(_ recordKey: [UInt8], by table: TableID) -> Bool {
        touched[table]?.contains(recordKey) ?? false
    }

    /// Whether an index of the collection is being built.
    func isBuilding(_ entry: CollectionEntry) -> Bool {
        !touched.isEmpty && entry.indexes.contains { touched[$0.table] != nil }
    }
}
