// One WebSocket: live queries and requests, as JSON messages in both directions. Gateway.md has the
// protocol.

import BSON
import NIOCore
import NIOHTTP1
import NIOWebSocket
import Wire

/// The last handler of a WebSocket. Confined to its event loop.
final class WebSocketConnection: ChannelInboundHandler {
    typealias InboundIn = WebSocketFrame
    typealias OutboundOut = WebSocketFrame

    private let visitor: Visitor
    private var guest: DoorGuest
    private let compresses: Bool
    private var assembler: MessageAssembler
    private var subscriptions: [String: LiveSubscription] = [:]
    private var context: ChannelHandlerContext?
    private var heartbeat: RepeatedTask?
    private var isClosing = false
    /// Requests that wait for the one that runs.
    private var requests: [(id: Value, request: GatewayRequest)] = []
    private var isRunning = false

    init(_ visitor: Visitor, _ guest: DoorGuest, compresses: Bool) {
        self.visitor = visitor
        self.guest = guest
        self.compresses = compresses
        assembler = MessageAssembler(compresses: compresses)
    }

    /// Adds what serves a WebSocket to the end of a pipeline.
    static func add(
        to pipeline: ChannelPipeline.SynchronousOperations, _ visitor: Visitor,
        _ guest: DoorGuest, compresses: Bool
    ) throws {
        let decoder = WebSocketFrameDecoder(maxFrameSize: GatewayLimits.messageBytesMax)
        try pipeline.addHandlers([
            WebSocketFrameEncoder(), ByteToMessageHandler(decoder),
            WebSocketConnection(visitor, guest, compresses: compresses),
        ])
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        let marks = ChannelOptions.Types.WriteBufferWaterMark(
            low: GatewayLimits.writeMarks.low, high: GatewayLimits.writeMarks.high)
        try? context.channel.syncOptions?.setOption(.writeBufferWaterMark, value: marks)
        let connection = NIOLoopBound(self, eventLoop: context.eventLoop)
        let interval = TimeAmount.milliseconds(GatewayLimits.heartbeatMillis)
        heartbeat = context.eventLoop.scheduleRepeatedTask(
            initialDelay: interval, delay: interval
        ) { _ in
            connection.value.write(
                WebSocketFrame(fin: true, opcode: .ping, data: ByteBuffer()))
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) { conclude() }

    func channelInactive(context: ChannelHandlerContext) {
        conclude()
        context.fireChannelInactive()
    }

    private func conclude() {
        heartbeat?.cancel()
        context = nil
        for subscription in subscriptions.values { subscription.end() }
        subscriptions = [:]
        requests = []
        visitor.end()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        visitor.setWritable(context.channel.isWritable)
        if context.channel.isWritable { runNext() }
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent { close(.goingAway, "the server is stopping") }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? NIOWebSocketError else {
            return context.close(promise: nil)
        }
        if case .invalidFrameLength = error {
            close(.messageTooLarge, "a frame is too large")
        } else {
            close(.protocolError, "a frame breaks the protocol")
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isClosing else { return }
        let frame = unwrapInboundIn(data)
        switch frame.opcode {
        case .text, .binary, .continuation:
            do throws(WebSocketViolation) {
                if let message = try assembler.take(frame) { received(message) }
            } catch {
                close(error.code, error.reason)
            }
        case .ping:
            guard frame.maskKey != nil, frame.fin, frame.length <= 125 else {
                return close(.protocolError, "a ping breaks the protocol")
            }
            write(WebSocketFrame(fin: true, opcode: .pong, data: frame.unmaskedData))
        case .pong: break
        case .connectionClose: close(.normalClosure, "")
        default: close(.protocolError, "an unknown kind of frame")
        }
    }

    // MARK: Messages in

    private func received(_ message: ByteBuffer) {
        let fields: Document
        do throws(DBError) {
            fields = try ExtendedJSON.parse(utf8: message.readableBytesSpan)
        } catch {
            return close(
                .dataInconsistentWithMessage, "a message is not a JSON object in UTF-8")
        }
        let id = fields["id"]
        do throws(DBError) {
            guard case .string(let type)? = fields["type"] else {
                throw DBError(.badValue, "a message needs 'type'")
            }
            switch type {
            case "auth": try authenticate(fields)
            case "subscribe": try subscribe(fields)
            case "unsubscribe": try unsubscribe(fields)
            case "request": try enqueue(fields)
            case "ping": send("{\"type\":\"pong\"}")
            default: throw DBError(.badValue, "there is no message '\(type.prefix(40))'")
            }
        } catch {
            fail(id, error)
        }
    }

    private func name(_ fields: Document) throws(DBError) -> String {
        guard case .string(let id)? = fields["id"], (1...100).contains(id.utf8.count) else {
            throw DBError(.badValue, "'id' must be a string of 1 to 100 bytes")
        }
        return id
    }

    /// Becomes another user, or the same with a newer token; live queries go on.
    private func authenticate(_ fields: Document) throws(DBError) {
        let new: DoorGuest
        switch fields["token"] {
        case .string(let token)?: new = .token(token)
        case nil, .null?: new = .anonymous
        default: throw DBError(.badValue, "'token' must be a string, or null to sign out")
        }
        // A refused token changes nothing, and what runs goes on.
        visitor.close(try visitor.openLink(for: new))
        guest = new
        send("{\"type\":\"authenticated\"}")
        for (id, subscription) in subscriptions {
            do throws(DBError) {
                try subscription.begin(as: new)
            } catch {
                subscriptions[id] = nil
                subscription.end()
                fail(.string(id), error)
            }
        }
    }

    private func subscribe(_ fields: Document) throws(DBError) {
        let id = try name(fields)
        guard subscriptions[id] == nil else {
            throw DBError(.badValue, "there is a subscription '\(id)' already")
        }
        guard subscriptions.count < GatewayLimits.subscriptionsMax else {
            throw DBError(
                .badValue,
                "one WebSocket has at most \(GatewayLimits.subscriptionsMax) subscriptions")
        }
        guard case .string(let text)? = fields["query"], case .string(let database)? = fields["db"]
        else { throw DBError(.badValue, "'subscribe' needs 'db' and 'query', strings") }
        var resume: String?
        switch fields["resume"] {
        case .string(let token)?: resume = token
        case nil, .null?: break
        default: throw DBError(.badValue, "'resume' must be a token, a string")
        }
        let query = LiveQuery(
            database: database, text: text, parameters: try QueryRoutes.parameters(fields),
            resume: resume)
        let subscription = LiveSubscription(visitor, query) { [weak self] message in
            self?.tell(id, message)
        }
        subscriptions[id] = subscription
        do throws(DBError) {
            try visitor.core.rates.take(guest, visitor.address)
            try subscription.begin(as: guest)
        } catch {
            subscriptions[id] = nil
            throw error
        }
    }

    private func unsubscribe(_ fields: Document) throws(DBError) {
        let id = try name(fields)
        subscriptions.removeValue(forKey: id)?.end()
        var writer = HTTPAnswer.jsonWriter()
        writer.raw("{\"type\":\"unsubscribed\",\"id\":")
        writer.quote(id)
        writer.raw("}")
        send(writer.bytes)
    }

    private func tell(_ id: String, _ message: LiveMessage) {
        if message.kind == .error { subscriptions[id] = nil }
        send(message.json(message.head(id: id)))
    }

    // MARK: Requests

    /// Requests run one after another, as over HTTP.
    private func enqueue(_ fields: Document) throws(DBError) {
        guard let id = fields["id"] else { throw DBError(.badValue, "'request' needs 'id'") }
        guard case .string(let method)? = fields["method"],
            case .string(let path)? = fields["path"], path.hasPrefix("/")
        else { throw DBError(.badValue, "'request' needs 'method' and 'path', strings") }
        guard requests.count < GatewayLimits.batchRequestsMax else {
            throw DBError(.httpTooMany, "too many requests wait: try again in 1 s")
        }
        var request = GatewayRequest(method: HTTPMethod(rawValue: method), target: path)
        if case .string(let key)? = fields["idempotencyKey"] {
            request.headers.add(name: "Idempotency-Key", value: key)
        }
        if case .string(let type)? = fields["contentType"] {
            request.headers.add(name: "Content-Type", value: type)
        }
        if case .document(let body)? = fields["body"] {
            request.body = ByteBuffer(
                string: ExtendedJSON.string(of: body.view, canonical: true))
        }
        requests.append((id, request))
        runNext()
    }

    private func runNext() {
        guard !isRunning, !requests.isEmpty, context?.channel.isWritable == true else { return }
        let (id, request) = requests.removeFirst()
        isRunning = true
        visitor.core.run(request, visitor, as: guest) { [weak self] answer in
            guard let self else { return }
            isRunning = false
            var writer = HTTPAnswer.jsonWriter()
            writer.raw("{\"type\":\"response\",\"id\":")
            writer.append(OwnedValue(id).view)
            writer.raw(",\"status\":\(answer.status.code),\"body\":")
            writer.raw(
                copying: answer.contentType.hasPrefix("application/json")
                    ? answer.body : Array("null".utf8))
            writer.raw("}")
            send(writer.bytes)
            runNext()
        }
    }

    // MARK: Messages out

    private func fail(_ id: Value?, _ error: DBError) {
        var writer = HTTPAnswer.jsonWriter()
        writer.raw("{\"type\":\"error\",\"id\":")
        writer.append(OwnedValue(id ?? .null).view)
        writer.raw(",\"error\":")
        HTTPAnswer.append(error, to: &writer)
        writer.raw("}")
        send(writer.bytes)
    }

    private func send(_ json: String) { send(Array(json.utf8)) }

    private func send(_ json: [UInt8]) {
        write(.text(json, compresses: compresses))
    }

    private func write(_ frame: WebSocketFrame) {
        guard let context, !isClosing else { return }
        context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
    }

    /// Says why, and closes.
    private func close(_ code: WebSocketErrorCode, _ reason: String) {
        guard let context, !isClosing else { return }
        var data = ByteBuffer()
        data.write(webSocketErrorCode: code)
        data.writeString(reason)
        isClosing = true
        let connection = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.writeAndFlush(
            wrapOutboundOut(WebSocketFrame(fin: true, opcode: .connectionClose, data: data))
        ).whenComplete { _ in connection.value.close(promise: nil) }
    }
}
