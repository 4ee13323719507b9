// A channel without a socket, between the HTTP door and the handler that answers commands.
//
//     HTTP channel ── CommandLink ── InnerChannel ── ConnectionHandler (the server's)
//                      messages  ───▶ channelRead
//                      replies   ◀─── write
//
// The server's handler can't tell it from a connection: it has a remote address (that of the HTTP
// client), becomes unwritable when the client does not take what was written, and ends. Everything
// happens on the event loop of the HTTP channel.

import NIOCore

/// What lies behind a channel without a socket.
protocol InnerChannelOwner: AnyObject {
    /// Bytes that the handler wrote.
    func received(_ bytes: ByteBuffer)
    /// The channel has ended.
    func channelEnded()
}

/// The channel. Confined to its event loop.
// Unchecked: Channel must be Sendable; all that changes does so on the event loop.
final class InnerChannel: Channel, ChannelCore, @unchecked Sendable {
    let allocator = ByteBufferAllocator()
    let eventLoop: any EventLoop
    let parent: (any Channel)?
    let remoteAddress: SocketAddress?
    private(set) lazy var pipeline = ChannelPipeline(channel: self)
    private(set) var isActive = true
    private(set) var isWritable = true
    private let closePromise: EventLoopPromise<Void>
    private weak var owner: (any InnerChannelOwner)?

    var closeFuture: EventLoopFuture<Void> { closePromise.futureResult }
    var localAddress: SocketAddress? { parent?.localAddress }
    var _channelCore: any ChannelCore { self }

    /// A channel of a client of `parent`; on its event loop.
    init(parent: any Channel, owner: any InnerChannelOwner) {
        self.parent = parent
        self.owner = owner
        eventLoop = parent.eventLoop
        remoteAddress = parent.remoteAddress
        closePromise = parent.eventLoop.makePromise()
    }

    /// Hands bytes to the handler.
    func receive(_ bytes: ByteBuffer) {
        guard isActive else { return }
        pipeline.fireChannelRead(bytes)
        pipeline.fireChannelReadComplete()
    }

    /// Tells the handler whether more may be written.
    func setWritable(_ isWritable: Bool) {
        guard isActive, self.isWritable != isWritable else { return }
        self.isWritable = isWritable
        pipeline.fireChannelWritabilityChanged()
    }

    // MARK: Options

    func setOption<Option: ChannelOption>(
        _ option: Option, value: Option.Value
    ) -> EventLoopFuture<Void> {
        eventLoop.makeSucceededVoidFuture()
    }

    func getOption<Option: ChannelOption>(_ option: Option) -> EventLoopFuture<Option.Value> {
        parent?.getOption(option)
            ?? eventLoop.makeFailedFuture(ChannelError.operationUnsupported)
    }

    /// The client's own: how much it has not taken, and its water marks.
    var syncOptions: (any NIOSynchronousChannelOptions)? { parent?.syncOptions }

    // MARK: ChannelCore

    func localAddress0() throws -> SocketAddress { throw ChannelError.operationUnsupported }

    func remoteAddress0() throws -> SocketAddress {
        guard let remoteAddress else { throw ChannelError.operationUnsupported }
        return remoteAddress
    }

    func register0(promise: EventLoopPromise<Void>?) { promise?.succeed() }

    func registerAlreadyConfigured0(promise: EventLoopPromise<Void>?) { promise?.succeed() }

    func bind0(to address: SocketAddress, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }

    func connect0(to address: SocketAddress, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }

    func write0(_ data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard isActive else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        owner?.received(unwrapData(data, as: ByteBuffer.self))
        promise?.succeed()
    }

    func flush0() {}

    func read0() {}

    func close0(error: any Error, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard isActive else {
            promise?.fail(ChannelError.alreadyClosed)
            return
        }
        isActive = false
        promise?.succeed()
        pipeline.fireChannelInactive()
        owner?.channelEnded()
        eventLoop.execute { [self] in
            removeHandlers(pipeline: pipeline)
            closePromise.succeed()
        }
    }

    func triggerUserOutboundEvent0(_ event: Any, promise: EventLoopPromise<Void>?) {
        promise?.fail(ChannelError.operationUnsupported)
    }

    func channelRead0(_ data: NIOAny) {}

    func errorCaught0(error: any Error) {}
}
