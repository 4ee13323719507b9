// Live queries: `for try await event in collection.live(…)`, or the whole result each time it changes
// with `.results`.

public import BSON

/// How a live query is read.
public struct LiveQueryOptions: Sendable {
    /// Go on from an event's token: the difference comes, or `reset` and the result.
    public var resumeAfter: Value?
    /// How it reads, and what it does when the connection is lost.
    public var following = FollowOptions()

    /// The defaults: from the present result on.
    public init() {}
}

/// A query whose result is followed: first all of it, then each change of it. When the connection is
/// lost it goes on where it was.
public struct LiveQuery: AsyncSequence, Sendable {
    private let client: Client
    private let database: String
    private let command: Document
    fileprivate let options: LiveQueryOptions

    init(client: Client, database: String, _ command: Document, _ options: LiveQueryOptions) {
        self.client = client
        self.database = database
        self.command = command
        self.options = options
    }

    /// The events, those of one commit together, so that no half of it need be shown.
    public var batches: LiveBatches { LiveBatches(query: self) }

    /// The whole result: once it is there, and after each change.
    public var results: LiveResults { LiveResults(query: self) }

    /// Reads the events one by one; opens the query with its first `next`.
    public func makeAsyncIterator() -> Iterator {
        Iterator(batches: batches.makeAsyncIterator())
    }

    fileprivate var cursor: FollowingCursor {
        FollowingCursor(client, database: database, options.following)
    }

    fileprivate func command(behind token: Value?) -> Document {
        Document { writer in
            writer.appendFields(of: command.view)
            if let token { writer.append("resumeAfter", token) }
            if let batchSize = options.following.batchSize {
                writer.append("batchSize", batchSize)
            }
        }
    }

    /// Reads the events one by one. Used by one task at a time.
    public struct Iterator: AsyncIteratorProtocol {
        fileprivate var batches: LiveBatches.Iterator
        private var batch: [LiveEvent] = []
        private var position = 0

        fileprivate init(batches: LiveBatches.Iterator) {
            self.batches = batches
        }

        /// The next event; nil when the task is cancelled.
        public mutating func next() async throws(DBError) -> LiveEvent? {
            try await next(isolation: nil)
        }

        /// The next event; nil when the task is cancelled.
        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(DBError) -> LiveEvent? {
            while position == batch.count {
                guard let next = try await batches.next(isolation: actor) else { return nil }
                batch = next
                position = 0
            }
            defer { position += 1 }
            return batch[position]
        }
    }
}

/// The events of a live query, as many together as the server tells at once: never a part of what
/// one commit did.
public struct LiveBatches: AsyncSequence, Sendable {
    fileprivate let query: LiveQuery

    /// Opens the query with its first `next`.
    public func makeAsyncIterator() -> Iterator { Iterator(query) }

    /// Reads batches. Used by one task at a time.
    public struct Iterator: AsyncIteratorProtocol {
        private let query: LiveQuery
        let cursor: FollowingCursor
        private var token: Value?
        /// Whether events came since the last token, which can't be told again from there.
        private var isBetweenTokens = false

        fileprivate init(_ query: LiveQuery) {
            self.query = query
            cursor = query.cursor
            token = query.options.resumeAfter
        }

        /// The next events, at least one; nil when the task is cancelled.
        public mutating func next() async throws(DBError) -> [LiveEvent]? {
            try await next(isolation: nil)
        }

        /// The next events, at least one; nil when the task is cancelled.
        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(DBError) -> [LiveEvent]? {
            let (query, cursor) = (query, cursor)
            while true {
                // What came behind the token is not known to be all of a commit, or of the result.
                let behind = isBetweenTokens ? nil : token
                let batch = try await cursor.nextBatch { query.command(behind: behind) }
                guard let batch else { return nil }
                var events: [LiveEvent] = []
                if batch.isReopened, isBetweenTokens {
                    // A result was cut off: it comes anew.
                    events.append(LiveEvent(.reset))
                }
                for document in batch.documents {
                    let event = try LiveEvent(document)
                    events.append(event)
                    isBetweenTokens = event.token == nil
                    if let told = event.token { token = told }
                }
                if let told = batch.token, !isBetweenTokens { token = .document(told) }
                if !events.isEmpty { return events }
            }
        }
    }
}

/// The results of a live query, one after each batch of events.
public struct LiveResults: AsyncSequence, Sendable {
    fileprivate let query: LiveQuery

    /// Opens the query with its first `next`.
    public func makeAsyncIterator() -> Iterator {
        Iterator(batches: query.batches.makeAsyncIterator())
    }

    /// Reads results. Used by one task at a time.
    public struct Iterator: AsyncIteratorProtocol {
        fileprivate var batches: LiveBatches.Iterator
        private var result = LiveResult()

        fileprivate init(batches: LiveBatches.Iterator) {
            self.batches = batches
        }

        /// The next result that is whole; nil when the task is cancelled.
        public mutating func next() async throws(DBError) -> LiveResult? {
            try await next(isolation: nil)
        }

        /// The next result that is whole; nil when the task is cancelled.
        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(DBError) -> LiveResult? {
            while let batch = try await batches.next(isolation: actor) {
                for event in batch { try result.apply(event) }
                if result.isReady { return result }
            }
            return nil
        }
    }
}
