// One connection on its event loop: bytes to the state machine, its actions performed, replies
// collected and flushed once for each batch of bytes read, after the other connections that had
// bytes in the same turn of the loop (see LoopState.flushAfterTurn).
//
//        received ──▶ ConnectionState ──▶ run(request) ──▶ out ──▶ end of the turn: one write
//                          ▲                  │ deferred: the writer or a reader answers later
//                          └── finishDeferred ◀┘
//
// A connection runs one request at a time, so answers keep their order. It stops reading while the
// client doesn't take what was written, and while too much waits behind a running request.

import BSON
import Logging
import NIOCore
import Query
import Roost
import Synchronization
import Wire

/// One client's connection. Confined to its event loop.
final class ConnectionHandler {
    /// Replies are written out at this size even while more requests wait.
    private static let flushBytes = 256 * 1024
    /// Most bytes that are taken from a client that has yet to sign in.
    private static let strangersBytesMax = 64 * 1_024
    /// A reply buffer above this size is not kept for the next reply.
    private static let keptBufferBytesMax = 32 * 1024

    let core: ServerCore
    let loop: LoopState
    /// The number that hello tells the client.
    let id: Int32
    /// What the client has said about itself.
    var client = ClientInfo()
    /// Who asks.
    var principal: Principal { access.principal }

    /// What the client may do.
    var access = ConnectionAccess()
    /// The sign-in that is under way.
    var exchange: SignInExchange?
    /// The number of the last sign-in that was begun.
    var lastConversation: Int32 = 0
    /// Whether the client is on this machine.
    private(set) var isLocal = false
    /// The client's address without its port, for counting failed sign-ins.
    private(set) var clientIP = "local"
    /// Ends what an app user follows when the token ends.
    var endOfAuthority: Scheduled<Void>?

    /// What the last command was about; the next one mostly is about the same.
    var lastNamespace: Namespace?
    /// Whether cursors were opened without a session, which end with the connection.
    var hasOwnCursors = false
    /// Tells work on other threads that nobody waits for it any more.
    let end = ConnectionEnd()

    /// Ends what runs for the connection off the event loop, where that may last.
    var running: Interrupt? {
        didSet { if let running { operation.set(running) } }
    }
    /// What runs off the event loop, for currentOp.
    let operation: OperationSlot
    /// When the running command began, on the monotonic clock.
    var commandStart = Clock.nanos
    /// The running command, for its times, while it is to be answered later.
    private var pending: LoopMeter.Pending?

    /// The last find by `_id`, which the next one may repeat.
    var repeatedRead: RepeatedRead?
    var state = ConnectionState()
    /// Replies that are not yet written to the socket, and the one being made.
    var out = ReplyWriter()

    /// Whether it takes transactions and retryable writes: over the wire drivers must be shown a
    /// replica set for that.
    lazy var takesTransactionNumbers = core.topology.isReplicaSet

    /// The live query that the connection follows.
    var live = LiveState()

    /// What carries the bytes; nil before the beginning and after the end.
    private(set) var transport: (any Transport)?
    private let arguments = Arguments()
    /// A request that is run again for each further reply.
    private var exhausting: Request?
    /// A hello that waits for a change of the topology.
    private var waitingHello: Scheduled<Void>?
    /// Whether the client takes what is written, for the most part.
    private(set) var isWritable = true
    private var lastTouch: SessionTable.Touch?
    private var closesWhenIdle = false
    private var isProcessing = false
    /// Whether `out` is being written; the transport may tell of changes in the middle of that.
    private var isFlushing = false
    /// When the connection last brought bytes, on the coarse clock.
    private var lastBytesAt = Clock.coarseNanos
    private var hasSentAMessage = false
    /// Whether replies wait until their command's profile is stored.
    private var isHolding = false

    init(core: ServerCore, loop: LoopState) {
        self.core = core
        self.loop = loop
        id = core.nextConnectionID()
        operation = OperationSlot(connection: id)
    }

    /// The loop that everything of the connection happens on.
    var eventLoop: any EventLoop { loop.mailbox.eventLoop }

    // MARK: What the transport tells

    /// The client at `address` is connected; nil for one on the socket file.
    func begin(on transport: any Transport, from address: SocketAddress?) {
        self.transport = transport
        client.remoteAddress = address.map(Self.describe) ?? "unix socket"
        operation.client.address = client.remoteAddress
        if let ip = address?.ipAddress {
            clientIP = ip
            isLocal = Self.isLoopback(ip)
        } else {
            isLocal = true
        }
        core.operations.add(operation)
        loop.add(self)
    }

