// Bytes from the server to replies for those who wait. Lives on the connection's event loop.

import BSON
import NIOCore
import Wire

/// Frames and parses replies.
final class ReplyHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private var received = ByteBuffer()
    private var waiting: [Int32: EventLoopPromise<Document>] = [:]
    private var isClosed = false

    /// What those get who wait when the connection ends.
    static var closed: DBError {
        DBError(.hostUnreachable, "the connection was closed")
    }

    /// The reply to that request goes to `promise`.
    func expect(_ id: Int32, _ promise: EventLoopPromise<Document>) {
        if isClosed { promise.fail(Self.closed) } else { waiting[id] = promise }
    }

    /// The request could not be sent.
    func fail(_ id: Int32) {
        waiting.removeValue(forKey: id)?.fail(Self.closed)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var chunk = unwrapInboundIn(data)
        received.writeBuffer(&chunk)
        do throws(DBError) {
            while let message = try nextMessage() { try deliver(message) }
            received.discardReadBytes()
        } catch {
            end(with: error)
            context.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        end(with: Self.closed)
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end(with: DBError(.hostUnreachable, "the connection failed: \(error)", underlying: error))
        context.close(promise: nil)
    }

    private func end(with error: DBError) {
        isClosed = true
        let all = waiting
        waiting = [:]
        for promise in all.values { promise.fail(error) }
    }

    private func nextMessage() throws(DBError) -> ByteBuffer? {
        guard let header = MessageHeader(peeking: received) else { return nil }
        guard header.length >= MessageHeader.byteCount, header.length <= Limits.messageBytesMax
        else {
            throw DBError(
                .protocolError, "this is no MongoDB server: a message of its is malformed")
        }
        return received.readSlice(length: Int(header.length))
    }

    private func deliver(_ message: ByteBuffer) throws(DBError) {
        guard let header = MessageHeader(peeking: message),
            header.opCode == OpCode.message.rawValue
        else {
            throw DBError(.protocolError, "this is no MongoDB server: its answer is no OP_MSG")
        }
        let reply = try Request(message: message, header: header)
        let document = Document(copying: reply.body)
        waiting.removeValue(forKey: header.responseTo)?.succeed(document)
    }
}
