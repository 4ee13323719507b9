// One HTTP connection: requests become exchanges, answers are written, WebSockets are handed over.
//
//     ArrivalWatch ─ encoder, decoder ─ pipelining ─ HTTPConnection ─▶ GatewayCore.run ─▶ Exchange
//
// Requests are answered one after another, so a client may send several at once.

import BSON
import NIOCore
import NIOHTTP1
import Wire

/// The last handler of an HTTP connection. Confined to its event loop.
final class HTTPConnection: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let core: GatewayCore
    private let watch: ArrivalWatch
    /// What a WebSocket does without.
    private let protocolHandlers: [any RemovableChannelHandler]
    private var visitor: Visitor?
    private var context: ChannelHandlerContext?
    private var head: HTTPRequestHead?
    private var body = ByteBuffer()
    /// Why the request is refused although the rest of it comes.
    private var refusal: DBError?
    private var isAnswering = false
    private var isKeptAlive = true
    private var hasHandedOver = false
    /// Ends what a stream of events follows.
    private var stream: EventStream?

    init(_ core: GatewayCore, _ watch: ArrivalWatch, _ handlers: [any RemovableChannelHandler]) {
        self.core = core
        self.watch = watch
        protocolHandlers = handlers
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        visitor = Visitor(context.channel, core)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        conclude()
    }

    func channelInactive(context: ChannelHandlerContext) {
        conclude()
        context.fireChannelInactive()
    }

    private func conclude() {
        context = nil
        guard !hasHandedOver else { return }
        stream?.end()
        stream = nil
        visitor?.end()
        visitor = nil
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        visitor?.setWritable(context.channel.isWritable)
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is ChannelShouldQuiesceEvent {
            if isAnswering, stream == nil { isKeptAlive = false } else { closeNow() }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? HTTPParserError, !isAnswering else { return closeNow() }
        isKeptAlive = false
        isAnswering = true
        let failure =
            error == .headerOverflow
            ? DBError(
                .httpHeaders,
                "the head is larger than \(GatewayLimits.headerBytesMax) bytes, or has more than "
                    + "\(GatewayLimits.headerCountMax) fields")
            : DBError(.badValue, "this is not HTTP/1.1: \(error)")
        write(.failure(failure), to: nil)
    }

    // MARK: Requests

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): begin(head)
        case .body(var part):
            guard refusal == nil else { return }
            if body.readableBytes + part.readableBytes > GatewayLimits.bodyBytesMax {
                return refuse()
            }
            if body.readableBytes == 0 { body = part } else { body.writeBuffer(&part) }
        case .end:
            watch.requestArrived()
            run()
        }
    }

    private func begin(_ head: HTTPRequestHead) {
        self.head = head
        body = ByteBuffer()
        refusal = nil
        isKeptAlive = head.isKeepAlive
        if let length = head.headers.first(name: "Content-Length").flatMap({ Int($0) }),
            length > GatewayLimits.bodyBytesMax
        {
            return refuse()
        }
        if head.headers.first(name: "Expect")?.lowercased() == "100-continue" {
            context?.writeAndFlush(
                wrapOutboundOut(.head(HTTPResponseHead(version: head.version, status: .continue))),
                promise: nil)
        }
    }

    /// Answers before the rest of the body has come, and takes no more.
    private func refuse() {
        let error = DBError(
            .httpTooLarge, "the body is larger than \(GatewayLimits.bodyBytesMax) bytes")
        refusal = error
        body = ByteBuffer()
        isKeptAlive = false
        isAnswering = true
        write(.failure(error), to: head)
    }

    private func run() {
        guard refusal == nil, let head, let visitor else { return }
        isAnswering = true
        if head.method == .OPTIONS { return write(Self.preflight, to: head) }
        let path = head.uri.prefix { $0 != "?" }
        if path == LiveRoute.path {
            if WebSocketHandshake.isAsked(head) { return upgrade(head, visitor) }
            return follow(head, visitor)
        }
        let request = GatewayRequest(
            method: head.method, target: head.uri, headers: head.headers, body: body)
        body = ByteBuffer()
        core.run(request, visitor) { answer in self.write(answer, to: head) }
    }

    /// What a browser asks before it sends a request to another origin.
    private static let preflight = HTTPAnswer(
        status: .noContent,
        headers: [
            ("Access-Control-Allow-Methods", "GET, POST, PUT, PATCH, DELETE"),
            (
                "Access-Control-Allow-Headers",
                "Authorization, Content-Type, Idempotency-Key, Last-Event-ID"
            ), ("Access-Control-Max-Age", "86400"),
        ])

    // MARK: Answers

    private func write(_ answer: HTTPAnswer, to request: HTTPRequestHead?) {
        guard let context else { return }
        var answer = answer
        if request.map({ Gzip.isAccepted($0.headers) }) == true { Gzip.compress(&answer) }
        var headers = HTTPHeaders()
        headers.reserveCapacity(8 + answer.headers.count)
        if answer.status != .noContent {
            headers.add(name: "Content-Type", value: answer.contentType)
            headers.add(name: "Content-Length", value: String(answer.body.count))
        }
        Self.addCommon(to: &headers)
        for header in answer.headers { headers.add(name: header.name, value: header.value) }
        if !isKeptAlive || core.isStopping {
            isKeptAlive = false
            headers.add(name: "Connection", value: "close")
        }
        let head = HTTPResponseHead(version: .http1_1, status: answer.status, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if request?.method != .HEAD, !answer.body.isEmpty {
            context.write(
                wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: answer.body)))), promise: nil)
        }
        isAnswering = false
        watch.requestAnswered()
        let isKeptAlive = isKeptAlive
        let connection = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in
            if !isKeptAlive { connection.value.closeNow() }
        }
    }

    /// What every answer says: any origin may read it, since what it shows hangs on a token that is
    /// sent on purpose, never on a cookie; and no answer is taken for another type, or kept.
    static func addCommon(to headers: inout HTTPHeaders) {
        headers.add(name: "Access-Control-Allow-Origin", value: "*")
        headers.add(name: "Access-Control-Expose-Headers", value: "Location, Retry-After")
        headers.add(name: "X-Content-Type-Options", value: "nosniff")
        headers.add(name: "Cache-Control", value: "no-store")
    }

    private func closeNow() {
        context?.close(promise: nil)
    }

    // MARK: Live queries

    /// Server-Sent Events: the connection belongs to one live query from now on.
    private func follow(_ head: HTTPRequestHead, _ visitor: Visitor) {
        guard let context else { return }
        do throws(DBError) {
            guard head.method == .GET else {
                throw DBError(.httpMethod, "this address takes GET, not \(head.method)")
            }
            let request = try LiveRoute.request(head)
            let token = try LiveRoute.query(head)["access_token"]
            let guest =
                if let token { DoorGuest.token(token) } else {
                    try visitor.guest(of: head.headers)
                }
            try core.rates.take(guest, visitor.address)
            watch.becameStream()
            let stream = EventStream(context, visitor, guest, watch, request)
            self.stream = stream
            stream.begin { error in
                self.stream = nil
                self.isKeptAlive = false
                self.write(.failure(error, hasCredentials: guest != .anonymous), to: head)
            }
        } catch {
            write(.failure(error), to: head)
        }
    }

    /// Hands the connection over to a WebSocket.
    private func upgrade(_ head: HTTPRequestHead, _ visitor: Visitor) {
        guard let context else { return }
        let handshake: WebSocketHandshake
        let guest: DoorGuest
        do throws(DBError) {
            handshake = try WebSocketHandshake(head)
            guest = try visitor.guest(of: head.headers)
        } catch {
            return write(.failure(error), to: head)
        }
        var answer = HTTPHeaders()
        handshake.addAnswer(to: &answer)
        let response = HTTPResponseHead(
            version: .http1_1, status: .switchingProtocols, headers: answer)
        context.write(wrapOutboundOut(.head(response)), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        watch.becameStream()
        hasHandedOver = true
        let pipeline = context.pipeline.syncOperations
        do {
            try WebSocketConnection.add(
                to: pipeline, visitor, guest, compresses: handshake.compresses)
        } catch {
            hasHandedOver = false
            return closeNow()
        }
        // Bytes that came behind the request go to the new handlers when the decoder, the last of
        // them, goes.
        pipeline.removeHandler(context: context, promise: nil)
        for handler in protocolHandlers { pipeline.removeHandler(handler, promise: nil) }
    }
}