    /// Lets go of all that belongs to the connection, once.
    func ended() {
        guard !end.hasEnded else { return }
        transport = nil
        waitingHello?.cancel()
        endOfAuthority?.cancel()
        exhausting = nil
        end.note()
        abandonLive()
        running?.kill(.interrupted)
        if hasOwnCursors { core.cursors.killAll(of: [.connection(id)]) }
        loop.remove(self)
        core.operations.remove(connection: id)
        core.releaseConnection()
    }

    /// The client has sent `bytes`.
    func received(_ bytes: ByteBuffer) {
        core.counters.bytesIn.wrappingAdd(bytes.readableBytes, ordering: .relaxed)
        commandStart = Clock.nanos
        lastBytesAt = commandStart
        state.receive(bytes)
        if state.pendingBytes > Self.strangersBytesMax, isStranger { return abort() }
        process()
    }

    /// Whether the client has yet to sign in.
    private var isStranger: Bool {
        if access.version != core.accounts.version { access.refresh(core, isLocal: isLocal) }
        guard case .nothing = access.grant else { return false }
        core.logger.info(
            "connection closed: a large message before signing in",
            metadata: ["connection": "\(id)", "remote": "\(client.remoteAddress)"])
        return true
    }

    /// What was there to be received is received.
    func receivedAll() {
        if out.buffer.readableBytes > 0 { loop.flushAfterTurn(self) }
    }

    /// The client sends nothing more: it gets the answers that are ready, then the connection ends.
    func inputEnded() {
        closeAfterFlush()
    }

    /// Whether more bytes are to be received; what nobody wants stays in the kernel, so that TCP
    /// holds the client back.
    var wantsBytes: Bool { state.wantsBytes && isWritable }

    /// The client takes what is written, or has left too much of it.
    func writabilityChanged(_ isWritable: Bool) {
        self.isWritable = isWritable
        guard isWritable else { return }
        if isFlushing {
            // It is told from inside the write, while `out` still holds what was written.
            let handler = NIOLoopBound(self, eventLoop: eventLoop)
            eventLoop.execute { handler.value.goOnWriting() }
        } else {
            goOnWriting()
        }
    }

    /// The client has taken enough of what was written.
    private func goOnWriting() {
        goOnFollowing()
        exhaustFurther()
        process()
        flush()
        resumeReading()
    }

    /// The transport has failed and closes.
    func failed(_ error: any Error) {
        let details: Logger.Metadata = [
            "connection": "\(id)", "remote": "\(client.remoteAddress)", "error": "\(error)",
        ]
        // Before the first message it is who may connect and how, which an operator asks about.
        if core.options.tls != nil, !hasSentAMessage {
            core.logger.info("connection failed in the TLS handshake", metadata: details)
        } else {
            core.logger.debug("connection failed", metadata: details)
        }
    }

    // MARK: Requests

    /// Performs the state machine's actions until it waits.
    func process() {
        guard !isProcessing, !isFlushing, transport != nil else { return }
        isProcessing = true
        defer { isProcessing = false }
        while isWritable {
            if closesWhenIdle, !state.isBusy { return closeAfterFlush() }
            if answerRepetition() {
                hasSentAMessage = true
                if out.buffer.readableBytes >= Self.flushBytes { flush() }
                continue
            }
            switch state.next() {
            case .wait: return
            case .request(let request):
                hasSentAMessage = true
                core.counters.requests.wrappingAdd(1, ordering: .relaxed)
                start(request)
            case .refuse(let requestID, let kind, let error, let wantsReply):
                core.logger.debug(
                    "message refused",
                    metadata: ["connection": "\(id)", "error": "\(error)"])
                guard wantsReply else { continue }
                refuse(error, requestID: requestID, kind)
            case .close(let reason):
                core.logger.info(
                    "connection closed: its bytes are not the protocol",
                    metadata: [
                        "connection": "\(id)", "remote": "\(client.remoteAddress)",
                        "reason": "\(reason)",
                    ])
                return closeAfterFlush()
            }
            if out.buffer.readableBytes >= Self.flushBytes { flush() }
        }
    }

    /// Runs a request that the state machine has handed out or that is exhausted further.
    private func start(_ request: Request) {
        if core.failPoints.isActive, let failure = injectedFailure(request) {
            return start(request, failure)
        }
        run(request)
    }

