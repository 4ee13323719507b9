// Roost inside a Swift program, without a network.
//
//     let database = try Database(at: "./data")
//     let people = database.collection("app", "people", of: Person.self)
//     try people.insert(Person(name: "Ada", age: 36))
//     let adults = try people.find(["age": ["$gte": 18]], sort: ["name": 1])
//
// Calls are synchronous and may be made from any thread; a write returns when it is durable.

public import BSON
import Query
import Storage
import Synchronization

/// A database folder, open in this process.
public final class Database: Sendable {
    /// The engine, for what this interface does not show.
    package let engine: RoostEngine
    private let idleReaders = Mutex<[Reader]>([])

    /// Opens a folder, making it where it doesn't exist.
    /// - Throws: `DBError`: in use by another process, damaged, of a newer format, not writable.
    public init(at path: String, options: EngineOptions = EngineOptions()) throws(DBError) {
        engine = try RoostEngine(path: path, options: options)
    }

    /// Finishes what runs and closes the folder.
    public func close() {
        idleReaders.withLock { $0.removeAll() }
        engine.close()
    }

    /// A collection of documents. It is made by the first insert.
    public func collection(_ database: String, _ name: String) -> Collection<Document> {
        Collection(self, Namespace(database, name))
    }

    /// A collection of values that encode as documents. It is made by the first insert.
    public func collection<T: Codable>(
        _ database: String, _ name: String, of type: T.Type
    ) -> Collection<T> {
        Collection(self, Namespace(database, name))
    }

    /// The database as someone else: what an app user reads and writes is what the security rules
    /// allow.
    public func `as`(_ principal: Principal) -> DatabaseSession {
        DatabaseSession(self, principal)
    }

    /// Puts security rules in force, until others are deployed.
    /// - Returns: their number, by which they can be put in force again.
    /// - Throws: `DBError` for a text that doesn't compile; the rules in force stay then.
    @discardableResult
    public func deployRules(_ text: String, file: String = "app.rules") throws(DBError) -> Int64 {
        try engine.deployRules([RulesText(name: file, text: text)], by: "embedder")
    }

    /// Why a request was denied, by the id in its error; nil where it isn't known any more.
    public func reason(ofDenial id: String) -> String? { engine.rules.denials.account(of: id) }

    /// The names of databases that have a collection, sorted.
    public var databaseNames: [String] { engine.catalog.databases }

    /// The names of a database's collections, sorted.
    public func collectionNames(of database: String) -> [String] {
        engine.catalog.collections(of: database).map(\.namespace.collection)
    }

    /// Lends a reader to the calling thread.
    func withReader<R>(_ body: (Reader) throws(DBError) -> R) throws(DBError) -> R {
        let idle = idleReaders.withLock { $0.popLast() }
        let reader: Reader
        if let idle {
            reader = idle
        } else {
            do {
                reader = try engine.store.makeReader()
            } catch {
                throw DBError(engineFailure: error)
            }
        }
        defer { idleReaders.withLock { $0.append(reader) } }
        return try body(reader)
    }

    /// Waits for a call that answers through a completion.
    func wait<R: Sendable>(
        _ start: (@escaping @Sendable (Result<R, DBError>) -> Void) -> Void
    ) throws(DBError) -> R {
        try engine.blocking(start)
    }
}
