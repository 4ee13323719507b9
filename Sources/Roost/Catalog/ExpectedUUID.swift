// Commands may say which UUID they take a collection to have, so that they don't touch another one
// that has its name by now.

package import BSON

/// How a collection is renamed.
package struct RenameOptions: Sendable {
    /// Whether a collection of the new name is removed first.
    package var dropsTarget = false
    /// The UUID that the collection must have.
    package var sourceUUID: UUIDBytes?
    /// The UUID that the collection of the new name must have.
    package var targetUUID: UUIDBytes?

    package init() {}
}

extension UUIDBytes {
    /// Reads a UUID: binary data of subtype 4 and 16 bytes.
    /// - Throws: `invalidUUID` (207).
    package init(_ value: ValueView) throws(DBError) {
        guard let binary = value.binary, binary.subtype == 4,
            let uuid = UUIDBytes([UInt8](copying: binary.content))
        else {
            throw DBError(.invalidUUID, "uuid must be a 16-byte binary field with UUID (4) subtype")
        }
        self = uuid
    }

    /// Checks that `namespace` is a collection of this UUID.
    /// - Throws: `collectionUUIDMismatch` (361), which tells the collection that has it.
    package func check(
        _ namespace: Namespace, in catalog: CatalogSnapshot
    ) throws(DBError) {
        guard catalog[namespace]?.uuid != self else { return }
        let actual = catalog.collections(of: namespace.database).first { $0.uuid == self }
        throw DBError(
            .collectionUUIDMismatch, "Collection UUID does not match that specified",
            details: [
                "db": .string(namespace.database), "collectionUUID": value,
                "expectedCollection": .string(namespace.collection),
                "actualCollection": actual.map { .string($0.namespace.collection) } ?? .null,
            ])
    }
}
