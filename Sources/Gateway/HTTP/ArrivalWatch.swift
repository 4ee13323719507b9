// Closes connections that keep the server waiting: for a request that has begun to arrive (a byte now
// and then doesn't help), for a first or next request, and for the client to take an answer.

import NIOCore

/// The first handler of a connection: it sees bytes before they are a request.
final class ArrivalWatch: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private enum State {
        /// No request has begun.
        case idle(since: NIODeadline)
        /// Bytes of a request came and it isn't whole.
        case arriving(since: NIODeadline)
        /// It is being answered.
        case answering
        /// A WebSocket, or a stream of events: `since` something came or was taken.
        case streaming(since: NIODeadline)
    }

    private static let checkInterval = TimeAmount.seconds(5)

    private var state = State.idle(since: .now())
    private var unwritableSince: NIODeadline?
    private var check: RepeatedTask?

    func handlerAdded(context: ChannelHandlerContext) {
        let watch = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        check = context.eventLoop.scheduleRepeatedTask(
            initialDelay: Self.checkInterval, delay: Self.checkInterval
        ) { _ in
            let (watch, context) = watch.value
            watch.look(context)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        check?.cancel()
    }

    func channelInactive(context: ChannelHandlerContext) {
        check?.cancel()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch state {
        case .idle: state = .arriving(since: .now())
        case .streaming: state = .streaming(since: .now())
        case .arriving, .answering: break
        }
        context.fireChannelRead(data)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        unwritableSince = context.channel.isWritable ? nil : .now()
        context.fireChannelWritabilityChanged()
    }

    /// The request is whole.
    func requestArrived() { state = .answering }

    /// The request was answered.
    func requestAnswered() { state = .idle(since: .now()) }

    /// From now on there are messages instead of requests.
    func becameStream() { state = .streaming(since: .now()) }

    private func look(_ context: ChannelHandlerContext) {
        let now = NIODeadline.now()
        func isOver(_ since: NIODeadline, _ seconds: Int64) -> Bool {
            now - since > .seconds(seconds)
        }
        if let unwritableSince, isOver(unwritableSince, GatewayLimits.idleSeconds) {
            return context.close(promise: nil)
        }
        switch state {
        case .idle(let since), .streaming(let since):
            if isOver(since, GatewayLimits.idleSeconds) { context.close(promise: nil) }
        case .arriving(let since):
            if isOver(since, GatewayLimits.requestSeconds) { context.close(promise: nil) }
        case .answering: break
        }
    }
}
