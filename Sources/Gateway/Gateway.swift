// The HTTP and WebSocket door: for apps, beside the TCP door for back ends.
//
// A request becomes a command of the TCP door's (a document), which runs over a channel without a
// socket, by the same code and under the same rules; its reply becomes JSON. So the same user gets
// the same answers on both doors, and nothing is decided twice. Gateway.md describes what is sent.
//
//     Gateway          listens, on the server's event loops
//     HTTP/            requests, answers, who asks (Visitor), routes
//     Link/            commands in, replies out (CommandLink), the channel between
//     Routes/          one file a group of addresses
//     Live/            live queries over WebSocket and as Server-Sent Events

package import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import ServiceLifecycle
import Synchronization
package import Wire

/// The HTTP door of one server.
package final class Gateway: Service {
    /// How long a graceful stop waits for running requests, in seconds.
    private static let stopSeconds: Int64 = 10

    private let core: GatewayCore
    private let listener = Mutex<(any Channel)?>(nil)

    /// A door that does not listen yet, to what `door` answers.
    package init(settings: GatewaySettings, door: any CommandDoor, logger: Logger) {
        core = GatewayCore(settings, door, logger)
    }

    /// Listens, serves until a graceful shutdown is asked for, then stops.
    ///
    /// Where the usual port is taken, a line in the log says so and nothing is served.
    /// - Throws: `GatewayListenError` where an address that was asked for can't be listened on.
    package func run() async throws {
        do {
            try await start()
        } catch  where !core.settings.isExplicit {
            core.logger.warning(
                "no HTTP door: \(error). Choose another address with --http, or none with --http off"
            )
        }
        try? await gracefulShutdown()
        await stop()
    }

    /// Begins to listen.
    /// - Returns: the port.
    /// - Throws: `GatewayListenError`.
    @discardableResult
    package func start() async throws -> Int {
        let settings = core.settings
        do {
            let channel = try await bootstrap().bind(host: settings.host, port: settings.port)
                .get()
            listener.withLock { $0 = channel }
            let port = channel.localAddress?.port ?? settings.port
            core.logger.info(
                "listening for HTTP", metadata: ["address": "\(settings.host):\(port)"])
            return port
        } catch {
            throw GatewayListenError(settings.host, settings.port, error)
        }
    }

    /// Stops accepting, lets running requests be answered, ends live queries.
    package func stop() async {
        core.beginStopping()
        let channel = listener.withLock { listener in
            defer { listener = nil }
            return listener
        }
        guard let channel else { return }
        try? await channel.close()
        let open = core.connections
        for connection in open {
            connection.pipeline.fireUserInboundEventTriggered(ChannelShouldQuiesceEvent())
        }
        let deadline = core.door.eventLoops.next().scheduleTask(in: .seconds(Self.stopSeconds)) {
            for connection in open { connection.close(promise: nil) }
        }
        for connection in open { try? await connection.closeFuture.get() }
        deadline.cancel()
    }

    private func bootstrap() -> ServerBootstrap {
        let core = core
        return ServerBootstrap(group: core.door.eventLoops)
            .serverChannelOption(.backlog, value: 1_024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try Self.configure(channel, core) }
            }
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: 4)
    }

    /// Ends a connection that is not let in; the bootstrap closes it.
    private struct ConnectionRefused: Error {}

    private static func configure(_ channel: any Channel, _ core: GatewayCore) throws {
        guard core.admit(channel) else { throw ConnectionRefused() }
        channel.closeFuture.whenComplete { _ in core.release(channel) }
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = GatewayLimits.headerBytesMax
        limits.maxHeaderListSize = GatewayLimits.headerBytesMax
        limits.maxHeaderFieldCount = GatewayLimits.headerCountMax
        if let tls = core.settings.tls {
            try channel.pipeline.syncOperations.addHandler(tls())
        }
        let watch = ArrivalWatch()
        let encoder = HTTPResponseEncoder()
        let decoder = ByteToMessageHandler(
            HTTPRequestDecoder(
                leftOverBytesStrategy: .forwardBytes, limitConfiguration: limits))
        let pipelining = HTTPServerPipelineHandler()
        try channel.pipeline.syncOperations.addHandlers([
            watch, encoder, decoder, pipelining,
            HTTPConnection(core, watch, [pipelining, encoder, decoder]),
        ])
    }
}
