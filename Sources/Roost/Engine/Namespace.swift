// The names of databases and collections, with MongoDB's rules for them.

package import BSON

/// A collection's full name. Names are the same if their bytes are: Swift's strings would take two
/// spellings of one text (`é` as one scalar or two) for the same name.
public struct Namespace: Hashable, Sendable, CustomStringConvertible {
    /// The database's name.
    public let database: String
    /// The collection's name; may hold dots.
    public let collection: String

    /// A name that is not checked here; see `validate()`.
    public init(_ database: String, _ collection: String) {
        self.database = database
        self.collection = collection
    }

    public static func == (left: Namespace, right: Namespace) -> Bool {
        left.collection.hasSameBytes(as: right.collection)
            && left.database.hasSameBytes(as: right.database)
    }

    public func hash(into hasher: inout Hasher) {
        for name in [database, collection] {
            let isDone: Void? = name.utf8.withContiguousStorageIfAvailable {
                hasher.combine(bytes: UnsafeRawBufferPointer($0))
            }
            if isDone == nil { for byte in name.utf8 { hasher.combine(byte) } }
            hasher.combine(UInt8(0))
        }
    }

    /// `database.collection`.
    public var description: String { "\(database).\(collection)" }

    /// Longest namespace, in bytes.
    package static let bytesMax = 255

    /// Checks both names by MongoDB's rules.
    /// - Throws: `invalidNamespace` (73) that names what is wrong.
    package func validate() throws(DBError) {
        try Self.validate(database: database)
        let name = collection.utf8
        guard !name.isEmpty else {
            throw DBError(.invalidNamespace, "Invalid namespace specified '\(self)'")
        }
        guard !name.contains(0) else {
            throw DBError(
                .invalidNamespace, "namespaces cannot have embedded null characters")
        }
        guard !collection.contains("$"), name.first != 46, name.last != 46 else {
            throw DBError(.invalidNamespace, "Invalid collection name: \(collection)")
        }
        guard description.utf8.count <= Self.bytesMax else {
            throw DBError(
                .invalidNamespace,
                "Fully qualified namespace is too long. Namespace: \(self) Max: \(Self.bytesMax)")
        }
    }

    /// Checks a database's name by MongoDB's rules.
    /// - Throws: `invalidNamespace` (73).
    package static func validate(database: String) throws(DBError) {
        let name = database.utf8
        guard !name.isEmpty, name.count < 64, !name.contains(where: isForbiddenInDatabase) else {
            throw DBError(
                .invalidNamespace, "Invalid database name: '\(database)'")
        }
    }

    /// `/ \ . " $`, space and the zero byte.
    private static func isForbiddenInDatabase(_ byte: UInt8) -> Bool {
        switch byte {
        case 0, 0x20, 0x22, 0x24, 0x2E, 0x2F, 0x5C: true
        default: false
        }
    }
}

extension String {
    /// Whether both are written with the same bytes.
    func hasSameBytes(as other: String) -> Bool {
        utf8.elementsEqual(other.utf8)
    }
}