    func run(_ request: Request, _ failure: InjectedFailure? = nil) {
        out.begin(request.kind)
        var kind = OperationKind.command
        var special = SpecialFields()
        var outcome = CommandOutcome.done
        var failed: DBError?
        do throws(DBError) {
            let command = try definition(of: request)
            kind = command.kind
            try arguments.read(request, command)
            try authorize(command, request, arguments)
            special = try SpecialFields(
                arguments, request, command, core, takesNumbers: takesTransactionNumbers)
            special.session?.owner = access.sessionOwner
            if let failure {
                if let error = failure.error { throw error }
                if let error = failure.writeConcernError { special.writeConcern.failure = error }
            }
            if special.hasDeadline, core.failPoints.expiresAllDeadlines {
                throw .timeExpired
            }
            if let session = special.session {
                try touch(session)
                try special.enter(core)
            }
            let call = CommandCall(
                command: command, request: request, arguments: arguments, special: special,
                connection: self)
            if access.isAppUser { try AppUserCommands.check(call) }
            if command.options.contains(.adminOnly) { try call.checkIsAdmin() }
            outcome = try command.run(call, &out)
        } catch {
            failed = error
        }
        if failed == nil, case .deferred = outcome {
            pending = loop.meter.begin(kind, request, start: commandStart)
            return out.abandon()
        }
        guard request.wantsReply else {
            out.abandon()
            return state.finished()
        }
        let epilogue = ReplyEpilogue(core, request, special)
        if let failed { epilogue.fail(failed, &out) } else { epilogue.succeed(&out) }
        let exhausts = if case .exhaust = outcome { failed == nil } else { false }
        let replyID = epilogue.end(&out, responseTo: request.id, moreToCome: exhausts)
        let now = Clock.nanos
        let nanos = now &- min(now, commandStart)
        loop.meter.note(kind, request, nanos: nanos)
        if core.profiler.mayWant(nanos: nanos),
            profileSlowPath(request, failed, replyID, exhausts: exhausts)
        {
            return
        }
        commandStart = now
        if exhausts {
            repeatLater(request.repeated(after: replyID))
        } else {
            state.finished()
        }
    }

    /// Notes that the session is used.
    func touch(_ session: SessionID) throws(DBError) {
        try core.sessions.touch(session, now: lastBytesAt, &lastTouch)
    }

    /// Notes that the session is used, though its client sends nothing.
    func keepAlive(_ session: SessionID) {
        do throws(DBError) {
            try core.sessions.touch(session, now: Clock.coarseNanos, &lastTouch)
        } catch {
            core.logger.debug("a session was not kept", metadata: ["error": "\(error)"])
        }
    }

    /// Profiles or logs the command that `out` holds the answer of. True: the answer waits until
    /// that is done, and the connection with it.
    @inline(never)
    func profileSlowPath(
        _ request: Request, _ error: DBError?, _ replyID: Int32, exhausts: Bool
    ) -> Bool {
        let ended = EndedOperation(
            request: request, client: operation.client,
            nanos: Clock.nanos &- commandStart, report: operation.takeReport(),
            error: error, replyBytes: out.byteCount)
        let delivery = Delivery(
            connection: NIOLoopBound(self, eventLoop: loop.mailbox.eventLoop), reply: nil,
            replyID: replyID, exhausting: exhausts ? request : nil)
        isHolding = core.profiler.take(ended, core) { [mailbox = loop.mailbox] in
            mailbox.post(delivery)
        }
        return isHolding
    }

    private func definition(of request: borrowing Request) throws(DBError) -> CommandDefinition {
        let body = request.body
        guard let first = body.first else {
            throw DBError(.commandNotFound, "the command's document is empty")
        }
        guard let command = core.commands.find(first.name),
            core.options.offersTestCommands || !command.options.contains(.testOnly)
        else {
            throw DBError(.commandNotFound, "no such command: '\(first.nameString)'")
        }
        return command
    }

    func refuse(_ error: DBError, requestID: Int32, _ kind: Request.Kind) {
        let request = Request(
            id: requestID, kind: kind, flags: [], isCompressed: false, buffer: ByteBuffer(),
            bodyRange: 0..<0)
        let epilogue = ReplyEpilogue(core, request, SpecialFields())
        out.begin(kind)
        epilogue.fail(error, &out)
        epilogue.end(&out, responseTo: requestID, moreToCome: false)
    }

