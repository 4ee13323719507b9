// A server as a program sees it: databases, collections, commands, and what follows changes.
//
//     let client = try Client("mongodb://127.0.0.1:27017/shop")
//     let orders = client.database().collection("orders")
//     for try await change in orders.watch([["$match": ["operationType": "insert"]]]) { … }
//     for try await rows in orders.live(["status": "open"], sort: ["total": -1], limit: 10).results {
//         show(rows.documents)
//     }
//
// A change stream and a live query have a connection each, which they open anew when it is lost, and
// go on where they were (FollowingCursor). Commands share one.

public import BSON
import Synchronization

/// A server, reached when something is first asked of it. Safe to use from any thread.
public final class Client: Sendable {
    let target: ConnectionString
    private let shared = Mutex<Connection?>(nil)

    /// Takes `mongodb://HOST[:PORT][/DATABASE][?tls=true]`; connects to nothing yet.
    /// - Throws: `failedToParse` for what is no connection string, or one with several hosts or a
    ///   user.
    public convenience init(_ connectionString: String) throws(DBError) {
        self.init(try ConnectionString(connectionString))
    }

    /// Takes a connection string that was parsed before.
    package init(_ target: ConnectionString) {
        self.target = target
    }

    deinit {
        close()
    }

    /// Ends the connection for commands; the next one opens another. Streams and live queries have
    /// their own, which end with their loops.
    public func close() {
        shared.withLock { connection in
            connection?.close()
            connection = nil
        }
    }

    /// A database; the connection string's where no name is given.
    public func database(_ name: String? = nil) -> RemoteDatabase {
        RemoteDatabase(client: self, name: name ?? target.database)
    }

    /// A change stream of all databases.
    public func watch(
        _ pipeline: [Document] = [], _ options: ChangeStreamOptions = ChangeStreamOptions()
    ) -> ChangeStream {
        ChangeStream(client: self, database: "admin", nil, pipeline, options, coversServer: true)
    }

    /// The connection for commands.
    func connection() async throws(DBError) -> Connection {
        if let open = shared.withLock({ $0 }), open.isOpen { return open }
        let opened = try await Connection.open(target)
        // Two tasks may open one at the same time: the first is kept.
        return shared.withLock { connection in
            if let connection, connection.isOpen {
                opened.close()
                return connection
            }
            connection = opened
            return opened
        }
    }
}

/// A database of a server.
public struct RemoteDatabase: Sendable {
    /// The server.
    public let client: Client
    /// The database's name.
    public let name: String

    /// A collection.
    public func collection(_ name: String) -> RemoteCollection {
        RemoteCollection(database: self, name: name)
    }

    /// Runs a command and gives its reply.
    /// - Throws: what the server answers, with the whole reply as details; `hostUnreachable` where
    ///   there is none or the connection ends before the reply.
    public func run(_ command: Document) async throws(DBError) -> Document {
        try await client.connection().run(command, database: name)
    }

    /// A change stream of all collections.
    public func watch(
        _ pipeline: [Document] = [], _ options: ChangeStreamOptions = ChangeStreamOptions()
    ) -> ChangeStream {
        ChangeStream(client: client, database: name, nil, pipeline, options)
    }

    /// A live query in the text language, `from orders | where total > $min`; the word `live`
    /// before it may be left out. `parameters` has a field for each `$name`.
    public func live(
        _ query: String, parameters: Document = Document(),
        _ options: LiveQueryOptions = LiveQueryOptions()
    ) -> LiveQuery {
        let isMarked = query.drop { $0.isWhitespace }.hasPrefix("live")
        let command = Document { writer in
            writer.append("query", isMarked ? query : "live " + query)
            if !parameters.isEmpty { writer.append("params", parameters) }
        }
        return LiveQuery(client: client, database: name, command, options)
    }
}

/// A collection of a server.
public struct RemoteCollection: Sendable {
    /// The database it is in.
    public let database: RemoteDatabase
    /// The collection's name.
    public let name: String

    /// A change stream of this collection.
    public func watch(
        _ pipeline: [Document] = [], _ options: ChangeStreamOptions = ChangeStreamOptions()
    ) -> ChangeStream {
        ChangeStream(
            client: database.client, database: database.name, name, pipeline, options)
    }

    /// A live query: the documents that match, all or a window of them in an order.
    public func live(
        _ filter: Document = Document(), sort: Document? = nil, skip: Int64 = 0, limit: Int64 = 0,
        projection: Document? = nil, _ options: LiveQueryOptions = LiveQueryOptions()
    ) -> LiveQuery {
        let fields = Document { writer in
            writer.append("filter", filter)
            if let sort { writer.append("sort", sort) }
            if skip > 0 { writer.append("skip", skip) }
            if limit > 0 { writer.append("limit", limit) }
            if let projection { writer.append("projection", projection) }
        }
        return live(command: fields, options)
    }

    /// A live query by the fields of its command: `filter`, `sort`, …, or `pipeline`, and what else
    /// the server takes.
    package func live(
        command fields: Document, _ options: LiveQueryOptions = LiveQueryOptions()
    ) -> LiveQuery {
        let command = Document { writer in
            writer.append("live", name)
            writer.appendFields(of: fields.view)
        }
        return LiveQuery(client: database.client, database: database.name, command, options)
    }

    /// A live query of a pipeline: groups, totals, joins.
    public func live(
        pipeline: [Document], _ options: LiveQueryOptions = LiveQueryOptions()
    ) -> LiveQuery {
        live(command: ["pipeline": .array(pipeline.map { .document($0) })], options)
    }
}
