// The TCP door: listens, hands each connection to an event loop, and stops gracefully.
//
// There is one event loop a core. A connection stays on its loop, where one handler
// (ConnectionHandler) does framing and dispatch; Transport/ carries its bytes. Commands are in Commands/, one a file;
// short reads run in place on the loop, everything else answers through a ReplyTicket.

import BSON
package import Logging
import NIOCore
import NIOPosix
import NIOSSL
package import Roost
import ServiceLifecycle
import Synchronization

/// A server of the wire protocol.
package final class Server: Service {
    /// How long a graceful stop waits for running commands, in seconds.
    private static let stopSeconds: Int64 = 10

    let core: ServerCore
    /// Accepts all connections, and serves those that are channels: under TLS, or behind a door.
    let group: MultiThreadedEventLoopGroup
    /// Serve the other connections.
    private let pollLoops: [PollLoop]
    let loops: [ObjectIdentifier: NIOLoopBound<LoopState>]
    private let listeners = Mutex<[any Channel]>([])
    private let socketFiles = Mutex<[String]>([])

    /// A server that does not listen yet. The engine is the caller's to close, after `stop`.
    package init(options: ServerOptions, engine: RoostEngine, logger: Logger) async throws {
        core = try ServerCore(options: options, engine: engine, logger: logger)
        let count = options.eventLoops > 0 ? options.eventLoops : availableProcessors()
        group = MultiThreadedEventLoopGroup(numberOfThreads: count)
        pollLoops = try (0..<count).map { _ in try PollLoop() }
        let eventLoops = pollLoops + Array(group.makeIterator())
        var loops: [ObjectIdentifier: NIOLoopBound<LoopState>] = [:]
        let core = core
        for (number, eventLoop) in eventLoops.enumerated() {
            loops[ObjectIdentifier(eventLoop)] = try await eventLoop.submit {
                let state = LoopState(
                    eventLoop, number: number, reader: try engine.makeReader())
                core.meters.withLock { $0.append(state.meter) }
                return NIOLoopBound(state, eventLoop: eventLoop)
            }.get()
        }
        self.loops = loops
        engine.setCompleter { place, body in eventLoops[place].execute(body) }
        let states = Array(loops.values)
        core.appUsers.start(core.accounts)
        core.accessLog?.start()
        core.accounts.whenChanged { [cursors = core.cursors] withdrawn in
            cursors.killAll(ofOwners: withdrawn)
            for state in states {
                state.eventLoop.execute { state.value.accountsChanged() }
            }
        }
    }

    /// Adds a line to what `getLog` shows.
    package var recentLog: RecentLog { core.recentLogs }

    /// Serves, after `start`, until a graceful shutdown is asked for, then stops.
    package func run() async throws {
        try? await gracefulShutdown()
        await stop()
    }

    /// Begins to listen.
    ///
    /// - Returns: the addresses, with the ports that were found where 0 was asked for.
    /// - Throws: `ListenError` naming the address and what to do.
    @discardableResult
    package func start() async throws -> [ServerOptions.Address] {
        let tls = try core.options.tls.map { try Self.tlsContext($0) }
        var bound: [ServerOptions.Address] = []
        for address in core.options.listen {
            let channel = try await listen(address, tls)
            listeners.withLock { $0.append(channel) }
            let port = channel.localAddress?.port ?? address.port
            bound.append(ServerOptions.Address(host: address.host, port: port))
            core.logger.info("listening", metadata: ["address": "\(address.host):\(port)"])
        }
        for port in Set(bound.map(\.port)).sorted() { await listenOnSocketFile(port: port) }
        startSweeping()
        return bound
    }

    /// Stops accepting, lets running commands end, closes all connections.
    package func stop() async {
        core.beginStopping()
        let channels = listeners.withLock { listeners in
            defer { listeners = [] }
            return listeners
        }
        for channel in channels { try? await channel.close() }
        for path in socketFiles.withLock({ $0 }) { unlinkSocket(path) }
        await endConnections()
        core.cursors.killAll()
        core.engine.setCompleter(nil)
        core.accounts.whenChanged(nil)
        await core.appUsers.stop()
        await core.accessLog?.stop()
        // What was handed to the loops before runs before this.
        for (_, loop) in loops { try? await loop.eventLoop.submit {}.get() }
        for loop in pollLoops { try? await loop.shutdownGracefully() }
        try? await group.shutdownGracefully()
    }

    private func endConnections() async {
        // What waits for a transaction goes on when that ends.
        core.engine.abortTransactions()
        let endings = loops.values.map { loop in
            let eventLoop = loop.eventLoop
            let ended = eventLoop.makePromise(of: Void.self)
            let deadline = eventLoop.scheduleTask(in: .seconds(Self.stopSeconds)) {
                loop.value.abort()
            }
            eventLoop.execute { loop.value.stop(ended) }
            return (ended: ended.futureResult, deadline: deadline)
        }
        for ending in endings {
            try? await ending.ended.get()
            ending.deadline.cancel()
        }
    }

    // MARK: Listening

    private func listen(
        _ address: ServerOptions.Address, _ tls: NIOSSLContext?
    ) async throws -> any Channel {
        do {
            return try await bootstrap(tls: tls)
                .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
                .bind(host: address.host, port: address.port).get()
        } catch {
            throw ListenError(address, error)
        }
    }

    /// Listens on the socket file that drivers look for. Its absence is no reason not to serve.
    private func listenOnSocketFile(port: Int) async {
        guard let folder = core.options.socketFolder else { return }
        let path = "\(folder)/mongodb-\(port).sock"
        do {
            let channel = try await bootstrap(tls: nil)
                .bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
            restrictSocket(path)
            listeners.withLock { $0.append(channel) }
            socketFiles.withLock { $0.append(path) }
        } catch {
            core.logger.warning(
                "no socket file", metadata: ["path": "\(path)", "error": "\(error)"])
        }
    }

    private func bootstrap(tls: NIOSSLContext?) -> ServerBootstrap {
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1_024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
        guard let tls else { return plain(bootstrap) }
        return
            bootstrap
            .childChannelInitializer { [core, loops] channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let loop = loops[ObjectIdentifier(channel.eventLoop)],
                        !core.isStopping, core.admitConnection()
                    else { throw ChannelUnwanted.refused }
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHandler(NIOSSLServerHandler(context: tls))
                    try pipeline.addHandler(
                        ChannelTransport(ConnectionHandler(core: core, loop: loop.value)))
                }
            }
            .childChannelOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(
                    minimum: 1_024, initial: 4_096, maximum: 256 * 1_024)
            )
            .childChannelOption(
                .writeBufferWaterMark,
                value: ChannelOptions.Types.WriteBufferWaterMark(
                    low: ordinaryWriteMarks.lowerBound, high: ordinaryWriteMarks.upperBound))
    }

    private func plain(_ bootstrap: ServerBootstrap) -> ServerBootstrap {
        let distributor = SocketDistributor(
            core,
            pollLoops.compactMap { loop in loops[ObjectIdentifier(loop)].map { (loop, $0) } })
        return bootstrap.childChannelInitializer { [core] channel in
            channel.eventLoop.makeCompletedFuture {
                guard !core.isStopping, core.admitConnection() else {
                    throw ChannelUnwanted.refused
                }
                try distributor.take(channel)
                throw ChannelUnwanted.movedOn
            }
        }
    }

    /// Why the bootstrap is to close a channel that it has just accepted.
    private enum ChannelUnwanted: Error {
        /// The connection is not let in.
        case refused
        /// Its socket is with a poll loop.
        case movedOn
    }

    static func tlsContext(_ files: ServerOptions.TLS) throws -> NIOSSLContext {
        let chain = try certificates(files.certificateFile, "--tls-cert")
        let key: NIOSSLPrivateKey
        do {
            key = try NIOSSLPrivateKey(file: files.keyFile, format: .pem)
        } catch {
            throw ListenError(
                tls: "--tls-key: '\(files.keyFile)' holds no private key in PEM that can be read "
                    + "(one with a passphrase can't)")
        }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        configuration.minimumTLSVersion = .tlsv12
        if let authority = files.authorityFile {
            configuration.trustRoots = .certificates(try certificates(authority, "--tls-ca"))
            configuration.certificateVerification = .noHostnameVerification
        }
        do {
            return try NIOSSLContext(configuration: configuration)
        } catch {
            throw ListenError(
                tls: "the key '\(files.keyFile)' does not belong to the first certificate of "
                    + "'\(files.certificateFile)' (\(error))")
        }
    }

    private static func certificates(
        _ file: String, _ option: String
    ) throws -> [NIOSSLCertificate] {
        let found = try? NIOSSLCertificate.fromPEMFile(file)
        guard let found, !found.isEmpty else {
            throw ListenError(tls: "\(option): '\(file)' holds no certificate in PEM")
        }
        return found
    }

    // MARK: Upkeep

    /// Looks regularly for stalled connections and for sessions nobody uses.
    private func startSweeping() {
        let limits = core.options.timeouts
        let shortest = min(
            limits.handshakeSeconds, limits.stalledFrameSeconds, limits.cursorSeconds)
        let interval = TimeAmount.milliseconds(
            Int64(max(0.05, min(10, shortest / 4)) * 1_000))
        for (_, loop) in loops {
            loop.eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
                loop.value.sweep(now: Clock.coarseNanos)
            }
        }
        let core = core
        group.next().scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
            core.expire(now: Clock.coarseNanos)
        }
        group.next().scheduleRepeatedTask(initialDelay: .minutes(1), delay: .hours(1)) { _ in
            core.appUsers.sweep()
        }
    }
}
