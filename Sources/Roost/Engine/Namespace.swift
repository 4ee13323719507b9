// The names of databases and collections, with MongoDB's rules for them.
//
// Names are the same when their bytes are: MongoDB normalises nothing, while Swift's strings are
// equal when their characters look the same.

package import BSON
import Glibc

/// A collection's full name. Names are the same if their bytes are: Swift's strings would take two
/// spellings of one text (`é` as one scalar or two) for the same name.
public struct Namespace: Hashable, Sendable, CustomStringConvertible {
    /// The database's name.
    public let database: String
    /// The collection's name; may hold dots.
    public let collection: String
    /// A hash of both names, made once: a name is looked up far more often than it is made.
    private let nameHash: Int

    /// A name that is not checked here; see `validate()`.
    public init(_ database: String, _ collection: String) {
        self.database = database
        self.collection = collection
        var hasher = Hasher()
        Self.hash(database, into: &hasher)
        Self.hash(collection, into: &hasher)
        nameHash = hasher.finalize()
    }

    /// Whether both names have the same bytes.
    public static func == (one: Namespace, other: Namespace) -> Bool {
        one.nameHash == other.nameHash && one.collection.hasSameBytes(as: other.collection)
            && one.database.hasSameBytes(as: other.database)
    }

    /// Feeds the hash of both names' bytes.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(nameHash)
    }

    /// Eight bytes at a time; the last word also tells the length.
    private static func hash(_ name: String, into hasher: inout Hasher) {
        var word: UInt64 = 0
        var count = 0
        for byte in name.utf8 {
            word = word << 8 | UInt64(byte)
            count += 1
            if count & 7 == 0 {
                hasher.combine(word)
                word = 0
            }
        }
        hasher.combine(word)
        hasher.combine(count)
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
        guard !collection.contains("$"), name.first != 46 else {
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

    /// Checks that a collection may be made under this name: of the names beginning with `system.`
    /// only those that mean something to MongoDB.
    /// - Throws: what `validate()` throws.
    package func checkMayBeCreated() throws(DBError) {
        try validate()
        guard isSystem else { return }
        try checkIsNoBuckets()
        let known = ["system.js", "system.profile", "system.users", "system.views"]
        let isAdmin =
            database == "admin"
            && ["system.roles", "system.version", "system.audit"].contains(collection)
        guard known.contains(collection) || isAdmin else {
            throw DBError(.invalidNamespace, "Invalid system namespace: \(self)")
        }
    }

    /// Whether the name is one of those that belong to the server.
    package var isSystem: Bool { collection.utf8.starts(with: "system.".utf8) }

    /// Whether the name is that under which MongoDB keeps a database's views. Here they are entries
    /// of the catalog, and the name stands for all of them.
    package var isViewCatalog: Bool { collection == "system.views" }

    /// Refuses the names under which MongoDB keeps the buckets of time-series collections.
    /// - Throws: `illegalOperation` (20).
    package func checkIsNoBuckets() throws(DBError) {
        guard !collection.utf8.starts(with: "system.buckets.".utf8) else {
            throw DBError(
                .illegalOperation,
                "Roost keeps the measurements of a time-series collection under its own name: "
                    + "there is no \(self)")
        }
    }

    /// Whether the name is one of those that MongoDB keeps its log under.
    package var isOplog: Bool {
        database == "local" && collection.utf8.starts(with: "oplog.".utf8)
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
    /// Whether both are the same bytes in UTF-8; `==` also calls composed and decomposed letters
    /// equal.
    package func hasSameBytes(as other: String) -> Bool {
        // Asked for every command: a memory comparison where both lie in one piece, as they do.
        let same = utf8.withContiguousStorageIfAvailable { own in
            other.utf8.withContiguousStorageIfAvailable { others in
                guard own.count == others.count else { return false }
                guard let left = own.baseAddress, let right = others.baseAddress else {
                    return true
                }
                return memcmp(left, right, own.count) == 0
            }
        }
        return (same ?? nil) ?? utf8.elementsEqual(other.utf8)
    }
}
