// Replies written straight to a connection's socket.
//
// Most replies are small and the socket takes them whole at once. Queueing, flushing and unqueueing
// one in the channel costs a fifth of what a read by `_id` executes in the server (2,900 of 14,300
// instructions, callgrind), so it is tried without the channel first. What the socket doesn't take
// goes through the channel, which waits for the client, bounds what waits, and finds out and tells
// what failed. Until the channel has got rid of all that, everything follows it there.
//
// SAFETY: the descriptor belongs to the channel and may be another connection's after it is closed.
// It is used on the connection's event loop, by its handler, and no more once the handler was told
// that the channel is inactive: the channel closes the descriptor and tells so in one step of the
// loop, between which it calls nothing that writes.

import Glibc
import NIOCore

/// The socket of a connection whose bytes nothing transforms.
struct DirectOutput {
    /// The channel's; -1 for none.
    private var descriptor: CInt = -1
    /// Whether the channel was given bytes that it may still hold.
    private var isBehindChannel = false

    /// One that sends nothing.
    init() {}

    /// One past the pipeline of `channel`; it sends nothing where that has no socket.
    init(_ channel: any Channel) {
        let found = try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(
            of: NIOBSDSocket.Handle.self
        ) { $0 }
        descriptor = (found ?? nil) ?? -1
    }

    /// Sends as many of the first of `bytes` as the socket takes now, and returns how many. The
    /// others must be written to the channel.
    mutating func send(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) -> Int {
        guard descriptor >= 0, !channelHoldsBytes(context) else { return 0 }
        // A failure means "not now", or the channel meets it again.
        let count = bytes.withUnsafeReadableBytes { bytes in
            max(0, Glibc.send(descriptor, bytes.baseAddress, bytes.count, CInt(MSG_NOSIGNAL)))
        }
        isBehindChannel = count < bytes.readableBytes
        return count
    }

    private func channelHoldsBytes(_ context: ChannelHandlerContext) -> Bool {
        guard isBehindChannel else { return false }
        let held = try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)
        return held != 0
    }
}
