// Answers that come from another thread: the writer after its commit, or a reader of the pool.
//
// The answering thread writes the whole reply into a buffer of its own and posts it to the event
// loop's mailbox. The writer thread wakes a loop once for all answers of a commit group.

import BSON
import NIOCore
import Roost
import Synchronization
import Wire

/// The right to answer one request, once, from any thread.
struct ReplyTicket: Sendable {
    private let connection: NIOLoopBound<ConnectionHandler>
    private let mailbox: LoopMailbox
    private let request: Request
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
    func answer(
        continuing writer: inout ReplyWriter, exhausts: Bool = false,
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
        let replyID = epilogue.end(&writer, responseTo: request.id, moreToCome: goesOn)
        post(
            Delivery(
                connection: connection, reply: writer.take(), replyID: replyID,
                exhausting: goesOn ? request : nil),
            failure)
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

    /// Answers with an error.
    func fail(_ error: DBError) {
        answer { _ throws(DBError) in throw error }
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

/// Replies for the connections of one event loop, posted from any thread.
final class LoopMailbox: Sendable {
    let eventLoop: any EventLoop
    private let engine: RoostEngine
    private let waiting = Mutex(Waiting())

    private struct Waiting {
        var deliveries: [Delivery] = []
        /// Whether the loop has been asked to deliver and hasn't yet.
        var isWoken = false
    }

    init(_ eventLoop: any EventLoop, _ engine: RoostEngine) {
        self.eventLoop = eventLoop
        self.engine = engine
    }

    /// Brings a reply to its connection, soon: on the writer thread after the last of its group's
    /// answers, so that the loop doesn't wake for each.
    func post(_ delivery: Delivery) {
        waiting.withLock { $0.deliveries.append(delivery) }
        if !engine.isOnWriterThread { wake() }
    }

    /// Wakes the loop if answers wait and nobody has.
    func wake() {
        let mustWake = waiting.withLock { waiting in
            if waiting.deliveries.isEmpty || waiting.isWoken { return false }
            waiting.isWoken = true
            return true
        }
        if mustWake { eventLoop.execute { self.deliver() } }
    }

    private func deliver() {
        let deliveries = waiting.withLock { waiting in
            defer { waiting = Waiting() }
            return waiting.deliveries
        }
        for delivery in deliveries {
            delivery.connection.value.finishDeferred(
                delivery.reply, replyID: delivery.replyID, exhausting: delivery.exhausting)
        }
    }
}

/// What ends every reply: `ok` or the error's fields, the cluster's time, the header.
struct ReplyEpilogue: Sendable {
    private let core: ServerCore
    private let isCompressed: Bool
    private let hasChecksum: Bool
    private let isRetryableWrite: Bool

    init(_ core: ServerCore, _ request: Request, _ special: SpecialFields) {
        self.core = core
        isCompressed = request.isCompressed
        hasChecksum = request.flags.contains(.checksumPresent)
        isRetryableWrite = special.transactionNumber != nil
    }

    /// Ends the fields of a reply to a command that succeeded.
    func succeed(_ reply: inout ReplyWriter) {
        reply.append("ok", 1.0)
        appendClusterTime(&reply)
    }

    /// Replaces the fields by those of an error.
    func fail(_ error: DBError, _ reply: inout ReplyWriter) {
        reply.restart()
        reply.append("ok", 0.0)
        reply.append("errmsg", error.message)
        reply.append("code", error.code.rawValue)
        reply.append("codeName", error.code.name)
        reply.appendFields(of: error.details.view)
        if isRetryableWrite, error.code.isRetryableForWrites,
            error.details.view.value("errorLabels") == nil
        {
            let labels = reply.openArray("errorLabels")
            reply.append(element: "RetryableWriteError")
            reply.close(labels)
        }
        appendClusterTime(&reply)
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

    private func appendClusterTime(_ reply: inout ReplyWriter) {
        guard core.topology.isReplicaSet else { return }
        let time = core.clusterTime
        let clusterTime = reply.openDocument("$clusterTime")
        reply.append("clusterTime", time)
        let signature = reply.openDocument("signature")
        reply.append("hash", .binary(subtype: 0, [UInt8](repeating: 0, count: 20)))
        reply.append("keyId", Int64(0))
        reply.close(signature)
        reply.close(clusterTime)
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