    /// Whether something runs or waits that goes on without a further request.
    var hasRunningWork: Bool { running != nil || exhausting != nil || isFollowing }

    // MARK: Answers that come later

    /// A reply that another thread has written is here.
    func finishDeferred(_ reply: ByteBuffer?, replyID: Int32, exhausting request: Request?) {
        running = nil
        operation.end()
        isHolding = false
        if let pending {
            let now = Clock.nanos
            loop.meter.end(pending, nanos: now &- min(now, pending.start))
            self.pending = nil
            commandStart = now
        }
        guard let transport else { return }
        flush()
        if let reply {
            core.counters.bytesOut.wrappingAdd(reply.readableBytes, ordering: .relaxed)
            transport.write(reply)
        }
        if let request {
            repeatLater(request.repeated(after: replyID))
        } else {
            state.finished()
            process()
            flush()
            resumeReading()
        }
    }

    /// Runs `request` again for the next reply, after other connections have had their turn, and
    /// when the client has taken enough of what was written.
    func repeatLater(_ request: Request) {
        exhausting = request
        guard transport != nil else { return }
        let handler = NIOLoopBound(self, eventLoop: eventLoop)
        eventLoop.execute { handler.value.exhaustFurther() }
    }

    private func exhaustFurther() {
        guard transport != nil, let request = exhausting else { return }
        // The next writability event goes on.
        guard isWritable else { return noteUnread() }
        exhausting = nil
        start(request)
        process()
        flush()
        resumeReading()
    }

    /// Calls `body` on the event loop after `delay`, unless the connection ends before.
    func holdHello(_ delay: TimeAmount, _ body: @escaping @Sendable () -> Void) {
        waitingHello = eventLoop.scheduleTask(in: delay, body)
    }

    // MARK: Writing and reading

    /// Writes the collected replies to the socket.
    func flush() {
        guard let transport, !isFlushing, !isHolding, out.buffer.readableBytes > 0 else { return }
        core.counters.bytesOut.wrappingAdd(out.buffer.readableBytes, ordering: .relaxed)
        isFlushing = true
        defer { isFlushing = false }
        transport.write(out.buffer)
        out.reset(keepingAtMost: Self.keptBufferBytesMax)
    }

    func resumeReading() {
        transport?.resumeReading()
    }

    // MARK: Ending

    /// Closes after the running request, which is ended where it may last.
    func stop() {
        closesWhenIdle = true
        running?.kill(.interruptedAtShutdown)
        if !state.isBusy || exhausting != nil || waitingHello != nil || live.isResting {
            closeAfterFlush()
        }
    }

    /// Closes now.
    func abort() {
        transport?.close()
    }

    private func closeAfterFlush() {
        flush()
        transport?.close()
    }

    /// Closes a connection that began a message, or its handshake, and doesn't go on.
    func closeIfStalled(now: UInt64) {
        let limits = core.options.timeouts
        let seconds: Double
        if state.isInsideFrame, !state.isBusy {
            seconds = hasSentAMessage ? limits.stalledFrameSeconds : limits.handshakeSeconds
        } else if !hasSentAMessage {
            seconds = limits.handshakeSeconds
        } else {
            return
        }
        let started = hasSentAMessage ? lastBytesAt : client.connectedAt
        guard now > started, Double(now - started) > seconds * 1e9 else { return }
        core.logger.info(
            "connection closed: no whole message came in time",
            metadata: ["connection": "\(id)", "remote": "\(client.remoteAddress)"])
        abort()
    }

    /// Whether an address is this machine's own.
    private static func isLoopback(_ ip: String) -> Bool {
        ip.hasPrefix("127.") || ip == "::1" || ip.lowercased().hasPrefix("::ffff:127.")
    }

    private static func describe(_ address: SocketAddress) -> String {
        guard let ip = address.ipAddress, let port = address.port else { return "unix socket" }
        return ip.contains(":") ? "[\(ip)]:\(port)" : "\(ip):\(port)"
    }
}

/// What is known about a connection's client.
struct ClientInfo {
    /// `ip:port`, or `unix socket`.
    var remoteAddress = ""
    /// When the connection was accepted, on the coarse clock.
    let connectedAt = Clock.coarseNanos
    /// The document that the first hello brought.
    var metadata: Document?
    /// The application's name in the metadata.
    var appName: String?
    /// Whether a hello came.
    var hasSaidHello = false
}
