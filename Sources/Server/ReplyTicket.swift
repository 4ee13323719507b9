// Answers that come from another thread: the writer after its commit, or a reader of the pool.
//
// The answering thread writes the whole reply into a buffer of its own and posts it to the event
// loop's mailbox. The completions of a commit group run together on one of the loops, which costs
// one wake-up, and the writer thread nothing.

import BSON
import NIOCore
import Roost
import Synchronization
import Wire

/// The right to answer one request, once, from any thread.
struct ReplyTicket: Sendable {
    private let connection: NIOLoopBound<ConnectionHandler>
    private let mailbox: LoopMailbox
    let request: Request
    private let epilogue: ReplyEpilogue
    let special: SpecialFields
    private let connectionEnd: ConnectionEnd
    private let core: ServerCore
    private let operation: OperationSlot
    private let startedAt: UInt64

    init(
        connection: ConnectionHandler, mailbox: LoopMailbox, request: Request,
        special: SpecialFields
    ) {
        self.connection = NIOLoopBound(connection, eventLoop: mailbox.eventLoop)
        self.mailbox = mailbox
        self.special = special
        connectionEnd = connection.end
        core = connection.core
        operation = connection.operation
        startedAt = connection.commandStart
        self.request = request
        epilogue = ReplyEpilogue(connection.core, request, special)
    }

    /// Answers with the fields that `body` writes, or with the error that it throws.
    ///
    /// - Parameter exhausts: whether the same request is to be run again for the next reply.
    func answer(
        exhausts: Bool = false, _ body: (inout ReplyWriter) throws(DBError) -> Void
    ) {
        guard request.wantsReply else {
            return post(
                Delivery(connection: connection, reply: nil, replyID: 0, exhausting: nil), nil)
        }
        var writer = ReplyWriter()
        writer.begin(request.kind)
        answer(continuing: &writer, exhausts: exhausts, body)
    }

    /// Answers by going on with a reply that was begun elsewhere (`ReplyWriter.split`).
    ///
    /// - Parameter responseTo: what it answers; the request itself without.
    func answer(
        continuing writer: inout ReplyWriter, exhausts: Bool = false, responseTo: Int32? = nil,
        _ body: (inout ReplyWriter) throws(DBError) -> Void
    ) {
        guard request.wantsReply else {
            return post(
                Delivery(connection: connection, reply: nil, replyID: 0, exhausting: nil), nil)
        }
        var goesOn = exhausts
        var failure: DBError?
        do throws(DBError) {
            try body(&writer)
            epilogue.succeed(&writer)
        } catch {
            goesOn = false
            failure = error
            epilogue.fail(error, &writer)
        }
        let replyID = epilogue.end(
            &writer, responseTo: responseTo ?? request.id, moreToCome: goesOn)
        post(
            Delivery(
                connection: connection, reply: writer.take(), replyID: replyID,
                exhausting: goesOn ? request : nil),
            failure)
    }

    /// Ends a reply that was begun in the connection's own buffer, on its event loop. Returns the
    /// reply's number.
    func end(_ reply: inout ReplyWriter, responseTo: Int32, goesOn: Bool) -> Int32 {
        epilogue.succeed(&reply)
        return epilogue.end(&reply, responseTo: responseTo, moreToCome: goesOn)
    }

    /// Whether replies to different connections that ask like this one may have the same bytes.
    var canShareReplies: Bool {
        request.kind == .message && !request.isCompressed
            && !request.flags.contains(.checksumPresent)
    }

    /// Keeps what a read looked at, where the profiler may ask for it.
    func note(_ cursor: QueryCursor) {
        if core.profiler.mayWant(nanos: Clock.coarseNanos &- startedAt) {
            operation.note(cursor.report)
        }
    }

    /// Posts the answer; behind the command's profile, where there is to be one.
    private func post(_ delivery: Delivery, _ error: DBError?) {
        let now = Clock.coarseNanos
        guard core.profiler.mayWant(nanos: now &- min(now, startedAt)) else {
            return mailbox.post(delivery)
        }
        let ended = EndedOperation(
            request: request, client: operation.client,
            nanos: Clock.nanos &- startedAt, report: operation.takeReport(),
            error: error, replyBytes: delivery.reply?.readableBytes ?? 0)
        let isStoring = core.profiler.take(ended, core) { [mailbox] in mailbox.post(delivery) }
        if !isStoring { mailbox.post(delivery) }
    }

    /// Whether the client has gone, so that nobody waits for the answer.
    var isConnectionGone: Bool { connectionEnd.hasEnded }

    /// Closes the connection in place of an answer.
    func closeConnection() {
        let connection = connection
        mailbox.eventLoop.execute { connection.value.abort() }
    }

    /// Answers with an error.
    func fail(_ error: DBError, responseTo: Int32? = nil) {
        var writer = ReplyWriter()
        writer.begin(request.kind)
        answer(continuing: &writer, responseTo: responseTo) { _ throws(DBError) in throw error }
    }
}

/// Tells other threads that a connection has ended.
final class ConnectionEnd: Sendable {
    private let ended = Atomic<Bool>(false)

    /// Whether it has.
    var hasEnded: Bool { ended.load(ordering: .relaxed) }

    /// Notes the end.
    func note() { ended.store(true, ordering: .relaxed) }
}

/// A reply on its way to its connection.
struct Delivery: Sendable {
    let connection: NIOLoopBound<ConnectionHandler>
    /// Nil where the client wanted none.
    let reply: ByteBuffer?
    let replyID: Int32
    /// The request to run again for the next reply.
    let exhausting: Request?
}

