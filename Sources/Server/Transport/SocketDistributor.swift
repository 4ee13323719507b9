// How a connection comes to its poll loop: SwiftNIO listens and accepts, the socket moves on, the
// channel that it came with is closed.

import Glibc
import NIOCore
import NIOPosix
import Synchronization

/// Hands accepted sockets to the poll loops in turns.
final class SocketDistributor: Sendable {
    private let core: ServerCore
    private let loops: [(loop: PollLoop, state: NIOLoopBound<LoopState>)]
    private let next = Atomic<Int>(0)

    init(_ core: ServerCore, _ loops: [(loop: PollLoop, state: NIOLoopBound<LoopState>)]) {
        self.core = core
        self.loops = loops
    }

    /// Moves the socket of a connection that was admitted. The channel is the caller's to close; the
    /// connection does not end with it, having a descriptor of its own.
    ///
    /// - Throws: `IOError` where the system has no descriptor left.
    func take(_ channel: any Channel) throws {
        let original = try channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(
            of: NIOBSDSocket.Handle.self
        ) { $0 }
        let descriptor = original.map { fcntl($0, F_DUPFD_CLOEXEC, 0) } ?? -1
        guard descriptor >= 0 else {
            let error = errno
            core.releaseConnection()
            throw IOError(errnoCode: error, reason: "fcntl")
        }
        let address = channel.remoteAddress
        let number = next.wrappingAdd(1, ordering: .relaxed).newValue
        let (loop, state) = loops[number % loops.count]
        loop.execute { [core] in
            let transport = SocketTransport(descriptor, loop)
            let connection = ConnectionHandler(core: core, loop: state.value)
            guard !transport.begin(connection, from: address) else { return }
            transport.close()
            core.releaseConnection()
        }
    }
}
