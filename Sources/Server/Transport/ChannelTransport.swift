// A connection's bytes through a channel of SwiftNIO's, for TLS.

import NIOCore

/// The last handler of a channel's pipeline, which hands its connection what the channel brings.
final class ChannelTransport: ChannelDuplexHandler, Transport {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let connection: ConnectionHandler
    private var context: ChannelHandlerContext?
    /// Whether a read was asked for while the connection wanted no bytes.
    private var isPaused = false

    /// One for a connection that has no other.
    init(_ connection: ConnectionHandler) {
        self.connection = connection
    }

    // MARK: Transport

    var unsentBytes: Int {
        (try? context?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
    }

    func write(_ bytes: ByteBuffer) {
        context?.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
    }

    func resumeReading() {
        guard isPaused, connection.wantsBytes else { return }
        isPaused = false
        context?.read()
    }

    func holdLittle(_ marks: Range<Int>, socketBytesMax: Int) {
        guard let options = context?.channel.syncOptions else { return }
        // A socket that is closing refuses them, and needs them no more.
        try? options.setOption(
            .writeBufferWaterMark,
            value: ChannelOptions.Types.WriteBufferWaterMark(
                low: marks.lowerBound, high: marks.upperBound))
        try? options.setOption(
            .socketOption(.so_sndbuf), value: SocketOptionValue(socketBytesMax))
    }

    func close() {
        context?.close(promise: nil)
    }

    // MARK: Channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        connection.begin(on: self, from: context.remoteAddress)
    }

    /// A channel that ends before it was active never becomes inactive, so its removal counts too.
    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        connection.ended()
    }

    func channelInactive(context: ChannelHandlerContext) {
        connection.ended()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        connection.received(unwrapInboundIn(data))
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        connection.receivedAll()
    }

    /// Asked before each read; bytes that nobody wants stay in the kernel, so that TCP holds the
    /// client back.
    func read(context: ChannelHandlerContext) {
        if connection.wantsBytes { context.read() } else { isPaused = true }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        connection.writabilityChanged(context.channel.isWritable)
        context.fireChannelWritabilityChanged()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        connection.failed(error)
        context.close(promise: nil)
    }
}