/// Replies for the connections of one event loop, and live queries that have events, posted from any
/// thread.
final class LoopMailbox: Sendable {
    /// Live queries served in one turn of the loop.
    private static let liveMax = 256

    private struct Waiting {
        var deliveries: [Delivery] = []
        var live: [LiveBatch] = []

        var count: Int { deliveries.count + live.count }
    }

    let eventLoop: any EventLoop
    private let waiting = Mutex(Waiting())

    init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    /// Brings a reply to its connection, soon.
    func post(_ delivery: Delivery) {
        let isFirst = waiting.withLock { waiting in
            waiting.deliveries.append(delivery)
            return waiting.count == 1
        }
        if isFirst { eventLoop.execute { self.deliver() } }
    }

    /// Has a live query look at its events, soon.
    func post(_ batch: LiveBatch) {
        let isFirst = waiting.withLock { waiting in
            waiting.live.append(batch)
            return waiting.count == 1
        }
        if isFirst { eventLoop.execute { self.deliver() } }
    }

    private func deliver() {
        let (taken, isMore) = waiting.withLock { waiting in
            var taken = Waiting()
            swap(&taken.deliveries, &waiting.deliveries)
            if waiting.live.count <= Self.liveMax {
                swap(&taken.live, &waiting.live)
            } else {
                taken.live = Array(waiting.live.prefix(Self.liveMax))
                waiting.live.removeFirst(Self.liveMax)
            }
            return (taken, waiting.count > 0)
        }
        // What comes from sockets has its turn between.
        if isMore { eventLoop.execute { self.deliver() } }
        for delivery in taken.deliveries {
            delivery.connection.value.finishDeferred(
                delivery.reply, replyID: delivery.replyID, exhausting: delivery.exhausting)
        }
        for batch in taken.live { batch.resume() }
    }
}

/// What ends every reply: `ok` or the error's fields, the cluster's time, the header.
struct ReplyEpilogue: Sendable {
    private let core: ServerCore
    private let isCompressed: Bool
    private let hasChecksum: Bool
    private let isRetryableWrite: Bool
    private let concernFailure: Document?
    private let statement: TransactionStatement?
    private let transaction: Transaction?

    init(_ core: ServerCore, _ request: Request, _ special: SpecialFields) {
        self.core = core
        isCompressed = request.isCompressed
        hasChecksum = request.flags.contains(.checksumPresent)
        concernFailure = special.writeConcern.failure
        statement = special.statement
        transaction = special.transaction
        isRetryableWrite = special.transactionNumber != nil || statement?.isEnd == true
    }

    /// Ends the fields of a reply to a command that succeeded.
    func succeed(_ reply: inout ReplyWriter) {
        reply.append("ok", 1.0)
        if isRetryableWrite, let failure = concernFailure?.view,
            failure.value("errorLabels") == nil,
            let code = failure.value("code")?.int32,
            DBError.Code(rawValue: code).isRetryableForWrites
        {
            let labels = reply.openArray("errorLabels")
            reply.append(element: "RetryableWriteError")
            reply.close(labels)
        }
        core.appendClusterTime(&reply)
    }

    /// Replaces the fields by those of an error.
    func fail(_ error: DBError, _ reply: inout ReplyWriter) {
        core.counters.errors.wrappingAdd(1, ordering: .relaxed)
        reply.restart()
        reply.append("ok", 0.0)
        reply.append("errmsg", error.message)
        reply.append("code", error.code.rawValue)
        reply.append("codeName", error.code.name)
        reply.appendFields(of: error.details.view)
        // A write concern that can't be met is told beside the error.
        if let failure = concernFailure, failure.view.value("errorLabels") == nil {
            reply.append("writeConcernError", document: failure)
        }
        // An error ends the transaction that it happens in.
        transaction?.abort()
        if error.details.view.value("errorLabels") == nil { appendLabels(error, &reply) }
        core.appendClusterTime(&reply)
    }

    /// Tells drivers what may be tried again.
    private func appendLabels(_ error: DBError, _ reply: inout ReplyWriter) {
        let isRetryable = isRetryableWrite && error.code.isRetryableForWrites
        let isTransient = statement.map { error.isTransient(isEnd: $0.isEnd) } ?? false
        guard isRetryable || isTransient else { return }
        let labels = reply.openArray("errorLabels")
        if isRetryable { reply.append(element: "RetryableWriteError") }
        if isTransient { reply.append(element: "TransientTransactionError") }
        reply.close(labels)
    }

    /// Writes the header and compresses where the client can inflate. Returns the reply's number.
    @discardableResult
    func end(_ reply: inout ReplyWriter, responseTo: Int32, moreToCome: Bool) -> Int32 {
        let flags = MessageFlags(moreToCome: moreToCome, checksumPresent: hasChecksum)
        let id = core.nextReplyID()
        reply.end(requestID: id, responseTo: responseTo, flags: flags)
        if isCompressed { reply.compressLast() }
        return id
    }
}

extension ServerCore {
    /// What a member of a replica set says of the time in each reply.
    func appendClusterTime(_ reply: inout ReplyWriter) {
        guard topology.isReplicaSet else { return }
        let time = clusterTime
        let document = reply.openDocument("$clusterTime")
        reply.append("clusterTime", time)
        let signature = reply.openDocument("signature")
        reply.append("hash", .binary(subtype: 0, [UInt8](repeating: 0, count: 20)))
        reply.append("keyId", Int64(0))
        reply.close(signature)
        reply.close(document)
        reply.append("operationTime", time)
    }
}

extension DBError.Code {
    /// Codes after which drivers repeat a retryable write (drivers' specification of retryable
    /// writes).
    var isRetryableForWrites: Bool {
        switch rawValue {
        case 6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436: true
        default: false
        }
    }
}
