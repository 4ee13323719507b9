// A connection's bytes through its socket, without a channel between: one `recv` for what came in,
// one `send` for what goes out.
//
// SAFETY: the loop's epoll holds an unretained pointer to this object for as long as the descriptor
// is registered. `close` takes the descriptor out, and leaves the object to the loop until the events
// of its turn have been looked at (`PollLoop.keepUntilTurnEnds`); until then the connection, which
// its LoopState holds, keeps it.

import CPlatform
import Glibc
import NIOCore
import Synchronization

/// The carrier of a connection whose bytes nothing transforms; confined to its loop.
final class SocketTransport: Transport {
    /// Bytes asked for at once: few at first, more as long as they are used up.
    private static let receiveBytes = 4_096...256 * 1_024

    private let loop: PollLoop
    /// The socket, not blocking; -1 once it is closed.
    private var descriptor: CInt
    /// Nil before it begins and after it has ended.
    private var connection: ConnectionHandler?
    /// What epoll watches for.
    private var interest = EPOLLIN.rawValue
    /// What the socket has not taken; nothing is sent past it.
    private var unsent = ByteBuffer()
    private var marks = ordinaryWriteMarks
    private var isWritable = true
    private var receiveBytes = SocketTransport.receiveBytes.lowerBound

    /// Takes over `descriptor`.
    init(_ descriptor: CInt, _ loop: PollLoop) {
        self.descriptor = descriptor
        self.loop = loop
    }

    /// Begins to serve `connection`; false where the system doesn't let the socket be watched.
    func begin(_ connection: ConnectionHandler, from address: SocketAddress?) -> Bool {
        guard loop.watch(descriptor, self, interest, EPOLL_CTL_ADD) else { return false }
        self.connection = connection
        connection.begin(on: self, from: address)
        return true
    }

    // MARK: What comes in

    /// The socket has these of epoll's events.
    func ready(_ events: UInt32) {
        // Another event of the same turn may have closed it.
        if descriptor >= 0, events & ~EPOLLOUT.rawValue != 0 { receive() }
        if descriptor >= 0, events & EPOLLOUT.rawValue != 0 { sendOn() }
    }

    private func receive() {
        guard let connection else { return }
        // Watched for nothing that comes in, it is told only of its end in both directions.
        guard interest & EPOLLIN.rawValue != 0 else { return close() }
        let count = loop.receive(from: descriptor, atMost: receiveBytes)
        guard count > 0 else {
            if count == 0 { return connection.inputEnded() }
            let error = errno
            if error == EAGAIN || error == EINTR { return }
            connection.failed(IOError(errnoCode: error, reason: "recv"))
            return close()
        }
        adaptReceiveBytes(count)
        connection.received(loop.received)
        connection.receivedAll()
        if descriptor >= 0, !connection.wantsBytes { watch(interest & ~EPOLLIN.rawValue) }
    }

    private func adaptReceiveBytes(_ count: Int) {
        if count == receiveBytes {
            receiveBytes = min(2 * count, Self.receiveBytes.upperBound)
        } else if count < receiveBytes / 4 {
            receiveBytes = max(receiveBytes / 2, Self.receiveBytes.lowerBound)
        }
    }

    func resumeReading() {
        guard descriptor >= 0, interest & EPOLLIN.rawValue == 0, connection?.wantsBytes == true
        else { return }
        watch(interest | EPOLLIN.rawValue)
    }

    // MARK: What goes out

    var unsentBytes: Int { unsent.readableBytes }

    func write(_ bytes: ByteBuffer) {
        guard descriptor >= 0 else { return }
        var bytes = bytes
        if unsent.readableBytes == 0 {
            send(&bytes)
            guard bytes.readableBytes > 0, descriptor >= 0 else { return }
            unsent = bytes
            watch(interest | EPOLLOUT.rawValue)
        } else {
            unsent.writeBuffer(&bytes)
        }
        if isWritable, unsent.readableBytes > marks.upperBound {
            isWritable = false
            connection?.writabilityChanged(false)
        }
    }

    /// The socket takes bytes again.
    private func sendOn() {
        send(&unsent)
        guard descriptor >= 0 else { return }
        if unsent.readableBytes == 0 {
            unsent = ByteBuffer()
            watch(interest & ~EPOLLOUT.rawValue)
        }
        if !isWritable, unsent.readableBytes <= marks.lowerBound {
            isWritable = true
            connection?.writabilityChanged(true)
        }
    }

    /// Sends as many of the first of `bytes` as the socket takes now.
    private func send(_ bytes: inout ByteBuffer) {
        while bytes.readableBytes > 0 {
            let count = bytes.withUnsafeReadableBytes { bytes in
                Glibc.send(descriptor, bytes.baseAddress, bytes.count, CInt(MSG_NOSIGNAL))
            }
            if count >= 0 {
                bytes.moveReaderIndex(forwardBy: count)
                // Less than all: the socket is full.
                return
            }
            let error = errno
            if error == EINTR { continue }
            if error == EAGAIN { return }
            connection?.failed(IOError(errnoCode: error, reason: "send"))
            return close()
        }
    }

    func holdLittle(_ marks: Range<Int>, socketBytesMax: Int) {
        self.marks = marks
        var size = CInt(socketBytesMax)
        setsockopt(
            descriptor, SOL_SOCKET, SO_SNDBUF, &size, socklen_t(MemoryLayout<CInt>.size))
    }

    // MARK: The end

    func close() {
        guard descriptor >= 0 else { return }
        _ = loop.watch(descriptor, self, 0, EPOLL_CTL_DEL)
        Glibc.close(descriptor)
        descriptor = -1
        loop.socketCount.wrappingSubtract(1, ordering: .relaxed)
        unsent = ByteBuffer()
        loop.keepUntilTurnEnds(self)
        // Not in the middle of what the connection is doing.
        let ended = NIOLoopBound(self, eventLoop: loop)
        loop.execute { ended.value.tellEnd() }
    }

    private func tellEnd() {
        connection?.ended()
        connection = nil
    }

    private func watch(_ events: UInt32) {
        guard events != interest else { return }
        interest = events
        // It succeeded for this descriptor before, and needs no memory now.
        _ = loop.watch(descriptor, self, events, EPOLL_CTL_MOD)
    }
}
