// Creating, dropping and renaming collections. Each is one operation on the writer thread.

package import BSON
import Storage

/// What `drop` removed.
package enum DroppedNamespace: Sendable {
    /// A collection, with as many indexes as commands count.
    case collection(indexes: Int)
    case view
}

extension RoostEngine {
    /// Answers an operation of the catalog, on the writer thread, after its commit.
    package typealias Completion<T> = @Sendable (Result<T, DBError>) -> Void

    /// Makes a collection. One that exists with the same options is left as it is.
    /// - Throws: `namespaceExists` (48), `invalidNamespace` (73) through the completion.
    package func createCollection(
        _ namespace: Namespace, options: Document,
        completion: @escaping Completion<Void>
    ) {
        let writer = writer
        submit { transaction in
            if let entry = writer.catalog[namespace] {
                guard entry.options == options else {
                    throw DBError(
                        .namespaceExists,
                        "namespace \(namespace) already exists, but with different options: "
                            + "\(entry.options)")
                }
                return
            }
            _ = try writer.create(namespace, options: options, &transaction)
        } completion: {
            completion($0)
        }
    }

    /// Removes a collection with its documents and indexes.
    /// - Returns: through the completion, what it was; nil where there was no such collection.
    /// - Throws: `collectionUUIDMismatch` (361) through the completion, where it has another UUID
    ///   than `uuid`.
    package func dropCollection(
        _ namespace: Namespace, uuid: UUIDBytes? = nil,
        completion: @escaping Completion<DroppedNamespace?>
    ) {
        let writer = writer
        submit(OperationOptions(mayUseReserve: true)) { transaction in
            try uuid?.check(namespace, in: writer.catalog)
            guard let entry = writer.catalog[namespace] else {
                return try writer.dropViews(namespace, &transaction)
            }
            try writer.drop(entry, &transaction)
            return entry.view == nil ? .collection(indexes: entry.indexCount) : .view
        } completion: {
            completion($0)
        }
    }

    /// Removes every collection of a database. Answers whether there was any.
    package func dropDatabase(_ database: String, completion: @escaping Completion<Bool>) {
        let writer = writer
        submit(OperationOptions(mayUseReserve: true)) { transaction in
            let entries = writer.catalog.collections(of: database)
            for entry in entries { try writer.drop(entry, &transaction) }
            if !entries.isEmpty { writer.log.dropDatabase(database) }
            return !entries.isEmpty
        } completion: {
            completion($0)
        }
    }

    /// Gives a collection another name, also in another database.
    /// - Throws: `namespaceNotFound` (26), `namespaceExists` (48), `illegalOperation` (20),
    ///   `invalidNamespace` (73), `collectionUUIDMismatch` (361) through the completion.
    package func renameCollection(
        _ source: Namespace, to target: Namespace, _ options: RenameOptions,
        completion: @escaping Completion<Void>
    ) {
        let writer = writer
        submit { transaction in
            try target.validate()
            try options.sourceUUID?.check(source, in: writer.catalog)
            try options.targetUUID?.check(target, in: writer.catalog)
            for namespace in [source, target]
            where namespace.isSystem || namespace.isOplog {
                throw DBError(
                    .illegalOperation, "Cannot rename a system collection: \(namespace)")
            }
            guard let entry = writer.catalog[source] else {
                throw DBError(
                    .namespaceNotFound, "Source collection \(source) does not exist")
            }
            guard source != target else {
                throw DBError(
                    .illegalOperation, "Can't rename a collection to itself")
            }
            try entry.checkIsNoView()
            try entry.checkIsNoTimeSeries()
            try WriterState.checkCase(of: target.database, in: writer.catalog)
            let occupant = writer.catalog[target]
            if let occupant {
                let isPlain = occupant.view == nil && occupant.traits.timeSeries == nil
                guard options.dropsTarget, isPlain else {
                    throw DBError(
                        .namespaceExists,
                        isPlain ? "target namespace exists" : "a view already exists: \(target)")
                }
            }
            guard entry.indexes.allSatisfy(\.isReady) else {
                throw DBError(
                    .conflictingOperationInProgress,
                    "An index of \(source) is being built; rename it when that is done")
            }
            writer.log.rename(entry, to: target, over: occupant)
            if let occupant { try writer.remove(tablesOf: occupant, &transaction) }
            try writer.remove(source, &transaction)
            try writer.save(entry.renamed(target), &transaction)
        } completion: {
            completion($0)
        }
    }
}

extension WriterState {
    /// Removes a collection; the store frees its tables in the background.
    func drop(_ entry: CollectionEntry, _ transaction: inout WriteTransaction) throws {
        log.note(.drop, entry)
        try remove(tablesOf: entry, &transaction)
    }

    /// Removes a database's views where the name stands for all of them; nil where it doesn't, or
    /// there is none.
    fileprivate func dropViews(
        _ namespace: Namespace, _ transaction: inout WriteTransaction
    ) throws -> DroppedNamespace? {
        guard namespace.isViewCatalog else { return nil }
        let views = catalog.collections(of: namespace.database).filter { $0.view != nil }
        for view in views { try drop(view, &transaction) }
        return views.isEmpty ? nil : .collection(indexes: 1)
    }

    /// Removes a collection whose end the log tells otherwise: by what takes its place.
    /// - Parameter keepsTrash: whether what takes its place has its deleted documents too.
    func remove(
        tablesOf entry: CollectionEntry, keepsTrash: Bool = false,
        _ transaction: inout WriteTransaction
    ) throws {
        if !keepsTrash, try TrashTable.drop(entry.trash, &transaction) { leavesTrash = true }
        try transaction.dropTable(entry.table)
        if let table = entry.idTable {
            try transaction.dropTable(table)
            ended.insert(entry.table)
        }
        for index in entry.indexes {
            builds.end(index.table)
            try transaction.dropTable(index.table)
        }
        try remove(entry.namespace, &transaction)
    }
}
