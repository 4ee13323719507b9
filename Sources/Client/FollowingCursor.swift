// A cursor that never ends, over as many connections as it takes.
//
// Each has a connection of its own, since an awaiting getMore keeps a connection busy. When that is
// lost, or the server forgot the cursor, the command is sent again on a new one, with the token of
// the last batch, so that nothing is missed and nothing comes twice. It gives up when the server
// can't be reached for as long as the options say.

import BSON
import NIOCore

/// How a stream behaves when its connection is lost.
public struct FollowOptions: Sendable {
    /// How long to try to reach the server again before the loss is thrown.
    public var givesUpAfter: Duration = .seconds(60)
    /// Documents to a batch at most; nil for as many as fit.
    public var batchSize: Int32?
    /// How long the server waits before it answers that there is nothing new, in milliseconds.
    public var awaitMillis: Int64 = 1_000

    /// The defaults.
    public init() {}
}

/// Reads batches and reconnects. An actor: one batch at a time, however many ask.
actor FollowingCursor {
    /// What came with one reply.
    struct Batch: Sendable {
        let documents: [Document]
        /// Where a stream goes on that has all of them, if the reply says so.
        let token: Document?
        /// Whether it is the first of a connection after another one.
        let isReopened: Bool
    }

    /// A reply that takes this much longer than the server may wait is not coming any more.
    private static let graceMillis: Int64 = 10_000
    private static let pauseMillisMax = 2_000.0

    private let client: Client
    private let database: String
    private let options: FollowOptions
    /// The connection of now; nil before the first and after a loss.
    private var connection: Connection?
    private var id: Int64 = 0
    private var collection = ""
    private var wasOpen = false
    private var hasEnded = false

    init(_ client: Client, database: String, _ options: FollowOptions) {
        self.client = client
        self.database = database
        self.options = options
    }

    deinit {
        connection?.close()
    }

    /// The next batch, which may be empty; nil when the server has ended the cursor or the task was
    /// cancelled.
    ///
    /// - Parameter command: opens the cursor where it left off, should that be needed.
    /// - Throws: what the server answers, unless it means that the cursor can be opened again;
    ///   `hostUnreachable` where the first connection fails, or none could be had for too long.
    func nextBatch(
        opening command: @Sendable () -> Document
    ) async throws(DBError) -> Batch? {
        var giveUp: ContinuousClock.Instant?
        var pauseMillis = 20.0
        while !hasEnded, !Task.isCancelled {
            do throws(DBError) {
                return try await connection == nil ? open(command()) : more()
            } catch {
                drop()
                guard !Task.isCancelled else { break }
                guard wasOpen, Self.canGoOn(after: error) else {
                    hasEnded = true
                    throw error
                }
                let end = giveUp ?? .now + options.givesUpAfter
                giveUp = end
                // Not all clients of a server that comes back at the same moment.
                let pause = Duration.milliseconds(pauseMillis * .random(in: 0.5...1))
                guard .now + pause < end else { throw error }
                try? await Task.sleep(for: pause)
                pauseMillis = min(2 * pauseMillis, Self.pauseMillisMax)
            }
        }
        drop()
        hasEnded = true
        return nil
    }

    /// Loses the connection, as a network would.
    func drop() {
        connection?.close()
        connection = nil
    }

    /// Whether opening the cursor again may help.
    private static func canGoOn(after error: DBError) -> Bool {
        switch error.code {
        case .hostUnreachable, .cursorNotFound, .cursorKilled, .shutdownInProgress,
            .interruptedAtShutdown:
            return true
        default: break
        }
        guard var labels = error.details.view.value("errorLabels")?.array?.makeIterator() else {
            return false
        }
        while let label = labels.next() {
            if label.value.string == "ResumableChangeStreamError" { return true }
        }
        return false
    }

    // MARK: One reply

    private func open(_ command: Document) async throws(DBError) -> Batch {
        let opened = try await Connection.open(client.target)
        connection = opened
        let reply = try await run(command, opened)
        defer { wasOpen = true }
        return try batch(in: reply, "firstBatch", isReopened: wasOpen)
    }

    private func more() async throws(DBError) -> Batch? {
        guard let connection else { return nil }
        guard id != 0 else {
            hasEnded = true
            drop()
            return nil
        }
        let command = Document { writer in
            writer.append("getMore", id)
            writer.append("collection", collection)
            if let batchSize = options.batchSize { writer.append("batchSize", batchSize) }
            writer.append("maxTimeMS", options.awaitMillis)
        }
        return try batch(in: try await run(command, connection), "nextBatch", isReopened: false)
    }

    /// Runs a command; the end of the task, and an answer that is overdue, end the connection.
    private func run(
        _ command: Document, _ connection: Connection
    ) async throws(DBError) -> Document {
        let timeout = connection.close(afterMillis: options.awaitMillis + Self.graceMillis)
        defer { timeout.cancel() }
        do {
            return try await withTaskCancellationHandler {
                try await connection.run(command, database: database)
            } onCancel: {
                connection.close()
            }
        } catch let error as DBError {
            throw error
        } catch {
            throw ReplyHandler.closed
        }
    }

    private func batch(
        in reply: Document, _ field: StaticString, isReopened: Bool
    ) throws(DBError) -> Batch {
        let batch = try CursorBatch(reply, field)
        id = batch.id
        collection = batch.collection
        return Batch(documents: batch.documents, token: batch.token, isReopened: isReopened)
    }
}
