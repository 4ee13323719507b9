// What carries a connection's bytes: a socket that the server polls itself (SocketTransport), or,
// under TLS, a channel of SwiftNIO's (ChannelTransport). The connection knows neither.

import NIOCore

/// The carrier of one connection's bytes; confined to the connection's event loop.
///
/// It tells the connection what comes in (`received`, `inputEnded`), whether it takes more
/// (`writabilityChanged`), and, once, that it has ended (`ended`).
protocol Transport: AnyObject {
    /// How many bytes were written and not yet taken by the socket.
    var unsentBytes: Int { get }

    /// Writes `bytes`, at once where the socket takes them.
    func write(_ bytes: ByteBuffer)

    /// Reads on, if it stopped because the connection wanted no bytes and wants some now.
    func resumeReading()

    /// Has little wait for a client that doesn't read: writability ends at `marks.upperBound`
    /// unsent bytes and comes back at `marks.lowerBound`, and the kernel holds `socketBytesMax`.
    func holdLittle(_ marks: Range<Int>, socketBytesMax: Int)

    /// Closes the connection. What is unsent is lost.
    func close()
}

/// The unsent bytes at which connections are held back, unless they follow a live query.
let ordinaryWriteMarks = 256 * 1_024..<1_024 * 1_024
