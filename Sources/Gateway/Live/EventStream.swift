// One live query as Server-Sent Events (WHATWG HTML): `event` is the message's type, `id` the token
// that the browser sends back as Last-Event-ID when it connects again.

import BSON
import NIOCore
import NIOHTTP1
import Wire

/// A stream. Confined to the event loop.
final class EventStream {
    private let context: ChannelHandlerContext
    private let visitor: Visitor
    private let guest: DoorGuest
    private let watch: ArrivalWatch
    private let query: LiveQuery
    private var subscription: LiveSubscription?
    private var hasBegun = false

    init(
        _ context: ChannelHandlerContext, _ visitor: Visitor, _ guest: DoorGuest,
        _ watch: ArrivalWatch, _ query: LiveQuery
    ) {
        self.context = context
        self.visitor = visitor
        self.guest = guest
        self.watch = watch
        self.query = query
    }

    /// Begins. What fails before the first event is an answer like any other: `refuse` writes it.
    func begin(_ refuse: @escaping (DBError) -> Void) {
        let subscription = LiveSubscription(visitor, query) { [weak self] message in
            self?.send(message)
        }
        self.subscription = subscription
        do throws(DBError) {
            holdLittle()
            try subscription.begin(as: guest)
        } catch {
            end()
            refuse(error)
        }
    }

    /// Ends it with its connection.
    func end() {
        subscription?.end()
        subscription = nil
    }

    private func holdLittle() {
        let marks = ChannelOptions.Types.WriteBufferWaterMark(
            low: GatewayLimits.writeMarks.low, high: GatewayLimits.writeMarks.high)
        try? context.channel.syncOptions?.setOption(.writeBufferWaterMark, value: marks)
    }

    private func send(_ message: LiveMessage) {
        guard subscription != nil else { return }
        watch.becameStream()
        if !hasBegun {
            hasBegun = true
            var headers = HTTPHeaders([("Content-Type", "text/event-stream")])
            HTTPConnection.addCommon(to: &headers)
            headers.add(name: "Connection", value: "close")
            let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: headers)
            write(.head(head))
        }
        var text = ByteBuffer()
        text.writeString("event: \(message.kind.rawValue)\n")
        if let token = message.token { text.writeString("id: \(token)\n") }
        text.writeString("data: ")
        text.writeBytes(message.json(""))
        text.writeString("\n\n")
        write(.body(.byteBuffer(text)))
        guard message.kind == .error else { return context.flush() }
        end()
        write(.end(nil))
        context.flush()
        context.close(promise: nil)
    }

    private func write(_ part: HTTPServerResponsePart) {
        context.write(NIOAny(part), promise: nil)
    }
}
