// Reading what a command with a cursor answers, a batch at a time.

package import BSON

/// The results of one command. Used by one task at a time.
package struct Cursor: Sendable {
    private let connection: Connection
    private let database: String
    private var collection = ""
    private var batch: [Document] = []
    private var position = 0
    private var id: Int64 = 0
    private let batchSize: Int32?

    /// Runs a command that answers with a cursor.
    ///
    /// Throws what `Connection.run` throws; `protocolError` where the answer has no cursor.
    package init(
        _ command: Document, database: String, on connection: Connection, batchSize: Int32? = nil
    ) async throws(DBError) {
        let reply = try await connection.run(command, database: database)
        try self.init(reply: reply, database: database, on: connection, batchSize: batchSize)
    }

    /// Takes a reply that holds a cursor.
    package init(
        reply: Document, database: String, on connection: Connection, batchSize: Int32? = nil
    ) throws(DBError) {
        self.connection = connection
        self.database = database
        self.batchSize = batchSize
        try take(reply, "firstBatch")
    }

    /// Whether the server has more than what was fetched.
    package var hasMoreBatches: Bool { id != 0 }

    /// The next document, nil at the end.
    package mutating func next() async throws(DBError) -> Document? {
        while position == batch.count {
            guard id != 0 else { return nil }
            let command = Document { writer in
                writer.append("getMore", id)
                writer.append("collection", collection)
                if let batchSize { writer.append("batchSize", batchSize) }
            }
            try take(try await connection.run(command, database: database), "nextBatch")
        }
        defer { position += 1 }
        return batch[position]
    }

    /// Tells the server to forget the rest.
    package mutating func close() async throws(DBError) {
        guard id != 0 else { return }
        let command: Document = [
            "killCursors": .string(collection), "cursors": .array([.int64(id)]),
        ]
        id = 0
        _ = try await connection.run(command, database: database)
    }

    private mutating func take(_ reply: Document, _ field: StaticString) throws(DBError) {
        let taken = try CursorBatch(reply, field)
        id = taken.id
        collection = taken.collection
        batch = taken.documents
        position = 0
    }
}

/// What a reply with a cursor holds.
struct CursorBatch {
    /// The cursor's number; 0 when there is nothing behind this batch.
    let id: Int64
    /// The collection to name when asking for more.
    let collection: String
    let documents: [Document]
    /// Where a change stream goes on behind this batch.
    let token: Document?

    /// Reads `cursor.firstBatch` or `cursor.nextBatch`.
    /// - Throws: `protocolError` where the reply has no cursor.
    init(_ reply: Document, _ field: StaticString) throws(DBError) {
        guard let cursor = reply.view.value("cursor")?.document,
            let list = cursor.value(field)?.array
        else { throw DBError(.protocolError, "the server's answer holds no cursor") }
        id = cursor.value("id")?.int64 ?? 0
        let name = cursor.value("ns")?.string ?? ""
        let dot = name.firstIndex(of: ".")
        collection = dot.map { String(name[name.index(after: $0)...]) } ?? ""
        if let place = cursor.value("postBatchResumeToken")?.document {
            token = Document(copying: place)
        } else {
            token = nil
        }
        var documents: [Document] = []
        var elements = list.makeIterator()
        while let element = elements.next() {
            if let document = element.value.document {
                documents.append(Document(copying: document))
            }
        }
        self.documents = documents
    }
}
