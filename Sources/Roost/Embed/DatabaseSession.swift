// A database as someone reads and writes it.

public import BSON

/// A database, used for a principal.
public struct DatabaseSession: Sendable {
    private let database: Database
    /// Who reads and writes.
    public let principal: Principal

    init(_ database: Database, _ principal: Principal) {
        self.database = database
        self.principal = principal
    }

    /// A collection of documents. It is made by the first insert.
    public func collection(_ database: String, _ name: String) -> Collection<Document> {
        Collection(self.database, Namespace(database, name), principal)
    }

    /// A collection of values that encode as documents. It is made by the first insert.
    public func collection<T: Codable>(
        _ database: String, _ name: String, of type: T.Type
    ) -> Collection<T> {
        Collection(self.database, Namespace(database, name), principal)
    }
}
