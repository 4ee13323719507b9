// Change streams: `for try await change in collection.watch(…)`.

public import BSON

/// What a change stream tells, and from where on.
public struct ChangeStreamOptions: Sendable {
    /// When an update tells the whole document.
    public enum FullDocument: String, Sendable {
        /// For inserts and replacements only.
        case byDefault = "default"
        /// As it is when the stream gets there; later changes may be in it.
        case updateLookup
        /// As it was right after the change, or none.
        case whenAvailable
        /// As it was right after the change; an error where that is not kept.
        case required
    }

    /// When a change tells the document before it.
    public enum FullDocumentBeforeChange: String, Sendable {
        case off, whenAvailable, required
    }

    /// See `FullDocument`.
    public var fullDocument = FullDocument.byDefault
    /// See `FullDocumentBeforeChange`.
    public var fullDocumentBeforeChange = FullDocumentBeforeChange.off
    /// Go on behind the change with that token.
    public var resumeAfter: Document?
    /// The same, also behind an `invalidate`.
    public var startAfter: Document?
    /// Begin with the first change at that time or later.
    public var startAtOperationTime: Timestamp?
    /// Whether to tell changes of the schema too.
    public var showsExpandedEvents = false
    /// How it reads, and what it does when the connection is lost.
    public var following = FollowOptions()

    /// The defaults: changes from now on.
    public init() {}
}

/// One change.
public struct ChangeEvent: Sendable {
    /// All of it, as the server tells it.
    public let document: Document

    /// What `resumeAfter` takes to go on behind this change.
    public var token: Document { nested("_id") ?? Document() }
    /// `insert`, `update`, `replace`, `delete`, `invalidate`, …
    public var operation: String { document.view.value("operationType")?.string ?? "" }
    /// The `_id` (and shard key) of the document that was changed.
    public var documentKey: Document? { nested("documentKey") }
    /// The document after the change, as the options ask.
    public var fullDocument: Document? { nested("fullDocument") }
    /// The document before the change, as the options ask.
    public var fullDocumentBeforeChange: Document? { nested("fullDocumentBeforeChange") }
    /// When it was committed.
    public var clusterTime: Timestamp? { document.view.value("clusterTime")?.timestamp }

    private func nested(_ name: String) -> Document? {
        if case .document(let value)? = document[name] { value } else { nil }
    }
}

/// The changes of a collection, a database or a server, each once and in order, also when the
/// connection is lost in between. Ends behind an `invalidate`.
///
/// The loop throws what the server answers; 286 where the history behind the last token is gone.
public struct ChangeStream: AsyncSequence, Sendable {
    private let client: Client
    private let database: String
    private let target: Value
    private let stages: [Value]
    private let options: ChangeStreamOptions
    private let coversServer: Bool

    /// `collection` nil: all collections of the database.
    init(
        client: Client, database: String, _ collection: String?, _ pipeline: [Document],
        _ options: ChangeStreamOptions, coversServer: Bool = false
    ) {
        self.client = client
        self.database = database
        target = collection.map { .string($0) } ?? .int32(1)
        stages = pipeline.map { .document($0) }
        self.options = options
        self.coversServer = coversServer
    }

    /// Opens the stream with its first `next`.
    public func makeAsyncIterator() -> Iterator {
        Iterator(self, FollowingCursor(client, database: database, options.following))
    }

    /// Where a stream starts.
    fileprivate enum Start: Sendable {
        case asAsked
        /// Behind the last batch.
        case behind(Document, isAfterChange: Bool)
    }

    fileprivate func command(_ start: Start) -> Document {
        let stage = Document { writer in
            writer.append("fullDocument", options.fullDocument.rawValue)
            if options.fullDocumentBeforeChange != .off {
                writer.append(
                    "fullDocumentBeforeChange", options.fullDocumentBeforeChange.rawValue)
            }
            if options.showsExpandedEvents { writer.append("showExpandedEvents", true) }
            if coversServer { writer.append("allChangesForCluster", true) }
            switch start {
            case .asAsked:
                if let token = options.resumeAfter { writer.append("resumeAfter", token) }
                if let token = options.startAfter { writer.append("startAfter", token) }
                if let time = options.startAtOperationTime {
                    writer.append("startAtOperationTime", time)
                }
            case .behind(let token, let isAfterChange):
                // Until the first change the token may be that of an `invalidate`, behind which
                // only `startAfter` goes on.
                let goesOnAfter = options.startAfter != nil && !isAfterChange
                writer.append(goesOnAfter ? "startAfter" : "resumeAfter", token)
            }
        }
        return Document { writer in
            writer.append("aggregate", target)
            writer.append("pipeline", .array([["$changeStream": .document(stage)]] + stages))
            if let batchSize = options.following.batchSize {
                writer.append("cursor", ["batchSize": .int32(batchSize)] as Document)
            } else {
                writer.append("cursor", Document())
            }
        }
    }

    /// Reads the changes. Used by one task at a time.
    public struct Iterator: AsyncIteratorProtocol {
        private let stream: ChangeStream
        let cursor: FollowingCursor
        private var batch: [Document] = []
        private var position = 0
        private var start = Start.asAsked

        fileprivate init(_ stream: ChangeStream, _ cursor: FollowingCursor) {
            self.stream = stream
            self.cursor = cursor
        }

        /// Where a stream goes on that has all changes so far; it advances while nothing happens.
        public private(set) var resumeToken: Document?

        /// The next change; nil behind an `invalidate`, and when the task is cancelled.
        public mutating func next() async throws(DBError) -> ChangeEvent? {
            try await next(isolation: nil)
        }

        /// The next change; nil behind an `invalidate`, and when the task is cancelled.
        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(DBError) -> ChangeEvent? {
            while position == batch.count {
                guard try await fetch(isolation: actor) else { return nil }
            }
            let event = ChangeEvent(document: batch[position])
            position += 1
            if position < batch.count { resumeToken = event.token } else { noteEndOfBatch() }
            return event
        }

        /// Waits for a batch that may be empty; false at the end.
        ///
        /// For those who look at `resumeToken` while nothing happens.
        mutating func fetch(isolation actor: isolated (any Actor)?) async throws(DBError) -> Bool {
            let (stream, start) = (stream, start)
            guard let next = try await cursor.nextBatch(opening: { stream.command(start) }) else {
                return false
            }
            batch = next.documents
            position = 0
            if let token = next.token ?? batch.last.map({ ChangeEvent(document: $0).token }) {
                var isAfterChange = !batch.isEmpty
                if case .behind(_, true) = start { isAfterChange = true }
                self.start = .behind(token, isAfterChange: isAfterChange)
            }
            if batch.isEmpty { noteEndOfBatch() }
            return true
        }

        private mutating func noteEndOfBatch() {
            if case .behind(let token, _) = start { resumeToken = token }
        }
    }
}
